"""What a report on unmasking says, by the numbers: figures with intervals, and whether the baselines are beaten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.tables import number
from ops.unmasking.baselines import BASELINES, MASKED
from ops.unmasking.scores import estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.store import Row
    from ops.unmasking.scores import Estimate, Reals

COMPLETED = "completed"
CONTENDERS = (COMPLETED, *BASELINES)
FOUND, TRUE = "found", "true"
GIVEN = (FOUND, TRUE)
"""Which region was completed: the one that the segmenter found, as in use, or the true one."""

FIGURES = ("psnr", "ssim", "l1", "lpips", "identity", "second")
OVERLAPS = ("dice", "iou")
YAWS = (15, 30, 45)
"""Degrees that part faces by how far they are turned."""

ALL = "all"
GROUPS = (ALL, "kind", "mask_state", "yaw")


class Floor(NamedTuple):
    """What networks have to reach.

    Attributes:
        psnr: decibels ahead of the best baseline.
        ssim: the same for structural similarity.
        people: in the test split; figures of fewer mean nothing.
    """

    psnr: float = 2.0
    ssim: float = 0.05
    people: int = 20


class Judged(NamedTuple):
    """The figures of all squares, for one way of giving regions.

    Attributes:
        pictures: the masked squares, sorted, ``n`` of them.
        people: who is on each.
        groups: what each belongs to, by name of :data:`GROUPS`.
        values: ``(n, contenders, figures)``, NaN where one is not known.
        overlaps: ``(n, 2)`` Dice coefficient and intersection over union of what the segmenter found.
    """

    pictures: list[str]
    people: list[str]
    groups: list[dict[str, str]]
    values: Reals
    overlaps: Reals

    def parts(self) -> Iterator[tuple[str, str, list[int]]]:
        """Yield each group's name, each of its values, and the squares that have it."""
        for name in GROUPS:
            for value in sorted({groups[name] for groups in self.groups}):
                yield name, value, [at for at, groups in enumerate(self.groups) if groups[name] == value]

    def figures(self, squares: Sequence[int]) -> Estimate:
        """Return means and intervals of some of the squares, each ``(contenders, figures)``."""
        chosen = list(squares)
        flat = self.values[chosen].reshape(len(chosen), len(CONTENDERS) * len(FIGURES))
        told = estimate(flat, [self.people[at] for at in chosen])
        return type(told)(*(each.reshape(len(CONTENDERS), len(FIGURES)) for each in told))

    def overlap(self, squares: Sequence[int]) -> Estimate:
        """Return means and intervals of the overlaps of some of the squares, each ``(2,)``."""
        return estimate(self.overlaps[list(squares)], [self.people[at] for at in squares])


def judged_of(rows: Sequence[Row], given: str) -> Judged:
    """Return the figures of a report's rows where ``given`` is how regions were given."""
    squares: dict[str, dict[str, Row]] = {}
    for known in rows:
        if known["given"] == given:
            squares.setdefault(known["picture"], {})[known["contender"]] = known
    values = np.full((len(squares), len(CONTENDERS), len(FIGURES)), np.nan)
    overlaps = np.full((len(squares), len(OVERLAPS)), np.nan)
    people, groups = [], []
    for at, (_, of) in enumerate(sorted(squares.items())):
        values[at] = [[_number(of[contender][figure]) for figure in FIGURES] for contender in CONTENDERS]
        known = of[COMPLETED]
        overlaps[at] = [known[name] for name in OVERLAPS]
        people.append(known["group"])
        groups.append({ALL: ALL, "kind": known["kind"], "mask_state": known["mask_state"], "yaw": bucket(known["yaw"])})
    return Judged(sorted(squares), people, groups, values, overlaps)


def bucket(yaw: float) -> str:
    """Return how far a face is turned, in words.

    >>> bucket(-20), bucket(70)
    ('15 to 30', '45 and more')
    """
    at = sum(abs(yaw) >= limit for limit in YAWS)
    return f"{(0, *YAWS)[at]} to {YAWS[at]}" if at < len(YAWS) else f"{YAWS[-1]} and more"


def compare(judged: Judged) -> dict[str, dict[str, Any]]:
    """Return how far completed faces are ahead: of the best baseline, and in identity of the masked face.

    Differences are taken square by square, so their intervals are narrower than those of the means.
    """
    means = judged.figures(range(len(judged.pictures))).mean
    told = {}
    for figure in ("psnr", "ssim", "identity", "second"):
        column = FIGURES.index(figure)
        known = means[1:, column]
        if np.isnan(known).all():
            continue
        rival = MASKED if figure in {"identity", "second"} else BASELINES[int(np.nanargmax(known))]
        apart = judged.values[:, 0, column] - judged.values[:, CONTENDERS.index(rival), column]
        ahead = estimate(apart[:, None], judged.people)
        told[figure] = {"of": rival, "by": number(ahead.mean[0]), "interval": [number(e[0]) for e in ahead[1:]]}
    return told


def beats(against: dict[str, dict[str, Any]], floor: Floor) -> bool:
    """Tell whether what :func:`compare` returns reaches the floor, beyond what chance may do."""
    least = {"psnr": floor.psnr, "ssim": floor.ssim, "identity": 0.0}
    asked = [figure for figure in least if figure != "identity" or figure in against]
    return all(
        figure in against and against[figure]["by"] >= least[figure] and against[figure]["interval"][0] > 0
        for figure in asked
    )


def metrics_of(rows: Sequence[Row], floor: Floor, about: dict[str, Any]) -> dict[str, Any]:
    """Return what metrics.json holds: whether it means anything comes first.

    Args:
        rows: of the report's manifest.
        floor: what is to be reached.
        about: further facts.
    """
    found = judged_of(rows, FOUND)
    people, against = len(set(found.people)), compare(found)
    bare = [known["taken"] for known in rows if known["given"] is None]
    overlap = found.overlap(range(len(found.pictures)))
    return {
        "meaningful": people >= floor.people,
        "beats_baselines": beats(against, floor),
        "people": people,
        "squares": len(found.pictures),
        "floor": floor._asdict(),
        **about,
        "segmenter": {
            **_told(OVERLAPS, overlap.mean, overlap.low, overlap.high),
            "taken": number(float(np.mean(bare))) if bare else None,
        },
        "ahead": against,
        **{given: _contenders(judged_of(rows, given)) for given in GIVEN},
    }


def as_table(told: dict[str, Any]) -> str:
    """Return the figures of metrics.json as a Markdown table, intervals in brackets."""

    def cell(row: dict[str, Any], name: str) -> str:
        if row[name] is None:
            return "-"
        low, high = row["intervals"][name]
        return f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"

    head = f"| region | contender | {' | '.join(FIGURES)} |\n|---|---|{'---|' * len(FIGURES)}\n"
    return head + "".join(
        f"| {given} | {name} | {' | '.join(cell(row, figure) for figure in FIGURES)} |\n"
        for given in GIVEN
        for name, row in told[given].items()
    )


def _contenders(judged: Judged) -> dict[str, Any]:
    told = judged.figures(range(len(judged.pictures)))
    return {name: _told(FIGURES, *(each[at] for each in told)) for at, name in enumerate(CONTENDERS)}


def _told(names: Sequence[str], means: Reals, low: Reals, high: Reals) -> dict[str, Any]:
    figures: dict[str, Any] = {name: number(mean) for name, mean in zip(names, means, strict=True)}
    ends = zip(names, low, high, strict=True)
    return {**figures, "intervals": {name: [number(a), number(b)] for name, a, b in ends}}


def _number(value: float | None) -> float:
    return np.nan if value is None else value

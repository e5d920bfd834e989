"""Scenarios: how the query is shown and how the gallery is, and what an embedding makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.anonymising.obscuring import OBSCURERS
from ops.reidentification.ranks import FIGURES, cmc, measured, outscored, ranked, similarities
from ops.reidentification.trials import SETTINGS
from ops.tables import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ops.records import Floats
    from ops.reidentification.ranks import Ranks, Reals
    from ops.reidentification.trials import Pair, Trial
    from ops.unmasking.scores import Estimate

    Vectors = Mapping[tuple[str, str], Floats]

FACE, OVERLAY, MASK_ONLY, COMPLETED = "face", "overlay", "mask_only", "completed"
GUISES = (FACE, OVERLAY, MASK_ONLY, COMPLETED, *OBSCURERS)
"""How a face may be shown: as it is, or as each anonymiser shows it."""

MASKS = (OVERLAY, MASK_ONLY)
"""Those of them that digital masks are."""


class Scenario(NamedTuple):
    """How the face that is asked about is shown, and how those of the gallery are."""

    query: str
    database: str

    @property
    def name(self) -> str:
        """``overlay_to_face``, say."""
        return f"{self.query}_to_{self.database}"


SCENARIOS = (
    Scenario(FACE, FACE),
    *(Scenario(guise, FACE) for guise in GUISES[1:]),
    *(Scenario(guise, guise) for guise in GUISES[1:]),
)


class Outcome(NamedTuple):
    """What came of a scenario.

    Attributes:
        scenario: which.
        setting: of the trial.
        pairs: whose query and database picture could both be shown so, ``n`` of them.
        failed: those of which one could not: refused, or nothing was found in it.
        gallery: people in it.
        ranks: of the pairs.
        similarity: ``(n,)`` cosine of each pair.
        excluded: :data:`ops.reidentification.ranks.FIGURES`, failed pairs left out.
        worst: the same where failed pairs are taken for recognised, the worst for privacy.
        cmc: ``(gallery,)``, failed pairs left out.
    """

    scenario: Scenario
    setting: str
    pairs: tuple[Pair, ...]
    failed: tuple[Pair, ...]
    gallery: int
    ranks: Ranks
    similarity: Reals
    excluded: Estimate
    worst: Estimate
    cmc: Reals


def outcome(trial: Trial, scenario: Scenario, vectors: Vectors) -> Outcome:
    """Ask a gallery about every query.

    Args:
        trial: who is asked about.
        scenario: how they are shown.
        vectors: of length 1, by key of the picture and guise; failures are not there.
    """
    query, database = scenario
    keys = [key for key in (*(pair.database for pair in trial.pairs), *trial.others) if (key, database) in vectors]
    columns = {key: column for column, key in enumerate(keys)}
    known = [(pair.query, query) in vectors and pair.database in columns for pair in trial.pairs]
    pairs = tuple(pair for pair, whole in zip(trial.pairs, known, strict=True) if whole)
    failed = tuple(pair for pair, whole in zip(trial.pairs, known, strict=True) if not whole)
    similarity = similarities([vectors[pair.query, query] for pair in pairs], [vectors[key, database] for key in keys])
    own = np.array([columns[pair.database] for pair in pairs], np.int64)
    ranks, shares = ranked(similarity, own), outscored(similarity, own)
    return Outcome(
        scenario,
        trial.setting,
        pairs,
        failed,
        len(keys),
        ranks,
        similarity[np.arange(len(own)), own],
        measured(ranks, shares),
        measured(ranks, shares, len(failed)),
        cmc(ranks, len(keys)),
    )


def outcomes(trials: Iterable[Trial], vectors: Vectors) -> Iterator[Outcome]:
    """Yield what comes of every scenario of each trial; none of trials without pairs."""
    for trial in trials:
        if trial.pairs:
            yield from (outcome(trial, scenario, vectors) for scenario in SCENARIOS)


class Floor(NamedTuple):
    """What figures have to be.

    Attributes:
        people: figures of fewer mean nothing.
        bare: rank-1 rate of bare faces below which the embedding is no judge of anonymisers.
        most: rank-1 rate of digital masks, failed pairs taken for recognised, above which they leak.
    """

    people: int = 20
    bare: float = 0.8
    most: float = 0.1


def metrics_of(found: Sequence[Outcome], floor: Floor, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what metrics.json holds: whether it means anything comes first.

    Args:
        found: from :func:`outcomes`.
        floor: what is asked for.
        about: further facts.
    """
    masks = [each for each in found if each.scenario.query in MASKS and each.pairs]
    rates = {f"{each.setting} {each.scenario.name}": float(each.worst.mean[0]) for each in masks}
    why = _doubt(found, floor)
    return {
        "meaningful": why is None,
        "why_not": why,
        "leaks": sorted(name for name, rate in rates.items() if rate > floor.most),
        "floor": floor._asdict(),
        **about,
        **{
            setting: {each.scenario.name: _told(each) for each in found if each.setting == setting}
            for setting in dict.fromkeys(each.setting for each in found)
        },
    }


def _doubt(found: Sequence[Outcome], floor: Floor) -> str | None:
    """Say why figures mean nothing; None where they do, in one setting at least."""
    by_name = {(each.setting, each.scenario): each for each in found}
    doubts = []
    for setting in dict.fromkeys(each.setting for each in found):
        bare, masked = (by_name[setting, scenario] for scenario in SCENARIOS[:2])
        people, rate = min(len(bare.pairs), len(masked.pairs)), bare.excluded.mean[0]
        if people < floor.people:
            doubts.append(f"{setting}: {people} people with two pictures and a digital mask, {floor.people} are needed")
        elif rate < floor.bare:
            doubts.append(f"{setting}: only {rate:.2f} of bare faces are recognised, {floor.bare} are needed")
        else:
            return None
    return "; ".join(doubts) or "nobody is known by name in two pictures"


def as_table(told: Mapping[str, Any]) -> str:
    """Return the figures of metrics.json as a Markdown table, intervals in brackets; failed pairs are left out."""

    def cell(figures: Mapping[str, Any], name: str) -> str:
        if figures[name] is None:
            return "-"
        low, high = figures["intervals"][name]
        return f"{figures[name]:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")

    head = (
        f"| setting | query to gallery | people | gallery | failed | {' | '.join(FIGURES)} |\n|---|---|{'---|' * 7}\n"
    )
    return head + "".join(
        f"| {setting} | {name.replace('_', ' ')} | {each['queries']} | {each['gallery']} | {each['failed']} | "
        f"{' | '.join(cell(each['excluded'], figure) for figure in FIGURES)} |\n"
        for setting in SETTINGS
        for name, each in told.get(setting, {}).items()
    )


def _told(each: Outcome) -> dict[str, Any]:
    return {
        "queries": len(each.pairs),
        "gallery": each.gallery,
        "failed": len(each.failed),
        "rank_1_by_chance": number(1 / each.gallery) if each.gallery else None,
        "excluded": _figures(each.excluded),
        "failed_as_recognised": _figures(each.worst),
    }


def _figures(told: Estimate) -> dict[str, Any]:
    figures: dict[str, Any] = {name: number(value) for name, value in zip(FIGURES, told.mean, strict=True)}
    ends = zip(FIGURES, told.low, told.high, strict=True)
    return {**figures, "intervals": {name: [number(low), number(high)] for name, low, high in ends}}

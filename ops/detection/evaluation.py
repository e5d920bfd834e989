"""Everything that there is to say about a detector on pictures whose boxes are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.detection.matching import ANY_SIDE, match
from ops.detection.mistakes import Judged, judge
from ops.detection.scoring import (
    FIGURES,
    SIZES,
    Curves,
    Scores,
    curves_of,
    draw_counts,
    intervals,
    overall,
    resampled,
    scores_of,
)
from ops.masking import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.detection.detections import Detections
    from ops.detection.matching import Ints, Reals

DRAWS = 1000
SEED = 0
MEAN = "mean"


class Rated(NamedTuple):
    """Scores with their uncertainty.

    Attributes:
        scores: the figures.
        ends: ``(2, 4, 4)``: lower and upper end of the 95% interval; of each class and of their mean; of each of
            :data:`ops.detection.scoring.FIGURES`. NaN where there is no figure.
    """

    scores: Scores
    ends: Reals

    def rows(self) -> list[tuple[str, dict[str, float], int, Reals]]:
        """Return name, figures, boxes and ``(2, 4)`` ends of each class and, at last, of their mean."""
        names: list[Any] = [*self.scores.per_class, self.scores]
        figures = [{name: getattr(row, name) for name in FIGURES} for row in names]
        return list(zip((*LABELS, MEAN), figures, [row.n for row in names], self.ends.swapaxes(0, 1), strict=True))

    def told(self) -> dict[str, Any]:
        """Return what can be written as JSON, rounded to four digits; None where there is no figure."""
        parts = {
            label: {
                **{name: _known(value) for name, value in figures.items()},
                "boxes": boxes,
                "intervals": {name: [_known(end) for end in pair] for name, pair in zip(figures, ends.T, strict=True)},
            }
            for label, figures, boxes, ends in self.rows()
        }
        return {**parts.pop(MEAN), "per_class": parts}


class Evaluation(NamedTuple):
    """A detector on P pictures.

    Attributes:
        thresholds: at which precision and recall are told and mistakes counted, one a class.
        all: over all faces.
        sizes: over the faces of each of :data:`ops.detection.scoring.SIZES`.
        curves: at IoU .5.
        judged: each picture.
    """

    thresholds: tuple[float, ...]
    all: Rated
    sizes: dict[str, Rated]
    curves: Curves
    judged: tuple[Judged, ...]


class Difference(NamedTuple):
    """How much better one detector is than another on the same pictures: means of classes, and their 95% intervals."""

    ap50: float
    ap50_95: float
    ap50_ends: tuple[float, float]
    ap50_95_ends: tuple[float, float]


def evaluate(
    truths: Sequence[Detections], found: Sequence[Detections], thresholds: Sequence[float], *, draws: int = DRAWS
) -> Evaluation:
    """Evaluate what a detector found.

    Args:
        truths: what annotators tell, one a picture.
        found: all boxes of the detector, unfiltered by score, in the same order.
        thresholds: chosen on other pictures, one a class.
        draws: how often pictures are drawn anew for the intervals.
    """
    counts = draw_counts(len(truths), draws, SEED)
    return Evaluation(
        tuple(thresholds),
        _rated(truths, found, thresholds, counts, ANY_SIDE),
        {size: _rated(truths, found, thresholds, counts, sides) for size, sides in SIZES.items()},
        curves_of(match(truths, found)),
        tuple(judge(truth, seen, thresholds) for truth, seen in zip(truths, found, strict=True)),
    )


def difference(
    truths: Sequence[Detections], one: Sequence[Detections], other: Sequence[Detections], *, draws: int = DRAWS
) -> Difference:
    """Compare two detectors on the same pictures, and on the same draws of them."""
    whole = np.ones((1, len(truths)), np.int64)
    counts = np.concatenate([whole, draw_counts(len(truths), draws, SEED)])
    figures = []
    for found in (one, other):
        matches = match(truths, found)
        figures.append(overall(resampled(matches, [0.0] * len(LABELS), counts), matches)[:, :2])
    apart = figures[0] - figures[1]
    (low50, low), (high50, high) = intervals(apart[1:])
    ap50, ap50_95 = apart[0]
    return Difference(float(ap50), float(ap50_95), (float(low50), float(high50)), (float(low), float(high)))


def _rated(
    truths: Sequence[Detections],
    found: Sequence[Detections],
    thresholds: Sequence[float],
    counts: Ints,
    sides: tuple[float, float],
) -> Rated:
    matches = match(truths, found, sides=sides)
    figures = resampled(matches, thresholds, counts)
    with_mean = np.concatenate([figures, overall(figures, matches)[:, None]], axis=1)
    return Rated(scores_of(matches, thresholds), intervals(with_mean))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)

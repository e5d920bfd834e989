"""How good a mask detector is: average precision as COCO defines it, its uncertainty, thresholds and curves.

Matching is :mod:`ops.detection.matching`; here its hits are counted. A class that no picture shows has no figures
(NaN), and means leave it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.matching import ANY_SIDE, IOUS, match
from ops.masking import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.detection.detections import Detections
    from ops.detection.matching import ClassMatches, Ints, Reals

RECALLS = np.linspace(0, 1, 101)
CONFIDENCES = np.linspace(0, 1, 101)
FIGURES = ("ap50", "ap50_95", "precision", "recall")
FALLBACK = 0.5
"""Threshold of every class where no class shows which one is best."""

SIZES = {"small": (0.0, 16.0), "medium": (16.0, 32.0), "large": (32.0, float("inf"))}
"""Sizes of faces by the square root of their area in pixels, from and up to, exclusive.

Where the limits lie: faces in street scenes have a median of about 24 px; below 16 px nobody can tell how a mask is
worn, and COCO too calls small what is under 32 px.
"""

AT_ONCE = 4_000_000
"""Numbers that one array of the bootstrap holds at most."""


class ClassScores(NamedTuple):
    """The figures of one class, in [0, 1]; NaN where ``n``, the number of annotated boxes, is zero."""

    label: str
    ap50: float
    ap50_95: float
    precision: float
    recall: float
    n: int


class Scores(NamedTuple):
    """The means over the classes that have annotated boxes, and the figures of each class as `LABELS` go.

    NaN where nothing at all is annotated; ``n`` is the number of all annotated boxes.
    """

    ap50: float
    ap50_95: float
    precision: float
    recall: float
    n: int
    per_class: tuple[ClassScores, ...]


class Curves(NamedTuple):
    """What there is between the thresholds, at IoU .5; a column a class, NaN where it has no annotated box.

    Attributes:
        precision_at_recall: ``(101, 3)``, at :data:`RECALLS`: the best precision from that recall on.
        precision: ``(101, 3)``, at :data:`CONFIDENCES`; NaN from where on nothing is found.
        recall: ``(101, 3)``.
        f1: ``(101, 3)``.
    """

    precision_at_recall: Reals
    precision: Reals
    recall: Reals
    f1: Reals


def average_precision(
    truths: Sequence[Detections],
    found: Sequence[Detections],
    thresholds: Sequence[float] | None = None,
    *,
    sides: tuple[float, float] = ANY_SIDE,
) -> Scores:
    """Score what a detector found, as pycocotools does.

    AP50 is at IoU .5, AP50-95 the mean over .5, .55 ... .95; each the mean precision at 101 recalls, precision being
    the best from that recall on. At most 100 boxes of a class in a picture count.

    Args:
        truths: what annotators tell, one a picture.
        found: all boxes of a detector, unfiltered by score, in the same order.
        thresholds: scores, one a class, at which precision and recall are told (at IoU .5); those of
            :func:`best_thresholds` on these very pictures if None. Precision is 0 where nothing is found.
        sides: see :func:`ops.detection.matching.match`.

    Raises:
        ValueError: not as many pictures in the one as in the other.

    >>> from ops.detection.detections import Detections
    >>> face = Detections.of([(0, 0, 10, 10)], [0])
    >>> average_precision([face], [face]).ap50
    1.0
    """
    return scores_of(match(truths, found, sides=sides), thresholds)


def best_thresholds(truths: Sequence[Detections], found: Sequence[Detections]) -> tuple[float, ...]:
    """Return for each class the score from which on its boxes have the best F1 at IoU .5; of equal ones the highest.

    A class without annotated boxes, or of which nothing right was found, gets the mean of the others' thresholds, and
    :data:`FALLBACK` where there are no others: no picture tells what would suit it.
    """
    return thresholds_of(match(truths, found))


def thresholds_of(matches: Sequence[ClassMatches]) -> tuple[float, ...]:
    """Do as :func:`best_thresholds` for boxes that are matched already."""
    best = [_best(each) for each in matches]
    known = [score for score in best if score is not None]
    other = float(np.mean(known)) if known else FALLBACK
    return tuple(other if score is None else score for score in best)


def scores_of(matches: Sequence[ClassMatches], thresholds: Sequence[float] | None = None) -> Scores:
    """Do as :func:`average_precision` for boxes that are matched already."""
    told = thresholds_of(matches) if thresholds is None else thresholds
    (figures,) = resampled(matches, told, np.ones((1, len(matches[0].truths)), np.int64))
    counts = [int(each.truths.sum()) for each in matches]
    rows = [
        ClassScores(label, **_named(row), n=count) for label, row, count in zip(LABELS, figures, counts, strict=True)
    ]
    return Scores(**_named(overall(figures, matches)), n=sum(counts), per_class=tuple(rows))


def overall(figures: Reals, matches: Sequence[ClassMatches]) -> Reals:
    """Return the means of ``(..., 3, 4)`` figures over the classes that have annotated boxes, ``(..., 4)``.

    A draw of pictures that misses one of these classes has no mean (NaN): that of the others would be another figure.
    """
    there = [bool(each.truths.any()) for each in matches]
    return figures[..., there, :].mean(axis=-2) if any(there) else figures[..., 0, :]


def draw_counts(pictures: int, draws: int, seed: int) -> Ints:
    """Draw as many pictures with replacement as there are, ``draws`` times: how often each is drawn, ``(draws, P)``."""
    if not pictures:
        return np.zeros((draws, 0), np.int64)
    return np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1 / pictures), size=draws)


def resampled(matches: Sequence[ClassMatches], thresholds: Sequence[float], counts: Ints) -> Reals:
    """Return :data:`FIGURES` of every class for every draw of pictures, ``(draws, 3, 4)``.

    A picture that is drawn twice counts twice. That is what scoring the drawn pictures anew would give, but that
    boxes of the very same score may stand in another order.

    Args:
        matches: of P pictures.
        thresholds: at which precision and recall are told.
        counts: ``(draws, P)``; :func:`draw_counts`, or ones for the pictures as they are.
    """
    figures = np.empty((len(counts), len(matches), len(FIGURES)))
    for number, (each, threshold) in enumerate(zip(matches, thresholds, strict=True)):
        step = max(1, AT_ONCE // max(1, int(each.truths.sum())))
        for start in range(0, len(counts), step):
            aps = _aps(each, counts[start : start + step])
            figures[start : start + step, number, 0] = aps[:, 0]
            figures[start : start + step, number, 1] = aps.mean(axis=1)
        right, shown = _shown(each, threshold)
        total = counts @ each.truths
        hits = counts @ right
        figures[:, number, 2] = np.where(total > 0, hits / np.maximum(counts @ shown, 1), np.nan)
        figures[:, number, 3] = np.where(total > 0, hits / np.maximum(total, 1), np.nan)
    return figures


def intervals(figures: Reals, share: float = 0.95) -> Reals:
    """Return the ends, ``(2, ...)``, of the middle ``share`` of resampled figures along their first axis.

    Draws without a figure (NaN) are left out; where no draw has one, the ends are NaN.
    """
    ends = np.full((2, *figures.shape[1:]), np.nan)
    some = ~np.isnan(figures).all(axis=0)
    if some.any():
        ends[:, some] = np.nanpercentile(figures[:, some], (50 * (1 - share), 50 * (1 + share)), axis=0)
    return ends


def curves_of(matches: Sequence[ClassMatches]) -> Curves:
    """Return precision, recall and F1 of each class over recall and over the score's threshold, at IoU .5."""
    precision_at_recall, precision, recall, f1 = (np.full((101, len(matches)), np.nan) for _ in range(4))
    for number, each in enumerate(matches):
        total = each.truths.sum()
        if not total:
            continue
        precision_at_recall[:, number] = _precisions(each, np.ones((1, len(each.truths)), np.int64), 0)[0]
        shown = np.searchsorted(-each.scores, -CONFIDENCES.astype(np.float32), side="right")
        right = np.concatenate([[0], np.cumsum(each.hits[0])])[shown]
        precision[:, number] = np.where(shown > 0, right / np.maximum(shown, 1), np.nan)
        recall[:, number] = right / total
        f1[:, number] = 2 * right / (shown + total)
    return Curves(precision_at_recall, precision, recall, f1)


def _named(figures: Reals) -> dict[str, float]:
    return dict(zip(FIGURES, map(float, figures), strict=True))


def _best(each: ClassMatches) -> float | None:
    right = np.cumsum(each.hits[0])
    if not each.truths.sum() or not len(right) or not right[-1]:
        return None
    f1 = 2 * right / (np.arange(1, len(right) + 1) + each.truths.sum())
    last = np.append(each.scores[1:] != each.scores[:-1], True)  # equal scores can't be told apart by a threshold
    return float(each.scores[np.argmax(np.where(last, f1, -1))])


def _shown(each: ClassMatches, threshold: float) -> tuple[Ints, Ints]:
    """Return how many boxes from a score on are right, and how many there are, in each picture."""
    over = each.counted[0] & (each.scores >= np.float32(threshold))
    pictures = len(each.truths)
    right = np.bincount(each.pictures[over & each.hits[0]], minlength=pictures)
    return right, np.bincount(each.pictures[over], minlength=pictures)


def _aps(each: ClassMatches, counts: Ints) -> Reals:
    """Return AP at each of the overlaps for each draw, ``(draws, 10)``."""
    aps = np.stack([_precisions(each, counts, level).mean(axis=1) for level in range(len(IOUS))], axis=1)
    aps[counts @ each.truths == 0] = np.nan
    return aps


def _precisions(each: ClassMatches, counts: Ints, level: int) -> Reals:
    """Return the best precision from each of :data:`RECALLS` on, ``(draws, 101)``; it is always that of a hit."""
    hits = np.flatnonzero(each.hits[level])
    if not len(hits):
        return np.zeros((len(counts), len(RECALLS)))
    boxes = np.arange(hits[-1] + 1)  # what comes after the last hit changes nothing
    upto, of = np.searchsorted(hits, boxes), each.pictures[boxes]
    shown, right = (np.zeros((len(each.truths), len(hits))) for _ in range(2))  # by picture, up to each hit
    np.add.at(shown, (of, upto), each.counted[level, boxes])
    right[each.pictures[hits], np.arange(len(hits))] = 1
    shown, right = counts @ shown.cumsum(axis=1), (counts @ right.cumsum(axis=1)).astype(np.int64)
    best = np.maximum.accumulate((right / np.maximum(shown, 1))[:, ::-1], axis=1)[:, ::-1]
    best = np.column_stack([best, np.zeros(len(best))])  # a recall that is never reached
    total = counts @ each.truths
    rows = np.arange(len(counts))[:, None]
    apart = rows * (total.max() + 2)  # all draws in one rising sequence
    first = np.searchsorted((right + apart).ravel(), (_needed(total) + apart).ravel())
    return best[rows, first.reshape(len(rows), -1) - rows * len(hits)]


def _needed(total: NDArray[np.int64]) -> Ints:
    """Return the fewest hits that reach each of :data:`RECALLS`, ``(draws, 101)``, as floating point compares them."""
    some = np.maximum(total, 1)[:, None]
    hits = np.ceil(RECALLS * some - 1e-6)
    return (hits + (hits / some < RECALLS)).astype(np.int64)

"""Which found boxes are which annotated ones: COCO's matching, done once and counted in many ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.masking import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.detection.detections import Detections

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

IOUS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which on a box counts as found, one round of matching each."""

MOST = 100
"""Boxes of one class in one picture that count at most, the best scored ones; as pycocotools has it."""

ANY_SIDE = (0.0, float("inf"))


class ClassMatches(NamedTuple):
    """The n found boxes of one class in P pictures, best score first; ties keep the order of the pictures.

    Attributes:
        scores: ``(n,)`` float32.
        pictures: ``(n,)`` index of each box's picture.
        hits: ``(10, n)``: at each of :data:`IOUS`, whether the box is a truth that no better scored box is.
        counted: ``(10, n)``: false for boxes that say nothing of faces of the size asked for.
        truths: ``(P,)`` annotated boxes in each picture.
    """

    scores: NDArray[np.float32]
    pictures: Ints
    hits: Bools
    counted: Bools
    truths: Ints


def overlaps(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> Reals:
    """Return intersection over union of each of n boxes with each of m others, ``(n, m)``."""
    a, b = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - shared
    return np.where(shared > 0, shared / np.maximum(union, np.finfo(float).tiny), 0.0)


def sides_of(boxes: NDArray[np.floating]) -> Reals:
    """Return the square root of each box's area in pixels."""
    across, down = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).clip(0).T
    return np.sqrt(across * down)


def assign(overlap: Reals, least: Reals, later: Bools | None = None) -> Ints:
    """Give each of n boxes, best first, the free one of m truths that it overlaps most; of equal ones the last.

    Args:
        overlap: ``(n, m)``.
        least: ``(k,)`` overlaps from which on a truth can be taken, a round of giving each.
        later: ``(m,)`` truths that are given only where no other can be.

    Returns:
        ``(k, n)`` indices of truths, -1 for none.
    """
    boxes, truths = overlap.shape
    takes = np.full((len(least), boxes), -1)
    if not truths:
        return takes
    free = np.ones((len(least), truths), bool)
    for box in np.flatnonzero(overlap.max(axis=1) >= least[0]):
        fits = free & (overlap[box] >= least[:, None])
        if later is not None:
            first = fits & ~later
            fits = np.where(first.any(axis=1, keepdims=True), first, fits)
        best = truths - 1 - np.where(fits, overlap[box], -1.0)[:, ::-1].argmax(axis=1)
        rounds = np.flatnonzero(fits.any(axis=1))
        takes[rounds, box] = best[rounds]
        free[rounds, best[rounds]] = False
    return takes


def match(
    truths: Sequence[Detections], found: Sequence[Detections], *, sides: tuple[float, float] = ANY_SIDE
) -> list[ClassMatches]:
    """Match the boxes of each class, picture by picture.

    The best scored box comes first and takes the truth it overlaps most; of equal ones the last.

    Args:
        truths: what annotators tell, one a picture.
        found: what a detector found, in the same order.
        sides: from which side (square root of the area, pixels) and up to which, exclusive, faces count. Others are
            neither to be found nor wrong to find.

    Returns:
        One for each of :data:`ops.masking.LABELS`.

    Raises:
        ValueError: not as many pictures in the one as in the other.
    """
    if len(truths) != len(found):
        raise ValueError(f"{len(truths)} pictures with truths and {len(found)} with found boxes; as many are needed")
    return [_match_class(truths, found, label, sides) for label in range(len(LABELS))]


def _match_class(
    truths: Sequence[Detections], found: Sequence[Detections], label: int, sides: tuple[float, float]
) -> ClassMatches:
    scores, pictures, hits, counted = [], [], [], []
    counts = np.zeros(len(truths), np.int64)
    for picture, (told, seen) in enumerate(zip(truths, found, strict=True)):
        there = told.boxes[told.labels == label]
        mine = np.flatnonzero(seen.labels == label)
        mine = mine[np.argsort(-seen.scores[mine], kind="stable")[:MOST]]
        other_size, beside = (~_within(sides_of(boxes), sides) for boxes in (there, seen.boxes[mine]))
        taken = assign(overlaps(seen.boxes[mine], there), IOUS, other_size)
        hit = taken >= 0
        aside = hit & other_size[taken] if len(there) else hit
        scores.append(seen.scores[mine])
        pictures.append(np.full(len(mine), picture))
        hits.append(hit & ~aside)
        counted.append(~aside & (hit | ~beside))
        counts[picture] = (~other_size).sum()
    score = np.concatenate([np.empty(0, np.float32), *scores])
    order = np.argsort(-score, kind="stable")
    none = np.empty((len(IOUS), 0), bool)
    return ClassMatches(
        score[order],
        np.concatenate([np.empty(0, np.int64), *pictures])[order],
        np.concatenate([none, *hits], axis=1)[:, order],
        np.concatenate([none, *counted], axis=1)[:, order],
        counts,
    )


def _within(values: Reals, limits: tuple[float, float]) -> Bools:
    return (values >= limits[0]) & (values < limits[1])

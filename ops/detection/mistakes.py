"""What a detector got wrong, box by box: every found box and every annotated one is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.detection.detections import Detections
from ops.detection.matching import IOUS, assign, overlaps
from ops.masking import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.detection.matching import Ints, Reals

SAME = IOUS[:1]
TOUCHING = 0.1
"""Overlap below which a box is not about a face at all."""

RIGHT = "right"
MISSED, WRONG_CLASS, DOUBLE = "missed", "wrong_class", "double"
BACKGROUND, POORLY_LOCATED = "background", "poorly_located"
MISTAKES = (MISSED, WRONG_CLASS, POORLY_LOCATED, DOUBLE, BACKGROUND)
NOTHING = "background"
"""The last row and column of a confusion matrix: no annotated box, and no found one."""


class Judged(NamedTuple):
    """One picture with its n found boxes over their thresholds, best score first, and its m annotated ones.

    Attributes:
        truth: annotated.
        found: found.
        verdicts: of each found box: *right* has an annotated box of its class (IoU of at least .5), *wrong_class* one
            of another class that no better box has; *double* repeats one that another box has; *poorly_located*
            overlaps one by .1 or more; *background* none.
        partners: ``(n,)`` the annotated box that a right or wrong_class one stands for, otherwise -1.
        missed: indices of annotated boxes that no box stands for, and that no poorly located one means.
    """

    truth: Detections
    found: Detections
    verdicts: tuple[str, ...]
    partners: Ints
    missed: Ints

    @property
    def mistakes(self) -> list[str]:
        """All that is wrong, in the order of :data:`MISTAKES`."""
        told = [MISSED] * len(self.missed) + [verdict for verdict in self.verdicts if verdict != RIGHT]
        return sorted(told, key=MISTAKES.index)


def judge(truth: Detections, found: Detections, thresholds: Sequence[float]) -> Judged:
    """Judge what was found in one picture from each class's threshold on."""
    found = found.over(thresholds)
    order = np.argsort(-found.scores, kind="stable")
    found = Detections(found.boxes[order], found.labels[order], found.scores[order])
    overlap = overlaps(found.boxes, truth.boxes)
    same = found.labels[:, None] == truth.labels[None]
    right = assign(np.where(same, overlap, 0.0), SAME)[0]
    taken = np.isin(np.arange(len(truth.boxes)), right)
    wrong = assign(np.where(taken[None] | (right >= 0)[:, None], 0.0, overlap), SAME)[0]
    closest = overlap.argmax(axis=1) if len(truth.boxes) else np.full(len(found.boxes), -1)
    best = overlap.max(axis=1, initial=0)
    verdicts = np.select(
        [right >= 0, wrong >= 0, best >= SAME[0], best >= TOUCHING],
        [RIGHT, WRONG_CLASS, DOUBLE, POORLY_LOCATED],
        BACKGROUND,
    )
    partners = np.maximum(right, wrong)
    meant = np.concatenate([partners, closest[verdicts == POORLY_LOCATED]])
    missed = np.setdiff1d(np.arange(len(truth.boxes)), meant)
    return Judged(truth, found, tuple(map(str, verdicts)), partners, missed)


def confusion(judged: Sequence[Judged]) -> Ints:
    """Count annotated boxes (rows) by what they were taken for (columns): ``(4, 4)``, nothing last in both."""
    matrix = np.zeros((len(LABELS) + 1, len(LABELS) + 1), np.int64)
    nothing = len(LABELS)
    for one in judged:
        took_for = np.append(one.truth.labels, nothing)[one.partners]  # -1 is the last
        alone = one.truth.labels[np.setdiff1d(np.arange(len(one.truth.labels)), one.partners)]
        np.add.at(matrix, (took_for, one.found.labels), 1)
        np.add.at(matrix, (alone, np.full(alone.shape, nothing)), 1)
    return matrix


def shares(matrix: Ints) -> Reals:
    """Return a confusion matrix with each row divided by its sum; a row without any box is NaN."""
    total = matrix.sum(axis=1, keepdims=True)
    return np.where(total > 0, matrix / np.maximum(total, 1), np.nan)


def mistakes_by_class(judged: Sequence[Judged]) -> Ints:
    """Count :data:`MISTAKES` by class, ``(5, 3)``.

    The class is the annotated one where a face is missed or called something else, and the found one otherwise.
    """
    counts = np.zeros((len(MISTAKES), len(LABELS)), np.int64)
    for one in judged:
        told = [(MISSED, label) for label in one.truth.labels[one.missed]]
        for verdict, label, partner in zip(one.verdicts, one.found.labels, one.partners, strict=True):
            told.append((verdict, label if partner < 0 else one.truth.labels[partner]))
        for verdict, label in told:
            if verdict != RIGHT:
                counts[MISTAKES.index(verdict), label] += 1
    return counts


def worst(judged: Sequence[Judged], most: int) -> list[int]:
    """Return the indices of the pictures with most mistakes, the first ones where equal; none without a mistake."""
    ranked = sorted(range(len(judged)), key=lambda index: -len(judged[index].mistakes))
    return [index for index in ranked[:most] if judged[index].mistakes]

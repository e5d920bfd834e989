"""What a mask detector found in one picture, and what an annotator says is there: boxes with class and score."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.masking import LABELS
from ops.records import Box, Floats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TWICE = 0.7
"""Boxes that share this (intersection over union) are one face found twice."""


class Detections(NamedTuple):
    """The boxes of one picture, n of them.

    Attributes:
        boxes: ``(n, 4)`` float32, x1 y1 x2 y2 in pixels, half-open.
        labels: ``(n,)`` int64, indices into :data:`ops.masking.LABELS`.
        scores: ``(n,)`` float32 in [0, 1]; 1 where an annotator tells.

    >>> found = Detections.of([(0, 0, 10, 20), (5, 5, 9, 9)], [0, 2], [0.9, 0.3])
    >>> len(found.over((0.5, 0.5, 0.5)).boxes)
    1
    """

    boxes: Floats
    labels: NDArray[np.int64]
    scores: Floats

    @classmethod
    def of(
        cls, boxes: Sequence[Sequence[float]], labels: Sequence[int], scores: Sequence[float] | None = None
    ) -> Detections:
        """Make one of plain sequences; without scores every score is 1."""
        told = np.ones(len(boxes)) if scores is None else scores
        return cls(np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(told, np.float32))

    def over(self, thresholds: Sequence[float]) -> Detections:
        """Return those whose score is at least the threshold of their class."""
        return self._at(np.flatnonzero(self.scores >= np.array(thresholds, np.float32)[self.labels]))

    def counted(self, thresholds: Sequence[float]) -> Detections:
        """Return what to tell people: those over the thresholds; where a face has several classes, the surest alone."""
        return self.over(thresholds).suppressed(across=True)

    def suppressed(self, *, across: bool = False) -> Detections:
        """Return boxes without those that find a face for the second time; the order stays.

        Args:
            across: whatever the class; otherwise each class counts by itself.

        >>> twice = Detections.of([(0, 0, 10, 20), (0, 1, 10, 20), (0, 1, 10, 20)], [0, 0, 1], [0.9, 0.8, 0.7])
        >>> twice.suppressed().labels, twice.suppressed(across=True).labels
        (array([0, 1]), array([0]))
        """
        import cv2

        corners = self.boxes.astype(np.float64)
        sides = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).tolist()
        labels = np.zeros_like(self.labels) if across else self.labels
        kept = cv2.dnn.NMSBoxesBatched(sides, self.scores.tolist(), labels.tolist(), -1.0, TWICE)
        return self._at(np.sort(np.asarray(kept, np.int64).reshape(-1)))

    def _at(self, which: NDArray[np.int64]) -> Detections:
        return Detections(self.boxes[which], self.labels[which], self.scores[which])

    @property
    def corners(self) -> list[Box]:
        """The boxes as records."""
        return [Box(*map(float, box)) for box in self.boxes]

    @property
    def names(self) -> list[str]:
        """The classes by name."""
        return [LABELS[label] for label in self.labels]

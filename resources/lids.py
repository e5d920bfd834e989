"""MediaPipe's iris model: where an eye's lids are, closer than the face mesh has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resources.litert import TfLite

if TYPE_CHECKING:
    from pathlib import Path

    from ops.records import Floats, Picture

SIDE = 64
ROOM = 2.3
"""The model looks at a square of so many times the eye's width, as in MediaPipe's iris landmark graph."""

EYE_CORNERS = (33, 263)
LEFT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
RIGHT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
"""Mesh points of the model's first 16: the lower lid from the outer to the inner corner, the upper between them."""

INNER = 8
"""Where in these the inner corner is."""


class Lids:
    """Puts the lids of a mesh where the iris model sees them; the right eye is shown to it mirrored.

    Args:
        model: the .tflite file.
    """

    def __init__(self, model: Path) -> None:
        self._model = TfLite(model)

    def __call__(self, pixels: Picture, mesh: Floats) -> Floats:
        """Return the mesh, ``(468, 3)`` pixels, with x and y of its lids' points looked at anew."""
        finer = mesh.copy()
        across = mesh[EYE_CORNERS[1], :2] - mesh[EYE_CORNERS[0], :2]
        for points, mirror in ((LEFT, 1), (RIGHT, -1)):
            finer[list(points), :2] = self._look(pixels, mesh[list(points), :2], across, mirror)
        return finer

    def _look(self, pixels: Picture, lids: Floats, across: Floats, mirror: int) -> Floats:
        import cv2

        ends = lids[[0, INNER]].astype(np.float64)
        step = ROOM * np.linalg.norm(ends[1] - ends[0]) / SIDE
        x, y = step * across / np.linalg.norm(across)
        linear = np.array([[mirror * x, -y], [mirror * y, x]])
        matrix = np.column_stack([linear, ends.mean(axis=0) - linear @ np.full(2, (SIDE - 1) / 2)])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=flags)
        seen = self._model(patch.astype(np.float32) / np.float32(255))[0].reshape(-1, 3)[: len(lids), :2]
        return np.asarray((seen - 0.5) @ linear.T + matrix[:, 2], np.float32)

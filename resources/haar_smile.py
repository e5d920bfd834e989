"""OpenCV's smile cascade (Viola and Jones, 2001): kept to be compared with, see :mod:`ops.expressions.state`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.geometry import mesh_box
from ops.images import resized

if TYPE_CHECKING:
    from ops.records import Floats, Picture

FACE_SIDE = 300
"""Faces are brought to this width in pixels: the cascade looks for smiles from 36 x 18 pixels on."""

STEP, NEIGHBOURS = 1.8, 20


class HaarSmile:
    """Finds a smile in the lower half of a face; picklable, each process opens the cascade for itself."""

    def __call__(self, pixels: Picture, mesh: Floats) -> bool:
        """Tell whether a face smiles.

        Args:
            pixels: a picture.
            mesh: ``(468, 3)`` pixels of it.
        """
        import cv2

        box = mesh_box(mesh).clipped(pixels.shape[1], pixels.shape[0])
        x1, y1, x2, y2 = int(box.x1), int(box.center[1]), int(np.ceil(box.x2)), int(np.ceil(box.y2))
        if min(x2 - x1, y2 - y1) < 2:
            return False
        grey = np.asarray(cv2.cvtColor(pixels[y1:y2, x1:x2], cv2.COLOR_RGB2GRAY), np.uint8)
        lower = resized(grey, (FACE_SIDE, max(1, round(FACE_SIDE * (y2 - y1) / (x2 - x1)))))
        return len(self._model.detectMultiScale(lower, STEP, NEIGHBOURS)) > 0

    def __getstate__(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _model(self) -> Any:
        import cv2

        return cv2.CascadeClassifier(str(Path(cv2.__file__).with_name("data") / "haarcascade_smile.xml"))

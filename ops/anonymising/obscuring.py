"""Plain ways to make a face unrecognisable, to compare digital masks with: pixels, blur, a black box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.geometry import mesh_box

if TYPE_CHECKING:
    from ops.records import Face, Picture

OBSCURERS = ("pixelation", "gaussian_blur", "black_box")

ROOM = 1.1
"""Size of what is obscured in boxes of the mesh."""

BLOCKS = 12
"""Pixelation leaves so many along the box's shorter side."""

SIGMA = 0.08
"""Of the blur, in shorter sides of the box."""


def obscure(name: str, pixels: Picture, face: Face) -> Picture:
    """Return a picture in which a box around a face is obscured.

    Args:
        name: one of :data:`OBSCURERS`.
        pixels: the picture, left as it is.
        face: where.

    Raises:
        ValueError: another name.
    """
    import cv2

    if name not in OBSCURERS:
        raise ValueError(f"no way to obscure is called {name!r}; allowed: {', '.join(OBSCURERS)}")
    x1, y1, x2, y2 = _inside(face, pixels.shape)
    picture = pixels.copy()
    part = picture[y1:y2, x1:x2]
    if not part.size:
        return picture
    shorter = min(part.shape[:2])
    if name == "black_box":
        part[:] = 0
    elif name == "gaussian_blur":
        # what lies beside the box is blurred into it, too
        part[:] = cv2.GaussianBlur(pixels, (0, 0), SIGMA * shorter, borderType=cv2.BORDER_REPLICATE)[y1:y2, x1:x2]
    else:
        block = max(1, round(shorter / BLOCKS))
        small = (-(-part.shape[1] // block), -(-part.shape[0] // block))
        averaged = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
        part[:] = cv2.resize(averaged, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return picture


def _inside(face: Face, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    box = mesh_box(face.mesh).grown(ROOM).clipped(shape[1], shape[0])
    return int(box.x1), int(box.y1), int(np.ceil(box.x2)), int(np.ceil(box.y2))

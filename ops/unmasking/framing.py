"""Frame a face upright in a square, as the networks see it, and map pixels there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops import images
from ops.alignment import seen_part
from ops.geometry import points5

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats

ROOM = 1.45
"""Side of the square in extents of the mesh: hair above, the collar below, ears and straps at the sides."""


def frame_face(mesh: Floats, size: int) -> NDArray[np.float64]:
    """Return the similarity that brings a face into a square, its eyes level and its mesh in the middle.

    Args:
        mesh: ``(468, 3)`` picture pixels.
        size: side of the square in pixels.

    Returns:
        ``(2, 3)`` matrix from picture to square pixels.
    """
    left, right = points5(mesh)[:2].astype(np.float64)
    across = (right - left) / np.linalg.norm(right - left)
    turn = np.array([across, (-across[1], across[0])])
    level = mesh[:, :2] @ turn.T
    low, high = level.min(axis=0), level.max(axis=0)
    scale = size / (ROOM * (high - low).max())
    shift = (size - 1) / 2 - scale * (low + high) / 2
    return np.column_stack([scale * turn, shift])


def shown(matrix: NDArray[np.float64], size: int, picture: tuple[int, int], at: int | None = None) -> NDArray[np.bool_]:
    """Return which pixels of a square show the picture, and not what is mirrored beyond its edges.

    Args:
        matrix: from :func:`frame_face`.
        size: side of the square that it is for, in pixels.
        picture: width and height in pixels.
        at: side of the square that is asked for, which shows the same; None: ``size``.

    Returns:
        ``(at, at)``.
    """
    side = at or size
    along = (np.arange(side) + 0.5) * size / side - 0.5 - matrix[:, 2:]
    rows, columns = np.meshgrid(along[1], along[0], indexing="ij")
    x, y = np.linalg.inv(matrix[:, :2]) @ np.stack([columns.ravel(), rows.ravel()])
    inside = (abs(x - (picture[0] - 1) / 2) <= picture[0] / 2) & (abs(y - (picture[1] - 1) / 2) <= picture[1] / 2)
    return np.asarray(inside.reshape(side, side), bool)


def framed(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Return what a picture or an 8-bit alpha shows in the square, mirrored beyond its edges.

    Large faces are shrunk by a whole factor before, so that no detail aliases.

    Args:
        pixels: ``(height, width)`` or ``(height, width, 3)``.
        matrix: from :func:`frame_face`.
        size: side of the square in pixels.
    """
    import cv2

    part, moved = seen_part(pixels, matrix, size)
    whole = int(1 / np.linalg.norm(matrix[0, :2]))
    if whole > 1:
        height, width = (max(1, side // whole) for side in part.shape[:2])
        part = images.resized(part[: height * whole, : width * whole], (width, height))
        moved[:, 2] += moved[:, :2].sum(axis=1) * (whole - 1) / 2
        moved[:, :2] *= whole
    return np.asarray(
        cv2.warpAffine(part, moved, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )

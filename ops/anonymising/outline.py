"""Outlines of a face that a digital mask is cut by.

The mesh ends where hair begins on most heads: the 13 points of that border stand for those along the hairline that
81-point landmarkers add to the 68 of iBUG. A high forehead, hair, ears and neck are outside of all outlines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.geometry import points68

if TYPE_CHECKING:
    from ops.records import Face, Floats

HAIRLINE = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)
"""Mesh vertices of the upper border, from temple to temple, left to right."""

OVAL = (
    *HAIRLINE,
    356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127,
)  # fmt: skip
"""Mesh vertices of its border, clockwise as the viewer sees them."""


def points81(face: Face) -> Floats:
    """Return the 68 iBUG points and the 13 of the upper border, ``(81, 2)`` pixels."""
    return np.concatenate([points68(face.mesh), face.mesh[list(HAIRLINE), :2]])


def hull81(face: Face) -> Floats:
    """Return the convex hull of the 81 points, ``(k, 2)`` pixels; the nose of a turned face is inside of it."""
    import cv2

    return np.asarray(cv2.convexHull(points81(face))[:, 0], np.float32)


def oval(face: Face) -> Floats:
    """Return the border of the mesh, ``(36, 2)`` pixels; on a turned face the nose may stick out of it."""
    return np.ascontiguousarray(face.mesh[list(OVAL), :2])

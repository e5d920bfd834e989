"""Regions of a face that an edit of its expression may change: an eye with its lids, a mouth with its corners' room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.geometry import mesh_box
from ops.unmasking.composition import Region, region_of

if TYPE_CHECKING:
    from ops.records import Floats

REGIONS = LEFT_EYE, RIGHT_EYE, MOUTH = "left_eye", "right_eye", "mouth"

FEATHER = 0.03
"""Width of the soft edge, inside the region, as a share of the face's longer side."""

_LIPS = (57, 186, 92, 165, 167, 164, 393, 391, 322, 410, 287, 273, 335, 406, 313, 18, 83, 182, 106, 43)
_CORNERS = (216, 436, 212, 432)
_BORDER = {
    LEFT_EYE: (113, 225, 224, 223, 222, 221, 189, 226, 31, 228, 229, 230, 231, 232, 233, 244),
    RIGHT_EYE: (342, 445, 444, 443, 442, 441, 413, 446, 261, 448, 449, 450, 451, 452, 453, 464),
    MOUTH: _LIPS + _CORNERS,
}
"""Mesh points around each: of an eye from the brow's lower edge to below the lid, of a mouth the lips and its sides."""

_FINE = 4
"""Bits of a pixel's fraction with which borders are drawn."""


def region(mesh: Floats, which: str, shape: tuple[int, int]) -> Region:
    """Return the region of an eye or of the mouth, the hull of its border, with a soft edge inside.

    Args:
        mesh: ``(468, 3)`` pixels.
        which: ``left_eye``, ``right_eye`` (the viewer's) or ``mouth``.
        shape: height and width of the picture; what lies outside is cut off.

    Raises:
        ValueError: there is no such region.
    """
    import cv2

    if which not in _BORDER:
        raise ValueError(f"unknown region {which!r}; allowed: {', '.join(_BORDER)}")
    box = mesh_box(mesh)
    border = np.asarray(mesh, np.float64)[list(_BORDER[which]), :2]
    whole = Region(np.zeros(shape, bool), np.zeros(shape, np.float32))
    x1, y1 = np.clip(border.min(axis=0) - 2, 0, shape[::-1]).astype(int)
    x2, y2 = np.clip(border.max(axis=0) + 3, 0, shape[::-1]).astype(int)
    if x2 <= x1 or y2 <= y1:
        return whole
    canvas = np.zeros((y2 - y1, x2 - x1), np.uint8)
    hull = cv2.convexHull(((border - (x1, y1)) * 2**_FINE).round().astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, (1,), shift=_FINE)
    part = region_of(canvas.astype(np.float32), erode=0, dilate=0, feather=FEATHER, side=max(box.width, box.height))
    whole.inside[y1:y2, x1:x2], whole.alpha[y1:y2, x1:x2] = part.inside, part.alpha
    return whole

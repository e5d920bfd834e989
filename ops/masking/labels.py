"""Labels of a mask: run-length regions, and how much of nose, mouth and chin is still to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Face

MOUTH = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
NOSTRILS = (4, 45, 220, 115, 48, 64, 98, 97, 2, 326, 327, 294, 278, 344, 440, 275)
CHIN = (201, 194, 32, 140, 176, 148, 152, 377, 400, 369, 262, 418, 421)


class Visible(NamedTuple):
    """Shares in [0, 1] of a face's parts that a mask's region leaves free."""

    nose: float
    mouth: float
    chin: float


def visible_fractions(face: Face, region: NDArray[np.bool_]) -> Visible:
    """Measure what shares of the nostrils', mouth's and chin's outlines a region leaves visible.

    Args:
        face: its mesh gives the outlines (convex hulls of mesh points).
        region: of the whole picture, ``(height, width)``. Only what lies inside it can be visible.
    """
    return Visible(*(_visible(face.mesh[list(part), :2], region) for part in (NOSTRILS, MOUTH, CHIN)))


def encode_rle(region: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Return a region as COCO's uncompressed run lengths, column by column, the first run being of background.

    >>> encode_rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': [2, 2]}
    """
    flat = np.asarray(region, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False)) if flat.size else np.empty(0, int)
    return {
        "size": [int(n) for n in region.shape],
        "counts": np.diff(np.concatenate([[0], edges, [flat.size]])).tolist(),
    }


def decode_rle(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the region that `encode_rle` wrote."""
    height, width = rle["size"]
    counts = np.asarray(rle["counts"])
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape((height, width), order="F")


def _visible(points: NDArray[np.floating], region: NDArray[np.bool_]) -> float:
    import cv2

    low = np.floor(points.min(0)).astype(int)
    width, height = np.ceil(points.max(0)).astype(int) - low + 1
    part = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(part, cv2.convexHull(np.round(points - low).astype(np.int32)), 1)
    x1, y1 = np.maximum(low, 0)
    x2, y2 = max(x1, min(low[0] + width, region.shape[1])), max(y1, min(low[1] + height, region.shape[0]))
    inside = part[y1 - low[1] : y2 - low[1], x1 - low[0] : x2 - low[0]].astype(bool)
    return float((inside & ~region[y1:y2, x1:x2]).sum()) / max(int(inside.sum()), 1)

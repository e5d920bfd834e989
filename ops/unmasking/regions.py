"""Regions to complete besides those that masks hide: eyes, mouths and strokes, drawn by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats, Picture

RegionKind = Literal["eyes", "mouth", "strokes"]
REGION_KINDS: tuple[RegionKind, ...] = ("eyes", "mouth", "strokes")

_EYES = (
    (33, 246, 160, 158, 173, 133, 155, 145, 7, 70, 105, 107),
    (263, 466, 387, 385, 398, 362, 382, 374, 249, 300, 334, 336),
)
_MOUTH = (61, 185, 40, 37, 0, 267, 270, 409, 291, 375, 405, 314, 17, 84, 181, 146)
_GROWTH = (1.15, 1.6)
_STROKES = (2, 6)
_STEPS = (2, 5)
_WIDTH = (0.04, 0.14)
"""Of the face's width."""


def draw_region(mesh: Floats, size: int, rng: np.random.Generator) -> tuple[RegionKind, NDArray[np.bool_]]:
    """Draw a region of a face.

    Args:
        mesh: ``(468, 2)`` or ``(468, 3)`` pixels of the square.
        size: side of the square in pixels.
        rng: decides everything.

    Returns:
        What it is, and ``(size, size)`` pixels that may be changed.
    """
    kind = REGION_KINDS[rng.integers(len(REGION_KINDS))]
    points = np.asarray(mesh, np.float64)[:, :2]
    canvas = np.zeros((size, size), np.uint8)
    if kind == "eyes":
        growth = rng.uniform(*_GROWTH)
        for eye in _EYES:
            _fill(canvas, points[list(eye)], growth)
    elif kind == "mouth":
        _fill(canvas, points[list(_MOUTH)], rng.uniform(*_GROWTH))
    else:
        _strokes(canvas, points, rng)
    return kind, canvas > 0


def _fill(canvas: NDArray[np.uint8], points: NDArray[np.float64], growth: float) -> None:
    import cv2

    middle = points.mean(axis=0)
    hull = cv2.convexHull((middle + growth * (points - middle)).round().astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, (1,))


def _strokes(canvas: NDArray[np.uint8], points: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw bent strokes that begin on the face."""
    import cv2

    low, high = points.min(axis=0), points.max(axis=0)
    reach = high - low
    for _ in range(rng.integers(*_STROKES, endpoint=True)):
        steps = rng.integers(*_STEPS, endpoint=True)
        way = rng.uniform(low, high) + np.cumsum(rng.normal(0, 0.2, (steps + 1, 2)) * reach, axis=0)
        thick = max(1, round(rng.uniform(*_WIDTH) * reach[0]))
        cv2.polylines(canvas, [way.round().astype(np.int32)], False, (1,), thick)


def eight_bit(alpha: Floats) -> NDArray[np.uint8]:
    """Return an alpha in [0, 1] as 8 bits, rounded up, so that 0 means that a pixel is as it was."""
    return np.ceil(alpha * 255).astype(np.uint8)


def tinted(pixels: Picture, region: NDArray[np.uint8], tint: tuple[int, int, int] = (0, 200, 90)) -> Picture:
    """Return a picture with a region, 8-bit, shown in colour."""
    share = region[..., None].astype(np.float32) / 255 * 0.5
    return np.rint(pixels * (1 - share) + np.array(tint, np.float32) * share).astype(np.uint8)

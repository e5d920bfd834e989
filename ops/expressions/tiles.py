"""How a picture of any size reaches a model of one size: a crop around the region, or overlapping tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops import images
from ops.expressions.blending import blended, surrounded
from ops.unmasking.composition import Region

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ops.records import Floats, Picture

    Edit = Callable[[Picture, NDArray[np.bool_]], Picture]
    """Takes a square and the pixels of it to fill, and returns the square with them filled."""

SIZE, OVERLAP = 512, 256
ROOM = 2.0
"""Side of the crop in longer sides of the region: a model has to see the face to fit an eye to it."""


class Tile(NamedTuple):
    """A square of a picture: its top left pixel."""

    x: int
    y: int


def tiles(width: int, height: int, size: int = SIZE, overlap: int = OVERLAP) -> list[Tile]:
    """Return where tiles lie, row by row, so that they cover every pixel; a last one is moved back to the edge.

    Args:
        width: of the picture in pixels; below ``size`` there is one tile across.
        height: likewise.
        size: side of a tile in pixels.
        overlap: pixels that neighbours share, at least; less than ``size``.

    >>> tiles(1024, 512)
    [Tile(x=0, y=0), Tile(x=256, y=0), Tile(x=512, y=0)]
    """
    if not 0 <= overlap < size:
        raise ValueError(f"tiles of {size} px can't overlap by {overlap} px; from 0 to {size - 1} is allowed")
    across, down = (_starts(length, size, overlap) for length in (width, height))
    return [Tile(x, y) for y in down for x in across]


def weights(width: int, height: int, size: int = SIZE, overlap: int = OVERLAP) -> Floats:
    """Return how much each tile of :func:`tiles` counts at each of its pixels, ``(n, size, size)``.

    A tile's weight rises linearly from the edges that neighbours overlap, and all tiles' weights together are 1 at
    every pixel of the picture. Parts of a tile beyond a picture smaller than it have 0.
    """
    across, down = (_ramps(length, size, overlap) for length in (width, height))
    return np.stack([np.outer(rise, run) for rise in down for run in across]).astype(np.float32)


def tiled(image: Picture, region: Region, edit: Edit, *, size: int = SIZE, overlap: int = OVERLAP) -> Picture:
    """Edit a picture tile by tile, at its own scale: the way for regions larger than a model's square.

    Tiles that the region doesn't reach aren't edited. Pictures smaller than a tile are mirrored beyond their edges.

    Args:
        image: ``(h, w, 3)``.
        region: what may change.
        edit: the model.
        size: side of a tile in pixels.
        overlap: pixels that neighbours share.

    Returns:
        A new picture, equal to ``image`` in every bit outside ``region.inside``.
    """
    height, width = image.shape[:2]
    beyond = ((0, max(0, size - height)), (0, max(0, size - width)))
    padded, hole = np.pad(image, (*beyond, (0, 0)), "symmetric"), np.pad(surrounded(region.inside, size), beyond)
    total = np.zeros(padded.shape, np.float32)
    for (x, y), weight in zip(tiles(width, height, size, overlap), weights(width, height, size, overlap), strict=True):
        here = (slice(y, y + size), slice(x, x + size))
        square = np.ascontiguousarray(padded[here])
        made = edit(square, hole[here]) if hole[here].any() else square
        total[here] += weight[..., None] * made
    whole = np.rint(np.clip(total[:height, :width], 0, 255)).astype(np.uint8)
    return blended(image, whole, region, size)


def around(image: Picture, region: Region, edit: Edit, *, size: int = SIZE, room: float = ROOM) -> Picture:
    """Edit what is around a region at the model's own scale, and lay the region back, its colours matched on a ring.

    Args:
        image: ``(h, w, 3)``.
        region: what may change; not empty.
        edit: the model.
        size: side of its square in pixels.
        room: side of the crop in longer sides of the region.

    Returns:
        A new picture, equal to ``image`` in every bit outside ``region.inside``.
    """
    x1, y1, x2, y2 = _extent(region.inside)
    side = max(8, int(np.ceil(room * max(x2 - x1, y2 - y1))))
    height, width = image.shape[:2]
    left, top = _start(x1, x2, side, width), _start(y1, y2, side, height)
    here = (slice(top, min(top + side, height)), slice(left, min(left + side, width)))
    part, inner = image[here], Region(region.inside[here], region.alpha[here])
    high, wide = part.shape[:2]
    beyond = ((0, side - high), (0, side - wide))
    square = np.pad(part, (*beyond, (0, 0)), "symmetric")
    hole = np.pad(surrounded(inner.inside, side), beyond)
    given = scaled(square, size)
    filled = edit(given, scaled(hole.astype(np.uint8) * 255, size) > 0)
    back = scaled(filled, side)[:high, :wide]
    done = image.copy()
    done[here] = blended(part, back, inner, side)
    return done


def scaled(square: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale a square: down by means, up smoothly."""
    import cv2

    if square.shape[0] >= side:
        return images.resized(square, (side, side))
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def _starts(length: int, size: int, overlap: int) -> list[int]:
    last = max(0, length - size)
    return sorted({min(start, last) for start in range(0, last + size - overlap, size - overlap)})


def _ramps(length: int, size: int, overlap: int) -> list[NDArray[np.float64]]:
    """Return each tile's weight along one side; sums are 1 wherever the picture is."""
    starts = _starts(length, size, overlap)
    rows = np.zeros((len(starts), max(length, size)))
    rise = np.minimum((np.arange(size) + 0.5) / max(overlap, 1), 1)
    for number, start in enumerate(starts):
        ramp = np.ones(size)
        if number:
            ramp = np.minimum(ramp, rise)
        if number + 1 < len(starts):
            ramp = np.minimum(ramp, rise[::-1])
        rows[number, start : start + size] = ramp
    rows[:, length:] = 0
    rows[:, :length] /= rows[:, :length].sum(axis=0)
    return [row[start : start + size] for row, start in zip(rows, starts, strict=True)]


def _extent(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _start(low: int, high: int, side: int, length: int) -> int:
    """Return where a crop of ``side`` begins around ``low`` to ``high``, in the picture where there is room."""
    return max(0, min((low + high - side) // 2, length - side))

"""A z-buffered triangle rasteriser, compiled on first use.

Pixel centres lie at whole coordinates; smaller z is nearer. Interpolation is affine, as for a camera far away.
The loops are plain Python functions that numba compiles once and keeps on disk: no threads, no reordered floating
point, so that every machine draws the same bits.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ops.records import Floats


class Raster(NamedTuple):
    """What the rasteriser drew.

    Attributes:
        image: ``(height, width, k)`` float32, attributes of the nearest surface, 0 where nothing was drawn.
        depth: ``(height, width)`` float32, infinity where there is nothing.
        covered: ``(height, width)`` bool, where one of these triangles is the nearest surface.
    """

    image: Floats
    depth: Floats
    covered: NDArray[np.bool_]


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the machine-code version of a module-level function of numbers and arrays."""
    import numba

    return numba.njit(cache=True, nogil=True)(function)


def rasterise(
    vertices: Floats,
    triangles: NDArray[np.int32],
    attributes: Floats,
    shape: tuple[int, int],
    depth: Floats | None = None,
) -> Raster:
    """Draw triangles and interpolate their vertices' attributes.

    Args:
        vertices: ``(n, 3)`` x, y in pixels and z; parts outside the raster are cut off.
        triangles: ``(m, 3)`` vertex numbers, either winding.
        attributes: ``(n, k)`` a row a vertex.
        shape: height and width of the raster.
        depth: what is already there, ``shape``; it hides and is not changed.
    """
    buffer, which = nearest(vertices, triangles, shape, depth)
    image = np.zeros((*shape, attributes.shape[1]), np.float32)
    compiled(_interpolate)(which, planes(vertices, triangles, attributes), image)
    return Raster(image, buffer, which >= 0)


def nearest(
    vertices: Floats, triangles: NDArray[np.int32], shape: tuple[int, int], depth: Floats | None = None
) -> tuple[Floats, NDArray[np.int32]]:
    """Find the nearest triangle at each pixel; arguments are those of `rasterise`.

    Returns:
        The depth, infinity where there is nothing; and the triangle's number, -1 where none of these is the nearest.
    """
    buffer = np.full(shape, np.inf, np.float32) if depth is None else depth.astype(np.float32, copy=True)
    which = np.full(shape, -1, np.int32)
    compiled(_fill)(vertices, triangles, buffer, which)
    return buffer, which


def planes(vertices: Floats, triangles: NDArray[np.int32], attributes: Floats) -> NDArray[np.float64]:
    """Return how attributes go over each triangle, ``(m, k, 3)``: at x = y = 0, a step right, a step down."""
    out = np.zeros((len(triangles), attributes.shape[1], 3))
    compiled(_slopes)(vertices, triangles, attributes, out)
    return out


def _interpolate(which: Any, planes: Any, image: Any) -> None:
    """Write the attributes of the triangle at each pixel."""
    for y in range(which.shape[0]):
        for x in range(which.shape[1]):
            m = which[y, x]
            if m >= 0:
                for n in range(planes.shape[1]):
                    image[y, x, n] = planes[m, n, 0] + x * planes[m, n, 1] + y * planes[m, n, 2]


def _slopes(vertices: Any, triangles: Any, attributes: Any, out: Any) -> None:
    """Write each triangle's planes; a flat one's stay 0."""
    for m in range(triangles.shape[0]):
        i, j, k = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        x, y = np.float64(vertices[i, 0]), np.float64(vertices[i, 1])
        jx, jy, kx, ky = vertices[j, 0] - x, vertices[j, 1] - y, vertices[k, 0] - x, vertices[k, 1] - y
        area = jx * ky - kx * jy
        if area == 0.0 or not np.isfinite(area):
            continue
        for n in range(attributes.shape[1]):
            start = np.float64(attributes[i, n])
            aj, ak = attributes[j, n] - start, attributes[k, n] - start
            across, down = (aj * ky - ak * jy) / area, (ak * jx - aj * kx) / area
            out[m, n, 0], out[m, n, 1], out[m, n, 2] = start - x * across - y * down, across, down


def _fill(vertices: Any, triangles: Any, depth: Any, which: Any) -> None:
    """Draw into ``depth`` and ``which``: each row's span lies right of some edges and left of others."""
    height, width = depth.shape
    for m in range(triangles.shape[0]):
        i, j, k = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        xi, yi = np.float64(vertices[i, 0]), np.float64(vertices[i, 1])
        xj, yj = np.float64(vertices[j, 0]), np.float64(vertices[j, 1])
        xk, yk = np.float64(vertices[k, 0]), np.float64(vertices[k, 1])
        area = (xj - xi) * (yk - yi) - (xk - xi) * (yj - yi)
        if area == 0.0 or not np.isfinite(area):
            continue
        left, right = max(0.0, min(xi, xj, xk) - 1e-7), min(width - 1.0, max(xi, xj, xk) + 1e-7)
        top, bottom = max(0, int(np.ceil(min(yi, yj, yk)))), min(height - 1, int(np.floor(max(yi, yj, yk))))
        if top > bottom or left > right:
            continue
        # the edges' places on row y are at + slope y; a level edge bounds nothing that top and bottom don't
        slope_a = (xj - xi) / (yj - yi) if yj != yi else 0.0
        slope_b = (xk - xj) / (yk - yj) if yk != yj else 0.0
        slope_c = (xi - xk) / (yi - yk) if yi != yk else 0.0
        flip = 1.0 if area > 0 else -1.0
        side_a, side_b, side_c = flip * (yi - yj), flip * (yj - yk), flip * (yk - yi)
        zi = np.float64(vertices[i, 2])
        zj, zk = np.float64(vertices[j, 2]) - zi, np.float64(vertices[k, 2]) - zi
        z_x, z_y = (zj * (yk - yi) + zk * (yi - yj)) / area, (zj * (xi - xk) + zk * (xj - xi)) / area
        for y in range(top, bottom + 1):
            low, high = left, right
            a, b, c = xi + (y - yi) * slope_a, xj + (y - yj) * slope_b, xk + (y - yk) * slope_c
            for side, place in ((side_a, a), (side_b, b), (side_c, c)):
                if side > 0:
                    low = max(low, place - 1e-7)
                elif side < 0:
                    high = min(high, place + 1e-7)
            first = int(np.ceil(low))
            z = zi + (first - xi) * z_x + (y - yi) * z_y
            near, mine = depth[y, first:], which[y, first:]
            for x in range(int(np.floor(high)) + 1 - first):
                here = np.float32(z + x * z_x)
                if here < near[x]:
                    near[x] = here
                    mine[x] = m

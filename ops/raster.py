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
    image = np.zeros((*shape, attributes.shape[1]), np.float32)
    buffer = np.full(shape, np.inf, np.float32) if depth is None else depth.astype(np.float32, copy=True)
    covered = np.zeros(shape, np.bool_)
    compiled(_fill)(
        np.ascontiguousarray(vertices, np.float32),
        np.ascontiguousarray(triangles, np.int32),
        np.ascontiguousarray(attributes, np.float32),
        buffer,
        image,
        covered,
    )
    return Raster(image, buffer, covered)


def _fill(vertices: Any, triangles: Any, attributes: Any, depth: Any, image: Any, covered: Any) -> None:  # noqa: C901
    """Draw into ``depth``, ``image`` and ``covered``."""
    height, width = depth.shape
    for m in range(triangles.shape[0]):
        i, j, k = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        xi, yi = np.float64(vertices[i, 0]), np.float64(vertices[i, 1])
        xj, yj = np.float64(vertices[j, 0]), np.float64(vertices[j, 1])
        xk, yk = np.float64(vertices[k, 0]), np.float64(vertices[k, 1])
        area = (xj - xi) * (yk - yi) - (xk - xi) * (yj - yi)
        if area == 0.0 or not np.isfinite(area):
            continue
        left = max(0, int(np.ceil(min(xi, xj, xk))))
        right = min(width - 1, int(np.floor(max(xi, xj, xk))))
        top = max(0, int(np.ceil(min(yi, yj, yk))))
        bottom = min(height - 1, int(np.floor(max(yi, yj, yk))))
        step_j, step_k = (yk - yi) / area, (yi - yj) / area
        zi, zj, zk = np.float64(vertices[i, 2]), np.float64(vertices[j, 2]), np.float64(vertices[k, 2])
        for y in range(top, bottom + 1):
            row_j = ((left - xi) * (yk - yi) - (xk - xi) * (y - yi)) / area
            row_k = ((xj - xi) * (y - yi) - (left - xi) * (yj - yi)) / area
            first, last = 0.0, float(right - left)
            for start, step in ((row_j, step_j), (row_k, step_k), (1.0 - row_j - row_k, -step_j - step_k)):
                if abs(step) > 1e-12:  # the weight is at least 0 on one side of this place
                    bound = (-1e-9 - start) / step
                    if step > 0:
                        first = max(first, bound)
                    else:
                        last = min(last, bound)
                elif start < -1e-9:
                    last = -1.0
            for x in range(int(np.ceil(first)), int(np.floor(last)) + 1):
                b = row_j + x * step_j
                c = row_k + x * step_k
                a = 1.0 - b - c
                z = a * zi + b * zj + c * zk
                if z < depth[y, left + x]:
                    depth[y, left + x] = z
                    covered[y, left + x] = True
                    for n in range(attributes.shape[1]):
                        image[y, left + x, n] = a * attributes[i, n] + b * attributes[j, n] + c * attributes[k, n]

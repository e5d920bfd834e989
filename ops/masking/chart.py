"""The chart of a face: a smooth surface over its lower half, for masks to lie on.

It is spanned like taut cloth from nose to chin, and runs past the jaw and under the chin: a uniform bicubic B-spline
whose 7 x 13 control points are averages of mesh vertices, moved by shares of the face's width. Coordinates: s from -6
(left ear) over 0 (nose) to 6 (right ear); t from 0 (bridge of the nose) over 1 (nose tip), 3 (mouth), 4 (chin), 5 (edge
of the jaw) to 6 (under the chin).
"""

from __future__ import annotations

from functools import lru_cache
from math import hypot
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.raster import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats

_MIRROR = {
    174: 399, 217: 437, 119: 348, 100: 329, 118: 347, 116: 345, 227: 447, 234: 454, 134: 363, 49: 279, 36: 266,
    50: 280, 123: 352, 137: 366, 93: 323, 206: 426, 207: 427, 147: 376, 177: 401, 132: 361, 202: 422, 212: 432,
    214: 434, 192: 416, 213: 433, 215: 435, 58: 288, 201: 421, 208: 428, 211: 431, 32: 262, 210: 430, 169: 394,
    135: 364, 138: 367, 172: 397, 148: 377, 171: 396, 176: 400, 140: 369, 150: 379, 170: 395, 136: 365, 127: 356,
    162: 389,
}  # fmt: skip


# Control points from the nose to the left ear: averaged vertices, then a shift outward, down and back in face widths.
_Control = tuple[tuple[int, ...], tuple[float, float, float]]
_NET: tuple[tuple[_Control, ...], ...] = (
    (
        ((197,), (0, 0, -0.04)), ((174, 217), (0, 0, -0.02)), ((119, 100), (0, 0, -0.01)), ((118,), (0, 0, 0)),
        ((116,), (0, 0, 0)), ((227,), (0, 0, 0)), ((234,), (0, 0, 0)),
    ),
    (
        ((4,), (0, 0, -0.075)), ((134, 49), (0, 0, -0.055)), ((36,), (0, 0, -0.03)), ((50,), (0, 0, -0.01)),
        ((123,), (0, 0, 0)), ((137,), (0, 0, 0)), ((93,), (0, 0, 0)),
    ),
    (
        ((4, 4, 4, 199), (0, 0, -0.045)), ((4, 4, 4, 199, 206, 206, 206, 206), (0, 0, -0.05)),
        ((206,), (0, 0, -0.045)), ((207,), (0.01, 0, -0.02)), ((147,), (0.01, 0, 0)), ((177,), (0.01, 0, 0)),
        ((132,), (0, 0, 0)),
    ),
    (
        ((4, 4, 199, 199, 199), (0, 0, -0.03)), ((4, 4, 199, 199, 199, 202, 202, 202, 212, 212), (0, 0, -0.045)),
        ((202, 212), (0, 0, -0.05)), ((214,), (0.015, 0, -0.02)), ((192, 213), (0.015, 0, 0)),
        ((215,), (0.01, 0, 0)), ((58,), (0, 0, 0)),
    ),
    (
        ((200, 199), (0, 0, -0.035)), ((201, 208), (0, 0, -0.035)), ((211, 32), (0.01, 0, -0.03)),
        ((210, 169), (0.02, 0.01, -0.02)), ((135,), (0.03, 0.01, 0)), ((138,), (0.02, 0, 0)),
        ((58, 172), (0.01, 0, 0.02)),
    ),
    (
        ((175, 152), (0, 0.06, 0)), ((148, 171), (0, 0.06, 0)), ((176, 140), (0.01, 0.055, 0)),
        ((150, 170), (0.02, 0.04, 0)), ((136,), (0.03, 0.03, 0)), ((172,), (0.02, 0.02, 0)),
        ((58, 172), (0, 0.02, 0.06)),
    ),
    (
        ((152,), (0, 0.07, 0.17)), ((148,), (0, 0.07, 0.17)), ((176,), (-0.02, 0.06, 0.17)),
        ((150,), (-0.04, 0.04, 0.16)), ((136,), (-0.04, 0.03, 0.14)), ((172,), (-0.03, 0.02, 0.12)),
        ((58, 172), (-0.02, 0.04, 0.15)),
    ),
)  # fmt: skip


class Frame(NamedTuple):
    """A head's own axes.

    Attributes:
        axes: ``(3, 3)`` unit rows: to the viewer's right ear, down the face, back into the head.
        unit: the face's width from ear to ear in pixels, however it is turned.
        height: from the forehead to the chin in pixels.
    """

    axes: NDArray[np.float64]
    unit: float
    height: float


def head_frame(mesh: Floats) -> Frame:
    """Return a head's axes from its mesh's ears, forehead and chin."""
    left, right, top, bottom = (mesh[n].tolist() for n in (234, 454, 10, 152))
    across, down = ([b - a for a, b in zip(*ends, strict=True)] for ends in ((left, right), (top, bottom)))
    unit = max(hypot(*across), 1e-9)
    x = [n / unit for n in across]
    along = sum(a * b for a, b in zip(x, down, strict=True))
    y = [b - a * along for a, b in zip(x, down, strict=True)]
    length = max(hypot(*y), 1e-9)
    y = [n / length for n in y]
    z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
    return Frame(np.array([x, y, z]), unit, hypot(*down))


def control_net(mesh: Floats, frame: Frame) -> Floats:
    """Return the chart's ``(7, 13, 3)`` control points in pixels."""
    net = np.empty((7, 13, 3), np.float32)
    compiled(_control)(mesh, frame.axes * frame.unit, *_net_tables(), net)
    return net


def spline(net: Floats, s: NDArray[np.float64], t: NDArray[np.float64]) -> Floats:
    """Evaluate a chart at coordinates of any shape; returns that shape with 3 pixels each."""
    out = np.empty((s.size, 3), np.float32)
    compiled(_spline)(net, s.ravel(), t.ravel(), out)
    return out.reshape(*s.shape, 3)


def grid_normals(points: Floats) -> Floats:
    """Return outward unit normals of a grid of points, ``(rows, columns, 3)``."""
    out = np.empty_like(points)
    compiled(_normals)(points, out)
    return out


@lru_cache(maxsize=8)
def grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """Return the triangles of a grid, ``(2 (rows - 1) (columns - 1), 3)``."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    quads = np.stack([first, first + 1, first + columns, first + 1, first + columns + 1, first + columns], 1)
    return quads.reshape(-1, 3).astype(np.int32)


@lru_cache(maxsize=1)
def _net_tables() -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Return ``(7, 13, 10)`` mesh vertices, how many of them count, and ``(7, 13, 3)`` shifts in head axes."""
    vertices, counts, shifts = np.zeros((7, 13, 10), np.int32), np.zeros((7, 13), np.int32), np.zeros((7, 13, 3))
    for row, controls in enumerate(_NET):
        for column, (numbers, (out, down, back)) in enumerate(controls):
            for side in (-1, 1):
                cell = (row, 6 + side * column)
                counts[cell] = len(numbers)
                vertices[cell][: len(numbers)] = [_MIRROR.get(n, n) if side > 0 else n for n in numbers]
                shifts[cell] = (side * out, down, back)
    return vertices, counts, shifts


def _control(mesh: Any, axes: Any, vertices: Any, counts: Any, shifts: Any, net: Any) -> None:
    """Average each control point's vertices and shift it."""
    for row in range(net.shape[0]):
        for column in range(net.shape[1]):
            count, shift = counts[row, column], shifts[row, column]
            for c in range(3):
                total = shift[0] * axes[0, c] + shift[1] * axes[1, c] + shift[2] * axes[2, c]
                for n in range(count):
                    total += mesh[vertices[row, column, n], c] / count
                net[row, column, c] = total


def _spline(net: Any, s: Any, t: Any, out: Any) -> None:
    """Evaluate a uniform bicubic B-spline; beyond its border the control points go on in a straight line."""
    rows, columns = net.shape[0], net.shape[1]
    wx, wy = np.empty(4), np.empty(4)
    for n in range(s.size):
        x, y = s[n] + 6.0, t[n]
        i, j = int(np.floor(x)), int(np.floor(y))
        i, j = min(max(i, 0), columns - 2), min(max(j, 0), rows - 2)
        for axis in range(2):
            f = (x - i) if axis == 0 else (y - j)
            w = wx if axis == 0 else wy
            g = 1.0 - f
            w[0] = g * g * g / 6.0
            w[1] = (3.0 * f * f * f - 6.0 * f * f + 4.0) / 6.0
            w[2] = (3.0 * g * g * g - 6.0 * g * g + 4.0) / 6.0
            w[3] = f * f * f / 6.0
        for c in range(3):
            total = 0.0
            for b in range(4):
                r = j - 1 + b
                r1 = min(max(r, 0), rows - 1)
                r2 = 2 * r1 - r if r != r1 else r1
                for a in range(4):
                    k = i - 1 + a
                    k1 = min(max(k, 0), columns - 1)
                    k2 = 2 * k1 - k if k != k1 else k1
                    value = net[r1, k1, c]
                    if r != r1:
                        value = 2.0 * value - net[r2, k1, c]
                    if k != k1:
                        value = 2.0 * value - net[r1, k2, c]
                    total += wy[b] * wx[a] * value
            out[n, c] = total


def _normals(points: Any, out: Any) -> None:
    """Cross the grid's central differences."""
    rows, columns = points.shape[0], points.shape[1]
    for r in range(rows):
        for c in range(columns):
            right, left = points[r, min(c + 1, columns - 1)], points[r, max(c - 1, 0)]
            below, above = points[min(r + 1, rows - 1), c], points[max(r - 1, 0), c]
            ax, ay, az = right[0] - left[0], right[1] - left[1], right[2] - left[2]
            bx, by, bz = below[0] - above[0], below[1] - above[1], below[2] - above[2]
            x, y, z = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
            length = max((x * x + y * y + z * z) ** 0.5, 1e-9)
            out[r, c, 0], out[r, c, 1], out[r, c, 2] = x / length, y / length, z / length

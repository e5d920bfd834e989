"""Mask surfaces over a face's mesh.

A face gives a *chart*: a smooth surface over its lower half, spanned like taut cloth from nose to chin, that runs past
the jaw and under the chin. It is a uniform bicubic B-spline whose 7 x 13 control points are averages of mesh vertices,
moved by shares of the face's width. Chart coordinates: s from -6 (left ear) over 0 (nose) to 6 (right ear); t from 0
(bridge of the nose) over 1 (nose tip), 3 (mouth), 4 (chin), 5 (edge of the jaw) to 6 (under the chin).

A garment is a grid of (u, v), u from -1 to 1 across and v from 0 to 1 down, laid on the chart and lifted off it.
"""

from __future__ import annotations

from functools import lru_cache
from math import hypot, radians, tan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.raster import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ops.masking.spec import MaskSpec
    from ops.records import Floats

GRID = (25, 25)
"""Rows (v) and columns (u) of a garment's grid."""

_MIRROR = {
    174: 399, 217: 437, 119: 348, 100: 329, 118: 347, 116: 345, 227: 447, 234: 454, 134: 363, 49: 279, 36: 266,
    50: 280, 123: 352, 137: 366, 93: 323, 206: 426, 207: 427, 147: 376, 177: 401, 132: 361, 202: 422, 212: 432,
    214: 434, 192: 416, 213: 433, 215: 435, 58: 288, 201: 421, 208: 428, 211: 431, 32: 262, 210: 430, 169: 394,
    135: 364, 138: 367, 172: 397, 148: 377, 171: 396, 176: 400, 140: 369, 150: 379, 170: 395, 136: 365, 127: 356,
    162: 389,
}  # fmt: skip

# Where the straps end, lower and upper, left and right: between two vertices, shifted outward, down and back in face
# widths to where the ear grows, or to the back of the head for bands.
_EARS = np.array([(93, 132), (127, 162), (323, 361), (356, 389)])
_STRAP_ENDS = {
    "loops": np.array([(0.025, -0.03, 0.15), (0.025, 0.035, 0.15)]),
    "bands": np.array([(0.005, 0.04, 0.16), (0.005, -0.04, 0.16)]),
}

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


class Surface(NamedTuple):
    """A garment laid on a face.

    Attributes:
        vertices: ``(rows, columns, 3)`` pixels.
        normals: ``(rows, columns, 3)`` unit, outward.
    """

    vertices: Floats
    normals: Floats


class Shape(NamedTuple):
    """A kind of mask in chart coordinates: functions of u (arrays) and of u and v."""

    width: Callable[[Any], Any]
    top: Callable[[Any], Any]
    bottom: Callable[[Any], Any]
    lift: Callable[[Any, Any], Any]


def _dome(u: Any, v: Any) -> Any:
    return np.clip(1 - u**2, 0, 1) * np.clip(4 * v * (1 - v), 0, 1)


SHAPES: dict[str, Shape] = {
    "surgical": Shape(
        width=lambda v: 4.75 + 0 * v,
        top=lambda u: 0.12 + 1.0 * np.abs(u) ** 1.7,
        bottom=lambda u: 5.75 - 2.0 * np.abs(u) ** 2.4,
        lift=lambda u, v: 0.012 + 0.03 * _dome(u, v) ** 0.7,
    ),
    "kn95": Shape(
        width=lambda v: 4.7 - 0.5 * np.abs(2 * v - 1) ** 2,
        top=lambda u: 0.0 + 1.45 * np.abs(u) ** 1.15,
        bottom=lambda u: 5.75 - 2.45 * np.abs(u) ** 1.3,
        lift=lambda u, v: 0.012 + 0.085 * (1 - np.abs(u)) ** 1.25 * np.clip(4 * v * (1 - v), 0, 1) ** 0.8,
    ),
    "n95": Shape(
        width=lambda v: 2.5 + 1.65 * np.clip(1 - np.abs(2 * v - 1.02) ** 3.5, 0, 1) ** 0.25,
        top=lambda u: 0.0 + 1.5 * np.abs(u) ** 2.0,
        bottom=lambda u: 5.6 - 1.9 * np.abs(u) ** 2.2,
        lift=lambda u, v: 0.01 + 0.10 * _dome(np.clip(u * 1.08, -1, 1), np.clip(v * 1.1 - 0.05, 0, 1)) ** 0.6,
    ),
    "cloth": Shape(
        width=lambda v: 4.85 - 0.3 * np.abs(2 * v - 1) ** 2,
        top=lambda u: 0.05 + 1.25 * np.abs(u) ** 1.25,
        bottom=lambda u: 5.7 - 1.7 * np.abs(u) ** 1.7,
        lift=lambda u, v: 0.01 + 0.03 * (1 - np.abs(u)) * np.clip(4 * v * (1 - v), 0, 1),
    ),
}


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


def lay(net: Floats, frame: Frame, spec: MaskSpec) -> Surface:
    """Lay a mask on a face's chart."""
    s, t = chart_grid(spec, frame)
    lift = _lift(spec.kind) * np.float32(frame.unit * (1 + 2 * (spec.fit - 1)))
    base = spline(net, s, t)
    vertices = base + grid_normals(base) * lift
    return Surface(vertices, grid_normals(vertices))


@lru_cache(maxsize=len(SHAPES))
def _lift(kind: str) -> Floats:
    return SHAPES[kind].lift(*uv_grid()).astype(np.float32)[..., None]


def chart_grid(spec: MaskSpec, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where a mask's grid lies on the chart: s and t, `GRID` each."""
    s, t = _chart(spec.kind, spec.state)
    s = s * spec.fit
    row = 0.14 * frame.unit  # a step of t is about 0.14 face widths, a step of s at the cheek 0.09
    down = spec.y_offset * frame.height / row if spec.state == "correct" else 0.0
    return s, t + down * (1 - uv_grid()[1]) + tan(radians(spec.rotation)) * 0.6 * s


@lru_cache(maxsize=16)
def _chart(kind: str, state: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return s and t of a snug mask that is worn straight."""
    shape = SHAPES[kind]
    u, v = uv_grid()
    top, bottom = shape.top(u), shape.bottom(u)
    if state in ("nose_out", "nose_and_mouth_out"):
        edge = 2.2 if state == "nose_out" else 4.2
        top = top + (edge - top.min()) * (1 - 0.45 * u**2)
        bottom = np.maximum(bottom, top + 0.9)
    elif state == "chin_out":
        bottom = bottom - (bottom.max() - 3.75) * (1 - 0.55 * u**2)
    return u * shape.width(v), top + (bottom - top) * v


def straps(surface: Surface, mesh: Floats, frame: Frame, spec: MaskSpec, width: float) -> Floats:
    """Return the straps' bands from the mask's corners to behind the ears, turned to the camera.

    Returns:
        ``(4, 9, 3, 3)``: left, middle and right edge along each strap, pixels.
    """
    out = np.empty((4, 9, 3, 3), np.float32)
    compiled(_straps)(surface.vertices, mesh, frame.axes, frame.unit, _EARS, _STRAP_ENDS[spec.straps], width, out)
    return out


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


@lru_cache(maxsize=1)
def uv_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return u and v of the grid's points."""
    u, v = np.meshgrid(np.linspace(-1, 1, GRID[1]), np.linspace(0, 1, GRID[0]))
    return u, v


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


def _straps(cloth: Any, mesh: Any, axes: Any, unit: float, ears: Any, shifts: Any, width: float, out: Any) -> None:
    """Run bands in an arc from the cloth's corners to the ears, a little nearer lest they sink into the cheek."""
    last = out.shape[1] - 1
    for n in range(4):
        side, upper = n // 2, n % 2
        sign = 2 * side - 1
        row, column = (2 if upper else cloth.shape[0] - 3), (cloth.shape[1] - 2 if side else 0)
        for c in range(3):
            start = 0.5 * (cloth[row, column, c] + cloth[row, column + 1, c])
            shift = sign * shifts[upper, 0] * axes[0, c] + shifts[upper, 1] * axes[1, c] + shifts[upper, 2] * axes[2, c]
            end = 0.5 * (mesh[ears[n, 0], c] + mesh[ears[n, 1], c]) + shift * unit
            bow = (sign * 0.75 * axes[0, c] - 0.65 * axes[2, c]) * 0.02 * unit
            for step in range(last + 1):
                share = step / last
                place = start + (end - start) * share + bow * np.sin(np.pi * share**0.8)
                out[n, step, 1, c] = place if c < 2 else place - 0.025 * unit
        x, y = out[n, last, 1, 0] - out[n, 0, 1, 0], out[n, last, 1, 1] - out[n, 0, 1, 1]
        half = 0.5 * width / max((x * x + y * y) ** 0.5, 1e-6)
        for step in range(last + 1):
            for edge in (0, 2):
                out[n, step, edge] = out[n, step, 1]
                out[n, step, edge, 0] -= (edge - 1) * y * half
                out[n, step, edge, 1] += (edge - 1) * x * half


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

"""Mask surfaces over a face's mesh.

A face gives a *chart*: a smooth surface over its lower half, spanned like taut cloth from nose to chin, that runs past
the jaw and under the chin. It is a uniform bicubic B-spline whose 7 x 13 control points are averages of mesh vertices,
moved by shares of the face's width. Chart coordinates: s from -6 (left ear) over 0 (nose) to 6 (right ear); t from 0
(bridge of the nose) over 1 (nose tip), 3 (mouth), 4 (chin), 5 (edge of the jaw) to 6 (under the chin).

A garment is a grid of (u, v), u from -1 to 1 across and v from 0 to 1 down, laid on the chart and lifted off it.
"""

from __future__ import annotations

from functools import lru_cache
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
    points = mesh.astype(np.float64)
    across, down = points[454] - points[234], points[152] - points[10]
    unit = float(np.linalg.norm(across))
    x = across / unit
    y = down - x * (x @ down)
    y /= np.linalg.norm(y)
    return Frame(np.stack([x, y, np.cross(x, y)]), unit, float(np.linalg.norm(down)))


def control_net(mesh: Floats, frame: Frame) -> Floats:
    """Return the chart's ``(7, 13, 3)`` control points in pixels."""
    weights, shifts = _net_tables()
    return (weights @ mesh + shifts @ (frame.axes * frame.unit)).reshape(7, 13, 3).astype(np.float32)


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
    shape = SHAPES[spec.kind]
    u, v = uv_grid()
    top, bottom = shape.top(u), shape.bottom(u)
    if spec.state in ("nose_out", "nose_and_mouth_out"):
        edge = 2.2 if spec.state == "nose_out" else 4.2
        top = top + (edge - top.min()) * (1 - 0.45 * u**2)
        bottom = np.maximum(bottom, top + 0.9)
    elif spec.state == "chin_out":
        bottom = bottom - (bottom.max() - 3.75) * (1 - 0.55 * u**2)
    s = u * shape.width(v) * spec.fit
    row = 0.14 * frame.unit  # a step of t is about 0.14 face widths, a step of s at the cheek 0.09
    down = spec.y_offset * frame.height / row if spec.state == "correct" else 0.0
    t = top + (bottom - top) * v + down * (1 - v) + np.tan(np.radians(spec.rotation)) * s * 0.6
    return s, t


def strap_paths(surface: Surface, mesh: Floats, frame: Frame, spec: MaskSpec) -> Floats:
    """Return where the straps run, ``(4, 9, 3)`` pixels: from the mask's corners to behind the ears."""
    rows, columns = (2, GRID[0] - 3), (slice(2), slice(-2, None))
    ends = [(side, upper) for side in (0, 1) for upper in (0, 1)]
    start = np.stack([surface.vertices[rows[1 - upper], columns[side]].mean(0) for side, upper in ends])[:, None]
    end = np.stack([_ear(mesh, frame, 2 * side - 1, bool(upper), spec.straps) for side, upper in ends])[:, None]
    out = np.array([(2 * side - 1) * frame.axes[0] * 0.75 - frame.axes[2] * 0.65 for side, _ in ends])[:, None]
    steps = np.linspace(0, 1, 9)[:, None]
    path = start + (end - start) * steps + out * np.sin(np.pi * steps**0.8) * 0.02 * frame.unit
    return (path - [0, 0, 0.025 * frame.unit]).astype(np.float32)  # nearer, lest it sink into the cheek


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


def _ear(mesh: Floats, frame: Frame, side: int, upper: bool, straps: str) -> NDArray[np.float64]:
    """Return where a strap ends: where the ear grows above and below, or on the back of the head for bands."""
    pair = (127, 162) if upper else (93, 132)
    first, second = (_MIRROR.get(n, _EARS[n]) if side > 0 else n for n in pair)
    point = (mesh[first] + mesh[second]) / 2
    if straps == "bands":
        shift = (0.005, -0.04 if upper else 0.04, 0.16)
    else:
        shift = (0.025, 0.035 if upper else -0.03, 0.15)
    return point + np.array([side * shift[0], shift[1], shift[2]]) @ frame.axes * frame.unit


_EARS = {127: 356, 162: 389, 93: 323, 132: 361}


@lru_cache(maxsize=1)
def _net_tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(91, 468)`` weights of mesh vertices and ``(91, 3)`` shifts in head axes."""
    weights, shifts = np.zeros((7, 13, 468)), np.zeros((7, 13, 3))
    for row, controls in enumerate(_NET):
        for column, (vertices, (out, down, back)) in enumerate(controls):
            for side in (-1, 1):
                cell = (row, 6 + side * column)
                weights[cell] = 0
                for n in vertices:
                    weights[cell][_MIRROR.get(n, n) if side > 0 else n] += 1 / len(vertices)
                shifts[cell] = (side * out, down, back)
    return weights.reshape(91, 468), shifts.reshape(91, 3)


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
            ax = points[r, min(c + 1, columns - 1), 0] - points[r, max(c - 1, 0), 0]
            ay = points[r, min(c + 1, columns - 1), 1] - points[r, max(c - 1, 0), 1]
            az = points[r, min(c + 1, columns - 1), 2] - points[r, max(c - 1, 0), 2]
            bx = points[min(r + 1, rows - 1), c, 0] - points[max(r - 1, 0), c, 0]
            by = points[min(r + 1, rows - 1), c, 1] - points[max(r - 1, 0), c, 1]
            bz = points[min(r + 1, rows - 1), c, 2] - points[max(r - 1, 0), c, 2]
            x, y, z = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
            length = max((x * x + y * y + z * z) ** 0.5, 1e-9)
            out[r, c, 0], out[r, c, 1], out[r, c, 2] = x / length, y / length, z / length

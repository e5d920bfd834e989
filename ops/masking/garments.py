"""Masks as surfaces: a grid laid on the face's chart and lifted off it, straps to the ears, valves and filters on it.

A garment is a grid of (u, v): u from -1 to 1 across, v from 0 to 1 down. Chart coordinates are those of
:mod:`ops.masking.chart`, lengths are shares of the face's width.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, radians, sin, tan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.masking.chart import grid_normals, spline
from ops.raster import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ops.masking.chart import Frame
    from ops.masking.spec import MaskSpec
    from ops.records import Floats

GRID = (25, 25)
"""Rows (v) and columns (u) of a garment's grid."""

RINGS, SPOKES = 6, 17
"""Rows and columns of the grid of a valve or filter."""

_ROW = 0.14  # face widths a step of t; a step of s at the cheek is 0.09
_JAW = 4.9  # t from which on a gaiter, or a mask under the chin, hangs instead of following the skin

# Where the straps end, lower and upper, left and right: between two vertices, shifted outward, down and back in face
# widths to where the ear grows, or to the back of the head for bands.
_EARS = np.array([(93, 132), (127, 162), (323, 361), (356, 389)])
_STRAP_ENDS = {
    "loops": np.array([(0.025, -0.03, 0.15), (0.025, 0.035, 0.15)]),
    "bands": np.array([(0.005, 0.04, 0.16), (0.005, -0.04, 0.16)]),
}


class Surface(NamedTuple):
    """Something laid on a face.

    Attributes:
        vertices: ``(rows, columns, 3)`` pixels.
        normals: ``(rows, columns, 3)`` unit, outward.
    """

    vertices: Floats
    normals: Floats


class Shape(NamedTuple):
    """A kind of mask in chart coordinates: functions of u (arrays) and of u and v.

    Attributes:
        width: s at u = 1, for v.
        top: t of the upper edge.
        bottom: t of the lower edge.
        lift: distance from the chart.
    """

    width: Callable[[Any], Any]
    top: Callable[[Any], Any]
    bottom: Callable[[Any], Any]
    lift: Callable[[Any, Any], Any]


class Part(NamedTuple):
    """A round part on a mask: where it sits, its radius, how far it stands off, how far its axis leans outward."""

    u: float
    v: float
    radius: float
    height: float
    lean: float = 0.0


def _rise(v: Any) -> Any:
    return np.clip(4 * v * (1 - v), 0, 1)


def _dome(u: Any, v: Any) -> Any:
    return np.clip(1 - u**2, 0, 1) * _rise(v)


SHAPES: dict[str, Shape] = {
    "surgical": Shape(
        width=lambda v: 4.75 - 0.12 * np.sin(np.pi * v),
        top=lambda u: 0.12 + 1.0 * np.abs(u) ** 1.7,
        bottom=lambda u: 5.85 - 1.7 * np.abs(u) ** 3.2,
        lift=lambda u, v: 0.012 + 0.032 * _dome(u, v) ** 0.7 + 0.022 * np.exp(-(((np.abs(u) - 0.86) / 0.1) ** 2)) * v,
    ),
    "kn95": Shape(
        width=lambda v: 4.7 - 0.5 * np.abs(2 * v - 1) ** 2,
        top=lambda u: 0.0 + 1.45 * np.abs(u) ** 1.15,
        bottom=lambda u: 5.8 - 2.4 * np.abs(u) ** 1.6,
        lift=lambda u, v: 0.012 + 0.085 * (1 - np.abs(u)) ** 1.25 * _rise(v) ** 0.8,
    ),
    "n95": Shape(
        width=lambda v: 2.5 + 1.65 * np.clip(1 - np.abs(2 * v - 1.02) ** 3.5, 0, 1) ** 0.25,
        top=lambda u: 0.0 + 1.5 * np.abs(u) ** 2.0,
        bottom=lambda u: 5.6 - 1.9 * np.abs(u) ** 2.2,
        lift=lambda u, v: 0.01 + 0.10 * _dome(np.clip(u * 1.08, -1, 1), np.clip(v * 1.1 - 0.05, 0, 1)) ** 0.6,
    ),
    "duckbill": Shape(
        width=lambda v: 4.5 - 0.55 * np.abs(2 * v - 1) ** 2,
        top=lambda u: 0.0 + 1.5 * np.abs(u) ** 1.4,
        bottom=lambda u: 5.75 - 2.0 * np.abs(u) ** 2.0,
        lift=lambda u, v: 0.012 + 0.17 * np.clip(1 - u**2, 0, 1) ** 0.7 * np.clip(1 - np.abs(2 * v - 1), 0, 1) ** 0.85,
    ),
    "cloth": Shape(
        width=lambda v: 4.85 - 0.3 * np.abs(2 * v - 1) ** 2,
        top=lambda u: 0.05 + 1.25 * np.abs(u) ** 1.25,
        bottom=lambda u: 5.75 - 1.7 * np.abs(u) ** 1.9,
        lift=lambda u, v: 0.01 + 0.03 * (1 - np.abs(u)) * _rise(v),
    ),
    "gaiter": Shape(
        width=lambda v: 5.8 + 3.4 * np.clip((v - 0.12) / 0.25, 0, 1),
        top=lambda u: 0.25 + 0.9 * np.abs(u) ** 1.6,
        bottom=lambda u: 8.4 - 0.5 * np.abs(u) ** 2,
        lift=lambda u, v: 0.016 + 0.02 * v,
    ),
    "respirator": Shape(
        width=lambda v: 2.1 + 1.3 * np.clip(1 - np.abs(2 * v - 1.15) ** 3, 0, 1) ** 0.35,
        top=lambda u: -0.1 + 1.9 * np.abs(u) ** 2.0,
        bottom=lambda u: 5.5 - 1.6 * np.abs(u) ** 2.0,
        lift=lambda u, v: 0.02 + 0.13 * _dome(u, np.clip(v * 1.08 - 0.04, 0, 1)) ** 0.55,
    ),
}

_VALVES = {
    1: (Part(-0.34, 0.6, 0.085, 0.035, 0.3),),
    2: (Part(-0.5, 0.55, 0.07, 0.025, 0.3), Part(0.5, 0.55, 0.07, 0.025, 0.3)),
}
_FILTERS = (Part(-0.66, 0.55, 0.17, 0.1, 0.75), Part(0.66, 0.55, 0.17, 0.1, 0.75), Part(0.0, 0.62, 0.09, 0.04))


def parts_of(spec: MaskSpec) -> tuple[Part, ...]:
    """Return a mask's round parts."""
    if spec.kind == "respirator":
        return _FILTERS
    return _VALVES.get(spec.valves, ())


def lay(net: Floats, mesh: Floats, frame: Frame, spec: MaskSpec) -> Surface:
    """Lay a mask on a face: on its chart, or beside its cheek where it hangs from an ear."""
    if spec.state == "hanging":
        vertices = _hung(mesh, frame, spec)
        return Surface(vertices, grid_normals(vertices))
    s, t = chart_grid(spec, frame)
    lift = _lift(spec.kind, spec.state) * np.float32(frame.unit * (1 + 2 * (spec.fit - 1)))
    if spec.kind == "gaiter" or spec.state == "under_chin":
        ears = np.clip(s, -5.9, 5.9)
        base = spline(net, ears, np.minimum(t, _JAW))
        around = (s - ears)[..., None] * 0.09 * frame.unit
        base += (np.abs(around) * frame.axes[2] - 0.3 * around * frame.axes[0]).astype(np.float32)
        drop = np.maximum(t - _JAW, 0)[..., None] * _ROW * frame.unit
        back = (0.5 * (1 - (ears / 6) ** 2))[..., None]
        base += (drop * (frame.axes[1] + back * frame.axes[2])).astype(np.float32)
    else:
        base = spline(net, s, t)
    vertices = base + grid_normals(base) * lift
    return Surface(vertices, grid_normals(vertices))


def chart_grid(spec: MaskSpec, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where a mask's grid lies on the chart: s and t, `GRID` each."""
    s, t = _chart(spec.kind, spec.state)
    s = s * spec.fit
    down = spec.y_offset * frame.height / (_ROW * frame.unit) if spec.state == "correct" else 0.0
    return s, t + down * (1 - uv_grid()[1]) + tan(radians(spec.rotation)) * 0.6 * s


def straps(surface: Surface, mesh: Floats, frame: Frame, spec: MaskSpec, width: float) -> Floats:
    """Return the straps' bands from the mask's corners to behind the ears, turned to the camera.

    Returns:
        ``(n, 9, 3, 3)``: left, middle and right edge along each strap, pixels; none for a mask without straps.
    """
    if spec.straps == "none":
        return np.empty((0, 9, 3, 3), np.float32)
    out = np.empty((4, 9, 3, 3), np.float32)
    ends = _STRAP_ENDS["loops" if spec.state == "hanging" else spec.straps]
    bow, fade = (0.055, 3.0) if spec.straps == "bands" else (0.02, 99.0)  # bands vanish in the hair
    if spec.kind == "respirator":  # whose narrow cup leaves them more of the cheek to cross
        bow = 0.12
    compiled(_straps)(surface.vertices, mesh, frame.axes, frame.unit, _EARS, ends, bow, fade, width, out)
    if spec.state != "hanging":
        return out
    side = 0 if _ear(mesh, frame, spec) == "left" else 2
    return out[side : side + 2]


def attach(surface: Surface, frame: Frame, part: Part) -> Surface:
    """Return a round part's surface, `RINGS` from its middle to its foot by `SPOKES` around."""
    row = round(part.v * (GRID[0] - 1))
    column = round((part.u + 1) / 2 * (GRID[1] - 1))
    centre, axis = surface.vertices[row, column], surface.normals[row, column].astype(np.float64)
    axis = axis * cos(part.lean) + np.sign(part.u) * frame.axes[0] * sin(part.lean)
    axis /= max(float(np.linalg.norm(axis)), 1e-9)
    across = np.cross(frame.axes[1], axis)
    across /= max(float(np.linalg.norm(across)), 1e-9)
    down = np.cross(axis, across)
    radius, height, cosine, sine = _profile()
    spread = cosine[..., None] * across + sine[..., None] * down
    rise = (height * part.height)[:, None, None] * axis
    vertices = centre + frame.unit * (part.radius * radius[:, None, None] * spread + rise)
    vertices = vertices.astype(np.float32)
    return Surface(vertices, grid_normals(vertices))


@lru_cache(maxsize=1)
def uv_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return u and v of the grid's points."""
    u, v = np.meshgrid(np.linspace(-1, 1, GRID[1]), np.linspace(0, 1, GRID[0]))
    return u, v


@lru_cache(maxsize=64)
def _lift(kind: str, state: str) -> Floats:
    lift = SHAPES[kind].lift(*uv_grid())
    if state == "under_chin":  # crumpled flat
        lift = 0.4 * lift + 0.006
    return np.asarray(lift, np.float32)[..., None]


@lru_cache(maxsize=64)
def _chart(kind: str, state: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return s and t of a snug mask that is worn straight."""
    shape = SHAPES[kind]
    u, v = uv_grid()
    top, bottom = shape.top(u), shape.bottom(u)
    if state in ("nose_out", "nose_and_mouth_out"):
        edge = 2.2 if state == "nose_out" else 3.7
        top = top + (edge - top.min()) * (1 - 0.45 * u**2)
        bottom = np.maximum(bottom, top + 0.9)
    elif state == "chin_out":
        bottom = bottom - (bottom.max() - 3.75) * (1 - 0.55 * u**2)
    elif state == "under_chin":
        top = 5.15 - 0.7 * u**2
        bottom = top + 1.9 - 1.2 * u**2
    return u * shape.width(v), top + (bottom - top) * v


def _ear(mesh: Floats, frame: Frame, spec: MaskSpec) -> str:
    """Return the ear that a hanging mask hangs on: the nearer one where the head is turned by 40 degrees or more."""
    nearer = float(mesh[234, 2] - mesh[454, 2]) / frame.unit  # positive where the right one is nearer
    return spec.ear if abs(nearer) < 0.64 else "right" if nearer > 0 else "left"


def _hung(mesh: Floats, frame: Frame, spec: MaskSpec) -> Floats:
    """Return the grid of a mask that hangs from one ear: folded along its pleats, its far side lowest."""
    side = -1.0 if _ear(mesh, frame, spec) == "left" else 1.0
    ends = _EARS[0 if side < 0 else 2]
    out, down, back = frame.axes
    ear = mesh[ends].mean(0) + (side * 0.03 * out - 0.02 * down + 0.06 * back) * frame.unit
    u, v = uv_grid()
    along, across = (1 + u) / 2, 0.5 - v
    fall = 0.1 + 0.78 * along * spec.fit
    sway = 0.1 * np.sin(radians(4 * spec.rotation)) * along
    wide = 0.38 + 0.1 * np.sin(np.pi * along)
    curl = 0.09 * np.sin(2.2 * np.pi * across + 1.3 * along + spec.texture_seed % 7)
    place = (
        fall[..., None] * down
        + (side * (0.03 + sway) - side * across * wide * 0.75)[..., None] * out
        - (across * wide * 0.65 + curl + 0.05)[..., None] * back
    )
    return (ear + frame.unit * (place if side < 0 else place[:, ::-1])).astype(np.float32)


@lru_cache(maxsize=1)
def _profile() -> tuple[NDArray[np.float64], ...]:
    """Return a round part's radius and height at its rings, and cosine and sine of its spokes."""
    turn = np.linspace(0, 2 * np.pi, SPOKES)[None]
    radius, height = np.array([0.02, 0.5, 0.82, 0.9, 1.0, 1.02]), np.array([1.0, 1.0, 0.95, 0.8, 0.5, -0.6])
    return radius, height, np.cos(turn), np.sin(turn)


def _straps(
    cloth: Any,
    mesh: Any,
    axes: Any,
    unit: float,
    ears: Any,
    shifts: Any,
    rise: float,
    fade: float,
    width: float,
    out: Any,
) -> None:
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
            bow = (sign * 0.75 * axes[0, c] - 0.65 * axes[2, c]) * rise * unit
            for step in range(last + 1):
                share = step / last
                place = start + (end - start) * share + bow * np.sin(np.pi * share**0.8)
                out[n, step, 1, c] = place if c < 2 else place - 0.025 * unit
        x, y = out[n, last, 1, 0] - out[n, 0, 1, 0], out[n, last, 1, 1] - out[n, 0, 1, 1]
        whole = 0.5 * width / max((x * x + y * y) ** 0.5, 1e-6)
        for step in range(last + 1):
            half = whole * min(1.0, fade * (1.0 - step / last) + 0.05)
            for edge in (0, 2):
                out[n, step, edge] = out[n, step, 1]
                out[n, step, edge, 0] -= (edge - 1) * y * half
                out[n, step, edge, 1] += (edge - 1) * x * half

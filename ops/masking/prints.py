"""Printed patterns: which colour of its palette each texel of a mask has."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.raster import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ops.records import Floats

    Print = Callable[[np.random.Generator, int], NDArray[np.uint8]]

BASE, ACCENT, SECOND, METAL, STRAP, TRIM, PART = range(7)
"""Entries of a palette; a gradient's or a garment's own colours follow."""

STEPS = 48
"""Colours of a gradient."""

SPAN = (1.15, 0.9)
"""A mask's size across and down in face widths, laid flat."""

Grid = tuple[Any, Any]


def draw_print(pattern: str, seed: int, size: int) -> NDArray[np.uint8]:
    """Return which palette entry each texel has, ``(size, size)``."""
    return _PRINTS[pattern](np.random.Generator(np.random.PCG64(seed)), size)


def noise(seed: int, size: int) -> tuple[Floats, int, int]:
    """Return soft noise of deviation 1, and the row and the column that the seed gives to cut a mask's from."""
    tile = _tile()
    y, x = seed // 997 % (tile.shape[0] - 256), seed % (tile.shape[1] - 256)
    grow = size // 256
    if grow == 1:
        return tile, y, x
    return np.repeat(np.repeat(tile[y : y + 256, x : x + 256], grow, 0), grow, 1), 0, 0


@lru_cache(maxsize=1)
def _tile() -> Floats:
    """Return a 1024 px square of noise: four octaves, most of it across (u), and the sharp ridges of creases."""
    rng = np.random.Generator(np.random.PCG64(7))
    total = np.zeros((1024, 1024))
    for rows, columns, weight in ((17, 9, 1.0), (33, 17, 0.8), (65, 33, 0.5), (129, 129, 0.25)):
        knots = rng.standard_normal((rows, columns))
        for axis, count in ((0, rows), (1, columns)):
            place = np.linspace(0, count - 1, 1024)
            low = np.minimum(place.astype(int), count - 2)
            f = place - low
            f = (f * f * (3 - 2 * f)).reshape((-1, 1) if axis == 0 else (1, -1))
            knots = np.take(knots, low, axis) * (1 - f) + np.take(knots, low + 1, axis) * f
        total += weight * (knots - 0.9 * (0.6 - np.abs(knots)) * (rows == 33))
    return (np.clip(total / total.std(), -2.5, 2.5)).astype(np.float32)


@lru_cache(maxsize=4)
def uv(size: int) -> Grid:
    """Return u and v of texel centres, open grids."""
    u, v = np.meshgrid((np.arange(size) + 0.5) / size * 2 - 1, (np.arange(size) + 0.5) / size, sparse=True)
    return u, v


def flat(size: int) -> Grid:
    """Return texel centres on the flat mask in face widths."""
    u, v = uv(size)
    return (u + 1) / 2 * SPAN[0], v * SPAN[1]


def _checks(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    x, y = flat(size)
    cell = rng.uniform(0.045, 0.11)
    count = (x / cell % 2 < 1).view(np.uint8) + (y / cell % 2 < 1).view(np.uint8)
    return np.array([BASE, SECOND, ACCENT], np.uint8)[count]


def _plaid(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Broad and thin bands that cross."""
    x, y = flat(size)
    cell, broad = rng.uniform(0.12, 0.24), rng.uniform(0.25, 0.45)
    across, down = ((axis / cell) % 1 for axis in (x, y))
    bands = (across < broad).view(np.uint8) + (down < broad).view(np.uint8)
    entries = np.array([BASE, SECOND, ACCENT], np.uint8)[bands]
    thin = (np.abs(across - 0.7) < 0.035) | (np.abs(down - 0.7) < 0.035)
    return np.where(thin, np.uint8(ACCENT), entries)


def _stripes(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    x, y = flat(size)
    angle, cell = rng.choice([0.0, np.pi / 2, np.pi / 4]), rng.uniform(0.03, 0.09)
    wave = x * (np.cos(angle) / cell) + y * (np.sin(angle) / cell)
    return (wave - np.floor(wave) < rng.uniform(0.3, 0.55)).view(np.uint8)


def _dots(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    x, y = flat(size)
    cell = rng.uniform(0.045, 0.11)
    rows = (x / cell + [[0.0], [0.5]]) % 1 - 0.5  # every other row is shifted by half a cell
    dx, dy = rows[(y[:, 0] / cell % 2).astype(int)], y / cell % 1 - 0.5
    return (dx**2 + dy**2 < rng.uniform(0.18, 0.34) ** 2).view(np.uint8)


def _gradient(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    x, y = flat(size)
    angle = rng.uniform(0, 2 * np.pi)
    share = (x / SPAN[0] - 0.5) * np.cos(angle) + (y / SPAN[1] - 0.5) * np.sin(angle) + 0.5
    return (PART + 1 + np.clip(share * STEPS, 0, STEPS - 1)).astype(np.uint8)


def _camouflage(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Blots of two colours: where two fields of noise are high."""
    step = rng.integers(2, 4)
    cuts = rng.integers(1024 - 256 * step, size=4).reshape(2, 2).tolist()
    fields = [_tile()[top : top + 256 * step : step, left : left + 256 * step : step].T for top, left in cuts]
    first, second = (np.kron(field, np.ones((size // 256,) * 2)) for field in fields)
    return np.where(first > 0.5, np.uint8(ACCENT), np.where(second > 0.7, np.uint8(SECOND), np.uint8(BASE)))


def _motif(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """One figure of a few bends, with an outline and perhaps two holes, at a side or in the middle."""
    turn = np.linspace(-np.pi, np.pi, 361)
    bends = [rng.uniform(-0.3, 0.3) / n * np.cos(n * turn + rng.uniform(0, 6)) for n in range(2, 7)]
    reach = rng.uniform(0.14, 0.3) * (1 + np.sum(bends, 0))
    out = np.zeros((size, size), np.uint8)
    x, y, hole = rng.choice([0.35, 0.5, 0.5, 0.5, 0.65]), rng.uniform(0.45, 0.65), max(rng.uniform(-0.1, 0.045), 0)
    compiled(_paint)(reach, x, y, hole, out)
    return out


def _paint(reach: Any, x: float, y: float, hole: float, out: Any) -> None:
    """Paint a figure around x, y that reaches as far in each direction, of `ACCENT` within `SECOND`."""
    size, most = out.shape[0], 1.14 * reach.max()
    for row in range(max(0, int((y - most) * size)), min(size, int((y + most) * size) + 1)):
        for column in range(max(0, int((x - most) * size)), min(size, int((x + most) * size) + 1)):
            a, b = (column + 0.5) / size - x, (row + 0.5) / size - y
            far = (a * a + b * b) ** 0.5
            if far < most:
                place = far / reach[int((np.arctan2(b, a) + np.pi) / (2 * np.pi) * 360)]
                solid = (abs(a) - 0.07) ** 2 + b * b > hole * hole
                out[row, column] = 1 if place < 1 and solid else 2 if place < 1.14 else 0


def _flowers(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Scatter flowers with leaves on a jittered lattice."""
    cell = rng.uniform(0.11, 0.2)
    rows, columns = int(SPAN[1] / cell) + 2, int(SPAN[0] / cell) + 2
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    x += 0.5 * (y % 2)
    x, y = ((axis + rng.uniform(-0.2, 0.2, axis.shape)) * cell for axis in (x, y))
    radius, turn = cell * rng.uniform(0.26, 0.46, x.shape), rng.uniform(0, 2 * np.pi, x.shape)
    out = np.zeros((size, size), np.uint8)
    flowers = np.stack([x / SPAN[0], y / SPAN[1], radius, np.cos(turn), np.sin(turn)], -1).reshape(-1, 5)
    compiled(_plant)(flowers, SPAN[0], SPAN[1], out)
    return out


def _plant(flowers: Any, wide: float, high: float, out: Any) -> None:
    """Paint flowers (place in [0, 1], radius in face widths, direction) with five petals and three leaves."""
    size = out.shape[0]
    for n in range(flowers.shape[0]):
        x, y, radius, cos, sin = flowers[n]
        for row in range(
            max(0, int((y - 1.4 * radius / high) * size)), min(size, int((y + 1.4 * radius / high) * size))
        ):
            for column in range(
                max(0, int((x - 1.4 * radius / wide) * size)), min(size, int((x + 1.4 * radius / wide) * size))
            ):
                dx, dy = ((column + 0.5) / size - x) * wide / radius, ((row + 0.5) / size - y) * high / radius
                a, b = dx * cos - dy * sin, dx * sin + dy * cos
                r = (a * a + b * b) ** 0.5 + 1e-9
                if r > 1.35:
                    continue
                a, b = a / r, b / r
                leaf = a * (4 * a * a - 3)  # cos of three times the direction
                petal = a * (16 * a**4 - 20 * a * a + 5)  # cos of five times the direction
                if r < 0.26:
                    out[row, column] = 0
                elif r < 0.8 + 0.2 * petal:
                    out[row, column] = 1
                elif leaf > 0 and r < 1.35 * leaf * leaf:
                    out[row, column] = 2


_PRINTS: Mapping[str, Print] = {
    "checks": _checks,
    "plaid": _plaid,
    "stripes": _stripes,
    "dots": _dots,
    "floral": _flowers,
    "camouflage": _camouflage,
    "motif": _motif,
    "gradient": _gradient,
}

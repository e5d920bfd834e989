"""Generated fabric: folds, seams, weave and printed patterns over a mask's (u, v)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.masking.prints import BASE, METAL, PART, STEPS, STRAP, TRIM, draw_print, noise, uv
from ops.masking.spec import parse_colour
from ops.masking.wardrobe import reduced
from ops.raster import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.masking.spec import MaskSpec
    from ops.masking.wardrobe import Garment
    from ops.records import Floats

_CREASED = {
    "surgical": 0.06, "cloth": 0.08, "kn95": 0.035, "n95": 0.016, "duckbill": 0.03, "gaiter": 0.085, "respirator": 0.01
}  # fmt: skip
_FOLDED = {"surgical": 0.17, "cloth": 0.14, "duckbill": 0.08, "gaiter": 0.08, "kn95": 0.05}
_CUTS = 6
_FILTER = np.array([0.69, 0.27, 0.47])
_GREY = np.array([0.52, 0.53, 0.54])


def palette(spec: MaskSpec, garment: Garment | None) -> NDArray[np.float64]:
    """Return the ``(n, 3)`` colours a mask is made of, in [0, 1]: `BASE` to `PART`, and those of its texture."""
    names = (spec.colour, spec.accent, spec.strap_colour, spec.trim)
    base, accent, strap, trim = np.array([parse_colour(text) for text in names])
    between = 0.5 * (base + accent)
    second = {
        "checks": between,
        "plaid": between,
        "camouflage": 0.6 * between,
        "motif": 0.3 * accent,
        "floral": 0.35 * accent + 0.65 * np.array([0.25, 0.42, 0.22]),
    }
    part = 0.45 * base + 0.55 * (0.18 if base.mean() < 0.45 or spec.texture_seed % 4 == 0 else 0.82)
    if spec.kind == "respirator":
        part = _FILTER if spec.texture_seed % 3 else accent
    colours = np.array([base, accent, second.get(spec.pattern, accent), 0.35 * base + 0.65 * _GREY, strap, trim, part])
    if garment:
        colours = np.concatenate([colours, reduced(garment, 256)[1]])
    elif spec.pattern == "gradient":
        colours = np.concatenate([colours, base + np.linspace(0, 1, STEPS)[:, None] * (accent - base)])
    return 0.06 + 0.92 * colours


def fabric(spec: MaskSpec, size: int, garment: Garment | None) -> tuple[NDArray[np.uint8], Floats]:
    """Return the palette entries and the brightness of a mask's texels, both ``(size + 1, size + 2)``.

    The last row repeats the one before it; the last two columns are the straps', from one edge to the other, and the
    valves', from the middle to the rim.
    """
    shade = np.empty((size + 1, size + 2), np.float32)
    strength = _CREASED[spec.kind] * spec.creases
    made = _made(spec.kind, size, spec.texture_seed % _CUTS)
    compiled(_shade)(made, *noise(spec.texture_seed, size), strength, shade)
    bound = spec.trim != spec.colour
    if garment:
        return _framed(reduced(garment, size)[0] + np.uint8(PART + 1), _unbound(size)), shade
    if spec.pattern == "plain":
        return _plain(spec.kind, size, bound), shade
    edges = _edges(spec.kind, size) if bound else _unbound(size)
    return _framed(draw_print(spec.pattern, spec.texture_seed, size), edges), shade


def _shade(made: Any, creases: Any, top: int, left: int, strength: float, shade: Any) -> None:
    """Write a mask's brightness: ``made``, creased; the last row again; a round strap's; a valve's grooves."""
    size = made.shape[0]
    share, one = np.float32(strength), np.float32(1.0)
    for y in range(size + 1):
        row = min(y, size - 1)
        source, crease, target = made[row], creases[top + row, left:], shade[y]
        for x in range(size):
            target[x] = source[x] * (one + share * crease[x])
        r = y / size
        target[size] = 1.0 - 0.18 * (2.0 * r - 1.0) ** 2
        target[size + 1] = 1.0 - 0.22 * np.exp(-(((r - 0.5) / 0.05) ** 2)) - 0.3 * np.exp(-(((r - 0.83) / 0.05) ** 2))


@lru_cache(maxsize=16)
def _plain(kind: str, size: int, bound: bool) -> NDArray[np.uint8]:
    entries = _nose_clip(size) if kind == "n95" else np.zeros((size, size), np.uint8)
    return _framed(entries, _edges(kind, size) if bound else _unbound(size))


def _framed(entries: NDArray[np.uint8], edges: NDArray[np.bool_]) -> NDArray[np.uint8]:
    framed = np.pad(np.where(edges, np.uint8(TRIM), entries), ((0, 1), (0, 2)), "edge")
    framed[:, -2], framed[:, -1] = STRAP, PART
    return framed


@lru_cache(maxsize=4)
def _unbound(size: int) -> NDArray[np.bool_]:
    return np.zeros((size, size), np.bool_)


@lru_cache(maxsize=8)
def _edges(kind: str, size: int) -> NDArray[np.bool_]:
    """Return where a mask's edges are bound: narrow on a surgical mask, a braid on cloth."""
    u, v = uv(size)
    if kind == "surgical":
        return (v < 0.04) | (v > 0.965) | (np.abs(u) > 0.962)
    return np.asarray(_rim(u, v) < 0.04)


@lru_cache(maxsize=64)
def _made(kind: str, size: int, cut: int) -> Floats:
    """Return the brightness of one of `_CUTS` pieces of a kind: how it is sewn, its weave, its folds, its imprint."""
    u, v = uv(size)
    rng = np.random.Generator(np.random.PCG64(cut + 100))
    rough = 0.004 if kind == "respirator" else rng.uniform(0.008, 0.034)
    value = _sewn(kind, size) * (1 + np.float32(rough) * _weave(size))
    if kind in _FOLDED:
        value *= 1 + np.float32(_FOLDED[kind]) * _folds(rng, size)
    if kind in {"kn95", "n95"} and cut % 2:
        value = value * (1 - 0.35 * _imprint(rng, u, v))
    return np.asarray(value, np.float32)


@lru_cache(maxsize=16)
def _sewn(kind: str, size: int) -> Floats:
    return np.asarray(_MADE[kind](*uv(size)), np.float32)


def _folds(rng: np.random.Generator, size: int) -> Floats:
    """Return folds that run from the corners, where straps pull, and fade towards the middle."""
    total = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(6, 11)):
        start, end = rng.choice([0.12, 0.3, 0.7, 0.88]) + rng.normal(0, 0.06), rng.normal(0.5, 0.2)
        reach, width, depth = rng.uniform(0.6, 1.3), rng.uniform(0.012, 0.03), rng.uniform(0.5, 1.0)
        side = total if rng.random() < 0.5 else total[:, ::-1]
        compiled(_fold)(start, end, reach, width, depth, side)
    return total


def _fold(start: float, end: float, reach: float, width: float, depth: float, out: Any) -> None:
    """Add one fold that begins at the left edge: light above, dark below, a little sunken."""
    size = out.shape[0]
    for column in range(size):
        along = 2 * (column + 0.5) / size / reach  # 0 at the edge, 1 where the fold ends
        if along >= 1:
            break
        fade = depth * min(along / 0.08, 1.0) * (1 - along) ** 0.8
        wide = width * (0.6 + 0.8 * along)
        middle = start + (end - start) * along**1.3 + 0.02 * np.sin(5 * along + start * 20)
        for row in range(max(0, int((middle - 4 * wide) * size)), min(size, int((middle + 4 * wide) * size) + 1)):
            d = ((row + 0.5) / size - middle) / wide
            out[row, column] += fade * (-d * np.exp(0.5 - 0.5 * d * d) - 0.3 * np.exp(-0.5 * d * d))


def _imprint(rng: np.random.Generator, u: Any, v: Any) -> Any:
    """Return a few lines of small print, too small to be read."""
    side, top, letter = rng.choice([-1, 1]), rng.uniform(0.42, 0.58), 0.011
    ink = np.zeros_like(u + v)
    for line, length in enumerate(rng.uniform(0.12, 0.3, 3)):
        across = (side * u - 0.3) / (2 * letter)
        strokes = rng.random(40)[np.clip((3 * across).astype(int), 0, 39)] < 0.62
        inside = (across > 0) & (across < length / (2 * letter)) & (np.abs(v - top - 0.045 * line) < letter)
        ink = ink + inside * strokes
    return ink


def _surgical(u: Any, v: Any) -> Any:
    """Three pleats that open downward, welded edges, a wire in the upper hem."""
    value = np.ones_like(u + v)
    inside = np.clip((0.95 - np.abs(u)) / 0.05, 0, 1)
    for place in (0.3, 0.47, 0.64):
        d = v - place + 0.01 * u**2
        value = value + inside * np.where(d > 0, -0.2 * np.exp(-d / 0.022), 0.06 * np.exp(d / 0.03))
    value = value + np.clip(1 - np.abs(v - 0.045) / 0.02, 0, 1) * 0.05 * (np.abs(u) < 0.4)
    return value * _hem(v, 0.09) * _welds(u, v, 0.025) * (1 - 0.08 * _line(np.abs(u), 0.95, 0.012))


def _kn95(u: Any, v: Any) -> Any:
    """A sharp fold down the middle and embossed welds along the rim."""
    edge = _rim(u, v)
    dots = 0.5 + 0.5 * np.sign(np.sin(90 * u) * np.sin(90 * v) + 0.2)
    value = 1 + 0.07 * _line(u, 0.0, 0.012) - 0.05 * np.exp(-np.abs(u) / 0.06)
    return value * (1 - 0.07 * _line(edge, 0.045, 0.008) * dots) * (1 - 0.05 * _line(edge, 0.02, 0.006))


def _n95(u: Any, v: Any) -> Any:
    """A moulded cup with a flat rim."""
    edge = _rim(u, v)
    value = 1 - 0.14 * _line(edge, 0.055, 0.016) - 0.1 * np.exp(-edge / 0.03)
    ridge = _line(v, 0.36 + 0.05 * u**2, 0.02) + _line(v, 0.68 - 0.05 * u**2, 0.02)
    return value * (1 - 0.045 * ridge * np.clip((0.75 - np.abs(u)) / 0.2, 0, 1))


def _cloth(u: Any, v: Any) -> Any:
    """A seam down the middle and a stitched hem all around."""
    edge = _rim(u, v)
    stitch = (np.sin(150 * u + 130 * v) > -0.3).astype(float)
    seam = -0.16 * _line(u, 0.0, 0.008) + 0.05 * _line(np.abs(u), 0.025, 0.018)
    return (1 + seam) * (1 - 0.1 * _line(edge, 0.032, 0.005) * stitch) * (1 - 0.06 * np.exp(-edge / 0.012))


def _duckbill(u: Any, v: Any) -> Any:
    """Two panels that meet in a welded seam across, welds along the edges."""
    edge = _rim(u, v)
    seam = 0.07 * _line(v, 0.48, 0.012) - 0.12 * _line(v, 0.515, 0.014)
    return (1 + seam) * (1 - 0.06 * _line(edge, 0.035, 0.008)) * _welds(u, v, 0.03)


def _gaiter(u: Any, v: Any) -> Any:
    """A hemmed tube that gathers in folds around the neck."""
    value = np.ones_like(u + v)
    for place, bend, depth in (
        (0.5, 0.05, 0.06),
        (0.6, -0.06, 0.1),
        (0.7, 0.04, 0.12),
        (0.8, -0.05, 0.12),
        (0.9, 0.03, 0.1),
    ):
        d = v - place - bend * np.sin(2.4 * u + 9 * place) - 0.05 * u**2
        value = value + np.where(d > 0, -depth * np.exp(-d / 0.03), 0.4 * depth * np.exp(d / 0.03))
    return value * (1 - 0.12 * _line(v, 0.045, 0.006)) * (1 - 0.08 * np.exp(-v / 0.006))


def _respirator(u: Any, v: Any) -> Any:
    """A moulded rubber cup with a thick rim and a ridge around the middle."""
    edge = _rim(u, v)
    value = 1 + 0.25 * _line(edge, 0.05, 0.02) - 0.25 * _line(edge, 0.085, 0.014)
    return value + 0.12 * np.exp(-((u / 0.3) ** 2) - ((v - 0.25) / 0.2) ** 2)


_MADE = {
    "surgical": _surgical,
    "kn95": _kn95,
    "n95": _n95,
    "duckbill": _duckbill,
    "cloth": _cloth,
    "gaiter": _gaiter,
    "respirator": _respirator,
}


def _rim(u: Any, v: Any) -> Any:
    """Return the distance from a mask's edge, in shares of its height."""
    return np.minimum(np.minimum(v, 1 - v) * 0.9, (1 - np.abs(u)) * 0.6)


def _line(x: Any, place: Any, width: float) -> Any:
    """Return a soft line: 1 at ``place``, falling to 0 within about two widths."""
    return np.exp(-(((x - place) / width) ** 2))


def _hem(v: Any, width: float) -> Any:
    """Return the step of cloth folded over at the top and the bottom."""
    edge = np.minimum(v, 1 - v)
    return 1 + 0.035 * (edge < width) - 0.09 * _line(edge, width, 0.008)


def _welds(u: Any, v: Any, place: float) -> Any:
    """Return a row of embossed points along the upper and the lower edge."""
    dots = np.clip(np.sin(170 * u) * 2, 0, 1)
    return 1 - 0.05 * dots * _line(np.minimum(v, 1 - v), place, 0.01)


def _nose_clip(size: int) -> NDArray[np.uint8]:
    u, v = uv(size)
    clip = (np.abs(u) < 0.2) & (np.abs(v - 0.085 - 0.1 * u**2) < 0.022)
    return np.where(clip, METAL, BASE).astype(np.uint8)


@lru_cache(maxsize=2)
def _weave(size: int) -> Floats:
    """Return the fine grain of cloth, deviation 1."""
    rng = np.random.Generator(np.random.PCG64(11))
    return np.asarray(np.clip(rng.standard_normal((size, size)), -2, 2), np.float32)

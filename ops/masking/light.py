"""The light and the camera that a face was taken with, as far as a mask on it must know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.images import resized
from ops.masking.camera import blur_of, grain_of, quality_of
from ops.raster import compiled

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from ops.records import Floats, Picture

SKIN = (
    10, 151, 9, 108, 337, 69, 299, 67, 297, 103, 332, 104, 333, 54, 284, 168, 6, 197, 195, 5, 4, 116, 345, 117, 346,
    118, 347, 119, 348, 101, 330, 50, 280, 36, 266, 205, 425, 187, 411, 123, 352, 147, 376, 207, 427, 206, 426, 142,
    371, 192, 416, 214, 434, 210, 430, 199, 200,
)  # fmt: skip
"""Mesh points on bare skin, away from eyes, brows, lips and the outline."""

_POINTS = np.array(SKIN)
_WEIGHTS = np.array([0.299, 0.587, 0.114])
_USUAL = np.array([1.0, 0.0, -0.1, -0.1])  # a little light from above and from the camera
_STIFF = np.array([0.01, 1.5, 2.5, 2.5])  # how strongly the fit is held to it
_SKIN_TONE = np.array([1.22, 0.94, 0.80])  # usual skin in neutral light, display values against their luma


class Light(NamedTuple):
    """Light and camera at a face, in display values (0 to 1, gamma-coded).

    Attributes:
        slope: ``(3,)`` how the brightness changes with the surface's normal, against ``level``.
        white: brightness of white cloth in mean light.
        cast: ``(3,)`` colour of the light, about 1.
        saturation: 0 for a grey photograph, 1 for a coloured one.
        blur: sigma of the picture's blur in pixels.
        grain: deviation of its noise in grey levels.
        quality: JPEG quality whose 8 px blocks the picture shows; 0 for none.
    """

    slope: NDArray[np.float64]
    white: float
    cast: NDArray[np.float64]
    saturation: float
    blur: float
    grain: float = 0.0
    quality: int = 0

    def as_row(self) -> dict[str, float]:
        """Return the light as flat columns."""
        x, y, z = (float(n) for n in self.slope)
        same = {name: float(getattr(self, name)) for name in ("white", "saturation", "blur", "grain", "quality")}
        return {f"light_{name}": value for name, value in {"x": x, "y": y, "z": z, **same}.items()}

    def on(self, normals: Floats) -> Floats:
        """Return the brightness of surfaces against mean light, about 1."""
        slope = (1.2 * self.slope).astype(np.float32)
        return np.minimum(np.maximum(normals @ slope + (1 + np.float32(0.8) * slope[2]), 0.4), 1.35)


def estimate(pixels: Picture, mesh: Floats, normals: Floats, unit: float, corner: tuple[int, int] = (0, 0)) -> Light:
    """Estimate light and camera from a face's skin and surroundings.

    Args:
        pixels: the part of the picture that shows the face.
        mesh: ``(468, 3)`` in pixels of that part.
        normals: ``(468, 3)`` outward.
        unit: the face's width in pixels.
        corner: x and y of that part in the picture.
    """
    height, width = pixels.shape[:2]
    step = max(unit / 40, 1.0)
    small = resized(pixels, (max(1, round(width / step)), max(1, round(height / step))))
    skin, terms, found = np.empty((len(SKIN), 3)), np.empty((len(SKIN), 4)), np.empty(8)
    seen = compiled(_sample)(small, mesh, normals, _POINTS, height, width, skin, terms)
    if seen < 6:
        return Light(np.array([0.0, -0.1, -0.15]), 0.85, np.ones(3), 1.0, 0.7)
    luma = np.empty(seen)
    compiled(_measure)(skin[:seen], luma, found)
    compiled(_fit)(luma, terms[:seen], found)
    level, chroma = found[3:5].tolist()
    bright = compiled(_brightness)(small, 0.97)
    white = max(min(0.62 * min(1.32 * level**0.45, 1.06) + 0.38 * bright, 1.02, 0.15 + 2.6 * level), 0.2)
    saturation = min(max((chroma - 0.004) / 0.03, 0.0), 1.0)
    camera = blur_of(pixels, mesh, unit), grain_of(pixels, mesh), quality_of(pixels, corner)
    return Light(found[:3], white, found[5:], saturation, *camera)


def _sample(small: Any, mesh: Any, normals: Any, points: Any, height: int, width: int, skin: Any, terms: Any) -> int:
    """Write colours in [0, 1] and (1, normal) of the skin points in sight; return how many there are."""
    seen = 0
    for n in points:
        column = int(np.floor((mesh[n, 0] + 0.5) / width * small.shape[1]))
        row = int(np.floor((mesh[n, 1] + 0.5) / height * small.shape[0]))
        if 0 <= column < small.shape[1] and 0 <= row < small.shape[0] and normals[n, 2] < -0.15:
            terms[seen, 0] = 1.0
            for c in range(3):
                skin[seen, c] = small[row, column, c] / 255.0
                terms[seen, 1 + c] = normals[n, c]
            seen += 1
    return seen


def _brightness(small: Any, share: float) -> float:
    """Return a quantile of a picture's brightness, in [0, 1], to about 0.0001."""
    counts = np.zeros(4096, np.int64)
    for row in small:
        for x in range(row.shape[0]):
            counts[(299 * row[x, 0] + 587 * row[x, 1] + 114 * row[x, 2]) >> 6] += 1
    rest, level = int(share * (small.shape[0] * small.shape[1] - 1)), 0
    while rest >= counts[level]:
        rest -= counts[level]
        level += 1
    return (64 * level + 32) / 255000


def _measure(skin: Any, luma: Any, found: Any) -> None:
    """Write skin's brightness; its median, its mean chroma and the light's cast to ``found[3:]``."""
    middle, chroma = len(skin) // 2, 0.0
    for n in range(len(skin)):
        luma[n] = _WEIGHTS[0] * skin[n, 0] + _WEIGHTS[1] * skin[n, 1] + _WEIGHTS[2] * skin[n, 2]
        for c in range(3):
            chroma += abs(skin[n, c] - luma[n])
    found[3], found[4] = max(np.sort(luma)[middle], 0.02), chroma / (3 * len(skin))
    total, cast = 0.0, found[5:]
    for c in range(3):
        cast[c] = np.sort(skin[:, c])[middle]
        total += _WEIGHTS[c] * cast[c]
    tone, total = max(total, 1e-3), 0.0
    for c in range(3):
        cast[c] = min(max(1 + 0.45 * (cast[c] / tone / _SKIN_TONE[c] - 1), 0.82), 1.2)
        total += _WEIGHTS[c] * cast[c]
    for c in range(3):
        cast[c] /= total


def _fit(luma: Any, terms: Any, found: Any) -> None:  # noqa: C901, PLR0912
    """Fit brightness = a + b n robustly; write b over the median ``found[3]`` to ``found[:3]``."""
    count, level = len(luma), found[3]
    rest, error, limit = np.empty(count), np.zeros(count), 1.0
    for n in range(count):
        rest[n] = luma[n] / level
        for c in range(4):
            rest[n] -= terms[n, c] * _USUAL[c]
    left, right = np.empty((4, 4)), np.empty(4)
    for _ in range(3):
        left[:], right[:] = 0.0, 0.0
        for c in range(4):
            left[c, c] = _STIFF[c]
        for n in range(count):
            if error[n] <= limit:
                for c in range(4):
                    right[c] += terms[n, c] * rest[n]
                    for d in range(4):
                        left[c, d] += terms[n, c] * terms[n, d]
        for c in range(4):  # Gauss-Jordan; positive definite, so no pivoting
            right[c] /= left[c, c]
            left[c] /= left[c, c]
            for d in range(4):
                if d != c:
                    right[d] -= left[d, c] * right[c]
                    left[d] -= left[d, c] * left[c]
        for n in range(count):
            error[n] = rest[n]
            for c in range(4):
                error[n] -= terms[n, c] * right[c]
            error[n] = abs(error[n])
        limit = max(2.5 * np.sort(error)[count // 2], 0.05)
    for c in range(3):
        found[c] = min(max(_USUAL[c + 1] + right[c + 1], -0.45), 0.45)

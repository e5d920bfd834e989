"""The light and the camera that a face was taken with, as far as a mask on it must know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

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

_WEIGHTS = np.array([0.299, 0.587, 0.114])
_USUAL = np.array([1.0, 0.0, -0.1, -0.1])  # a little light from above and from the camera
_STIFF = np.diag([0.01, 1.5, 2.5, 2.5])  # how strongly the fit is held to it
_SKIN_TONE = np.array([1.22, 0.94, 0.80])  # usual skin in neutral light, display values against their luma


class Light(NamedTuple):
    """Light and camera at a face, in display values (0 to 1, gamma-coded).

    Attributes:
        slope: ``(3,)`` how the brightness changes with the surface's normal, against ``level``.
        white: brightness of white cloth in mean light.
        cast: ``(3,)`` colour of the light, about 1.
        saturation: 0 for a grey photograph, 1 for a coloured one.
        blur: sigma of the picture's blur in pixels.
    """

    slope: NDArray[np.float64]
    white: float
    cast: NDArray[np.float64]
    saturation: float
    blur: float

    def on(self, normals: Floats) -> Floats:
        """Return the brightness of surfaces against mean light, about 1."""
        slope = (1.2 * self.slope).astype(np.float32)
        return np.clip(normals @ slope + (1 + np.float32(0.8) * slope[2]), 0.4, 1.35)


def estimate(pixels: Picture, mesh: Floats, normals: Floats, unit: float) -> Light:
    """Estimate light and camera from a face's skin and surroundings.

    Args:
        pixels: the part of the picture that shows the face.
        mesh: ``(468, 3)`` in pixels of that part.
        normals: ``(468, 3)`` outward.
        unit: the face's width in pixels.
    """
    import cv2

    step = max(unit / 40, 1.0)
    size = max(1, round(pixels.shape[1] / step)), max(1, round(pixels.shape[0] / step))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    points = mesh[list(SKIN)]
    columns = np.round((points[:, 0] + 0.5) / pixels.shape[1] * size[0] - 0.5).astype(int)
    rows = np.round((points[:, 1] + 0.5) / pixels.shape[0] * size[1] - 0.5).astype(int)
    seen = (columns >= 0) & (columns < size[0]) & (rows >= 0) & (rows < size[1]) & (normals[list(SKIN), 2] < -0.15)
    if seen.sum() < 6:
        return Light(np.array([0.0, -0.1, -0.15]), 0.85, np.ones(3), 1.0, 0.7)
    colours = small[rows[seen], columns[seen]]
    luma = colours @ _WEIGHTS
    slope, skin = _fit(luma, normals[list(SKIN)][seen].astype(np.float64))
    every = np.sort(small.reshape(-1, 3) @ _WEIGHTS)
    bright = float(every[int(0.97 * (len(every) - 1))])
    white = max(min(0.62 * min(1.32 * skin**0.45, 1.06) + 0.38 * bright, 1.02, 0.15 + 2.6 * skin), 0.2)
    chroma = float(np.abs(colours - luma[:, None]).mean())
    tone = np.sort(colours, 0)[len(colours) // 2]
    tone = tone / max(float(tone @ _WEIGHTS), 1e-3)
    cast = np.clip(1 + 0.4 * (tone / _SKIN_TONE - 1), 0.9, 1.1)
    return Light(
        slope=slope,
        white=white,
        cast=cast / float(cast @ _WEIGHTS),
        saturation=float(np.clip((chroma - 0.004) / 0.03, 0, 1)),
        blur=_blur_of(pixels, mesh, unit),
    )


def _fit(luma: NDArray[np.float64], normals: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Fit brightness = a + b n robustly; returns b over the median brightness, and that median."""
    middle = len(luma) // 2
    level = max(float(np.sort(luma)[middle]), 0.02)
    terms = np.ones((len(luma), 4))
    terms[:, 1:] = normals
    rest = luma / level - terms @ _USUAL
    solution = np.empty(4)
    keep = np.ones(len(luma))
    for _ in range(3):
        part = (terms * keep[:, None]).T
        solution = np.linalg.solve(part @ terms + _STIFF, part @ rest)
        error = np.abs(rest - terms @ solution)
        keep = (error <= max(2.5 * float(np.sort(error)[middle]), 0.05)).astype(np.float64)
    return np.clip((_USUAL + solution)[1:], -0.45, 0.45), level


def _blur_of(pixels: Picture, mesh: Floats, unit: float) -> float:
    """Estimate the blur from how much the eyes' edges lose when they are blurred by a known sigma.

    An edge blurred by s has squared gradients that sum to a multiple of 1 / s, so E(s) / E(sqrt(s^2 + 1)) gives s.
    """
    import cv2

    eyes = mesh[[33, 133, 362, 263, 105, 334], :2]
    low = np.maximum(np.floor(eyes.min(0) - 0.05 * unit).astype(int), 0)
    high = np.ceil(eyes.max(0) + 0.1 * unit).astype(int)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    if min(part.shape[:2]) < 8:
        return 0.7
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = cv2.GaussianBlur(grey, (0, 0), 1.0)
    before, after = (
        float(np.square(np.diff(g, axis=1)).sum() + np.square(np.diff(g, axis=0)).sum()) for g in (grey, soft)
    )
    ratio = max(before / max(after, 1e-6), 1.02)
    return float(np.clip(1 / np.sqrt(ratio**2 - 1), 0.35, 0.03 * unit + 0.4))


def blur(layer: Floats, sigma: float) -> Floats:
    """Return a ``(height, width, k)`` layer blurred by a Gaussian; beyond its border there is nothing."""
    radius = int(np.ceil(2.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    height, width, depth = layer.shape
    out, between = np.zeros((2, height, width * depth), np.float32)
    compiled(_blur)(layer.reshape(height, -1), (taps / taps.sum()).astype(np.float32), depth, between, out)
    return out.reshape(layer.shape)


def _blur(layer: Any, taps: Any, depth: int, between: Any, out: Any) -> None:
    """Blur rows of ``depth`` interleaved values along x into ``between``, then along y into ``out``."""
    height, width = layer.shape
    for y in range(height):
        for n in range(taps.size):
            shift = (n - taps.size // 2) * depth
            source, target = layer[y, max(0, shift) :], between[y, max(0, -shift) :]
            for x in range(min(source.size, target.size)):
                target[x] += taps[n] * source[x]
    for y in range(height):
        for n in range(taps.size):
            row = y + n - taps.size // 2
            if 0 <= row < height:
                source, target = between[row], out[y]
                for x in range(width):
                    target[x] += taps[n] * source[x]

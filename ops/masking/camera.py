"""The camera that a face was taken with: blur, grain and JPEG blocks, found in the picture and given to the mask."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from ops.raster import compiled

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from ops.records import Floats, Picture

_LUMA = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
]).reshape(8, 8)  # fmt: skip
"""The luminance quantisation table of ITU-T T.81, annex K, which is JPEG's quality 50."""

_LOW = np.array([(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0)])
"""Frequencies, down and across, whose quantisation is looked at."""


def blur_of(pixels: Picture, mesh: Floats, unit: float) -> float:
    """Estimate the blur from how much the eyes' edges lose when they are blurred by a known sigma.

    An edge blurred by s has squared gradients that sum to a multiple of 1 / s, so E(s) / E(sqrt(s^2 + 1)) gives s.
    """
    import cv2

    eyes = mesh[[33, 133, 362, 263, 105, 334], :2]
    left, top = (max(floor(n - 0.05 * unit), 0) for n in eyes.min(0).tolist())
    right, bottom = (ceil(n + 0.1 * unit) for n in eyes.max(0).tolist())
    part = pixels[top : max(bottom, 0), left : max(right, 0)]
    if min(part.shape[:2]) < 8:
        return 0.7
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edge = np.pad(grey, 3, "edge")[..., None]
    before, after = (compiled(_energy)(g) for g in (grey, blur(edge, 1.0)[3:-3, 3:-3, 0]))
    ratio = max(before / max(after, 1e-6), 1.02)
    return float(min(max((ratio**2 - 1) ** -0.5, 0.35), 0.03 * unit + 0.4))


def _energy(grey: Any) -> float:
    """Return the sum of squared differences of neighbours."""
    height, width = grey.shape
    sums = np.zeros(width, np.float32)
    for y in range(height):
        here, below = grey[y], grey[min(y + 1, height - 1)]
        for x in range(width - 1):
            across, down = here[x + 1] - here[x], below[x] - here[x]
            sums[x] += across * across + down * down
        sums[width - 1] += (below[width - 1] - here[width - 1]) ** 2
    return float(sums.sum())


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


def grain_of(pixels: Picture, mesh: Floats) -> float:
    """Estimate the deviation of a picture's noise in grey levels from the skin of forehead and cheeks.

    The median response of a Laplacian difference, as in J. Immerkaer, "Fast Noise Variance Estimation", 1996.
    """
    radius = max(int(0.1 * abs(mesh[454, 0] - mesh[234, 0])), 4)
    return min(float(compiled(_grain)(pixels, mesh[[151, 50, 280]], radius)), 12.0)


def _grain(pixels: Any, centres: Any, radius: int) -> float:
    """Return the least of the patches' deviations; 0 where none lies inside of the picture."""
    height, width = pixels.shape[:2]
    least = 1e9
    for n in range(centres.shape[0]):
        x, y = int(centres[n, 0]), int(centres[n, 1])
        if x - radius < 1 or y - radius < 1 or x + radius > width - 2 or y + radius > height - 2:
            continue
        step = max(radius // 6, 1)
        found = np.empty((2 * radius) ** 2)
        count = 0
        for j in range(y - radius, y + radius, step):
            for i in range(x - radius, x + radius, step):
                total = 0.0
                for b in range(-1, 2):
                    for a in range(-1, 2):
                        weight = (1.0 if a else -2.0) * (1.0 if b else -2.0)
                        p = pixels[j + b, i + a]
                        total += weight * (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2])
                found[count] = abs(total)
                count += 1
        least = min(least, np.sort(found[:count])[count // 2] * 1.4826 / 6.0)
    return least if least < 1e9 else 0.0


@lru_cache(maxsize=1)
def grain_tile() -> Floats:
    """Return a 256 px square of noise, as smooth as a camera's, whose deviation `grain_of` measures as 1."""
    import cv2

    white = np.random.Generator(np.random.PCG64(23)).standard_normal((256, 256)).astype(np.float32)
    noise = cv2.GaussianBlur(white, (0, 0), 0.5, borderType=cv2.BORDER_REFLECT)
    second = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return np.asarray(noise / (np.median(np.abs(cv2.filter2D(noise, -1, second))) * 1.4826 / 6.0), np.float32)


def quality_of(pixels: Picture, corner: tuple[int, int]) -> int:
    """Estimate with what JPEG quality a picture was saved last, if its 8 px blocks still lie where they were written.

    Coefficients of a block that was quantised are multiples of the steps; the steps give the quality.

    Args:
        pixels: part of a picture.
        corner: x and y of that part.

    Returns:
        1 to 88, or 0 where no coarse quantisation is found.
    """
    x, y = (-corner[0]) % 8, (-corner[1]) % 8
    rows, columns = (pixels.shape[0] - y) // 8, (pixels.shape[1] - x) // 8
    if rows * columns < 30:
        return 0
    steps = np.zeros(len(_LOW), np.int64)
    part = pixels[y : y + 8 * rows, x : x + 8 * columns]
    every = max(1, rows * columns // 150)
    compiled(_steps)(part, every, _cosines(), _LOW, steps)
    found = steps > 0
    if found.sum() < 4:
        return 0
    scale = float(np.median(100 * steps[found] / _LUMA[_LOW[found, 0], _LOW[found, 1]]))
    return round(5000 / scale if scale > 100 else (200 - scale) / 2)


def _steps(pixels: Any, every: int, cosines: Any, low: Any, steps: Any) -> None:  # noqa: C901, PLR0912
    """Write the quantisation step, 4 to 99, of each frequency in ``low``; leave 0 where there is none to be seen."""
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    count = (rows * columns + every - 1) // every
    values = np.empty((low.shape[0], count))
    block, half = np.empty((8, 8)), np.empty((8, 8))
    for m in range(count):
        y, x = 8 * (m * every // columns), 8 * (m * every % columns)
        for j in range(8):
            for i in range(8):
                p = pixels[y + j, x + i]
                block[j, i] = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] - 128.0
        for v in range(4):
            for i in range(8):
                total = 0.0
                for j in range(8):
                    total += cosines[v, j] * block[j, i]
                half[v, i] = total
        for n in range(low.shape[0]):
            total = 0.0
            for i in range(8):
                total += cosines[low[n, 1], i] * half[low[n, 0], i]
            values[n, m] = total
    for n in range(low.shape[0]):
        if n == 6 and not steps.any():
            break  # four are needed, and three are left
        largest = np.sort(np.abs(values[n]))[::-1]
        for step in range(min(99, int(2 * largest[0])), 3, -1):
            used, error = 0, 0.0
            while used < count and largest[used] > 0.5 * step:
                error += (largest[used] - np.round(largest[used] / step) * step) ** 2
                used += 1
                if used >= 16 and error * 12 > 0.5 * used * step * step:
                    break
            if used >= 16 and error * 12 < 0.2 * used * step * step:
                steps[n] = step
                break


def recompress(picture: Picture, alpha: Floats, corner: tuple[int, int], quality: int) -> None:
    """Give the part that ``alpha`` covers, from ``corner`` on, JPEG's blocks at a quality, in place."""
    import cv2

    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return
    x1, y1 = ((n + corner[axis]) // 16 * 16 for axis, n in enumerate((columns[0], rows[0])))
    x2, y2 = (-(-(n + corner[axis] + 1) // 16) * 16 for axis, n in enumerate((columns[-1], rows[-1])))
    part = picture[y1:y2, x1:x2]
    data = cv2.imencode(".jpg", part[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    coarse = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    inside = np.zeros(part.shape[:2], np.bool_)
    top, left = max(corner[1] - y1, 0), max(corner[0] - x1, 0)
    y0, x0 = max(y1 - corner[1], 0), max(x1 - corner[0], 0)
    drawn = alpha[y0 : y0 + part.shape[0] - top, x0 : x0 + part.shape[1] - left] > 0
    inside[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    part[inside] = coarse[inside]


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    """Return the 8 x 8 matrix of the orthonormal discrete cosine transform."""
    n = np.arange(8)
    waves = np.sqrt(2 / 8) * np.cos(np.pi * (n + 0.5) * n[:, None] / 8)
    waves[0] /= np.sqrt(2)
    return waves

"""Making a part of one picture look taken with another: light, colour, sharpness, and seams that don't show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.records import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats, Picture


def tone(pixels: Picture, box: Box) -> NDArray[np.float64]:
    """L, a, b of a face's lit skin above its mask: the brighter part of the middle of its upper half."""
    height, width = pixels.shape[:2]
    side, top, bottom = 0.2 * box.width, box.y1 + 0.1 * box.height, box.y1 + 0.5 * box.height
    inner = Box(box.x1 + side, top, box.x2 - side, bottom)
    x1, y1, x2, y2 = (int(n) for n in inner.clipped(width, height))
    part = _lab(pixels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]).reshape(-1, 3)
    bright = part[part[:, 0] >= np.quantile(part[:, 0], 0.5)]
    return np.asarray(bright.mean(0), np.float64)


def lit(pixels: Picture, here: NDArray[Any], there: NDArray[Any]) -> Picture:
    """Take light and colour most of the way from one tone, as of :func:`tone`, to another, within reason."""
    lab = _lab(pixels)
    lab[..., 0] *= np.clip((there[0] + 5) / (here[0] + 5), 0.6, 1.4) ** 0.8
    lab[..., 1:] += np.clip(0.5 * (there[1:] - here[1:]), -7, 7)
    return _rgb(lab)


def jittered(pixels: Picture, brightness: float, contrast: float, saturation: float, hue: float) -> Picture:
    """Change a picture's colours: by factors, the contrast about the mean; by ``hue``, a share of the full circle."""
    lab = _lab(pixels)
    mean = lab[..., 0].mean()
    lab[..., 0] = ((lab[..., 0] - mean) * contrast + mean) * brightness
    turn = 2 * math.pi * hue
    spin = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], np.float32)
    lab[..., 1:] = lab[..., 1:] @ spin.T * saturation
    return _rgb(lab)


def sharpness(pixels: Picture) -> float:
    """Mean size of the Laplacian against the deviation of the brightness."""
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()) / (float(grey.std()) + 4)


def blended(below: Picture, above: Picture, alpha: Floats) -> Picture:
    """Blend in bands of frequency, each over a seam as wide as its own waves."""
    import cv2

    levels = max(1, min(4, int(math.log2(max(min(alpha.shape) / 12, 2)))))
    present = alpha[..., None] > 0
    low: NDArray[Any] = below.astype(np.float32)
    high: NDArray[Any] = np.where(present, above, below).astype(np.float32)
    weight: NDArray[Any] = alpha[..., None]
    out: list[NDArray[Any]] = []
    for _ in range(levels):
        size, coarse = (low.shape[1], low.shape[0]), [np.asarray(cv2.pyrDown(part)) for part in (low, high, weight)]
        fine = [part - cv2.pyrUp(small, dstsize=size) for part, small in zip((low, high), coarse[:2], strict=True)]
        out.append(fine[0] + weight * (fine[1] - fine[0]))
        low, high, weight = coarse[0], coarse[1], coarse[2][..., None]
    whole: NDArray[Any] = np.asarray(low + weight * (high - low))
    for band in reversed(out):
        whole = np.asarray(cv2.pyrUp(whole, dstsize=(band.shape[1], band.shape[0]))) + band
    fade = np.clip(8 * cv2.GaussianBlur(alpha, (0, 0), max(1.0, alpha.shape[0] / 20)), 0, 1)
    mixed = below + fade[..., None] * (whole - below)
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)


def _lab(pixels: NDArray[Any]) -> Floats:
    import cv2

    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _rgb(lab: Floats) -> Picture:
    import cv2

    lab[..., 0] = np.clip(lab[..., 0], 0, 100)
    return np.asarray(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255 + 0.5, 0, 255), np.uint8)

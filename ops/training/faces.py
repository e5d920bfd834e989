"""Faces to learn from: squares of unmasking pairs, read and changed at random as cameras and files change pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops import images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from ops.records import Floats, Picture
    from ops.store import Row

TURN, SHIFT, SCALE = 12.0, 0.06, (0.85, 1.18)
"""Degrees either way, shares of the side either way, and factors: about what face meshes are wrong by under masks."""

GAIN, TINT, GAMMA = 0.25, 0.08, (0.75, 1.35)
GREY, SOFT, CODED, NOISY = 0.15, 0.3, 0.3, 0.3
"""Chances of losing colour, sharpness, detail to JPEG, and smoothness."""


def read_square(folder: Path, known: Row, size: int) -> tuple[Picture, NDArray[np.uint8]]:
    """Return a square and the alpha of its region, scaled to ``size`` pixels.

    Args:
        folder: of the pairs.
        known: a row of their manifest.
        size: side in pixels.
    """
    pixels, alpha = images.read(folder / known["output"]), images.read_grey(folder / known["alpha"])
    if pixels.shape[0] != size:
        pixels, alpha = (images.resized(each, (size, size)) for each in (pixels, alpha))
    return pixels, alpha


def moved(rng: np.random.Generator, *squares: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Mirror, turn, scale and shift squares, pictures or alphas, all alike, mirrored beyond the edges."""
    import cv2

    size = squares[0].shape[0]
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, rng.uniform(-TURN, TURN), rng.uniform(*SCALE))
    matrix[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * size
    if rng.random() < 0.5:
        matrix[0] = (0, 0, size - 1) - matrix[0]
    parts = (cv2.warpAffine(each, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101) for each in squares)
    return [np.asarray(part, np.uint8) for part in parts]


def recoloured(pixels: Picture, rng: np.random.Generator) -> Picture:
    """Change exposure, white balance and contrast; now and then blur, add noise, drop colour or code as JPEG."""
    import cv2

    x = (pixels / 255) ** rng.uniform(*GAMMA)
    x *= (1 + rng.uniform(-GAIN, GAIN)) * (1 + rng.uniform(-TINT, TINT, 3))
    if rng.random() < GREY:
        x = np.repeat(x.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < SOFT:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.6)), np.float64)
    if rng.random() < NOISY:
        x = x + rng.normal(0, rng.uniform(0.005, 0.04), x.shape)
    changed = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
    if rng.random() < CODED:
        changed = images.decode(images.encode_jpeg(changed, int(rng.integers(30, 90))))
    return changed


def stacked(squares: Sequence[NDArray[np.uint8]]) -> Floats:
    """Return pictures or alphas as networks take them: ``(n, c, h, w)`` in [0, 1]."""
    whole = np.stack([each if each.ndim == 3 else each[..., None] for each in squares])
    return np.ascontiguousarray(whole.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def on(device: str, values: Floats) -> Tensor:
    """Return values as a tensor on a device."""
    import torch

    return torch.from_numpy(values).to(device)

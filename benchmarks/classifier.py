"""A small classifier of aligned faces, mask or none, as a user would train one: ordinary pictures in, a score out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops import images
from ops.alignment import template, three_points
from ops.geometry import similarity

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ops.records import Face, Picture

    Crops = NDArray[np.uint8]
    Scores = NDArray[np.float64]

SIDE = 80
"""Side in pixels of what the classifier sees: a crop of style buffalo_chin."""

KEPT = 108
"""Side of the crops that are kept; what is more than `SIDE` gives augmentation room to move."""

EPOCHS, BATCH, RATE = 24, 64, 4e-3
"""With the disturbances below, chosen on drawn masks alone: trained on three kinds, asked about a fourth."""

_DRAWS = 22
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def cut(pixels: Picture, face: Face) -> Picture:
    """Cut a face out, ``(KEPT, KEPT, 3)``; beyond the picture its content is mirrored.

    The crop is cut at twice its size and averaged down, so that large pictures don't alias.
    """
    import cv2

    size = 2 * KEPT
    target = template("buffalo_chin", 2 * SIDE) + (KEPT - SIDE)
    matrix = similarity(three_points(face.mesh), target)
    large = cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(large, (KEPT, KEPT), interpolation=cv2.INTER_AREA), np.uint8)


def look(crop: Picture) -> NDArray[np.float64]:
    """Return a crop as a unit vector of small grey pixels; the product of two is their correlation."""
    import cv2

    small = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (24, 24), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float64).ravel() - small.mean()
    return values / np.linalg.norm(values)


def augmented(crop: Picture, draws: NDArray[np.float64]) -> Picture:
    """Return one ordinary disturbance of a kept crop, ``(SIDE, SIDE, 3)``.

    Args:
        crop: ``(KEPT, KEPT, 3)``.
        draws: 22 numbers in [0, 1); they alone decide: tight framing (the rest mirrored, as `cut` does), mirror image,
            turn, scale, shift, saturation, hue, colour cast, contrast, light, blur, JPEG.
    """
    import cv2

    if draws[0] < 0.5:
        crop = _tight(crop, draws[1:5])
    if draws[5] < 0.5:
        crop = crop[:, ::-1]
    turn, scale = np.deg2rad(24 * draws[6] - 12), (KEPT / SIDE) ** (draws[7] - 0.5)
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    x, y = (0.14 * draws[8:10] - 0.07) * SIDE
    middle, centre = (SIDE - 1) / 2, (KEPT - 1) / 2
    matrix = np.array([(a, -b, middle + x - (a - b) * centre), (b, a, middle + y - (a + b) * centre)])
    view = cv2.warpAffine(np.ascontiguousarray(crop), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    values = view.astype(np.float32)
    grey = values @ _GREY
    saturation = np.float32(0.0 if draws[10] < 0.2 else 0.5 + draws[11])
    values = grey[..., None] + saturation * (values - grey[..., None]) @ _hue(72 * draws[21] - 36)
    values *= (0.86 + 0.28 * draws[12:15]).astype(np.float32)
    contrast, light = np.float32(0.65 + 0.7 * draws[15]), np.float32(80 * draws[16] - 40)
    values = (values - grey.mean()) * contrast + grey.mean() + light
    if draws[17] < 0.3:
        values = cv2.GaussianBlur(values, (0, 0), 0.3 + 1.2 * draws[18])
    view = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    if draws[19] < 0.5:
        view = images.decode(images.encode_jpeg(view, int(35 + 60 * draws[20])))
    return np.asarray(view, np.uint8)


def _tight(crop: Picture, draws: NDArray[np.float64]) -> Picture:
    """Mirror a crop at edges up to a third of its side inside, as if the picture ended there."""
    import cv2

    left, top, right, bottom = (int(KEPT * n / 3) if n > 0 else 0 for n in 1.5 * draws - 0.5)
    inner = np.ascontiguousarray(crop[top : KEPT - bottom, left : KEPT - right])
    return np.asarray(cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_REFLECT), np.uint8)


def _hue(degrees: float) -> NDArray[np.float32]:
    """Return the matrix that turns colours, less their grey, about the grey axis (Rodrigues' formula)."""
    across, turn = np.cross(np.eye(3), np.full(3, 3**-0.5)), np.deg2rad(degrees)
    return (np.eye(3) + np.sin(turn) * across + (1 - np.cos(turn)) * across @ across).astype(np.float32)


def network() -> torch.nn.Module:
    """Return a small convolutional network, about 200,000 weights: ``(n, 3, SIDE, SIDE)`` to ``(n, 1)`` logits."""
    from torch import nn

    def block(inward: int, outward: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inward, outward, 3, stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outward), nn.ReLU(inplace=True)]

    layers = [*block(3, 16, 2), *block(16, 32, 2), *block(32, 64, 2), *block(64, 64, 1), *block(64, 96, 2)]
    layers += block(96, 96, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, 1))


def train(bare: Crops, masked: Crops, seed: int) -> torch.nn.Module:
    """Train a classifier from nothing.

    The same seed gives the same first weights, the same order and the same disturbances, whatever the crops show.

    Args:
        bare: ``(n, KEPT, KEPT, 3)``.
        masked: the same faces with masks, ``(n, variants, KEPT, KEPT, 3)``; each epoch sees each face once with and
            once without a mask.
        seed: of everything.
    """
    import torch

    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    model, count = network().to(memory_format=torch.channels_last), len(bare)
    wanted = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.02)
    steps = EPOCHS * (2 * count // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(wanted, RATE, steps)
    truth = np.arange(2 * count) < count
    model.train()
    for _ in range(EPOCHS):
        order = draws.permutation(2 * count)
        variant = draws.integers(masked.shape[1], size=count)
        disturbed = draws.random((2 * count, _DRAWS))
        for batch in np.split(order, range(BATCH, 2 * count, BATCH))[: 2 * count // BATCH]:
            crops = [masked[n, variant[n]] if n < count else bare[n - count] for n in batch]
            views = np.stack([augmented(crop, disturbed[n]) for crop, n in zip(crops, batch, strict=True)])
            logits = model(_tensor(views))[:, 0]
            target = torch.from_numpy(truth[batch].astype(np.float32))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
            wanted.zero_grad()
            loss.backward()
            wanted.step()
            pace.step()
    return model.eval()


def score(model: torch.nn.Module, crops: Crops) -> Scores:
    """Return logits, ``(n,)``, above 0 for a mask: the mean of a crop's and its mirror image's."""
    import torch

    room = (KEPT - SIDE) // 2
    views = crops[:, room : room + SIDE, room : room + SIDE]
    with torch.inference_mode():
        sides = [model(_tensor(np.ascontiguousarray(side)))[:, 0] for side in (views, views[:, :, ::-1])]
    return np.asarray((sides[0] + sides[1]) / 2, np.float64)


def _tensor(views: Crops) -> torch.Tensor:
    import torch

    values = torch.from_numpy(views).permute(0, 3, 1, 2).float()
    return values.sub_(127.5).div_(60).contiguous(memory_format=torch.channels_last)


def auc(masked: Scores, bare: Scores) -> float:
    """Return the share of pairs in which the masked face scores higher; ties count half.

    >>> auc(np.array([2.0, 1.0]), np.array([1.0, 0.0]))
    0.875
    """
    wins = (masked[:, None] > bare[None]).mean() + 0.5 * (masked[:, None] == bare[None]).mean()
    return float(wins)

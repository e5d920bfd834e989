"""Train the mask segmenter on unmasking pairs, and measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.training.faces import moved, on, read_square, recoloured, stacked
from ops.training.loop import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from ops.records import Floats
    from ops.store import Row
    from ops.training.loop import OnEpoch, Schedule

HALF = 0.5


class Overlap(NamedTuple):
    """How well regions agree, means over pictures: of 1 where both are empty."""

    dice: float
    iou: float


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return one minus the soft Dice coefficient (Milletari et al., 3DV 2016), mean over pictures.

    Each picture counts alike, so that a mask hanging from the ear is not lost beside those that fill half a face.

    Args:
        logits: ``(n, 1, h, w)``.
        truth: of the same shape, in [0, 1].
    """
    share = logits.sigmoid()
    both, either = (share * truth).sum((1, 2, 3)), (share * share + truth * truth).sum((1, 2, 3))
    mean: Tensor = (1 - (2 * both + 1) / (either + 1)).mean()
    return mean


def train(
    network: nn.Module,
    folder: Path,
    rows: Sequence[Row],
    work: Path,
    schedule: Schedule,
    *,
    size: int,
    device: str,
    autocast: Callable[[], object],
    on_epoch: OnEpoch,
) -> nn.Module:
    """Train a segmenter on the squares of ``rows``; those of bare faces teach that nothing is there.

    Args:
        network: maps ``(n, 3, size, size)`` to ``(n, 1, size, size)`` logits.
        folder: of the pairs.
        rows: of their manifest, for training.
        work: holds the checkpoint.
        schedule: how long and how fast.
        size: side of a square in pixels.
        device: ``cpu`` or ``cuda``.
        autocast: makes the context to compute in.
        on_epoch: as for :func:`ops.training.loop.fit`.

    Returns:
        The averaged network.
    """
    from torch.nn import functional as F

    def loss(network: nn.Module, batch: Sequence[int], rng: np.random.Generator) -> dict[str, Tensor]:
        squares = []
        for index in batch:
            pixels, alpha = read_square(folder, rows[index], size)
            worn = rows[index]["wearing"] == "masked"
            pixels, alpha = moved(rng, pixels, alpha if worn else np.zeros_like(alpha))
            squares.append((recoloured(pixels, rng), alpha))
        pictures, alphas = (on(device, stacked(each)) for each in zip(*squares, strict=True))
        with autocast():  # type: ignore[attr-defined]
            logits = network(pictures)
        logits = logits.float()
        pixelwise, overlap = F.binary_cross_entropy_with_logits(logits, alphas), dice_loss(logits, alphas)
        return {"loss": pixelwise + overlap, "bce": pixelwise, "dice": overlap}

    return fit(network, loss, len(rows), schedule, work, on_epoch=on_epoch)


def measure(segment: Callable[[Floats], Floats], folder: Path, rows: Sequence[Row], size: int) -> Overlap:
    """Measure a segmenter over squares.

    Args:
        segment: maps ``(1, 3, size, size)`` pictures in [0, 1] to ``(1, 1, size, size)`` shares.
        folder: of the pairs.
        rows: of their manifest.
        size: side of a square in pixels.
    """
    scores = []
    for known in rows:
        pixels, alpha = read_square(folder, known, size)
        truth = (alpha >= 128) & (known["wearing"] == "masked")
        scores.append(overlap(segment(stacked([pixels]))[0, 0] >= HALF, truth))
    return Overlap(*(float(np.mean([getattr(one, name) for one in scores])) for name in Overlap._fields))


def overlap(found: np.ndarray, truth: np.ndarray) -> Overlap:
    """Return Dice coefficient and intersection over union of two bool regions."""
    both, total = int((found & truth).sum()), int(found.sum()) + int(truth.sum())
    return Overlap(1.0, 1.0) if total == 0 else Overlap(2 * both / total, both / (total - both))

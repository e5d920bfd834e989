"""Train the face completer: pixels, features and two adversaries, each of which reaches the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.training.alive import must_reach
from ops.training.faces import moved, on, read_square, recoloured, stacked
from ops.training.loop import fit
from ops.unmasking.composition import RIM, grown, region_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ops.records import Floats, Picture
    from ops.store import Row
    from ops.training.loop import OnEpoch, Schedule

    Apart = Callable[[Tensor, Tensor], Tensor]

ROOM = 0.15
"""Of a region's box, around it, that the close look shows too."""

WINDOW = 7
STEADY = (0.01**2, 0.03**2)
"""What keeps structural similarity from dividing by nothing, for values in [0, 1]."""

EDGE = 64
"""Alpha, of 255, from which on a pixel is completed."""

ROUND = 0.025
"""Of the side, by which regions without a rim may be larger than the mask."""

OFF, WIDE = (-0.006, 0.018), 0.03
"""Of the side: by how much what is not looked at reaches beyond the mask, and up to how wide the rim around it is."""

RIMLESS = 0.25
"""Share of lessons without a rim."""


@dataclass(frozen=True)
class Weights:
    """What each part of the generator's loss counts.

    Attributes:
        pixels: mean absolute difference within the region.
        structure: one minus the structural similarity within it.
        features: how far apart a trained network says that the whole pictures look.
        whole: what the whole picture's adversary says.
        close: what the close look's adversary says.
        whole_from: share of all epochs from which on that one has a say; it learns half as long before.
        close_from: the same for the close look.
    """

    pixels: float = 6.0
    structure: float = 1.0
    features: float = 0.3
    whole: float = 0.05
    close: float = 0.05
    whole_from: float = 0.2
    close_from: float = 0.4


class Adversary:
    """A discriminator with its optimizer, by the hinge loss (Lim and Ye, 2017)."""

    def __init__(self, network: nn.Module, lr: float) -> None:
        import torch

        self.network = network
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.5, 0.9))

    def learn(self, real: Tensor, made: Tensor, regions: Tensor) -> Tensor:
        """Take a step towards telling real pictures from made up ones, and return the loss before it."""
        self.network.requires_grad_(True)
        real_said, made_said = self.network(real, regions), self.network(made.detach(), regions)
        loss: Tensor = (1 - real_said).relu().mean() + (1 + made_said).relu().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def against(self, made: Tensor, regions: Tensor) -> Tensor:
        """Return how little made up pictures convince; its gradient is the generator's alone."""
        self.network.requires_grad_(False)
        unconvinced: Tensor = -self.network(made, regions).mean()
        return unconvinced

    def state_dict(self) -> dict[str, Any]:
        """Return weights and the optimizer's state."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state_dict["network"])
        self.optimizer.load_state_dict(state_dict["optimizer"])


def close_look(pictures: Tensor, regions: Tensor) -> Tensor:
    """Return the square around each region, scaled to half the picture's side; gradients pass.

    Args:
        pictures: ``(n, c, s, s)``.
        regions: ``(n, 1, s, s)``; where one is empty the middle is shown.
    """
    import torch
    from torch.nn import functional as F

    size = pictures.shape[-1]
    thetas = []
    for region in regions[:, 0] > 0.5:
        rows, columns = (torch.nonzero(region.any(axis)).flatten() for axis in (1, 0))
        low, high = (
            ((0.25, 0.75),) * 2
            if not len(rows)
            else zip(*((part[0] / size, (part[-1] + 1) / size) for part in (columns, rows)), strict=True)
        )
        middle = [float(a + b) - 1 for a, b in zip(low, high, strict=True)]
        reach = min(1.0, (1 + ROOM) * max(float(b - a) for a, b in zip(low, high, strict=True)))
        thetas.append([[reach, 0, middle[0]], [0, reach, middle[1]]])
    grid = F.affine_grid(pictures.new_tensor(thetas), [len(pictures), 1, size // 2, size // 2], align_corners=False)
    looked: Tensor = F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    return looked


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """Return the structural similarity of pictures, pixel by pixel (Wang et al., IEEE TIP 2004), in flat 7 px windows.

    Args:
        one: ``(n, c, h, w)`` in [0, 1].
        other: of the same shape.

    Returns:
        Of the same shape, up to 1; at the border of windows that end there.
    """
    from torch.nn import functional as F

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, WINDOW, 1, WINDOW // 2, count_include_pad=False)

    a, b = mean(one), mean(other)
    apart = mean(one * one) - a * a + mean(other * other) - b * b
    along = mean(one * other) - a * b
    alike: Tensor = ((2 * a * b + STEADY[0]) * (2 * along + STEADY[1])) / (
        (a * a + b * b + STEADY[0]) * (apart + STEADY[1])
    )
    return alike


def train(
    network: nn.Module,
    adversaries: tuple[nn.Module, nn.Module],
    apart: Apart | None,
    folder: Path,
    rows: Sequence[tuple[Row, Row]],
    work: Path,
    schedule: Schedule,
    weights: Weights,
    *,
    size: int,
    device: str,
    autocast: Callable[[], Any],
    on_epoch: OnEpoch,
) -> nn.Module:
    """Train a completer to show bare faces again under regions.

    Args:
        network: maps pictures and regions to pictures.
        adversaries: discriminators of the whole picture and of the close look.
        apart: how far apart two batches ``(n, 3, size, size)`` in [0, 1] look; None does without.
        folder: of the pairs.
        rows: of their manifest: a bare face, and the same one with a mask on, or itself with another region.
        work: holds the checkpoint.
        schedule: how long and how fast.
        weights: of the losses.
        size: side of a square in pixels.
        device: ``cpu`` or ``cuda``.
        autocast: makes the context to compute in.
        on_epoch: as for :func:`ops.training.loop.fit`.

    Returns:
        The averaged network.

    Raises:
        FrozenNetwork: an adversary's word does not reach the network, or weights of it did not learn.
    """
    whole, close = (Adversary(each, schedule.lr) for each in adversaries)
    steps = schedule.steps(len(rows)) * schedule.epochs
    seen = {"steps": 0}
    reached: set[str] = set()

    def loss(network: nn.Module, batch: Sequence[int], rng: np.random.Generator) -> Mapping[str, Tensor]:
        way = (seen["steps"]) / steps
        seen["steps"] += 1
        squares = [_drawn(folder, *rows[index], size, rng) for index in batch]
        given, real, regions = (on(device, stacked(each)) for each in zip(*squares, strict=True))
        with autocast():
            made = network(given, regions)
        anew = regions.ceil()
        made = real * (1 - anew) + made.float() * anew
        missing = anew.sum((1, 2, 3)).clamp(min=1)
        told = {
            "pixels": (((made - real).abs() * anew).sum((1, 2, 3)) / (3 * missing)).mean(),
            "structure": (((1 - similarity(made, real)) * anew).sum((1, 2, 3)) / (3 * missing)).mean(),
        }
        total = weights.pixels * told["pixels"] + weights.structure * told["structure"]
        if apart is not None:
            with autocast():
                told["features"] = apart(made, real)
            total = total + weights.features * told["features"]
        looks = {
            "whole": (whole, (real, made, anew), weights.whole, weights.whole_from),
            "close": (
                close,
                tuple(close_look(each, anew) for each in (real, made, anew)),
                weights.close,
                weights.close_from,
            ),
        }
        for name, (adversary, views, weight, begins) in looks.items():
            if way >= begins / 2:
                told[f"{name}_learns"] = adversary.learn(*views)
            if way >= begins:
                told[name] = adversary.against(*views[1:])
                if name not in reached and bool(anew.any()):
                    must_reach(told[name], network, f"the adversary of the {name} picture")
                    reached.add(name)
                total = total + weight * told[name]
        return {"loss": total, **told}

    def resumed(epoch: int, losses: Mapping[str, float], average: nn.Module) -> None:
        seen["steps"] = epoch * schedule.steps(len(rows))
        on_epoch(epoch, losses, average)

    return fit(network, loss, len(rows), schedule, work, on_epoch=resumed, also={"whole": whole, "close": close})


def _drawn(folder: Path, bare: Row, other: Row, size: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Return a face as it is given, the bare one, and a region, moved and coloured alike.

    Given is the face with the mask on: its shadow and its straps lie beside the region in use, too. The region is that
    of the mask and a rim around it, which may be looked at; or that of the mask and a little more, without a rim. As
    segmenters are not exact, now and then the rim shows a bit of mask.
    """
    import cv2

    pixels, own = read_square(folder, bare, size)
    worn, alpha = (pixels, own) if other is bare else read_square(folder, other, size)
    worn, pixels, alpha = moved(rng, worn, pixels, alpha)
    inside = (alpha >= EDGE).astype(np.uint8)
    within, beyond = (cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (inside, 1 - inside))
    away = beyond - within if inside.any() else np.full(inside.shape, np.float32(2 * size))
    rimless = rng.random() < RIMLESS
    unseen, rim = (rng.uniform(0, ROUND), 0.0) if rimless else (rng.uniform(*OFF), rng.uniform(0, WIDE))
    region = np.where(away <= unseen * size, 1, np.where(away <= (unseen + rim) * size, RIM, 0)) * 255
    both = recoloured(np.vstack([worn, pixels]), rng)
    return [both[:size], both[size:], region.astype(np.uint8)]


def asked(folder: Path, bare: Row, other: Row, size: int) -> tuple[Picture, Floats, Picture, NDArray[np.bool_]]:
    """Return what ``other`` asks for as in use: a face as it is given, its region, the bare face, and what is judged.

    Returns:
        ``(size, size, 3)``; ``(size, size)`` as completers take it; ``(size, size, 3)``; and ``(size, size)``, without
        what is completed around the mask.
    """
    pixels, own = read_square(folder, bare, size)
    if other is bare:
        return pixels, (own >= EDGE).astype(np.float32), pixels, own >= EDGE
    worn, alpha = read_square(folder, other, size)
    region = region_of(alpha.astype(np.float32) / np.float32(255))
    missing = np.where(region.core, 1, RIM * grown(region.inside)).astype(np.float32)
    return worn, missing, pixels, alpha >= EDGE

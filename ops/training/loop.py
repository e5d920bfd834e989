"""A training that goes on after a kill: seeded epochs, clipped steps, averaged weights, one checkpoint an epoch.

The same seed gives the same weights on the same machine, interrupted or not: what is drawn in an epoch comes from the
seed and the epoch's number alone.
"""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass
from math import cos, pi
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ops.files import DRAFT
from ops.training.alive import must_have_moved, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    Losses = Mapping[str, Tensor]
    OnEpoch = Callable[[int, Mapping[str, float], nn.Module], None]


class Stateful(Protocol):
    """What a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Become what a state tells."""


LAST = "last.pt"
LOWEST = 0.02
"""Of the learning rate, at the end."""


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast.

    Attributes:
        epochs: passes over all items.
        batch: items a step; a last batch that is not full is left out, unless it is the only one.
        lr: learning rate after warming up; it falls along a cosine.
        warmup: share of all steps until it is reached.
        clip: greatest norm of a step's gradients.
        average: share of the averaged weights that stays at each step.
        seed: of everything drawn.
    """

    epochs: int
    batch: int
    lr: float = 1e-3
    warmup: float = 0.03
    clip: float = 1.0
    average: float = 0.998
    seed: int = 0

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step of ``steps``.

        >>> [round(Schedule(1, 1, lr=1.0, warmup=0.5).rate(step, 4), 2) for step in range(4)]
        [0.5, 1.0, 1.0, 0.51]
        """
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return self.lr * (step + 1) / warm
        way = (step - warm) / max(1, steps - warm)
        return self.lr * (LOWEST + (1 - LOWEST) * (1 + cos(pi * way)) / 2)

    def batches(self, items: int, epoch: int) -> Iterator[tuple[list[int], np.random.Generator]]:
        """Yield the items of each batch of an epoch, and what their augmentation is drawn with."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(items)
        for start in range(0, max(items - items % self.batch, min(items, self.batch)), self.batch):
            yield [int(index) for index in order[start : start + self.batch]], rng

    def steps(self, items: int) -> int:
        """Return how many batches an epoch has."""
        return max(1, items // self.batch)


class Averaged:
    """Exponential moving average of a network's weights: what is kept in the end."""

    def __init__(self, network: nn.Module, keep: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.keep = keep
        self.steps = 0

    def update(self, network: nn.Module) -> None:
        """Take a step's weights in; of the first steps more, so that the start is soon forgotten."""
        import torch

        self.steps += 1
        keep = min(self.keep, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mine, new in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
                if mine.dtype.is_floating_point:
                    mine.lerp_(new, 1 - keep)
                else:
                    mine.copy_(new)


def fit(
    network: nn.Module,
    loss: Callable[[nn.Module, Sequence[int], np.random.Generator], Losses],
    items: int,
    schedule: Schedule,
    folder: Path,
    *,
    on_epoch: OnEpoch,
    also: Mapping[str, Stateful] | None = None,
) -> nn.Module:
    """Train a network, or go on where an interrupted training stood.

    Args:
        network: to train, on the device it is on.
        loss: returns the losses of a batch by name; ``loss`` is what is made small.
        items: how many there are.
        schedule: how long and how fast.
        folder: holds the checkpoint of this very training.
        on_epoch: called after each epoch, from 1 on, with mean losses and the averaged network; after a kill again with
            what was told before.
        also: what else the training changes and a checkpoint must hold, by name.

    Returns:
        The averaged network.

    Raises:
        FrozenNetwork: weights can't learn, or did not.
    """
    import torch

    before = weights_of(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.lr, weight_decay=1e-4)
    average = Averaged(network, schedule.average)
    told: list[dict[str, float]] = []
    if (folder / LAST).is_file():
        kept = torch.load(folder / LAST, weights_only=True, map_location=next(network.parameters()).device)
        network.load_state_dict(kept["network"])
        average.network.load_state_dict(kept["average"])
        optimizer.load_state_dict(kept["optimizer"])
        average.steps, told = kept["steps"], kept["told"]
        for name, part in (also or {}).items():
            part.load_state_dict(kept[name])
    each = schedule.steps(items)
    for epoch, losses in enumerate(told, 1):
        on_epoch(epoch, losses, average.network)
    for epoch in range(len(told) + 1, schedule.epochs + 1):
        torch.manual_seed(schedule.seed * 100_003 + epoch)
        network.train()
        sums: dict[str, float] = {}
        for number, (batch, rng) in enumerate(schedule.batches(items, epoch)):
            rate = schedule.rate((epoch - 1) * each + number, schedule.epochs * each)
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses_now = loss(network, batch, rng)
            optimizer.zero_grad(set_to_none=True)
            losses_now["loss"].backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
            optimizer.step()
            average.update(network)
            for name, value in losses_now.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
        told.append({name: total / each for name, total in sums.items()})
        parts: dict[str, Stateful] = {"network": network, "average": average.network, "optimizer": optimizer}
        parts |= also or {}
        states = {name: part.state_dict() for name, part in parts.items()}
        keep(folder / LAST, {**states, "steps": average.steps, "told": told})
        on_epoch(epoch, told[-1], average.network)
    if told:
        must_have_moved(network, before)
    return average.network


def keep(path: Path, states: Mapping[str, Any]) -> None:
    """Write a checkpoint so that there is always a whole one."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{path.name}")
    torch.save(dict(states), draft)
    os.replace(draft, path)

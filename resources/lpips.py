"""LPIPS: how far apart two pictures look, by an AlexNet whose layers were weighed by what people said.

Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (CVPR 2018), version 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.pickled import as_array, read_pickle
from ops.training.faces import on, stacked
from resources.start_weights import AUTO, NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ops.records import Floats, Picture

    Apart = Callable[[Tensor, Tensor], Tensor]

ALEX = "lpips_alex"
STEPS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"""Stride and padding of AlexNet's convolutions."""

POOLED = (1, 2)
"""Convolutions with the largest of 3x3 taken before them, every second one."""

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of what the network is given, for colours in [-1, 1]."""

LEAST = 1e-10


@dataclass(frozen=True)
class Lpips:
    """The network in a file; picklable, each process opens it for itself.

    Attributes:
        path: of the verified file: a pickle of arrays, which is read and not run.
        sha256: of it.
    """

    path: Path
    sha256: str

    def load(self, device: str) -> Apart:
        """Return what compares pictures; gradients pass.

        It takes ``(n, 3, h, w)`` RGB in [0, 1] twice, and gives ``(n, 1, h, w)`` distances: their mean over a picture
        is its LPIPS.
        """
        import torch
        from torch.nn import functional as F

        told = read_pickle(self.path.read_bytes())
        layers = [
            [
                on(device, np.array(as_array(kernel).transpose(order), np.float32, order="C"))
                for kernel, order in (
                    (told["AlexNet_0"][f"Conv_{at}"]["kernel"], (3, 2, 0, 1)),
                    (told["AlexNet_0"][f"Conv_{at}"]["bias"], (0,)),
                    (told[f"NetLinLayer_{at}"]["Conv_0"]["kernel"], (3, 2, 0, 1)),
                )
            ]
            for at in range(len(STEPS))
        ]
        shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (SHIFT, SCALE))

        def features(pictures: Tensor) -> list[Tensor]:
            x, found = (pictures * 2 - 1 - shift) / scale, []
            for at, ((kernel, bias, _), (stride, padding)) in enumerate(zip(layers, STEPS, strict=True)):
                if at in POOLED:
                    x = F.max_pool2d(x, 3, 2)
                x = F.conv2d(x, kernel, bias, stride, padding).relu()
                found.append(F.normalize(x.float(), dim=1, eps=LEAST))
            return found

        def apart(one: Tensor, other: Tensor) -> Tensor:
            size, total = one.shape[2:], torch.zeros(1, device=device)
            for a, b, (_, _, weights) in zip(features(one), features(other), layers, strict=True):
                each = F.conv2d((a - b) ** 2, weights)
                total = total + F.interpolate(each, size, mode="bilinear", align_corners=False)
            return total

        return apart

    def __call__(self, one: Picture, other: Picture) -> Floats:
        """Return how far apart two pictures look at each pixel, ``(h, w)``; 0 where alike, rarely beyond 1."""
        import torch

        with torch.inference_mode():
            told = self._apart(*(on("cpu", stacked([each])) for each in (one, other)))
        return np.asarray(told[0, 0].numpy(), np.float32)

    def files(self) -> dict[Path, str]:
        """Return the file with its checksum."""
        return {self.path: self.sha256}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _apart(self) -> Apart:
        return self.load("cpu")


def lpips(wish: str = ALEX) -> Lpips | None:
    """Find the network.

    Args:
        wish: ``lpips_alex``, ``auto`` for that if it can be had, or ``none``.

    Raises:
        ValueError: it is something else.
        ModelUnavailable: the registry can't get it.
    """
    from model_assets.registry import ModelUnavailable, Registry, fetch

    if wish == NONE:
        return None
    if wish not in {AUTO, ALEX}:
        raise ValueError(f"lpips is {wish!r}; use one of {AUTO}, {ALEX}, {NONE}")
    try:
        return Lpips(fetch(ALEX), Registry.load().models[ALEX].sha256)
    except ModelUnavailable:
        if wish == AUTO:
            return None
        raise

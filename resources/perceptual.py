"""Trained networks that tell how far apart pictures look, better than their pixels do: a part of a completer's loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.lpips import ALEX, Lpips
from resources.start_weights import AUTO, NONE, POSE

if TYPE_CHECKING:
    from torch import Tensor

    from ops.training.completer import Apart

LAYERS = (0, 2, 4)
"""Of YOLO11n: the layers whose features are compared, at a half, a quarter and an eighth of the resolution."""


@dataclass(frozen=True)
class Perceptual:
    """A network in a file: LPIPS, or the first layers of YOLO11n-pose.

    Attributes:
        name: in the model registry.
        path: of the verified file.
        sha256: of it.
    """

    name: str
    path: Path
    sha256: str

    def load(self, device: str) -> Apart:
        """Return what tells how far apart pictures look: of two batches ``(n, 3, h, w)`` RGB in [0, 1], one number.

        Gradients pass to the first.
        """
        return _lpips(Lpips(self.path, self.sha256), device) if self.name == ALEX else _pose(self.path, device)


def perceptual(wish: str) -> Perceptual | None:
    """Find what compares pictures.

    Args:
        wish: ``auto`` for the best that can be had, ``lpips_alex``, ``yolo11n_pose``, or ``none``.

    Raises:
        ValueError: it is another model.
        ModelUnavailable: the registry can't get it.
    """
    from model_assets.registry import ModelUnavailable, Registry, fetch

    names = (ALEX, POSE)
    if wish not in {AUTO, NONE, *names}:
        raise ValueError(f"perceptual is {wish!r}; use one of {', '.join((AUTO, *names, NONE))}")
    for name in names if wish == AUTO else () if wish == NONE else (wish,):
        try:
            return Perceptual(name, fetch(name), Registry.load().models[name].sha256)
        except ModelUnavailable:
            if wish != AUTO:
                raise
    return None


def _lpips(network: Lpips, device: str) -> Apart:
    apart = network.load(device)

    def mean(made: Tensor, real: Tensor) -> Tensor:
        told: Tensor = apart(made, real).mean()
        return told

    return mean


def _pose(path: Path, device: str) -> Apart:
    from ops.training.detector import quiet

    with quiet():
        from ultralytics.nn.tasks import load_checkpoint

        network, _ = load_checkpoint(path)
    layers = network.model[: LAYERS[-1] + 1].float().eval().requires_grad_(False).to(device)

    def features(pictures: Tensor) -> list[Tensor]:
        x, found = pictures, []
        for index, layer in enumerate(layers):
            x = layer(x)
            if index in LAYERS:
                found.append(x.float())
        return found

    def apart(made: Tensor, real: Tensor) -> Tensor:
        pairs = zip(features(made), features(real), strict=True)
        total: Tensor = sum((one - other.detach()).abs().mean() for one, other in pairs)  # type: ignore[assignment]
        return total

    return apart

"""A trained network whose first features tell how alike two pictures look, better than their pixels do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.start_weights import AUTO, NONE, POSE

if TYPE_CHECKING:
    from torch import Tensor

    from ops.training.completer import Features

LAYERS = (0, 2, 4)
"""Of YOLO11n: the layers whose features are compared, at a half, a quarter and an eighth of the resolution."""


@dataclass(frozen=True)
class Perceptual:
    """The first layers of YOLO11n-pose, frozen.

    Attributes:
        name: in the model registry.
        path: of the verified file.
        sha256: of it.
    """

    name: str
    path: Path
    sha256: str

    def load(self, device: str) -> Features:
        """Return what takes ``(n, 3, h, w)`` RGB in [0, 1] to the features of :data:`LAYERS`; gradients pass."""
        from ops.training.detector import quiet

        with quiet():
            from ultralytics.nn.tasks import load_checkpoint

            network, _ = load_checkpoint(self.path)
        layers = network.model[: LAYERS[-1] + 1].float().eval().requires_grad_(False).to(device)

        def features(pictures: Tensor) -> list[Tensor]:
            x, found = pictures, []
            for index, layer in enumerate(layers):
                x = layer(x)
                if index in LAYERS:
                    found.append(x)
            return found

        return features


def perceptual(wish: str) -> Perceptual | None:
    """Find what compares pictures.

    Args:
        wish: ``auto`` for the best that can be had, a model of the registry, or ``none``.

    Raises:
        ValueError: it is another model.
        ModelUnavailable: the registry can't get it.
    """
    from model_assets.registry import ModelUnavailable, Registry, fetch

    if wish == NONE:
        return None
    if wish not in {AUTO, POSE}:
        raise ValueError(f"perceptual is {wish!r}; use one of {AUTO}, {POSE}, {NONE}")
    try:
        return Perceptual(POSE, fetch(POSE), Registry.load().models[POSE].sha256)
    except ModelUnavailable:
        if wish == AUTO:
            return None
        raise

"""A network that was to learn and did not is an error, not a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


class FrozenNetwork(RuntimeError):
    """Weights of a network did not learn from what they were to learn from."""


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's weights by name.

    Raises:
        FrozenNetwork: some can't learn at all.
    """
    frozen = [name for name, weight in network.named_parameters() if not weight.requires_grad]
    _none(frozen, f"weights of {type(network).__name__} are frozen")
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def must_have_moved(network: nn.Module, before: dict[str, Tensor]) -> None:
    """Raise an error if a training left weights as they were.

    Args:
        network: after it.
        before: from :func:`weights_of`.
    """
    stood = [name for name, weight in network.named_parameters() if weight.detach().equal(before[name])]
    _none(stood, f"weights of {type(network).__name__} are as they were before the training")


def must_reach(loss: Tensor, network: nn.Module, source: str) -> None:
    """Raise an error if the gradient of a loss does not reach all weights of a network.

    Args:
        loss: computed with the network.
        network: that is to learn from it.
        source: whose word the loss is.
    """
    import torch

    names, weights = zip(*network.named_parameters(), strict=True)
    if not loss.requires_grad:
        raise FrozenNetwork(f"nothing of what {source} says reaches {type(network).__name__}")
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    missed = [
        name for name, each in zip(names, gradients, strict=True) if each is None or not float(each.abs().sum()) > 0
    ]
    _none(missed, f"what {source} says does not reach weights of {type(network).__name__}")


def _none(names: list[str], told: str) -> None:
    if names:
        raise FrozenNetwork(f"{len(names)} {told}: {', '.join(names[:3])}")

"""The project's own networks, as what trains them takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import model_assets
from ops.content import file_md5
from ops.training.tasks import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def segmenter() -> Network:
    """Return what builds a mask segmenter."""

    def build(widths: Sequence[int]) -> nn.Module:
        from model_assets.networks.segmenter import WIDTHS, Segmenter

        return Segmenter(tuple(widths) or WIDTHS)

    return Network(build, _code("segmenter"))


def completer() -> Network:
    """Return what builds a face completer."""

    def build(widths: Sequence[int]) -> nn.Module:
        from model_assets.networks.completer import WIDTHS, Completer

        return Completer(tuple(widths) or WIDTHS)

    return Network(build, _code("completer"))


def adversary() -> Network:
    """Return what builds a discriminator; of the widths it takes the first alone."""

    def build(widths: Sequence[int]) -> nn.Module:
        from model_assets.networks.completer import Discriminator

        return Discriminator(*widths[:1])

    return Network(build, _code("completer"))


def _code(name: str) -> str:
    return file_md5(Path(model_assets.__path__[0]) / "networks" / f"{name}.py")

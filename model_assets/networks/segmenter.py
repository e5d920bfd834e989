"""The mask segmenter: a small U-Net with squeeze-and-excitation (Hu et al., CVPR 2018)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 24, 40, 64, 96)
"""Channels at full resolution, a half, a quarter and so on."""

SQUEEZE = 4


class SqueezeExcite(nn.Module):
    """Weigh channels by what the whole picture shows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // SQUEEZE, 1),
            nn.SiLU(),
            nn.Conv2d(channels // SQUEEZE, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to the same shape."""
        weighed: Tensor = x * self.weigh(x)
        return weighed


class Block(nn.Sequential):
    """Two 3x3 convolutions and squeeze-and-excitation; the first convolution may halve the resolution."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__(
            *(
                layer
                for source, step in ((inside, stride), (outside, 1))
                for layer in (
                    nn.Conv2d(source, outside, 3, step, 1, bias=False),
                    nn.BatchNorm2d(outside),
                    nn.SiLU(),
                )
            ),
            SqueezeExcite(outside),
        )


class Segmenter(nn.Module):
    """Tell for each pixel whether a mask covers it.

    Args:
        widths: channels of each resolution; wider learns more and takes longer.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.down = nn.ModuleList(
            [Block(3, widths[0]), *(Block(inside, outside, 2) for inside, outside in pairwise(widths))]
        )
        self.up = nn.ModuleList(Block(low + high, high) for high, low in pairwise(widths))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits.

        Args:
            pictures: ``(n, 3, h, w)`` RGB in [0, 1]; sides are multiples of ``2 ** (len(widths) - 1)``.

        Returns:
            ``(n, 1, h, w)`` logits.
        """
        x, levels = pictures * 2 - 1, []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, skip in zip(reversed(self.up), reversed(levels[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        logits: Tensor = self.head(x)
        return logits

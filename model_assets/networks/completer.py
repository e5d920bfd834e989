"""The face completer: gated convolutions (Yu et al., ICCV 2019) around a dilated bottleneck, and its discriminators.

The adversary looks twice, at the whole picture and closely at what was missing (Din et al., IEEE Access 2020), patch by
patch (Isola et al., CVPR 2017) and with spectral normalisation (Miyato et al., ICLR 2018).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (32, 64, 160, 224)
"""Channels at a half of the resolution, a quarter, an eighth and a sixteenth."""

FOLD = 2
"""Pixels either way that are folded into channels before the first convolution and unfolded after the last: convolving
at full resolution costs most and teaches a face least.
"""

PLACES = 64
"""Side of the finest grid on which the network learns what is where in a face; each further one has half as many."""

DILATIONS = (1, 2, 4)
SLOPE = 0.2
"""Slope of activations below zero in discriminators."""


class Gated(nn.Module):
    """A convolution that decides for each pixel how much of itself to let through."""

    def __init__(self, inside: int, outside: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.both = nn.Conv2d(inside, 2 * outside, 3, stride, dilation, dilation, bias=False)
        self.norm = nn.BatchNorm2d(2 * outside)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, inside, h, w)`` to ``(n, outside, h / stride, w / stride)``."""
        value, gate = self.norm(self.both(x)).chunk(2, 1)
        passed: Tensor = F.silu(value) * gate.sigmoid()
        return passed


class Completer(nn.Module):
    """Fill a region of a face.

    Faces come upright and in the middle of their square, so that every resolution has learned values for each place:
    what convolutions alone would have to find out from the square's border.

    Args:
        widths: channels of each resolution; wider learns more and takes longer.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        deep = widths[-1]
        self.down = nn.ModuleList(
            [Gated(4 * FOLD**2, widths[0]), *(Gated(inside, outside, stride=2) for inside, outside in pairwise(widths))]
        )
        self.places = nn.ParameterList(
            torch.zeros(1, width, PLACES >> level, PLACES >> level) for level, width in enumerate(widths)
        )
        self.middle = nn.ModuleList(Gated(deep, deep, dilation=step) for step in DILATIONS)
        self.up = nn.ModuleList(Gated(low + high, high) for high, low in pairwise(widths))
        self.head = nn.Conv2d(widths[0], 3 * FOLD**2, 3, 1, 1)

    def forward(self, pictures: Tensor, regions: Tensor) -> Tensor:
        """Return pictures whose regions are filled and that are the given ones elsewhere.

        Args:
            pictures: ``(n, 3, h, w)`` RGB in [0, 1]; what is missing is not looked at.
            regions: ``(n, 1, h, w)`` in [0, 1], 1 where something is missing; less, down to 0, where it is doubtful
                whether what is shown there belongs to the face: it is looked at so much the more, and made anew all the
                same. Sides are multiples of ``2 ** len(widths)``.

        Returns:
            ``(n, 3, h, w)``.
        """
        known = (pictures * 2 - 1) * (1 - regions)
        x, levels = F.pixel_unshuffle(torch.cat([known, regions], 1), FOLD), []
        for block, place in zip(self.down, self.places, strict=True):
            x = block(x)
            same = place.shape[2:] == x.shape[2:]
            x = x + (place if same else F.interpolate(place, x.shape[2:], mode="bilinear", align_corners=False))
            levels.append(x)
        for block in self.middle:
            x = x + block(x)
        for block, skip in zip(reversed(self.up), reversed(levels[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(torch.cat([x, skip], 1))
        filled = (F.pixel_shuffle(self.head(x), FOLD).tanh() + 1) / 2
        anew = regions.ceil()
        whole: Tensor = pictures * (1 - anew) + filled * anew
        return whole


class Discriminator(nn.Module):
    """Tell real patches from made up ones; for whole pictures, or for what was missing alone.

    Args:
        width: channels after the first convolution.
        depth: convolutions that halve the resolution.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        widths = [4, *(min(width * 2**step, 8 * width) for step in range(depth))]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(inside, outside, 4, 2, 1)), nn.LeakyReLU(SLOPE)]
        self.judge = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1)))

    def forward(self, pictures: Tensor, regions: Tensor) -> Tensor:
        """Return logits a patch, ``(n, 1, h / 2**depth, w / 2**depth)``, high for real.

        Args:
            pictures: ``(n, 3, h, w)`` RGB in [0, 1].
            regions: ``(n, 1, h, w)``, where they are made up, or would be.
        """
        logits: Tensor = self.judge(torch.cat([pictures * 2 - 1, regions], 1))
        return logits

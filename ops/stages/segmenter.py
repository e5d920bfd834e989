"""The mask segmenter: which pixels a mask covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ops.stages.networks import COLUMNS as SHARED
from ops.store import Column
from ops.training import segmenter
from ops.training.faces import read_square, stacked
from ops.training.tasks import Score, evened, spread
from ops.unmasking.regions import tinted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from ops.records import Floats, Picture
    from ops.store import Row
    from ops.training.loop import OnEpoch
    from ops.training.recipe import SegmenterRecipe
    from ops.training.tasks import Network, Pairs

COLUMNS = (
    *SHARED,
    Column("dice", "double", "overlap with the true region, mean over masked validation squares"),
    Column("iou", "double", "intersection over union, mean over these"),
    Column("bare", "double", "share of bare validation squares taken for mask"),
)


class Segment:
    """Learn to segment masks."""

    name = "segmenter"
    judge = "dice"
    inputs: tuple[str, ...] = ("pictures",)
    output = "shares"
    code: tuple[str, ...] = ("training/segmenter.py", "stages/segmenter.py")

    def __init__(self, network: Network, recipe: SegmenterRecipe) -> None:
        self.network = network
        self.recipe = recipe

    def about(self) -> dict[str, str]:
        """Return nothing: it learns from the pairs alone."""
        return {}

    def train(
        self, network: nn.Module, pairs: Pairs, work: Path, device: str, autocast: Any, tell: OnEpoch
    ) -> nn.Module:
        """Train, or go on, and return the averaged network."""
        how = {"size": self.recipe.size, "device": device, "autocast": autocast, "on_epoch": tell}
        rows = evened(pairs.train, "mask_state", self.recipe.even)
        return segmenter.train(network, pairs.folder, rows, work, self.recipe, **how)

    def score(self, run: Callable[..., Floats], pairs: Pairs) -> list[Score]:
        """Judge overlap on masked squares by kind and state, and how much of bare ones is taken for mask."""
        return [self._score(run, pairs.folder, known) for known in pairs.val]

    def _score(self, run: Callable[..., Floats], folder: Path, known: Row) -> Score:
        if known["wearing"] == "masked":
            found = segmenter.measure(lambda given: _shares(run(given)), folder, [known], self.recipe.size)
            return Score(found._asdict(), {name: known[name] for name in ("kind", "mask_state")})
        pixels, _ = read_square(folder, known, self.recipe.size)
        return Score({"bare": float((run(stacked([pixels])) > 0).mean())}, {})

    def examples(self, run: Callable[..., Floats], pairs: Pairs, count: int) -> list[list[Picture]]:
        """Return picture, share of each pixel, region found and true region."""
        shown = []
        for known in spread([known for known in pairs.val if known["wearing"] == "masked"], count):
            pixels, alpha = read_square(pairs.folder, known, self.recipe.size)
            share = np.rint(_shares(run(stacked([pixels])))[0, 0] * 255).astype(np.uint8)
            grey = np.repeat(share[..., None], 3, axis=2)
            found, truth = (np.where(each >= 128, 255, 0).astype(np.uint8) for each in (share, alpha))
            shown.append([pixels, grey, tinted(pixels, found), tinted(pixels, truth)])
        return shown

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the network with a sigmoid after it."""
        from torch import nn

        return nn.Sequential(network, nn.Sigmoid()).eval()

    def given(self, pairs: Pairs, count: int) -> list[tuple[Floats, ...]]:
        """Return validation squares."""
        rows = spread(pairs.val, count)
        return [(stacked([read_square(pairs.folder, known, self.recipe.size)[0]]),) for known in rows]


def _shares(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

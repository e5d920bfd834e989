"""The face completer: what a mask hides, or any other region of a face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ops.stages.networks import COLUMNS as SHARED
from ops.store import Column
from ops.training import completer
from ops.training.faces import stacked
from ops.training.tasks import Score, spread
from ops.unmasking.scores import nearness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import nn

    from ops.records import Floats, Picture
    from ops.store import Row
    from ops.training.completer import Apart
    from ops.training.loop import OnEpoch
    from ops.training.recipe import CompleterRecipe
    from ops.training.tasks import Network, Pairs

COLUMNS = (
    *SHARED,
    Column("psnr", "double", "decibels within the region, mean over validation squares"),
    Column("ssim", "double", "structural similarity within the region, mean over these"),
    Column("l1", "double", "absolute difference within the region, grey levels of 255, mean over these"),
)
EMPTY = 128


class Perceptual(Protocol):
    """A trained network that tells how far apart pictures look."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def sha256(self) -> str:
        """Of its file."""

    def load(self, device: str) -> Apart:
        """Return what compares two batches ``(n, 3, h, w)`` in [0, 1]; gradients pass to the first."""


class Complete:
    """Learn to complete faces, against two adversaries."""

    name = "completer"
    judge = "ssim"
    inputs: tuple[str, ...] = ("pictures", "regions")
    output = "completed"
    code: tuple[str, ...] = (
        "training/completer.py",
        "stages/completer.py",
        "unmasking/scores.py",
        "unmasking/composition.py",
    )

    def __init__(
        self,
        network: Network,
        adversary: Network,
        perceptual: Perceptual | None,
        recipe: CompleterRecipe,
    ) -> None:
        self.network = network
        self.adversary = adversary
        self.perceptual = perceptual
        self.recipe = recipe

    def about(self) -> dict[str, str]:
        """Return what says how alike pictures look."""
        if self.perceptual is None:
            return {"perceptual": "none", "perceptual_sha256": ""}
        return {"perceptual": self.perceptual.name, "perceptual_sha256": self.perceptual.sha256}

    def train(
        self, network: nn.Module, pairs: Pairs, work: Path, device: str, autocast: Any, tell: OnEpoch
    ) -> nn.Module:
        """Train, or go on, and return the averaged network."""
        recipe = self.recipe
        apart = self.perceptual.load(device) if self.perceptual else None
        whole, close = (self.adversary.build([recipe.adversary]).to(device) for _ in range(2))
        how = {"size": recipe.size, "device": device, "autocast": autocast, "on_epoch": tell}
        lessons = lessons_of(pairs.train)
        return completer.train(network, (whole, close), apart, pairs.folder, lessons, work, recipe, recipe, **how)

    def score(self, run: Callable[..., Floats], pairs: Pairs) -> list[Score]:
        """Judge likeness within each region of each face, by what the region is, and by kind and state of masks."""
        scores = []
        for bare, other in lessons_of(pairs.val):
            given, missing, truth, inside = completer.asked(pairs.folder, bare, other, self.recipe.size)
            if inside.any():
                near = nearness(truth, _filled(run, given, missing), inside)
                groups = {name: other[name] for name in ("region", "kind", "mask_state") if other[name]}
                scores.append(Score(near._asdict(), groups))
        return scores

    def examples(self, run: Callable[..., Floats], pairs: Pairs, count: int) -> list[list[Picture]]:
        """Return picture, picture as the network sees it, completed and true picture."""
        shown = []
        for bare, other in spread(lessons_of(pairs.val), count):
            given, missing, truth, _ = completer.asked(pairs.folder, bare, other, self.recipe.size)
            hidden = np.rint(given + missing[..., None] * (EMPTY - given.astype(np.float32))).astype(np.uint8)
            shown.append([given, hidden, _filled(run, given, missing), truth])
        return shown

    def whole(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()

    def given(self, pairs: Pairs, count: int) -> list[tuple[Floats, ...]]:
        """Return validation squares and regions."""
        size, lessons = self.recipe.size, spread(lessons_of(pairs.val), count)
        squares = [completer.asked(pairs.folder, bare, other, size)[:2] for bare, other in lessons]
        return [(stacked([given]), missing[None, None]) for given, missing in squares]


def _filled(run: Callable[..., Floats], given: Picture, missing: Floats) -> Picture:
    """Return a face as the network completes it."""
    made = run(stacked([given]), missing[None, None])[0].transpose(1, 2, 0)
    return np.rint(made * 255).clip(0, 255).astype(np.uint8)


def lessons_of(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return every bare face with each row that gives it a region: itself and its masked variants."""
    bare = {known["fingerprint"]: known for known in rows if known["wearing"] == "bare"}
    return [(bare[known["fingerprint"]], known) for known in rows if known["fingerprint"] in bare]

"""What a training of the project's own networks is made of: pairs to learn from, a task, and scores."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ops.content import file_md5
from ops.store import DONE, fingerprint, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from ops.records import Floats, Picture
    from ops.store import Dataset, Row
    from ops.training.loop import OnEpoch
    from ops.training.recipe import Recipe


class Network(NamedTuple):
    """What builds a network.

    Attributes:
        build: takes the widths, none for its own; draws the weights.
        code: hash of its source.
    """

    build: Callable[[Sequence[int]], nn.Module]
    code: str


class Pairs(NamedTuple):
    """Unmasking pairs: their folder, and the manifest's rows to train and to validate on.

    Where too few people are in them to keep some for validation, ``val`` holds what it is trained on, and ``unseen`` is
    False: figures are then no evidence.
    """

    folder: Path
    train: list[Row]
    val: list[Row]
    unseen: bool = True


class Score(NamedTuple):
    """Figures of one validation square, and what it belongs to, such as the kind of mask."""

    values: dict[str, float]
    groups: dict[str, str]


class Task(Protocol):
    """One of the networks, and how it learns."""

    name: str
    """Of the files: ``segmenter`` or ``completer``."""

    judge: str
    """The figure by which an epoch is better than another."""

    inputs: tuple[str, ...]
    output: str
    network: Network
    code: tuple[str, ...]
    """Modules of ``ops`` that decide what comes out."""

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""

    def about(self) -> dict[str, str]:
        """Return what else it learns from, by name."""

    def train(self, network: nn.Module, pairs: Pairs, work: Path, device: str, autocast: Any, tell: OnEpoch) -> Any:
        """Train, or go on, and return the averaged network."""

    def score(self, run: Callable[..., Floats], pairs: Pairs) -> list[Score]:
        """Judge what runs the network on the validation squares."""

    def examples(self, run: Callable[..., Floats], pairs: Pairs, count: int) -> list[list[Picture]]:
        """Return panels of validation squares, the same ones each time: what is given, and what comes out."""

    def whole(self, network: nn.Module) -> nn.Module:
        """Return what is exported: the network with what follows it."""

    def given(self, pairs: Pairs, count: int) -> list[tuple[Floats, ...]]:
        """Return inputs, of validation squares, to hold ONNX and network against each other."""


def read_pairs(dataset: Dataset) -> Pairs:
    """Return pairs to learn from.

    Raises:
        ValueError: there are none to train on.
    """
    rows = sorted(rows_of(dataset.read(status=DONE)), key=lambda known: known["output"])
    train, val = ([known for known in rows if known["split"] == split] for split in ("train", "val"))
    if not any(known["wearing"] == "masked" for known in train):
        raise ValueError(f"{dataset.folder} has no masked face to train on")
    if any(known["wearing"] == "masked" for known in val):
        return Pairs(dataset.folder, train, val)
    return Pairs(dataset.folder, train, train, unseen=False)


def split_hash(pairs: Pairs) -> str:
    """Return what stands for the squares to train and to validate on, whatever lies beside them."""
    names = ("split", "output", "alpha", "fingerprint", "wearing", "variant", "region", "mask_state", "kind")
    rows = (*pairs.train, *pairs.val)
    files = ([file_md5(pairs.folder / known[name]) for name in ("output", "alpha")] for known in rows)
    return fingerprint([[known[name] for name in names] for known in rows], list(files))


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Return mean figures of all squares and of each group; with ``squares``, how many there are."""
    told_of: dict[str, Any] = {"all": _means(scores)}
    for group in sorted({name for score in scores for name in score.groups}):
        values = sorted({score.groups[group] for score in scores if group in score.groups})
        told_of[f"by_{group}"] = {
            value: _means(some) | {"squares": len(some)}
            for value in values
            if (some := [score for score in scores if score.groups.get(group) == value])
        }
    return told_of


def best_of(epochs: Sequence[Mapping[str, float]], judge: str) -> int:
    """Return the epoch, from 1 on, that was best by a figure of which more is better; the earliest of equals."""
    return int(max(epochs, key=lambda known: known[f"val/{judge}"])["epoch"])


def evened(rows: Sequence[Row], by: str, share: float) -> list[Row]:
    """Return rows, those of rare values several times, so that all values come closer to being equally frequent.

    Args:
        rows: of the pairs' manifest.
        by: column whose values are counted; what has none there is left as it is.
        share: 0 leaves all as it is, 1 brings every value up to the most frequent one.
    """
    counts = Counter(known[by] for known in rows if known[by])
    times = {value: round((max(counts.values()) / count) ** share) for value, count in counts.items()}
    return [known for known in rows for _ in range(times.get(known[by], 1))]


def spread(rows: Sequence[Any], count: int) -> list[Any]:
    """Return up to ``count`` of the rows, evenly spread."""
    return [rows[index * len(rows) // count] for index in range(count)] if len(rows) > count else list(rows)


def _means(scores: Sequence[Score]) -> dict[str, float]:
    names = list(dict.fromkeys(name for score in scores for name in score.values))
    values = {name: [score.values[name] for score in scores if name in score.values] for name in names}
    return {name: round(float(np.mean(some)), 6) for name, some in values.items()}

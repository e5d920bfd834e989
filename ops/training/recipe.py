"""How the project's own networks are trained: what segmenter and completer have in common, and the completer's more."""

from __future__ import annotations

from dataclasses import dataclass

from ops.training.completer import Weights
from ops.training.loop import Schedule
from ops.training.precision import PRECISIONS

KEPT = ("best", "last")
STEP, LEAST = 16, 32


@dataclass(frozen=True, kw_only=True)
class Recipe(Schedule):
    """How to train a network: besides the schedule, what, from where, and what is kept.

    Attributes:
        size: side of a square in pixels.
        widths: channels of each resolution; none for the network's own.
        keep: ``best`` of the epochs by validation, or ``last``.
        every: of so many epochs one has its weights put away as well; 0 for none.
        precision: ``float32``, ``bfloat16``, or ``auto``: the latter where CPU or GPU compute in it.
        start: path of the ``weights.pt`` of a training to go on from; empty for weights that the seed draws.
    """

    size: int = 128
    widths: tuple[int, ...] = ()
    epochs: int = 20
    batch: int = 16
    keep: str = "best"
    every: int = 0
    precision: str = "auto"
    start: str = ""

    def __post_init__(self) -> None:
        for name, values in {"keep": KEPT, "precision": PRECISIONS}.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(values)}")
        step = max(STEP, 2 ** len(self.widths))
        if self.size % step or self.size < LEAST:
            raise ValueError(f"size is {self.size}; use a multiple of {step} from {max(step, LEAST)} on")


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe(Recipe):
    """How to train a segmenter: besides, how often it sees what is rare.

    Attributes:
        even: in [0, 1], how far rare states of masks are brought up to the most frequent one: 0, squares are seen as
            often as they are; 1, all states equally often.
    """

    lr: float = 2e-3
    average: float = 0.99
    even: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.even <= 1:
            raise ValueError(f"even is {self.even}; use 0 to 1")


@dataclass(frozen=True, kw_only=True)
class CompleterRecipe(Recipe, Weights):
    """How to train a completer: besides, what each part of its loss counts.

    Attributes:
        adversary: channels of the discriminators' first convolution.
    """

    epochs: int = 30
    keep: str = "last"
    adversary: int = 32

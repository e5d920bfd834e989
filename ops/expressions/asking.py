"""What may be asked of an editor of expressions: the wish, the care, the tools, and what a face needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ops.expressions.engines import Inpainter
from ops.expressions.state import LIMITS, Limits, State, closed_eyes, is_smiling
from ops.records import Face, Floats, Picture

EYES, SMILE = "eyes", "smile"
AUTO, DONOR, DIFFUSION, COMPLETER, WARP = "auto", "donor", "diffusion", "completer", "warp"
ENGINES = (AUTO, DONOR, DIFFUSION, COMPLETER, WARP)
CHOICE = {EYES: (DONOR, DIFFUSION, COMPLETER), SMILE: (WARP,)}
"""What ``auto`` tries for each part, the best first."""

ABLE = {EYES: CHOICE[EYES], SMILE: (WARP, DIFFUSION, COMPLETER)}
WHY = {
    DONOR: "open eyes of the same person from another picture",
    DIFFUSION: "eyes or mouth painted as the prompt says",
    COMPLETER: "eyes or mouth as the face completer thinks them",
    WARP: "the picture's own pixels moved: it stays the same person",
}
Tell = Callable[[Picture, Floats], State]
"""Tells a face's state from a picture and the mesh that says which face."""

Embed = Callable[[Picture, Floats], Floats]
Maker = Callable[[Picture, Face], Inpainter]
"""Makes the engine for one face of a picture.

Raises:
    EngineError: there is none for this face.
"""


Watch = Callable[[int, str, str, int], None]
"""Is told the face's index, the part, the engine and the number of the try, from 1 on."""


@dataclass(frozen=True)
class Wish:
    """What to edit in a face.

    Attributes:
        eyes: an eye less open than so many times what counts as closed is opened; 0: none.
        smile: strength of the smile for faces that have none, in [0, 1]; 0: none.
        engine: one of :data:`ENGINES`.
        eyes_prompt: what engines that read words are told to paint for eyes.
        smile_prompt: the same for a smile.
    """

    eyes: float = 1.0
    smile: float = 0.0
    engine: str = AUTO
    eyes_prompt: str = "open eyes, natural look, sharp photograph"
    smile_prompt: str = "natural smile, sharp photograph"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine {self.engine!r} is unknown; allowed: {', '.join(ENGINES)}")
        if not 0 <= self.smile <= 1:
            raise ValueError(f"strength of the smile is {self.smile}; from 0 to 1 is allowed")


@dataclass(frozen=True)
class Care:
    """Which faces are edited, and what is kept of what engines make.

    Attributes:
        floor: lowest cosine of the embeddings before and after.
        tries: seeds (or strengths) that each engine is given.
        min_face_px: smaller faces are left alone, height in pixels.
        max_yaw: faces turned further are left alone, degrees either way.
        limits: what counts as closed and as smiling.
        steady: of a video, judged as a whole: no frame's smile has to grow, and eyes on their way may open a little.
    """

    floor: float = 0.9
    tries: int = 3
    min_face_px: float = 64
    max_yaw: float = 45
    limits: Limits = LIMITS
    steady: bool = False


@dataclass(frozen=True)
class Tools:
    """What there is to edit with.

    Attributes:
        tell: measures the state, before and after.
        embed: tells how alike two faces look; None: that gate is left open.
        makers: of engines, by name; a smile by warp needs none.
        missing: of the others, why they are not there.
    """

    tell: Tell
    embed: Embed | None = None
    makers: Mapping[str, Maker] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


class Needs(NamedTuple):
    """What a face needs: the eyes to be opened, and the strength of the smile."""

    eyes: tuple[str, ...]
    smile: float


def needs(state: State, wish: Wish, limits: Limits = LIMITS) -> Needs:
    """Return what a face in this state needs.

    >>> needs(State(0.1, 0.4, 0.0, 0.0, "mesh"), Wish(smile=0.5))
    Needs(eyes=('left_eye',), smile=0.5)
    """
    closed = {way: wish.eyes * limit for way, limit in limits.closed.items()}
    eyes = closed_eyes(state, replace(limits, closed=closed)) if wish.eyes else ()
    return Needs(eyes, 0.0 if is_smiling(state, limits) else wish.smile)


class Ask(NamedTuple):
    """What to edit in one face of several; as for :func:`edit`."""

    wish: Wish
    seed: int = 0
    need: Needs | None = None

"""Takes: the faces that open eyes can be lent from, collected from other pictures, or from the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.expressions.donor import Care, Donor, Take, ranked, take
from ops.expressions.engines import EngineError
from ops.expressions.state import LIMITS, Limits, closed_eyes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.expressions.asking import Embed, Tell
    from ops.records import Face, Picture

KEPT = 48
"""Takes kept of a face through a video, at most."""


@dataclass(frozen=True)
class Lender:
    """Makes the donor engine for a face: an :data:`ops.expressions.asking.Maker`.

    Attributes:
        takes: finds where open eyes may be; asked only when there is a face that needs them.
        tell: measures the state.
        embed: tells who it is.
        care: which takes will do.
        limits: from when on eyes are closed.
    """

    takes: Callable[[], Sequence[Take]]
    tell: Tell
    embed: Embed
    care: Care = field(default_factory=Care)
    limits: Limits = LIMITS

    def __call__(self, pixels: Picture, face: Face) -> Donor:
        """Return the engine.

        Raises:
            EngineError: there are no takes at all, or none that will do for this face.
        """
        takes = self.takes()
        if not takes:
            raise EngineError("there is no other picture at hand")
        asked = take_of("", pixels, face, self.tell, self.embed)
        ranked(asked, takes, self.care, self.limits)
        return Donor(asked, takes, face.mesh, self.care, self.limits)


def take_of(name: str, pixels: Picture, face: Face, tell: Tell, embed: Embed) -> Take:
    """Return what is needed of a face of a picture to lend it eyes, or to let it lend its own."""
    return take(name, pixels, face, embed(pixels, face.mesh), tell(pixels, face.mesh))


class Collection:
    """Takes with open eyes of one face through a video, evenly spread, however long it lasts.

    Args:
        limits: from when on eyes are closed.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.takes: list[Take] = []
        self.limits = limits
        self._every, self._seen = 1, 0

    def add(self, found: Take) -> None:
        """Keep a take, if its eyes are open and its turn has come."""
        if closed_eyes(found.state, self.limits):
            return
        if self._seen % self._every == 0:
            self.takes.append(found)
        self._seen += 1
        if len(self.takes) > KEPT:
            self.takes = self.takes[::2]
            self._every *= 2

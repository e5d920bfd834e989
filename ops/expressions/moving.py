"""Expressions through a video: what each frame of a face needs, so that no edit comes or goes at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ops.expressions.asking import AUTO, DONOR, Ask, Care, Needs, Tools, Wish, needs
from ops.expressions.donor import Care as DonorCare
from ops.expressions.donor import Take, ranked, take
from ops.expressions.editing import edit
from ops.expressions.engines import EngineError
from ops.expressions.takes import Collection, Lender

if TYPE_CHECKING:
    from ops.expressions.asking import Embed
    from ops.records import Face, Picture

NEAR_S = 0.12
"""Seconds before and after closed eyes that belong to the blink."""

SOFT_S = 0.25
"""Standard deviation in seconds of the window over which a smile comes and goes."""

JUDGED, APART_S = 5, 0.4
"""Frames on which a smile is tried before it is made, and seconds between them."""

FAINT = 0.05
"""Strength of a smile below which none is made."""


@dataclass(slots=True, eq=False)
class Blink:
    """A stretch in which eyes are closed.

    Attributes:
        start: seconds at which they were first seen closed.
        end: and last.
        eyes: which.
        open: how far, where they are open least.
        take: the face there.
    """

    start: float
    end: float
    eyes: set[str] = field(default_factory=set)
    open: float = np.inf
    take: Take | None = None


class Course:
    """What one face does through a video; told frame after frame, it then says what each frame needs.

    Args:
        tools: what there is to edit with.
        wish: what to edit.
        care: the gates.
        lending: which takes will do.
    """

    def __init__(self, tools: Tools, wish: Wish, care: Care, lending: DonorCare) -> None:
        self.tools, self.wish, self.care, self.lending = tools, wish, care, lending
        self.blinks: list[Blink] = []
        self._takes = Collection(care.limits)
        self._wanted: list[tuple[float, float]] = []
        self._judged: list[tuple[float, str | None]] = []

    def see(self, time: float, pixels: Picture, face: Face) -> None:
        """Take note of the face in a frame."""
        state = self.tools.tell(pixels, face.mesh)
        need = needs(state, self.wish, self.care.limits)
        self._wanted.append((time, need.smile))
        if self.wish.eyes and self.tools.embed and self.wish.engine in {AUTO, DONOR}:
            found = take(f"{time:.3f}", pixels, face, self.tools.embed(pixels, face.mesh), state)
            self._takes.add(found)
            if need.eyes:
                self._blink(time, need.eyes, found)
        elif need.eyes:
            self._blink(time, need.eyes, None)
        if need.smile and len(self._judged) < JUDGED and (not self._judged or time >= self._judged[-1][0] + APART_S):
            tried = edit(pixels, face, self.tools, self.wish, self.care, need=Needs((), need.smile))
            self._judged.append((time, tried.reason))

    def ask(self, time: float, seed: int) -> tuple[Ask, Tools]:
        """Return what the frame at ``time`` needs, and the tools for it: a blink's eyes are lent by one take."""
        tools = self.tools
        eyes: tuple[str, ...] = ()
        for blink in self.blinks:
            if blink.start - NEAR_S <= time <= blink.end + NEAR_S:
                eyes = tuple(sorted(blink.eyes))
                if blink.take and self.tools.embed:
                    tools = replace(tools, makers={**tools.makers, DONOR: self._lender(blink.take, self.tools.embed)})
        return Ask(self.wish, seed, Needs(eyes, self._smile(time))), tools

    @property
    def against_smile(self) -> str | None:
        """Why the face is not made to smile, if most tries failed; None: it may."""
        reasons = [reason for _, reason in self._judged if reason]
        return reasons[0] if 2 * len(reasons) > len(self._judged) else None

    def _smile(self, time: float) -> float:
        if self.against_smile or not self._wanted:
            return 0.0
        times, wanted = np.array(self._wanted).T
        weights = np.exp(-0.5 * ((times - time) / SOFT_S) ** 2)
        strength = float((weights * wanted).sum() / weights.sum())
        return strength if strength >= FAINT else 0.0

    def _blink(self, time: float, eyes: tuple[str, ...], found: Take | None) -> None:
        if not self.blinks or time > self.blinks[-1].end + 2 * NEAR_S:
            self.blinks.append(Blink(time, time))
        blink = self.blinks[-1]
        blink.end = time
        blink.eyes |= set(eyes)
        if found and found.state.left_eye + found.state.right_eye < blink.open:
            blink.open, blink.take = found.state.left_eye + found.state.right_eye, found

    def _lender(self, face: Take, embed: Embed) -> Lender:
        try:
            best = ranked(face, self._takes.takes, self.lending, self.care.limits)[:1]
        except EngineError:
            best = self._takes.takes  # which tells why none of them will do
        return Lender(lambda: best, self.tools.tell, embed, self.lending, self.care.limits)

"""Engines: what changes a face's expression within a region, and what a picture shows nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from ops.records import Refusal

if TYPE_CHECKING:
    from ops.records import Picture
    from ops.unmasking.composition import Region


class EngineError(Refusal):
    """An edit that an engine can't make of this picture, and why."""


class Inpainter(Protocol):
    """Fills a region of a picture. It composes by itself: what it returns is ready to be judged and kept.

    Attributes:
        chance: whether another seed makes another picture; if not, one try is all there is.
    """

    chance: ClassVar[bool]

    def inpaint(self, image: Picture, region: Region, prompt: str, seed: int) -> Picture:
        """Return a new picture, equal to ``image`` in every bit outside of ``region.inside``.

        Args:
            image: ``(h, w, 3)``, left as it is.
            region: ``(h, w)``, what may change, and how much of each pixel.
            prompt: what is to be seen there; engines that read no words leave it alone.
            seed: the same gives the same bytes.

        Raises:
            EngineError: it can't.
        """
        ...

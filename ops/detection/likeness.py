"""Likeness: pictures and faces that show the same pixels again, mirrored, rescaled, recoded or cropped a little apart.

A *look* is a small grey picture and the 64 bits of its DCT hash. Hashes that differ in few bits name candidates, and
the details of the small pictures, laid over each other with a little play, decide: the hash alone takes every dark
blob over a white mask for every other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ops.records import Box, Picture

    Thumb = NDArray[np.uint8]

SIDE = 32
LOW = 8
PLAY = 2
MIN_FACE_PX = 16
"""Faces smaller than this, in width or height, show too little to be told apart."""

_FINE, _COARSE = 0.8, 4.0
_BLOCK = 4096


class Limits(NamedTuple):
    """When two looks show the same: by their hashes alone, or by hashes and details.

    Attributes:
        certain: of 64 bits, so few that differ need no other proof; -1 for none.
        bits: so many may differ where the details agree.
        details: correlation from which on they do.
    """

    certain: int
    bits: int
    details: float

    def stricter(self) -> Limits:
        """Return the limits of a check, so that rounding never makes a leak of a near miss of the grouping."""
        return Limits(self.certain - 1, self.bits - 1, self.details + 0.03)


SAME_PICTURE = Limits(6, 14, 0.85)
SAME_FACE = Limits(-1, 12, 0.88)
"""Measured on street scenes and studio portraits: below, people in like pose before the same backdrop are joined."""


@dataclass(frozen=True, eq=False)
class Looks:
    """Looks of n pictures or faces.

    Attributes:
        thumbs: ``(n, 32, 32)`` grey, ``uint8``.
        hashes: ``(n,)``.
        mirrored: ``(n,)`` hashes of the mirrored looks.
    """

    thumbs: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]

    @classmethod
    def of(cls, thumbs: Sequence[NDArray[np.uint8]]) -> Looks:
        """Hash looks."""
        stack = np.stack(thumbs) if thumbs else np.empty((0, SIDE, SIDE), np.uint8)
        hashes = (np.array([dct_hash(thumb) for thumb in turned], np.uint64) for turned in (stack, stack[..., ::-1]))
        return cls(stack, *hashes)


def look_at(pixels: Picture, boxes: Iterable[Box] = ()) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8] | None]]:
    """Return the look of a picture, and of each box in it, None for those below :data:`MIN_FACE_PX`."""
    height, width = pixels.shape[:2]
    parts = []
    for box in boxes:
        x1, y1, x2, y2 = (round(side) for side in box.clipped(width, height))
        large = min(x2 - x1, y2 - y1) >= MIN_FACE_PX
        parts.append(_thumb(pixels[y1:y2, x1:x2]) if large else None)
    return _thumb(pixels), parts


def dct_hash(thumb: NDArray[np.uint8]) -> int:
    """Return 64 bits: which of the 8 x 8 lowest frequencies lie above their median (the mean is left out of it)."""
    import cv2

    low = cv2.dct(thumb.astype(np.float32))[:LOW, :LOW].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def alike(one: Looks, other: Looks, limits: Limits) -> Iterator[tuple[int, int]]:
    """Yield (index in ``one``, index in ``other``) of looks that show the same, as they are or mirrored.

    Where ``other`` is ``one``, each pair comes once, the smaller index first.
    """
    for top, left in product(range(0, len(one.hashes), _BLOCK), range(0, len(other.hashes), _BLOCK)):
        rows, columns = one.hashes[top : top + _BLOCK, None], slice(left, left + _BLOCK)
        apart = np.minimum(
            np.bitwise_count(rows ^ other.hashes[columns]), np.bitwise_count(rows ^ other.mirrored[columns])
        )
        for row, column in np.argwhere(apart <= limits.bits):
            i, j = int(top + row), int(left + column)
            if other is one and i >= j:
                continue
            if apart[row, column] <= limits.certain or details(one.thumbs[i], other.thumbs[j]) >= limits.details:
                yield i, j


def details(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two looks' details in [-1, 1], the better one of as they are and mirrored, with play."""
    import cv2

    first, second = sorted((one, other), key=np.ndarray.tobytes)  # so that their order counts for nothing
    inner, whole = _details(first)[PLAY:-PLAY, PLAY:-PLAY], _details(second)
    found = [
        cv2.matchTemplate(np.ascontiguousarray(turned), inner, cv2.TM_CCOEFF_NORMED).max()
        for turned in (whole, whole[:, ::-1])
    ]
    return float(max(found))


def _thumb(pixels: Picture) -> NDArray[np.uint8]:
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _details(thumb: NDArray[np.uint8]) -> NDArray[Any]:
    """Keep what is neither noise nor the coarse light and dark that all faces share."""
    import cv2

    grey = thumb.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), _FINE) - cv2.GaussianBlur(grey, (0, 0), _COARSE))

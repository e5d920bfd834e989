"""Edited pixels laid into a picture, as :mod:`ops.unmasking.composition` does it, but matched on a wider ring.

A mask's ring has to be completed anew, and is thin for that reason. An engine shows what was there already around an
eye or a mouth, so that a wide ring costs nothing, and a brow or a pixel out of place weighs less in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.unmasking.composition import RING, composed, grown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ops.records import Picture
    from ops.unmasking.composition import Region

WIDTH = 0.03
"""Of the ring, as a share of the side."""


def blended(picture: Picture, edited: Picture, region: Region, side: float) -> Picture:
    """Return a new picture with edited pixels, equal to ``picture`` in every bit outside ``region.inside``.

    Args:
        picture: ``(h, w, 3)``.
        edited: the same, edited within :func:`surrounded` of the region.
        region: where.
        side: of the face, or of what is shown around the region, in pixels.
    """
    return composed(picture, edited, region, side=side * WIDTH / RING)


def surrounded(inside: NDArray[np.bool_], side: float) -> NDArray[np.bool_]:
    """Return a region with the ring around it on which colours are matched; arguments are those of :func:`blended`."""
    return grown(inside, side=side, by=WIDTH)

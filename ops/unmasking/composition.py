"""Composition: from probabilities to a region, and completed pixels into the picture, without a seam.

Lengths are shares of the side of the square that a face is framed in, so that they mean the same at every resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Floats, Picture

THRESHOLD = 0.5
ERODE, DILATE, FEATHER = 0.004, 0.022, 0.014
"""Each further hundredth of the side costs half a decibel within the mask, for nothing tells more than what lies right
beside it; narrower regions leave the mask's rim to be seen, and its colour on the ring.
"""

RING = 0.008
"""Width of the ring around a region on which colours are matched; it is completed, too, and costs as much."""

SURE = 0.012
"""Of what is added to a region all around: so far a mask may reach, and no further than its shadow from there on."""

EDGE = 0.012
"""Standard deviation of the blur between what is matched as face and what is matched as backdrop."""

ISLAND, HOLE = 0.02, 0.04
"""Of the largest part's area: smaller parts are dropped, smaller holes filled; a strap around a cheek is no hole."""

RIM = 0.5
"""What tells a completer that something is to be made anew and may be looked at; 1 is for what it must not see."""

CELLS = 40
"""Cells along the longer side of the grid on which differences of colour are spread."""

FURTHEST = 40.0
"""Grey levels by which a difference on the ring may be from their median, and beside the face from 0.

More is not light: the completed picture shows something else there.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """What is to be completed.

    Attributes:
        inside: ``(h, w)``; no other pixel may change.
        alpha: how much of each pixel is replaced, in [0, 1]: 0 outside, and rising to 1 within a soft edge inside.
    """

    inside: NDArray[np.bool_]
    alpha: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Covered(Region):
    """What a mask covers is to be completed, and a rim around it, which completers may look at.

    Attributes:
        core: ``(h, w)``, the part of ``inside`` that may show the mask itself.
    """

    core: NDArray[np.bool_]


def region_of(
    shares: Floats,
    *,
    threshold: float = THRESHOLD,
    erode: float = ERODE,
    dilate: float = DILATE,
    feather: float = FEATHER,
    side: float | None = None,
    within: NDArray[np.bool_] | None = None,
) -> Covered:
    """Return the region to complete: thresholded, without islands and holes, eroded, dilated, its edge feathered.

    Args:
        shares: ``(h, w)`` probabilities of a mask.
        threshold: from which on a pixel counts.
        erode: what is cut off all around, and thin threads with it.
        dilate: what is then added all around.
        feather: width of the soft edge, inside what is then the region.
        side: of the face's square, in pixels of ``shares``; None: that is the square.
        within: ``(h, w)``, no pixel beside it may change; None: any may.
    """
    unit = float(side or max(shares.shape))
    found = _whole(shares >= threshold)
    eroded = found & (_depth(found) > erode * unit)
    if not eroded.any():
        return Covered(eroded, np.zeros(shares.shape, np.float32), eroded)
    away = _depth(~eroded)
    inside = away <= dilate * unit
    inside = inside if within is None else inside & within
    rise = np.clip(_depth(inside) / np.float32(feather * unit + 1), 0, 1)
    return Covered(inside, rise * rise * (3 - 2 * rise), inside & (away <= SURE * unit))


def grown(inside: NDArray[np.bool_], *, side: float | None = None, by: float = RING) -> NDArray[np.bool_]:
    """Return a region with the ring around it: what a completer is to fill, so that colours can be compared there.

    Args:
        inside: ``(h, w)``.
        side: as for :func:`region_of`.
        by: width of the ring.
    """
    return inside | (_depth(~inside) <= max(1.0, by * float(side or max(inside.shape)))) if inside.any() else inside


def composed(
    picture: Picture,
    completed: Picture,
    region: Region,
    *,
    side: float | None = None,
    face: NDArray[np.bool_] | None = None,
) -> Picture:
    """Lay completed pixels into a picture, their colours matched to it on the ring around the region.

    Args:
        picture: ``(h, w, 3)``.
        completed: the same face, completed within :func:`grown` of the region.
        region: where.
        side: as for :func:`region_of`.
        face: ``(h, w)``, where the face is: it is matched on the ring's part on the face, what is beside it on the
            rest, so that no backdrop colours skin. None: all is matched on all of the ring.

    Returns:
        A new picture, equal to ``picture`` in every bit outside ``region.inside``.
    """
    ring = grown(region.inside, side=side) & ~region.inside
    difference = picture.astype(np.float32) - completed
    if face is None:
        light = completed + _spread(difference, ring)
    else:
        share = _soft(face, EDGE * float(side or max(face.shape)))[..., None]
        near = ring & ~face & (np.abs(difference).max(axis=2) < FURTHEST)
        light = completed + share * _spread(difference, ring & face) + (1 - share) * _spread(difference, near)
    mixed = picture + region.alpha[..., None] * (light - picture)
    return np.where(region.inside[..., None], np.rint(np.clip(mixed, 0, 255)), picture).astype(np.uint8)


def _depth(inside: NDArray[np.bool_]) -> Floats:
    """Return the distance in pixels of each pixel inside to the next outside; the picture's border is no end."""
    import cv2

    return np.asarray(cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _soft(inside: NDArray[np.bool_], sigma: float) -> Floats:
    """Return a region with a blurred edge."""
    import cv2

    return np.asarray(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(sigma, 0.5)), np.float32)


def _whole(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what was found without small islands and small holes."""
    import cv2

    def parts(where: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8), connectivity=8)
        areas = np.asarray(stats[:, cv2.CC_STAT_AREA], np.int32)
        areas[0] = 0
        return np.asarray(labels, np.int32), areas

    labels, areas = parts(found)
    largest = int(areas.max())
    kept = (areas >= ISLAND * largest) & (areas > 0)
    solid = kept[labels]
    labels, areas = parts(~solid)
    holes = (areas < HOLE * largest) & (areas > 0)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        holes[edge] = False
    return np.asarray(solid | holes[labels], bool)


def _spread(difference: Floats, ring: NDArray[np.bool_]) -> Floats:
    """Return differences known on a ring for every pixel, smooth: pulled up a pyramid of means and pushed down again.

    As in Gortler et al. (SIGGRAPH 1996). Without a ring there is no difference.
    """
    import cv2

    height, width = ring.shape
    if not ring.any():
        return np.zeros_like(difference)
    middle = np.median(difference[ring], axis=0)
    known = np.clip(difference, middle - FURTHEST, middle + FURTHEST) * ring[..., None]
    scale = min(1.0, CELLS / max(height, width))
    cells = (max(1, round(width * scale)), max(1, round(height * scale)))
    totals = np.dstack([known, ring]).astype(np.float32)
    levels = [np.asarray(cv2.resize(totals, cells, interpolation=cv2.INTER_AREA), np.float32)]
    while max(levels[-1].shape[:2]) > 1:
        high, wide = levels[-1].shape[:2]
        half = (max(1, wide // 2), max(1, high // 2))
        levels.append(np.asarray(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA), np.float32))
    field = levels[-1][..., :3] / levels[-1][..., 3:]
    for level in reversed(levels[:-1]):
        above = cv2.resize(field, level.shape[1::-1], interpolation=cv2.INTER_LINEAR).reshape(*level.shape[:2], 3)
        sure = np.clip(level[..., 3:] * 4, 0, 1)
        field = sure * level[..., :3] / np.maximum(level[..., 3:], 1e-6) + (1 - sure) * above
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)

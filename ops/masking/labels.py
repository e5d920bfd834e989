"""Labels of a mask: its region as run lengths and as polygons, what it leaves to be seen, and the class of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Face, Floats

OUT = 0.4
"""Share of nose, mouth or chin from which on, when it is to be seen, the part counts as out."""

HALF = 0.5

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
"""Classes of detectors, by id, spelt as the usual public sets spell them."""

MaskState = Literal["correct", "nose_out", "chin_out", "nose_and_mouth_out", "off"]

MOUTH = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
NOSTRILS = (4, 45, 220, 115, 48, 64, 98, 97, 2, 326, 327, 294, 278, 344, 440, 275)
CHIN = (201, 194, 32, 140, 176, 148, 152, 377, 400, 369, 262, 418, 421)


class Visible(NamedTuple):
    """Shares in [0, 1] of a face's parts that a mask's region leaves free."""

    nose: float
    mouth: float
    chin: float

    @property
    def state(self) -> MaskState:
        """The class of wear, measured: ``off`` where all three are out, as under the chin or on one ear.

        >>> Visible(nose=0.9, mouth=0.0, chin=0.0).state
        'nose_out'
        """
        nose, mouth, chin = (share > OUT for share in self)
        if nose and mouth:
            return "off" if chin else "nose_and_mouth_out"
        return "nose_out" if nose else "chin_out" if mouth or chin else "correct"

    @property
    def label(self) -> str:
        """One of `LABELS`."""
        return LABELS[0] if self.state == "correct" else LABELS[2]


def visible_fractions(
    face: Face,
    region: NDArray[np.bool_],
    front: tuple[Floats, tuple[int, int]] | None = None,
) -> Visible:
    """Measure what shares of the nostrils', mouth's and chin's outlines a region leaves visible.

    Args:
        face: its mesh gives the outlines (convex hulls of mesh points).
        region: of the whole picture, ``(height, width)``. Only what lies inside it can be visible.
        front: what stands before the face, in [0, 1], and its corner's x and y; a part behind that is neither hidden
            by the mask nor visible, and not counted.
    """
    return Visible(*(_visible(face.mesh[list(part), :2], region, front) for part in (NOSTRILS, MOUTH, CHIN)))


def in_sight(face: Face, shape: tuple[int, ...]) -> bool:
    """Tell whether any of nostrils, mouth and chin lies inside a picture of that height and width."""
    points = face.mesh[list(NOSTRILS + MOUTH + CHIN), :2]
    return bool(((points >= 0) & (points < (shape[1], shape[0]))).all(1).any())


def polygons(region: NDArray[np.bool_]) -> list[list[float]]:
    """Return a region's outer outlines, largest first, each as x1, y1, x2, y2, ... in pixels, to about half a pixel."""
    import cv2

    rings, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    fine = 0.7 if region.sum() > 1000 else 0.3
    simple = [cv2.approxPolyDP(ring, fine, True)[:, 0] for ring in sorted(rings, key=cv2.contourArea, reverse=True)]
    return [(ring + 0.5).ravel().tolist() for ring in simple if len(ring) > 2]


def encode_rle(region: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Return a region as COCO's uncompressed run lengths, column by column, the first run being of background.

    >>> encode_rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': [2, 2]}
    """
    flat = np.asarray(region, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False)) if flat.size else np.empty(0, int)
    return {
        "size": [int(n) for n in region.shape],
        "counts": np.diff(np.concatenate([[0], edges, [flat.size]])).tolist(),
    }


def decode_rle(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the region that `encode_rle` wrote."""
    height, width = rle["size"]
    counts = np.asarray(rle["counts"])
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape((height, width), order="F")


def _visible(
    points: NDArray[np.floating], region: NDArray[np.bool_], front: tuple[Floats, tuple[int, int]] | None
) -> float:
    import cv2

    low = np.floor(points.min(0)).astype(int)
    width, height = np.ceil(points.max(0)).astype(int) - low + 1
    part = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(part, cv2.convexHull(np.round(points - low).astype(np.int32)), 1)
    x1, y1 = np.maximum(low, 0)
    x2, y2 = max(x1, min(low[0] + width, region.shape[1])), max(y1, min(low[1] + height, region.shape[0]))
    inside = part[y1 - low[1] : y2 - low[1], x1 - low[0] : x2 - low[0]].astype(bool)
    if front is not None:
        before, (left, top) = front
        inside &= before[y1 - top : y2 - top, x1 - left : x2 - left] < HALF
    return float((inside & ~region[y1:y2, x1:x2]).sum()) / max(int(inside.sum()), 1)

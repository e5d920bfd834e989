"""Unmask faces in a picture of any size: frame, segment, complete, and paste back into the region alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ops.geometry import mesh_box, points5, transformed
from ops.records import Box, Refusal
from ops.unmasking.composition import DILATE, ERODE, FEATHER, RING, THRESHOLD, composed, grown, region_of
from ops.unmasking.framing import frame_face, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.records import Face, Floats, Picture

LEAST, MOST = 0.01, 0.5
"""Shares of the square that a mask takes up."""

STEP_BACK = 0.9
"""Meshes of masked faces end short of chins: as networks learned to see faces, every third mask reaches the edge."""

HALF = 0.5
NO_MASK = "no mask found"


class UnmaskingError(Refusal):
    """A face that is left as it is."""


class Unmasker(Protocol):
    """Tells which pixels of an upright face in a square a mask covers, and completes a region of it."""

    @property
    def size(self) -> int:
        """Side in pixels of the square to be given."""

    def shares(self, square: Picture) -> Floats:
        """Return ``(h, w)`` probabilities of a mask."""

    def complete(self, square: Picture, region: NDArray[np.bool_], rim: NDArray[np.bool_] | None = None) -> Picture:
        """Return the square with its region filled; what is in the region, but for its rim, is not looked at."""


@dataclass(frozen=True)
class Care:
    """Which faces are unmasked, and how the region is made; lengths are shares of the side of the face's square.

    Attributes:
        min_face_px: smaller faces are refused, height in pixels.
        max_yaw: faces turned further are refused, degrees either way.
        threshold: probability of a mask from which on a pixel is completed.
        erode: taken off the region all around, and thin threads with it.
        dilate: then added all around.
        feather: width of the soft edge inside the region.
        steady: of a video, how much of a frame's completion comes from the frame before, in [0, 1).
    """

    min_face_px: float = 64
    max_yaw: float = 60
    threshold: float = THRESHOLD
    erode: float = ERODE
    dilate: float = DILATE
    feather: float = FEATHER
    steady: float = 0.6


class Memory(NamedTuple):
    """What the frame before leaves behind, in pixels of the square: probabilities, the completed square, and where."""

    shares: Floats
    completed: Picture
    filled: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Unmasked:
    """A picture with one face unmasked.

    Attributes:
        picture: the whole picture, a new array; equal to the given one in every bit where alpha is 0.
        alpha: how much of each pixel was replaced, float32, of the part from ``offset`` on.
        offset: x, y of that part's top left pixel.
        memory: for the next frame of a video.
    """

    picture: Picture
    alpha: Floats
    offset: tuple[int, int]
    memory: Memory


class _View(NamedTuple):
    """The part of a picture that a face's square shows: pixels, its place, and the matrix from its pixels to those."""

    part: Picture
    offset: tuple[int, int]
    matrix: NDArray[np.float64]
    size: int

    @property
    def side(self) -> float:
        """Side of the square in pixels of the picture."""
        return float(self.size / np.linalg.norm(self.matrix[0, :2]))

    def back(self, square: Picture | Floats) -> NDArray[Any]:
        """Return what a square shows in the part's own pixels."""
        import cv2

        size, flags = self.part.shape[1::-1], cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(square, self.matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def unmask(
    pixels: Picture, face: Face, unmasker: Unmasker, care: Care | None = None, before: Memory | None = None
) -> Unmasked:
    """Take the mask off one face.

    Args:
        pixels: the picture, left as it is. For several faces pass the last result's picture on.
        face: where.
        unmasker: the networks.
        care: what is refused, and how the region is made.
        before: what the frame before left behind, of the same face in a video.

    Raises:
        UnmaskingError: too small, turned too far, without a mask, or the region can't be that of a mask.
    """
    care = care or Care()
    _judge(face, care)
    view = _view(pixels, face.mesh, unmasker.size)
    square = framed(view.part, view.matrix, view.size)
    shares = unmasker.shares(square)
    if before:
        shares = care.steady * before.shares + (1 - care.steady) * shares
    edge: dict[str, Any] = {name: getattr(care, name) for name in ("threshold", "erode", "dilate", "feather")}
    _judge_region(region_of(shares, **edge).inside, transformed(view.matrix, face.mesh[:, :2] - view.offset))
    # the ring has to lie within the square: what is beyond nobody has looked at
    border = int(np.ceil(RING * view.size))
    inner = np.pad(np.ones((view.size - 2 * border,) * 2, np.float32), border)
    within = view.back(inner) > HALF
    region = region_of(np.asarray(view.back(shares), np.float32), **edge, side=view.side, within=within)
    filled, core = (
        framed(part.astype(np.uint8) * 255, view.matrix, view.size) > 0
        for part in (grown(region.inside, side=view.side), region.core)
    )
    completed = unmasker.complete(square, filled, filled & ~core)
    if before:
        mixed = care.steady * before.completed.astype(np.float32) + (1 - care.steady) * completed
        both = (filled & before.filled)[..., None]
        completed = np.where(both, np.rint(mixed), completed).astype(np.uint8)
    picture, (x, y) = pixels.copy(), view.offset
    height, width = view.part.shape[:2]
    outline = _outline(face.mesh[:, :2] - view.offset, (height, width))
    done = composed(view.part, np.asarray(view.back(completed), np.uint8), region, side=view.side, face=outline)
    picture[y : y + height, x : x + width] = done
    return Unmasked(picture, region.alpha, view.offset, Memory(shares, completed, filled))


class Result(NamedTuple):
    """What became of a picture's faces.

    Attributes:
        picture: with every face unmasked that could be.
        alpha: ``(h, w)``, how much of each pixel was replaced.
        reasons: by the index of the face, why it was left as it is.
        memories: by the index of the face, for the next frame.
    """

    picture: Picture
    alpha: Floats
    reasons: dict[int, str]
    memories: dict[int, Memory]


def unmask_all(
    pixels: Picture,
    faces: Sequence[Face],
    unmasker: Unmasker,
    care: Care | None = None,
    before: dict[int, Memory] | None = None,
) -> Result:
    """Take the masks off all faces, those further away first.

    Args:
        pixels: the picture.
        faces: of it.
        unmasker: the networks.
        care: what is refused, and how regions are made.
        before: what the frame before left behind, by the index of the face.
    """
    known, alpha = before or {}, np.zeros(pixels.shape[:2], np.float32)
    result = Result(pixels, alpha, {}, {})
    for face in sorted(faces, key=lambda face: face.box.area):
        try:
            done = unmask(result.picture, face, unmasker, care, known.get(face.index))
        except UnmaskingError as error:
            result.reasons[face.index] = error.reason
            continue
        (x, y), (height, width) = done.offset, done.alpha.shape
        part = alpha[y : y + height, x : x + width]
        np.maximum(part, done.alpha, out=part)
        result = result._replace(picture=done.picture)
        result.memories[face.index] = done.memory
    return result


def changed_outside(before: Picture, after: Picture, alpha: NDArray[Any]) -> int:
    """Return how many pixels differ where ``alpha`` is 0; anything but 0 is a fault."""
    return int(((before != after).any(axis=2) & (alpha == 0)).sum())


def _judge(face: Face, care: Care) -> None:
    if face.box.height < care.min_face_px:
        raise UnmaskingError(f"a face of {face.box.height:.0f} px is smaller than {care.min_face_px:g} px")
    if abs(face.pose.yaw) > care.max_yaw:
        raise UnmaskingError(f"turned by {abs(face.pose.yaw):.0f} degrees, more than {care.max_yaw:g}")


def _judge_region(inside: NDArray[np.bool_], mesh: NDArray[np.float64]) -> None:
    """Refuse a region of the square, ``(size, size)``, that no mask has; ``mesh`` is in the square's pixels."""
    share, last = float(inside.mean()), len(inside) - 1
    if share < LEAST:
        raise UnmaskingError(NO_MASK)
    if share > MOST:
        raise UnmaskingError(f"what looks like a mask takes up {share:.0%} of the square around the face")
    eyes = np.rint(points5(mesh.astype(np.float32))[:2]).astype(int).clip(0, last)
    if inside[eyes[:, 1], eyes[:, 0]].all():
        raise UnmaskingError("what looks like a mask covers both eyes")
    x1, y1, x2, y2 = (int(side) for side in mesh_box(mesh.astype(np.float32)).clipped(last, last))
    if not inside[y1:y2, x1:x2].any():
        raise UnmaskingError("what looks like a mask lies beside the face")


def _outline(points: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a part of a picture that lie within the outline of a face's mesh."""
    import cv2

    canvas = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(points).astype(np.int32)), (1,))
    return canvas > 0


def _view(pixels: Picture, mesh: Floats, size: int) -> _View:
    """Return what the face's square, a little wider than that of pairs, shows of a picture."""
    matrix = frame_face(mesh, size) * STEP_BACK
    matrix[:, 2] += (1 - STEP_BACK) * (size - 1) / 2
    inverse = np.linalg.inv(matrix[:, :2])
    corners = (np.array([(x, y) for x in (0, size - 1) for y in (0, size - 1)]) - matrix[:, 2]) @ inverse.T
    (left, top), (right, bottom) = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0)) + 1
    seen = Box(left, top, right, bottom).clipped(pixels.shape[1], pixels.shape[0])
    x1, y1, x2, y2 = (int(edge) for edge in seen)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x1, y1)
    return _View(np.ascontiguousarray(pixels[y1:y2, x1:x2]), (x1, y1), moved, size)

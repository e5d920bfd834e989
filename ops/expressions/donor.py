"""Open eyes from another picture of the same person: real pixels of the real person, as in a photographer's best take.

A take is chosen by who it shows, how the head is turned, the light and how far its eyes are open, then by the seam that
it leaves. It is brought to the face by the points around each eye that blinking leaves where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ops.expressions.blending import blended, surrounded
from ops.expressions.engines import EngineError
from ops.expressions.regions import LEFT_EYE, RIGHT_EYE
from ops.expressions.state import LIMITS, closed_eyes
from ops.geometry import affine, mesh_box
from ops.unmasking.framing import framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.expressions.state import Limits, State
    from ops.records import Face, Floats, Picture, Pose
    from ops.unmasking.composition import Region

ROOM = 1.3
"""Side of what a take keeps of its picture, in sides of the face's box."""

SEAM_PX = 1.5
"""Pixels to either side of an edge within which a seam shows."""

BESIDE = 0.06
"""How far beside an edge a face is compared, as a share of its longer side."""

_AROUND = {
    LEFT_EYE: (
        33, 133, 226, 31, 228, 229, 230, 231, 232, 233, 244, 111, 117, 118, 119, 120, 121,
        46, 53, 52, 65, 55, 70, 63, 105, 66, 107,
    ),
    RIGHT_EYE: (
        263, 362, 446, 261, 448, 449, 450, 451, 452, 453, 464, 340, 346, 347, 348, 349, 350,
        276, 283, 282, 295, 285, 300, 293, 334, 296, 336,
    ),
}  # fmt: skip
"""Points that stay where they are in a blink: corners, what is below the lower lid, the brow."""

_LIDS = {LEFT_EYE: (159, 145), RIGHT_EYE: (386, 374)}
_LIT = (151, 50, 280, 6, 205, 425)
"""Where light is compared: forehead, cheeks, the nose's bridge."""

_PATCH = 0.03
"""Half a side of the patch that light is measured on, in heights of the face."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A face that could lend its eyes, or is lent some.

    Attributes:
        name: file, and frame if there are several, by which it is told.
        part: what its picture shows around the face.
        mesh: ``(468, 3)`` pixels of that part.
        pose: of the head.
        vector: of its identity, of length 1.
        state: of its eyes.
        light: grey levels of forehead, cheeks and nose, ``(6,)``.
        sharpness: of the face, as in :class:`ops.records.Face`.
    """

    name: str
    part: Picture
    mesh: Floats
    pose: Pose
    vector: Floats
    state: State
    light: Floats
    sharpness: float


@dataclass(frozen=True)
class Care:
    """Which takes will do.

    Attributes:
        same: lowest cosine of identity vectors; it depends on the embedder.
        turn: degrees by which yaw or pitch may differ.
        light: grey levels by which the light on the face may differ, as a mean.
        size: height of a take's face in heights of the other, at least: smaller ones lend blurred eyes.
        looks: of the likeliest so many takes are tried, and the one with the least seam is kept.
    """

    same: float = 0.5
    turn: float = 12.0
    light: float = 50.0
    size: float = 0.5
    looks: int = 3


def take(name: str, pixels: Picture, face: Face, vector: Floats, state: State) -> Take:
    """Keep what is needed of a face; arguments are those of :class:`Take`, of the whole picture."""
    x1, y1, x2, y2 = (round(edge) for edge in face.box.grown(ROOM).clipped(pixels.shape[1], pixels.shape[0]))
    part = pixels[y1:y2, x1:x2].copy()
    mesh = face.mesh - np.array((x1, y1, 0), np.float32)
    return Take(name, part, mesh, face.pose, vector, state, _light(part, mesh), face.sharpness)


def ranked(face: Take, takes: Sequence[Take], care: Care | None = None, limits: Limits = LIMITS) -> list[Take]:
    """Return the takes that can lend eyes to a face, the likeliest first, ties in the order given.

    Raises:
        EngineError: none can.
    """
    care = care or Care()
    person = [other for other in takes if float(other.vector @ face.vector) >= care.same]
    seen = [other for other in person if not closed_eyes(other.state, limits)]
    near = [other for other in seen if _turned(face, other) <= care.turn and _darker(face, other) <= care.light]
    large = [other for other in near if _sized(face, other) >= care.size]
    if not large:
        raise EngineError(
            f"no face to take open eyes from: of {len(takes)} known, {len(person)} are of this person, "
            f"{len(seen)} of them with open eyes, and none of those turned, lit and sized alike"
        )
    usual = float(np.median([_opened(other) for other in large]))

    def unlike(other: Take) -> float:
        larger = abs(np.log(_sized(face, other)))
        blurred = max(0.0, np.log((face.sharpness + 1) / (other.sharpness + 1)))
        wider = abs(_opened(other) / usual - 1)
        return float(_turned(face, other) / 5 + _darker(face, other) / 20 + larger + blurred + 6 * wider)

    return sorted(large, key=unlike)


@dataclass(frozen=True, slots=True, eq=False)
class Donor:
    """The engine for one face; an :class:`ops.expressions.engines.Inpainter` that reads no prompt and throws no dice.

    Attributes:
        face: whose eyes are to be opened.
        takes: where open ones may be.
        mesh: of the face, ``(468, 3)`` pixels of the whole picture.
        care: which takes will do.
        limits: from when on eyes are closed.
    """

    face: Take
    takes: Sequence[Take]
    mesh: Floats
    care: Care = Care()
    limits: Limits = LIMITS

    chance: ClassVar[bool] = False

    def inpaint(self, image: Picture, region: Region, prompt: str, seed: int) -> Picture:
        """Return the picture with the eyes in the region lent by the best take.

        Raises:
            EngineError: there is no take that will do, or no eye in the region.
        """
        likely = ranked(self.face, self.takes, self.care, self.limits)[: self.care.looks]
        tries = [lend(image, self.mesh, region, other) for other in likely]
        return min(tries, key=lambda made: seam_score(made, region, self.mesh))


def lend(image: Picture, mesh: Floats, region: Region, other: Take) -> Picture:
    """Lay a take's eyes into a picture, its colours matched to what is around them.

    Args:
        image: ``(h, w, 3)``, left as it is.
        mesh: ``(468, 3)`` pixels of it.
        region: one eye, or both.
        other: whose eyes.

    Returns:
        A new picture, equal to ``image`` in every bit outside ``region.inside``.

    Raises:
        EngineError: no eye lies in the region.
    """
    box = mesh_box(mesh)
    side = max(box.width, box.height)
    eyes = [which for which in _AROUND if _within(mesh, which, region.inside)]
    if not eyes:
        raise EngineError("no eye lies in the region")
    rows, columns = (np.flatnonzero(surrounded(region.inside, side).any(axis=axis)) for axis in (1, 0))
    here = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    local = mesh[:, :2] - (columns[0], rows[0])
    part = image[here]
    lent = [_brought(other, local, which, part.shape[:2]) for which in eyes]
    # each pixel from the eye that is nearer
    far = [_distance(local, which, part.shape[:2]) for which in eyes]
    completed = lent[0] if len(eyes) == 1 else np.where((far[0] <= far[1])[..., None], *lent)
    inner = type(region)(region.inside[here], region.alpha[here])
    done = image.copy()
    done[here] = blended(part, completed, inner, side)
    return done


def seam_score(picture: Picture, region: Region, mesh: Floats) -> float:
    """Return how much a picture steps across a region's edge, in terms of how it steps across the face beside it.

    A step is the size of the grey picture's slope along the way to the edge. 1 is as on lines that run along the edge
    further in and further out, so that brows and lids count for both; a seam is more.

    Args:
        picture: ``(h, w, 3)``, edited.
        region: what was edited.
        mesh: ``(468, 3)`` pixels.
    """
    import cv2

    height, width = picture.shape[:2]
    box = mesh_box(mesh)
    x1, y1, x2, y2 = (round(edge) for edge in box.clipped(width, height))
    inside = region.inside[y1:y2, x1:x2].astype(np.uint8)
    away = [cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, 1 - inside)]
    depth = away[0] - away[1] - (inside - 0.5)
    face = np.zeros(inside.shape, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.rint(mesh[:, :2] - (x1, y1)).astype(np.int32)), (1,))
    grey = cv2.cvtColor(picture[y1:y2, x1:x2], cv2.COLOR_RGB2GRAY).astype(np.float32)
    (gy, gx), (ny, nx) = np.gradient(grey), np.gradient(depth)
    step = abs(gx * nx + gy * ny)
    edge = abs(depth) < SEAM_PX
    beside = (face > 0) & (abs(depth) >= 2 * SEAM_PX) & (abs(depth) <= BESIDE * max(box.width, box.height))
    return float(step[edge].mean() / max(step[beside].mean(), 1e-6))


def _brought(other: Take, mesh: Floats, which: str, shape: tuple[int, int]) -> Picture:
    """Return what a take shows where a face's eye is, ``shape``; ``mesh`` is in the result's pixels."""
    points = list(_AROUND[which])
    matrix = affine(other.mesh[points, :2], mesh[points])
    return framed(other.part, matrix, max(shape))[: shape[0], : shape[1]]


def _within(mesh: Floats, which: str, inside: NDArray[np.bool_]) -> bool:
    x, y = np.rint(_middle(mesh, which)).astype(int)
    return bool(0 <= y < inside.shape[0] and 0 <= x < inside.shape[1] and inside[y, x])


def _middle(mesh: Floats, which: str) -> Floats:
    return np.asarray(mesh[list(_LIDS[which]), :2].mean(axis=0), np.float32)


def _distance(mesh: Floats, which: str, shape: tuple[int, int]) -> Floats:
    rows, columns = np.indices(shape, np.float32)
    x, y = _middle(mesh, which)
    return np.hypot(columns - x, rows - y)


def _opened(one: Take) -> float:
    return (one.state.left_eye + one.state.right_eye) / 2


def _turned(one: Take, other: Take) -> float:
    return max(abs(one.pose.yaw - other.pose.yaw), abs(one.pose.pitch - other.pose.pitch))


def _sized(one: Take, other: Take) -> float:
    """Return how high the other's face is in heights of the one's."""
    return float(np.ptp(other.mesh[:, 1]) / np.ptp(one.mesh[:, 1]))


def _darker(one: Take, other: Take) -> float:
    return float(abs(one.light - other.light).mean())


def _light(part: Picture, mesh: Floats) -> Floats:
    """Return the mean grey of a patch around each of the points that light is compared at."""
    grey = part.mean(axis=2)
    reach = max(1, round(_PATCH * float(np.ptp(mesh[:, 1]))))
    middles = np.rint(mesh[list(_LIT), :2]).astype(int).clip(0, np.array(grey.shape[::-1]) - 1)
    return np.array(
        [grey[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].mean() for x, y in middles],
        np.float32,
    )

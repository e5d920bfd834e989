"""Pasting faces of rare classes into other pictures, so that a detector meets them more often.

A face comes with its head, under a soft ellipse, and takes the place of a face of a common class: there it has a body,
the right size for where it is, and covers nobody else; of several places it takes the one that is most like its own
surroundings. Light, colour and sharpness follow the face that was there; frequency bands are blended apart (Burt and
Adelson 1983), so that no seam shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.detection.blending import blended, jittered, lit, sharpness, tone
from ops.images import resized
from ops.records import Box
from ops.store import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.records import Floats, Picture

FACE = (0.52, 0.54)
"""Half axes of what is pasted of a face in any case, in widths and heights of its box."""
WIDE, HIGH, RAISED = 0.68, 0.80, 0.10
"""Half axes of a head and how far its middle lies above the face's, in widths and heights of the face's box."""
SOFT = 0.20
"""Half width of the soft edge, in half axes."""
REACH = 1.15
"""Half side of the square that is worked on, in sides of the face."""
TURNED = 1.3
"""How much more than that is cut out, to be turned and sheared."""
LARGEST, CUT = 256, 48
"""Sides of a face in pixels: of the largest that is cut out as it is, and of those that GrabCut looks at."""
SMALLEST = 12
"""Faces smaller than this, in pixels, are not replaced."""
GROWN = 1.2
"""A face is enlarged at most by this; a larger one is no place for it."""
SHARPER = 1.15
"""How much sharper than the face that was there a pasted one may stay."""
BLURS = (0.5, 0.7, 0.9)
WORST = 0.72
"""How much a pasted face may differ from where it is put: see `Place.differs`."""
DARK = 24.0
"""Grey levels added to the brightness of surroundings, so that black in black is not the best place of all."""
DULL = 0.6
"""What a face blurred by a factor of e weighs against one darker by that factor."""


@dataclass(frozen=True)
class PasteSettings:
    """What a pasted face goes through: the ranges of the usual augmentations.

    Attributes:
        rotation: degrees, either way.
        flip: chance of being mirrored.
        jitter: of brightness, contrast, saturation (shares, either way) and hue (of the full circle).
        translate: share of the face's side, either way.
        scale: least and greatest.
        shear: degrees, either way.
    """

    rotation: float = 15.0
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.05)
    translate: float = 0.1
    scale: tuple[float, float] = (0.8, 1.2)
    shear: float = 10.0


class Tweak(NamedTuple):
    """Drawn once for each pasted face; see :class:`PasteSettings`."""

    rotation: float
    flip: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    dx: float
    dy: float
    scale: float
    shear: float


@dataclass(frozen=True, eq=False)
class Donor:
    """A face to paste, cut out with its head and what is around it.

    Attributes:
        pixels: of the cutting, faces larger than :data:`LARGEST` scaled down.
        alpha: soft shape of the head, ``(height, width)``.
        box: of the face in the cutting.
        label: its class.
    """

    pixels: Picture
    alpha: Floats
    box: Box
    label: str

    @classmethod
    def cut(cls, picture: Picture, box: Box, label: str) -> Donor:
        """Cut a face out of a picture."""
        height, width = picture.shape[:2]
        reach = TURNED * REACH * max(box.width, box.height)
        (x, y), limits = box.center, (width, height)
        x1, y1 = (max(0, math.floor(n - reach)) for n in (x, y))
        x2, y2 = (min(limit, math.ceil(n + reach)) for n, limit in zip((x, y), limits, strict=True))
        pixels, scale = picture[y1:y2, x1:x2], min(1.0, LARGEST / max(box.width, box.height))
        if scale < 1:
            pixels = resized(pixels, (round((x2 - x1) * scale), round((y2 - y1) * scale)))
        across, down = pixels.shape[1] / (x2 - x1), pixels.shape[0] / (y2 - y1)
        inside = Box((box.x1 - x1) * across, (box.y1 - y1) * down, (box.x2 - x1) * across, (box.y2 - y1) * down)
        return cls(pixels, _head_shape(pixels, inside), inside, label)


class Place(NamedTuple):
    """Where a face goes.

    Attributes:
        matrix: ``(2, 3)``, from the donor's pixels to the picture's.
        box: of the face in the picture, whole pixels.
        replaces: index of the face that it replaces.
        differs: what gives it away: difference of its surroundings from what is there, as a share of their brightness,
            and logarithms of the differences in light and, where it is less sharp, in sharpness.
    """

    matrix: NDArray[np.float64]
    box: Box
    replaces: int
    differs: float


def draw_tweak(seed: str, settings: PasteSettings) -> Tweak:
    """Draw what happens to one face, from its own seed."""
    rng = np.random.default_rng(int(fingerprint("tweak", seed), 16))

    def around(middle: float, reach: float) -> float:
        return middle + reach * float(rng.uniform(-1, 1))

    return Tweak(
        rotation=around(0, settings.rotation),
        flip=bool(rng.random() < settings.flip),
        brightness=around(1, settings.jitter[0]),
        contrast=around(1, settings.jitter[1]),
        saturation=around(1, settings.jitter[2]),
        hue=around(0, settings.jitter[3]),
        dx=around(0, settings.translate),
        dy=around(0, settings.translate),
        scale=float(rng.uniform(*settings.scale)),
        shear=around(0, settings.shear),
    )


def find_place(
    picture: Picture, boxes: Sequence[Box], may_replace: Sequence[bool], donor: Donor, tweak: Tweak
) -> Place | None:
    """Find the face whose place another one takes best.

    Args:
        picture: to paste into.
        boxes: its faces.
        may_replace: which of them may be replaced; the others are never touched.
        donor: the face to paste.
        tweak: drawn for it.

    Returns:
        The place that differs least; None where none is large enough, free of others and like enough.
    """
    places = (_onto(picture, boxes, index, donor, tweak) for index, may in enumerate(may_replace) if may)
    good = [place for place in places if place is not None and place.differs <= WORST]
    return min(good, key=lambda place: place.differs, default=None)


def paste(picture: Picture, boxes: Sequence[Box], donor: Donor, tweak: Tweak, place: Place) -> Picture:
    """Return the picture with a face pasted at a place that :func:`find_place` found among ``boxes``."""
    x1, y1, x2, y2 = window = _window(picture, place.box)
    patch, alpha = _patch(picture, boxes[place.replaces], donor, tweak, place, window)
    pasted = picture.copy()
    pasted[y1:y2, x1:x2] = blended(picture[y1:y2, x1:x2], patch, alpha)
    return pasted


def _matrix(donor: Donor, tweak: Tweak, scale: float, center: tuple[float, float]) -> NDArray[np.float64]:
    turn, lean = math.radians(tweak.rotation), math.tan(math.radians(tweak.shear))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = scale * rotation @ np.array([[1.0, lean], [0.0, 1.0]]) @ np.diag([-1.0 if tweak.flip else 1.0, 1.0])
    here = np.array(donor.box.center) - 0.5
    return np.hstack([linear, (np.array(center) - 0.5 - linear @ here)[:, None]])


def _placed(donor: Donor, tweak: Tweak, scale: float, center: tuple[float, float]) -> tuple[NDArray[Any], Box]:
    """Return the matrix and the box of the ellipse that fills the donor's box, in whole pixels."""
    matrix = _matrix(donor, tweak, scale, center)
    half = np.hypot(matrix[:, 0] * donor.box.width / 2, matrix[:, 1] * donor.box.height / 2)
    low, high = np.rint(np.array(center) - half), np.rint(np.array(center) + half)
    return matrix, Box(*low.tolist(), *high.tolist())


def _head(box: Box) -> Box:
    """Return the box of a face's head as far as a paste changes it."""
    x, y = box.center
    wide, high = box.width * WIDE * (1 + SOFT), box.height * HIGH * (1 + SOFT)
    y -= RAISED * box.height
    return Box(x - wide, y - high, x + wide, y + high)


def _window(picture: Picture, box: Box) -> tuple[int, int, int, int]:
    height, width = picture.shape[:2]
    x, y = box.center
    reach = REACH * max(box.width, box.height)
    around = Box(x - reach, y - reach, x + reach, y + reach).clipped(width, height)
    return (int(around.x1), int(around.y1), math.ceil(around.x2), math.ceil(around.y2))


def _onto(picture: Picture, boxes: Sequence[Box], index: int, donor: Donor, tweak: Tweak) -> Place | None:
    """Put a face onto another one, large enough to hide it."""
    target = boxes[index]
    size = max(target.width / donor.box.width, target.height / donor.box.height)
    light = abs(math.log((tone(picture, target)[0] + 5) / (tone(donor.pixels, donor.box)[0] + 5)))
    if min(target.width, target.height) < SMALLEST or size > GROWN or light > WORST / 2:
        return None
    x, y = target.center
    center = (x + tweak.dx * target.width / 2, y + tweak.dy * target.height / 2)
    matrix, box = _placed(donor, tweak, size * min(max(tweak.scale, 1.0), 1.1), center)
    others = [other for number, other in enumerate(boxes) if number != index]
    if not _free(picture, box, others):
        return None
    place = Place(matrix, box, index, light)
    return place._replace(differs=light + _difference(picture, target, donor, tweak, place))


def _free(picture: Picture, box: Box, others: Sequence[Box]) -> bool:
    """Tell whether a head lies in the picture and covers no other face."""
    height, width = picture.shape[:2]
    head = _head(box)
    inside = box == box.clipped(width, height) and head.clipped(width, height).area >= 0.9 * head.area
    return inside and not any(
        min(head.x2, other.x2) > max(head.x1, other.x1) and min(head.y2, other.y2) > max(head.y1, other.y1)
        for other in others
    )


def _ellipse(shape: tuple[int, ...], box: Box, axes: tuple[float, float], raised: float = 0.0) -> NDArray[np.float64]:
    """Return 1 within an ellipse about a face, 0 outside, softly changing; its half axes are shares of the box."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    cx, cy = box.center
    far = np.hypot((x - cx) / (axes[0] * box.width), (y - cy + raised * box.height) / (axes[1] * box.height))
    soft = np.clip((1 + SOFT - far) / (2 * SOFT), 0, 1)
    return np.asarray(soft * soft * (3 - 2 * soft))


def _head_shape(pixels: Picture, box: Box) -> Floats:
    """Return the soft shape of a head: the face for certain, around it what GrabCut tells from the background."""
    import cv2

    step = max(1.0, max(box.width, box.height) / CUT)
    size = (max(4, round(pixels.shape[1] / step)), max(4, round(pixels.shape[0] / step)))
    head = _ellipse(pixels.shape, box, (WIDE, HIGH), RAISED)
    face = _ellipse(pixels.shape, box, FACE)
    small, inner, outer = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (pixels, face, head))
    guess = np.select(
        [inner > 0.9, outer > 0.5, outer > 0], [cv2.GC_FGD, cv2.GC_PR_FGD, cv2.GC_PR_BGD], cv2.GC_BGD
    ).astype(np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(small, guess, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(guess, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    found = cv2.GaussianBlur(cv2.resize(inside, pixels.shape[1::-1]), (0, 0), max(0.6, 0.03 * box.height))
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    edge = np.minimum(np.minimum(x, pixels.shape[1] - x), np.minimum(y, pixels.shape[0] - y))
    shape = np.maximum(face, head * found) * np.clip(edge / (0.06 * box.height) - 0.5, 0, 1)
    return np.asarray(shape, np.float32)


def _ring(alpha: Floats) -> Floats:
    """Weights of where a seam would show: the soft edge and a little around it."""
    import cv2

    wide = cv2.GaussianBlur(alpha, (0, 0), max(1.0, alpha.shape[0] / 24))
    return np.asarray(np.clip(4 * wide * (1 - wide), 0, 1), np.float32)


def _warped(pixels: NDArray[Any], matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[Any]:
    """Warp by a matrix that may shrink a lot: whole steps are taken by means, so that nothing flickers."""
    import cv2

    whole = int(1 / math.sqrt(abs(np.linalg.det(matrix[:, :2]))) + 0.25)
    if whole > 1:
        height, width = pixels.shape[0] // whole, pixels.shape[1] // whole
        part = pixels[: height * whole, : width * whole]
        pixels = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA))
        shift = matrix[:, 2] + matrix[:, :2] @ np.full(2, (whole - 1) / 2)
        matrix = np.hstack([matrix[:, :2] * whole, shift[:, None]])
    if pixels.ndim == 2:
        return np.asarray(cv2.warpAffine(pixels, matrix, size))
    return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _patch(
    picture: Picture, target: Box, donor: Donor, tweak: Tweak, place: Place, window: tuple[int, int, int, int]
) -> tuple[Picture, Floats]:
    """Return the face as it will stand in the window of the picture, lit and as sharp as the one there; its alpha."""
    import cv2

    x1, y1, x2, y2 = window
    size = (x2 - x1, y2 - y1)
    matrix = place.matrix - np.array([[0, 0, x1], [0, 0, y1]])
    patch, alpha = _warped(donor.pixels, matrix, size), _warped(donor.alpha, matrix, size)
    patch = lit(patch, tone(donor.pixels, donor.box), tone(picture, target))
    patch = jittered(patch, tweak.brightness, tweak.contrast, tweak.saturation, tweak.hue)
    left, top, right, bottom = (int(side) for side in target)
    wanted = SHARPER * sharpness(picture[top:bottom, left:right])
    left, top, right, bottom = (int(side) for side in place.box)
    for sigma in BLURS:
        if sharpness(patch[top - y1 : bottom - y1, left - x1 : right - x1]) <= wanted:
            break
        patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), sigma), np.uint8)
    return patch, alpha


def _difference(picture: Picture, target: Box, donor: Donor, tweak: Tweak, place: Place) -> float:
    """Sum of what would give a face away beside its light: other surroundings, less sharpness."""
    x1, y1, x2, y2 = window = _window(picture, place.box)
    patch, alpha = _patch(picture, target, donor, tweak, place, window)
    here, there = patch.astype(np.float32), picture[y1:y2, x1:x2].astype(np.float32)
    weights = _ring(alpha) + 1e-6
    level = np.average((here + there).mean(2) / 2, weights=weights)
    seam = math.sqrt(np.average(((here - there) ** 2).mean(2), weights=weights)) / (level + DARK)
    left, top, right, bottom = (int(side) for side in place.box)
    sharp = sharpness(patch[top - y1 : bottom - y1, left - x1 : right - x1])
    left, top, right, bottom = (int(side) for side in target)
    dull = max(0.0, math.log(sharpness(picture[top:bottom, left:right]) / (sharp + 1e-3)))
    return float(seam + DULL * dull)

"""What stands in front of a face: hair and scarves beside it and over its cheeks, and the lower rims of glasses.

A hole in a mask looks worse than a strand of hair under it, so only what is told safely counts. Three facts help:

- Skin has one colour, and its brightness changes slowly over the face. What is much darker is something else or a
  shadow.
- Ears don't vanish. Where there is something dark beside the face instead of an ear, it covers the ear, and what goes
  on from there over the cheek is in front too; beards, shadows and sideburns leave an ear to be seen.
- Rims are long, thin and much darker than the skin on both sides.

Hands, microphones and light hair are not told from skin, beards and shine: masks lie over them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.images import resized
from ops.masking.light import SKIN
from ops.raster import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.masking.chart import Frame
    from ops.records import Floats, Picture


WIDE = 72
"""Faces are looked at with this many pixels from ear to ear."""

_BELOW = 0.25  # face widths below the chin down to which hair is looked for
_RIM_WIDE = 160  # and with this many, or all that there are, where rims may be
_DARK = 0.5  # natural logarithm by which something is darker than skin
_FEW = 12  # skin points in sight below which a face is not judged

_LOG = np.log(np.arange(256) + 6.0)  # of a grey level; a little more than it, so that black is not infinitely dark

_LOG32 = np.log(np.arange(256, dtype=np.float32) + 8)

_OVAL = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])  # fmt: skip
_FEATURES = tuple(
    np.array(points)
    for points in (
        (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
        (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
        (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
        (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
        (168, 193, 174, 198, 129, 98, 97, 2, 326, 327, 358, 420, 399, 417),
    )
)
_EYES = np.array([33, 133, 362, 263])
_EARS = np.array([(127, 234, 93, 132), (356, 454, 323, 361)])
_BEARD = np.array([164, 167, 393, 165, 391, 18, 83, 313, 200, 199, 201, 421, 208, 428, 175, 171, 396, 182, 406])
_MIDDLE = np.array([6, 233, 230, 118, 50, 205, 207, 214, 202, 200, 422, 434, 427, 425, 280, 347, 450, 453])
# where rims of glasses may cross a mask's upper edge: from halfway between two rings of the mesh below an eye downward
_UNDER_EYES = np.array([
    ((31, 228, 229, 230, 231, 232, 233), (111, 117, 118, 119, 120, 121, 128), (126, 126, 142, 36, 50, 123, 116)),
    ((261, 448, 449, 450, 451, 452, 453), (340, 346, 347, 348, 349, 350, 357), (355, 355, 371, 266, 280, 352, 345)),
])  # fmt: skip


class _Look(NamedTuple):
    """A face at small scale.

    Attributes:
        image: the part of the picture, a face width being `WIDE` pixels.
        points: ``(468, 2)`` whole pixels of it.
        axes: ``(2, 2)`` the head's own, across and down, in the picture's plane.
        dark: how much darker than skin in the same light, natural logarithm.
        other: 1 where something is too dark for skin.
    """

    image: Picture
    points: NDArray[np.int32]
    axes: NDArray[np.float64]
    dark: Floats
    other: NDArray[np.uint8]


def in_front(pixels: Picture, mesh: Floats, frame: Frame, roi: tuple[int, int, int, int]) -> Floats | None:
    """Tell what stands in front of a face.

    Args:
        pixels: the picture.
        mesh: ``(468, 3)`` picture pixels.
        frame: the head's axes.
        roi: x1, y1, x2, y2 whole pixels: the part of the picture to look at.

    Returns:
        How much of each pixel of ``roi`` belongs to something in front of the face, ``(y2 - y1, x2 - x1)`` in [0, 1];
        None when nothing is seen there.
    """
    low = min(max(int(mesh[152, 1] + _BELOW * frame.unit), roi[1] + 1), roi[3])
    part = pixels[roi[1] : low, roi[0] : roi[2]]
    flat = mesh[:, :2] - np.array(roi[:2], np.float32)
    look = _look(part, flat, frame)
    hair = _beside(look) if look is not None else None
    rims = _rims(part, flat, frame)
    if hair is None or look is None:
        front = rims
    else:
        front = _matte(part, look.image, hair)
        front = front if rims is None else np.maximum(front, rims)
    return None if front is None else np.pad(front, ((0, roi[3] - low), (0, 0)))


def _look(part: Picture, flat: Floats, frame: Frame) -> _Look | None:
    """Look at a face at small scale; None where too little of its skin is inside the picture."""
    scale = WIDE / frame.unit
    image = resized(part, tuple(max(1, round(side * scale)) for side in part.shape[1::-1]))
    points = np.floor((flat + 0.5) * np.float32(scale)).astype(np.int32)
    places = _within(points[np.array(SKIN)], image)
    if len(places) < _FEW:
        return None
    axes = frame.axes[:2, :2].copy()
    dark, other = np.empty(image.shape[:2], np.float32), np.empty(image.shape[:2], np.uint8)
    compiled(_deviate)(image, _LOG, places, axes / WIDE, points[[4, 197]].mean(0), dark, other)
    return _Look(image, points, axes, dark, other)


def _within(places: NDArray[np.int32], image: NDArray[Any]) -> NDArray[np.int32]:
    """Return those of ``(n, 2)`` places that are inside an image."""
    return places[(places >= 0).all(1) & (places[:, 0] < image.shape[1]) & (places[:, 1] < image.shape[0])]


def _deviate(  # noqa: C901
    image: Any, log: Any, places: Any, axes: Any, middle: Any, dark: Any, other: Any
) -> None:
    """Fit a parabolic surface to the skin's logarithmic brightness, robustly, and write how far pixels are below it."""
    count = len(places)
    terms, logs, tones, weights = np.ones((count, 5)), np.empty(count), np.empty((count, 2)), np.ones(count)
    for n in range(count):
        x, y = places[n, 0], places[n, 1]
        red, green, blue = image[y, x, 0], image[y, x, 1], image[y, x, 2]
        logs[n] = log[(299 * red + 587 * green + 114 * blue) // 1000]
        tones[n, 0], tones[n, 1] = log[red] - log[green], log[blue] - log[green]
        terms[n, 1] = axes[0, 0] * (x - middle[0]) + axes[0, 1] * (y - middle[1])
        terms[n, 2] = axes[1, 0] * (x - middle[0]) + axes[1, 1] * (y - middle[1])
        terms[n, 3], terms[n, 4] = terms[n, 1] ** 2, terms[n, 2] ** 2
    warm, cold, level = np.median(tones[:, 0]), np.median(tones[:, 1]), np.sort(logs)[int(0.55 * count)]
    for n in range(count):
        weights[n] = 1.0 if abs(logs[n] - level) < 0.6 else 0.1
    found = np.zeros(5)
    for _ in range(4):
        left, right = np.diag(np.array([0.0, 0.3, 0.3, 0.6, 0.6])), np.zeros(5)
        for n in range(count):
            for c in range(5):
                right[c] += weights[n] * terms[n, c] * logs[n]
                for d in range(5):
                    left[c, d] += weights[n] * terms[n, c] * terms[n, d]
        found[:] = np.linalg.solve(left, right)
        for n in range(count):
            rest = logs[n]
            for c in range(5):
                rest -= terms[n, c] * found[c]
            weights[n] = 1.0 / (1.0 + (rest / 0.15) ** 2) ** 2
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            across = axes[0, 0] * (x - middle[0]) + axes[0, 1] * (y - middle[1])
            down = axes[1, 0] * (x - middle[0]) + axes[1, 1] * (y - middle[1])
            across, down = min(max(across, -0.5), 0.5), min(max(down, -0.6), 0.6)
            skin = found[0] + (found[1] + found[3] * across) * across + (found[2] + found[4] * down) * down
            red, green, blue = image[y, x, 0], image[y, x, 1], image[y, x, 2]
            below = skin - log[(299 * red + 587 * green + 114 * blue) // 1000]
            redder, bluer = log[red] - log[green] - warm, log[blue] - log[green] - cold
            dark[y, x] = below
            # skin grows redder in shadow: what is redder must be darker yet, what is not may be less dark
            other[y, x] = below > _DARK + min(max(redder, 0.0), 0.5) or (below > 0.35 and max(-redder, bluer) > 0.3)


def _beside(look: _Look) -> Any:
    """Return 1 where hair or a scarf covers an ear and goes on over the cheek; None when both ears are bare."""
    import cv2

    face, features, middle, ears = np.zeros((4, *look.other.shape), np.uint8)
    for side in (0, 1):
        places = _covered_ear(look, side)
        ears[places[:, 1], places[:, 0]] = 1
    if not ears.any():
        return None
    ears = _grown(ears, 4)
    cv2.fillPoly(face, [look.points[_OVAL]], 1)
    cv2.fillPoly(middle, [look.points[_MIDDLE]], 1)
    for part in _FEATURES:
        cv2.fillConvexPoly(features, cv2.convexHull(look.points[part]), 1)
    skin = face & (1 - _grown(features, 2))
    edge = _grown(ears, 4) & (cv2.distanceTransform(face, cv2.DIST_L2, 3) < 0.045 * WIDE)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(look.other & skin, connectivity=4)
    kept = np.zeros_like(face)
    for n in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] > 0.001 * WIDE**2) + 1:
        piece = (labels == n).astype(np.uint8)
        if (_grown(piece, 3) & ears).any():
            kept |= piece if _over_the_cheek(piece, look, skin, middle) else piece & edge
    kept |= _grown(kept | ears, 6) & look.other & (1 - face)
    kept = cv2.medianBlur(cv2.morphologyEx(kept, cv2.MORPH_CLOSE, _disc(2)), 5)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(kept, connectivity=4)
    large = np.zeros(count, np.uint8)
    for k in range(1, count):
        large[k] = stats[k, cv2.CC_STAT_AREA] > 0.01 * WIDE**2 and ears[labels == k].any()
    return large[labels] if large.any() else None


def _covered_ear(look: _Look, side: int) -> NDArray[np.int32]:
    """Return the places ``(n, 2)`` beside an ear that something dark covers; none where it is bare or turned away."""
    outward = look.axes[0] * (2 * side - 1)
    rim = look.points[_EARS[side]].astype(np.float64)
    places = (rim[:, None] + np.array([0.02, 0.04, 0.06, 0.08])[:, None] * WIDE * outward).reshape(-1, 2)
    inside = _within(places.astype(np.int32), look.other)
    turned = (rim.mean(0) - look.points[4]) @ outward < 0.28 * WIDE
    if turned or len(inside) < 8 or (look.dark[inside[:, 1], inside[:, 0]] > _DARK).mean() < 0.8:
        return inside[:0]
    return inside


def _over_the_cheek(piece: Any, look: _Look, skin: Any, middle: Any) -> bool:
    """Tell hair from a beard, which grows on the chin, and from a face's dark side, whose edge is soft or central."""
    import cv2

    chin = cv2.circle(np.zeros_like(piece), look.points[152].tolist(), round(0.2 * WIDE), 1, -1)
    places = _within(look.points[_BEARD], look.dark)
    bearded = (look.dark[places[:, 1], places[:, 0]] > 0.4).sum() > 0.3 * len(places)
    if bearded or (piece & chin).any() or (piece & middle).sum() > 0.08 * piece.sum():
        return False
    low = skin.copy()
    eyes = look.points[_EYES].mean(0) + 0.04 * WIDE * look.axes[1]
    compiled(_cut_above)(low, eyes, look.axes[1])
    bare = _grown(piece, 3) & (1 - _grown(piece, 1)) & low
    hair = _grown(bare, 4) & piece & low
    if bare.sum() < 0.08 * WIDE or not hair.any():
        return False
    beside, over = float(np.median(look.dark[bare > 0])), float(np.median(look.dark[hair > 0]))
    return over - beside > 0.4 and beside < 0.3


def _cut_above(mask: Any, place: Any, down: Any) -> None:
    """Clear what lies above a line through a place."""
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if (x - place[0]) * down[0] + (y - place[1]) * down[1] <= 0:
                mask[y, x] = 0


def _matte(part: Picture, image: Picture, solid: Any) -> Floats:
    """Return a mask of the small image at the part's size; at its border a pixel's share is what its colour says."""
    import cv2

    sure, never = cv2.erode(solid, _disc(1)), 1 - _grown(solid, 1)
    side = (2 * (WIDE // 10) + 1,) * 2
    means = []
    for weight in (sure.astype(np.float32)[..., None], never.astype(np.float32)[..., None]):
        total = cv2.boxFilter(weight, -1, side)[..., None]
        means.append(cv2.boxFilter(image * weight, -1, side) / np.maximum(total, np.float32(1e-6)))
    front = np.zeros(part.shape[:2], np.float32)
    x, y, width, height = cv2.boundingRect(1 - never)
    rows, columns = solid.shape
    where = ((y - 1) / rows, (y + height + 1) / rows, (x - 1) / columns, (x + width + 1) / columns)
    compiled(_share)(part, *means, sure.astype(np.float32) - never, solid.astype(np.float32), where, front)
    return front


def _share(part: Any, over: Any, under: Any, known: Any, solid: Any, where: Any, front: Any) -> None:
    """Write shares: 1 where ``known`` is 1, 0 where it is -1, between them by the colour's place from under to over.

    Only the rectangle ``where`` (upper, lower, left and right end, in [0, 1]) is looked at.
    """
    height, width = known.shape
    top, bottom = max(int(where[0] * part.shape[0]), 0), min(int(where[1] * part.shape[0]) + 1, part.shape[0])
    first, last = max(int(where[2] * part.shape[1]), 0), min(int(where[3] * part.shape[1]) + 1, part.shape[1])
    step_y, step_x = height / part.shape[0], width / part.shape[1]
    for y in range(top, bottom):
        v = min(max((y + 0.5) * step_y - 0.5, 0.0), height - 1.001)
        j, f = int(v), np.float32(v - int(v))
        for x in range(first, last):
            u = min(max((x + 0.5) * step_x - 0.5, 0.0), width - 1.001)
            i, e = int(u), np.float32(u - int(u))
            left, right = known[j, i], known[j, i + 1]
            if left == right == known[j + 1, i] == known[j + 1, i + 1] != 0:
                front[y, x] = left > 0
                continue
            left, right = left + f * (known[j + 1, i] - left), right + f * (known[j + 1, i + 1] - right)
            place = left + e * (right - left)
            a, b = int(u + 0.5), int(v + 0.5)
            along, whole = np.float32(0), np.float32(0)
            for c in range(3):
                step = over[b, a, c] - under[b, a, c]
                along += (part[y, x, c] - under[b, a, c]) * step
                whole += step * step
            share = solid[b, a]
            if whole > 300:
                share = (along / whole - np.float32(0.2)) / np.float32(0.6)
            front[y, x] = min(max(share, place, np.float32(0)), 1 + place, np.float32(1))


def _rims(part: Picture, flat: Floats, frame: Frame) -> Floats | None:
    """Return the share of glasses' lower rims in each pixel, from a black-hat transform under the eyes."""
    import cv2

    rings = flat[_UNDER_EYES]
    zones = np.concatenate([(rings[:, 0] + rings[:, 1]) / 2, rings[:, 2]], 1)
    margin = 4 * max(frame.unit / _RIM_WIDE, 1.0)
    x1, y1 = np.maximum(np.floor(zones.min((0, 1)) - margin).astype(int), 0).tolist()
    x2, y2 = (np.ceil(zones.max((0, 1)) + margin).astype(int) + 1).tolist()
    band = part[y1 : max(y2, 0), x1 : max(x2, 0)]
    scale = min(_RIM_WIDE / frame.unit, 1.0)
    size = tuple(round(side * scale) for side in band.shape[1::-1])
    if min(size) < 8:
        return None
    # the shadows of bags and wrinkles stay red, so red is what a rim is told by
    grey = np.ascontiguousarray((band if scale == 1 else resized(band, size))[..., 0])
    unit = frame.unit * scale
    side = 2 * round(0.045 * unit) + 1
    closed = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    lines = _LOG32[closed] - _LOG32[grey]
    zone = np.zeros_like(grey)
    inside = (zones - (x1, y1) + 0.5) * scale - 0.5
    cv2.fillPoly(zone, list(np.round(inside).astype(np.int32)), 1)
    found, level = _long(lines, zone, frame.axes[0, :2], (float(flat[4, 0]) - x1) * scale, unit)
    if level == 0:
        return None
    share = np.clip((lines - 0.25) / np.float32(0.8 * level - 0.25), 0, 1) * _grown(found, 1)
    out = np.zeros(part.shape[:2], np.float32)
    out[y1:y2, x1:x2] = cv2.resize(np.asarray(share, np.float32), band.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return out


def _long(lines: Floats, zone: Any, across: NDArray[np.float64], nose: float, unit: float) -> tuple[Any, float]:
    """Return the long thin lines in a zone and how dark they are; 0 unless under both eyes, or one very long."""
    import cv2

    dark = (lines > 0.32) & zone
    kept, level, lengths = np.zeros_like(zone), 0.0, [0.0, 0.0]
    if np.count_nonzero(dark) < 0.1 * unit:
        return kept, level
    _, labels, stats, middles = cv2.connectedComponentsWithStats(dark, connectivity=8)
    for n in np.flatnonzero(stats[1:, 2] + stats[1:, 3] > 0.1 * unit) + 1:
        ys, xs = np.nonzero(labels == n)
        length = float(np.ptp(xs * across[0] + ys * across[1])) / unit
        thin = len(xs) < 0.055 * length * unit**2
        strength = float(np.percentile(lines[ys, xs], 75))
        if length < 0.1 or not thin or strength < 0.55:
            continue
        kept[ys, xs] = 1
        which, level = int(middles[n][0] > nose), max(level, strength)
        lengths[which] = max(lengths[which], length)
    return kept, level if min(lengths) > 0 or max(lengths) > 0.2 else 0.0


def _grown(mask: Any, radius: int) -> Any:
    import cv2

    return cv2.dilate(mask, _disc(radius))


@cache
def _disc(radius: int) -> Any:
    import cv2

    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))

"""Mask detection in a picture, whatever runs the network: fit it in, read what comes out, look closer in tiles.

The network takes ``(n, 3, height, width)`` float32 RGB in [0, 1] with sides that are multiples of 32, and returns
``(n, k, 6)``: x1 y1 x2 y2 in input pixels, score, class. Its one-to-one head is to give a face one box; a head that
learned for hours only gives some two, and the weaker one is suppressed. Views that overlap see the same
face, and :func:`merged` makes that one box again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ops.detection.detections import Detections
from ops.records import Box, Floats, Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Network = Callable[[Floats], Floats]

STRIDE = 32
GREY = 114
FLOOR = 0.001
"""Boxes with a lower score are never told: what average precision is counted from."""

OVERLAP = 0.2
"""Share of a tile's side that it has in common with its neighbour."""

SAME = 0.5
"""Boxes of two views show one face if they share this (intersection over union) of what both views show."""

CUT_PX, CUT_SHARE = 4, 0.1
"""A box that ends closer than this to its tile's inner edge goes on beyond it: input pixels, share of its side."""

CUT_WORTH = 0.5
"""What a cut face's score counts against that of a whole one."""

SURE = 0.25
"""A box does not grow by one that has less than this share of its score."""


class MaskDetector(Protocol):
    """Finds faces and tells how each wears its mask."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes by name, as the labels of detections count them."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The score from which on a box counts, one a class."""

    @property
    def size(self) -> int:
        """Longer side of the network's input in pixels."""

    def __call__(self, picture: Picture, *, tiles: int = 1, floor: float = FLOOR) -> Detections:
        """Return all boxes with a score of at least ``floor``, in the picture's own pixels, highest score first."""
        ...


class Fit(NamedTuple):
    """How a picture lies in the network's input: scale and offset in x and y, and the picture's own size."""

    gain_x: float
    gain_y: float
    left: int
    top: int
    width: int
    height: int


def letterbox(pixels: Picture, side: int) -> tuple[Picture, Fit]:
    """Scale a picture so that its longer side is ``side``, and pad it with grey to multiples of 32.

    The geometry is that of ultralytics' ``LetterBox(side, auto=True)``, which ``YOLO.predict`` uses, rounding included.

    >>> small, fit = letterbox(np.zeros((100, 200, 3), np.uint8), 320)
    >>> small.shape, fit.top
    ((160, 320, 3), 0)
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = min(side / height, side / width)
    across, down = max(round(width * scale), 1), max(round(height * scale), 1)
    if (across, down) != (width, height):
        pixels = np.asarray(cv2.resize(pixels, (across, down), interpolation=cv2.INTER_LINEAR), np.uint8)
    pad_x, pad_y = (side - across) % STRIDE / 2, (side - down) % STRIDE / 2
    left, top = round(pad_x - 0.1), round(pad_y - 0.1)
    right, bottom = round(pad_x + 0.1), round(pad_y + 0.1)
    if pad_x or pad_y:
        grey = (GREY, GREY, GREY)
        padded = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey)
        pixels = np.asarray(padded, np.uint8)
    return pixels, Fit(across / width, down / height, left, top, width, height)


def given_to(pixels: Picture, side: int) -> tuple[Floats, Fit]:
    """Return a picture as the network takes it, ``(1, 3, height, width)``, its longer side ``side``."""
    import cv2

    fitted, fit = letterbox(pixels, side)
    return np.asarray(cv2.dnn.blobFromImage(fitted, 1 / 255), np.float32), fit


def decode(rows: Floats, fit: Fit, *, floor: float = FLOOR) -> Detections:
    """Return what the network says of one picture, in the picture's pixels, clipped to it; highest score first.

    Args:
        rows: ``(k, 6)``, x1 y1 x2 y2 in input pixels, score, class.
        fit: how the picture lay in the input.
        floor: lowest score. Boxes that lie in the padding are left out, whatever their score.
    """
    rows = rows[rows[:, 4] >= floor]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    corners = (rows[:, :4].reshape(-1, 2, 2) - (fit.left, fit.top)) / (fit.gain_x, fit.gain_y)
    boxes = np.clip(corners, 0, (fit.width, fit.height)).reshape(-1, 4).astype(np.float32)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Detections(
        boxes[inside], rows[inside, 5].astype(np.int64), np.minimum(rows[inside, 4], 1).astype(np.float32)
    )


def tiles_of(width: int, height: int, tiles: int) -> list[Box]:
    """Cut a picture into ``tiles`` x ``tiles`` overlapping pieces of one size; 1 gives none, the picture is enough.

    >>> tiles_of(180, 90, 2)
    [Box(x1=0, y1=0, x2=100, y2=50), Box(x1=80, y1=0, x2=180, y2=50), \
Box(x1=0, y1=40, x2=100, y2=90), Box(x1=80, y1=40, x2=180, y2=90)]

    Raises:
        ValueError: ``tiles`` is less than 1.
    """
    if tiles < 1:
        raise ValueError(f"tiles is {tiles}, but must be 1 or more")
    if tiles == 1:
        return []

    def spans(length: int) -> list[tuple[int, int]]:
        size = min(length, int(np.ceil(length / (tiles - (tiles - 1) * OVERLAP))))
        starts = (round(step * (length - size) / (tiles - 1)) for step in range(tiles))
        return [(start, start + size) for start in starts]

    return [Box(x1, y1, x2, y2) for y1, y2 in spans(height) for x1, x2 in spans(width)]


def detect(pixels: Picture, network: Network, side: int, *, tiles: int = 1, floor: float = FLOOR) -> Detections:
    """Return the boxes of a picture.

    Args:
        pixels: the picture.
        network: what turns ``(1, 3, h, w)`` input into ``(1, k, 6)`` rows.
        side: longer side of the input in pixels.
        tiles: look at so many times so many overlapping tiles as well, for faces that are small in a large picture.
        floor: lowest score.

    Raises:
        ValueError: ``tiles`` is less than 1.
    """
    height, width = pixels.shape[:2]
    views = [Box(0, 0, width, height), *tiles_of(width, height, tiles)]
    seen = [_look(pixels[int(y1) : int(y2), int(x1) : int(x2)], network, side, floor) for x1, y1, x2, y2 in views]
    return seen[0] if len(views) == 1 else merged(seen, views, side)


def merged(seen: Sequence[Detections], views: Sequence[Box], side: int) -> Detections:
    """Make one of what several views of a picture show: a face is one box, in the picture's pixels.

    Boxes are taken by falling score, that of a face which its tile's edge cuts counting half. One that shows the same
    face as a box of another view is dropped, whatever its class; where it goes on beyond that view, the other grows.

    Args:
        seen: boxes in each view's own pixels.
        views: where each view lies in the picture; the first is the whole picture.
        side: longer side of the network's input, which every view was scaled to.
    """
    places = np.array(views, np.float32)
    boxes = np.concatenate([found.boxes + place[[0, 1, 0, 1]] for found, place in zip(seen, places, strict=True)])
    scores = np.concatenate([found.scores for found in seen])
    labels = np.concatenate([found.labels for found in seen])
    view_of = np.repeat(np.arange(len(views)), [len(found.scores) for found in seen])
    cut = _cut(boxes, places[view_of], places[0], side)
    kept = np.empty(0, int)
    for index in np.argsort(-scores * np.where(cut, CUT_WORTH, 1), kind="stable"):
        others = kept[view_of[kept] != view_of[index]]
        both = _common(places[view_of[index]], places[view_of[others]])
        shared = _overlap(_common(boxes[index], both), _common(boxes[others], both))
        if shared.max(initial=0) < SAME:
            kept = np.append(kept, index)
            continue
        first = others[shared.argmax()]
        (low, high), limits = boxes[index].reshape(2, 2), places[view_of[first]].reshape(2, 2)
        beyond = (low < limits[0]).any() or (high > limits[1]).any()
        if beyond and scores[index] >= SURE * scores[first]:
            boxes[first] = [*np.minimum(boxes[first, :2], low), *np.maximum(boxes[first, 2:], high)]
    best = kept[np.argsort(-scores[kept], kind="stable")]
    return Detections(boxes[best], labels[best], scores[best])


def _look(pixels: Picture, network: Network, side: int, floor: float) -> Detections:
    given, fit = given_to(pixels, side)
    return decode(network(given)[0], fit, floor=floor).suppressed()


def _cut(boxes: Floats, views: Floats, whole: Floats, side: int) -> NDArray[np.bool_]:
    """Tell which boxes end at an edge of their view that is not the picture's."""
    scale = (views[:, 2:] - views[:, :2]).max(axis=1, keepdims=True) / side
    near = np.maximum(CUT_PX * scale, CUT_SHARE * (boxes[:, 2:] - boxes[:, :2]))
    low = (boxes[:, :2] < views[:, :2] + near) & (views[:, :2] > whole[:2])
    high = (boxes[:, 2:] > views[:, 2:] - near) & (views[:, 2:] < whole[2:])
    return np.asarray((low | high).any(axis=1))


def _common(one: Floats, others: Floats) -> Floats:
    """Return what boxes have in common, ``(n, 4)``; where that is nothing, a box without an area."""
    low, high = np.maximum(one[..., :2], others[..., :2]), np.minimum(one[..., 2:], others[..., 2:])
    return np.concatenate([low, np.maximum(low, high)], axis=-1)


def _overlap(ones: Floats, others: Floats) -> NDArray[np.float64]:
    """Return intersection over union of pairs of boxes, ``(n,)``; 0 where neither has an area."""
    common, one, other = (
        np.prod(boxes[:, 2:] - boxes[:, :2], axis=1, dtype=np.float64)
        for boxes in (_common(ones, others), ones, others)
    )
    return np.asarray(common / np.maximum(one + other - common, 1e-9))

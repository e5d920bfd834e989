"""Uploaded pictures: decoded within limits, looked at once, drawn for every setting of the thresholds."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from apps.detector.serve import PICTURE_MB
from ops import images
from ops.detection.found_files import Found
from ops.masking import LABELS
from ops.pictures import CLASS_COLOURS
from ops.records import Refusal
from ops.stages.detections import annotated as with_boxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.detection.inference import MaskDetector
    from ops.records import Box, Picture

MAX_PIXELS = 50_000_000
PREVIEW_PX = 1280
CROP_PX = 160
AROUND = 1.3
"""Side of a face's crop, in the longer sides of its box."""

FRAME_PX = 5
COLOURS = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in CLASS_COLOURS]


class Seen(NamedTuple):
    """A picture that was looked at.

    Attributes:
        data: the file as it was given.
        preview: a JPEG of it, at most :data:`PREVIEW_PX` a side.
        found: all boxes, however unsure.
    """

    data: bytes
    preview: bytes
    found: Found

    def over(self, thresholds: Sequence[float]) -> Found:
        """Return what counts at these thresholds, one a class."""
        return self.found._replace(detections=self.found.detections.counted(thresholds))


def look(name: str, data: bytes, detector: MaskDetector, tiles: int) -> Seen:
    """Decode a picture and find its faces.

    Raises:
        Refusal: it is no picture, damaged, or too large.
    """
    if len(data) > PICTURE_MB << 20:
        raise Refusal(f"too large: {len(data) / (1 << 20):.1f} MB, at most {PICTURE_MB}")
    pixels = images.decode(data, max_pixels=MAX_PIXELS)
    height, width = pixels.shape[:2]
    scale = min(1.0, PREVIEW_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    preview = pixels if scale == 1 else images.resized(pixels, size)
    found = Found(name, width, height, detector(pixels, tiles=tiles))
    return Seen(data, images.encode_jpeg(preview, 92, subsampling="444"), found)


def preview(seen: Seen, thresholds: Sequence[float]) -> bytes:
    """Return a JPEG to look at, with the boxes that count."""
    pixels = images.decode(seen.preview)
    scale = np.float32(pixels.shape[1] / seen.found.width)
    kept = seen.over(thresholds).detections
    return images.encode_jpeg(with_boxes(pixels, kept._replace(boxes=kept.boxes * scale)), 90, subsampling="444")


def annotated(seen: Seen, thresholds: Sequence[float]) -> bytes:
    """Return a JPEG in full size with the boxes that count."""
    pixels = images.decode(seen.data, max_pixels=MAX_PIXELS)
    return images.encode_jpeg(with_boxes(pixels, seen.over(thresholds).detections), subsampling="444")


def boxes_name(name: str, suffix: str) -> str:
    """Return the file name of a picture or video with boxes.

    >>> boxes_name("a/street.webp", ".jpg")
    'street_boxes.jpg'
    """
    return f"{PurePosixPath(name).stem}_boxes{suffix}"


def crops(seen: Seen, thresholds: Sequence[float]) -> list[Picture]:
    """Cut out the faces that count, square, framed in the colours of their classes."""
    pixels = images.decode(seen.data, max_pixels=MAX_PIXELS)
    kept = seen.over(thresholds).detections
    return [_crop(pixels, box, CLASS_COLOURS[label]) for box, label in zip(kept.corners, kept.labels, strict=True)]


def counts(found: Iterable[Found]) -> dict[str, int]:
    """Count boxes by class, over all pictures."""
    counted = Counter(name for one in found for name in one.detections.names)
    return {label: counted[label] for label in LABELS}


def apart(names: Sequence[str]) -> list[str]:
    """Tell names apart that occur more than once.

    >>> apart(["a.jpg", "b.jpg", "a.jpg"])
    ['a.jpg', 'b.jpg', 'a (2).jpg']
    """
    told: list[str] = []
    for name in names:
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        others = (f"{stem} ({number}){suffix}" for number in range(2, len(names) + 2))
        told.append(next(each for each in (name, *others) if each not in told))
    return told


def escaped(text: str) -> str:
    """Return text that Markdown shows as it stands, in one line."""
    line = " ".join(text.split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line)


def _crop(pixels: Picture, box: Box, colour: tuple[int, int, int]) -> Picture:
    """Return the square around a box; what lies beyond the picture repeats its edge."""
    height, width = pixels.shape[:2]
    half = max(1, round(AROUND * max(box.width, box.height) / 2))
    x, y = (round(middle) for middle in box.center)
    part = pixels[max(0, y - half) : y + half, max(0, x - half) : x + half]
    beyond = ((max(0, half - y), max(0, y + half - height)), (max(0, half - x), max(0, x + half - width)), (0, 0))
    cut = images.resized(np.pad(part, beyond, "edge"), (CROP_PX, CROP_PX))
    for inside in (np.s_[:FRAME_PX], np.s_[-FRAME_PX:], np.s_[:, :FRAME_PX], np.s_[:, -FRAME_PX:]):
        cut[inside] = colour
    return cut

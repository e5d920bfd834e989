"""The records that every stage passes on, and the conventions they share.

Conventions, stated here once:

- Pictures are RGB, ``uint8``, shape ``(height, width, 3)``. Alpha is ``float32`` in [0, 1], shape ``(height, width)``;
  a *region* is the ``bool`` array of the pixels that an edit may change.
- Points are ``float32``, x before y, in pixels of the upright picture; the top left pixel's centre is (0, 0), as in
  OpenCV and dlib, so a matrix of ours goes into ``cv2.warpAffine`` as it is.
- Boxes are ``x1, y1, x2, y2`` in pixels, half-open: width is ``x2 - x1``.
- A mesh has 468 points in MediaPipe's canonical topology, ``(468, 3)``: x and y in pixels, z in pixels too, growing
  away from the camera, zero near the middle of the head.
- Angles are degrees. Yaw is positive when the face turns to the viewer's right, pitch when it looks up,
  roll when it leans clockwise as the viewer sees it.
- "left" and "right" are the viewer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Refusal(ValueError):
    """Something that can't be used, and why.

    Attributes:
        reason: one short sentence, the same for the same input; it goes into the manifest.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Box(NamedTuple):
    """A rectangle in pixels, half-open.

    >>> Box(10, 20, 110, 220).height
    200
    """

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Area in square pixels; zero for an empty box."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def center(self) -> tuple[float, float]:
        """Centre (x, y) in pixels."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def grown(self, factor: float) -> Box:
        """Return the box scaled by ``factor`` about its centre."""
        x, y = self.center
        w, h = self.width * factor / 2, self.height * factor / 2
        return Box(x - w, y - h, x + w, y + h)

    def clipped(self, width: float, height: float) -> Box:
        """Return the part of the box inside a picture of ``width`` x ``height`` pixels."""
        return Box(
            min(max(self.x1, 0.0), width),
            min(max(self.y1, 0.0), height),
            min(max(self.x2, 0.0), width),
            min(max(self.y2, 0.0), height),
        )

    def iou(self, other: Box) -> float:
        """Intersection over union with another box, in [0, 1]."""
        w = min(self.x2, other.x2) - max(self.x1, other.x1)
        h = min(self.y2, other.y2) - max(self.y1, other.y1)
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / (self.area + other.area - w * h)


class Pose(NamedTuple):
    """How a head is turned, in degrees; the signs are those of this module's conventions."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A face that a detector saw.

    Attributes:
        box: where it is.
        score: the detector's confidence in [0, 1].
        points: what key points the detector gives, ``(k, 2)`` pixels, or None. Of five or more the first two are the
            left and the right eye.
    """

    box: Box
    score: float
    points: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One person in a frame.

    Attributes:
        index: position in the frame, counted from 0 by falling score, ties from left to right.
        box: tight around the mesh (forehead to chin), not clipped to the picture.
        score: the detector's confidence in [0, 1].
        points5: left eye, right eye, nose tip, left and right mouth corner, ``(5, 2)`` pixels.
        mesh: ``(468, 3)`` pixels.
        pose: from the mesh.
        sharpness: variance of the Laplacian of the grey face scaled to 112 px; below about 20 it looks blurred.
    """

    index: int
    box: Box
    score: float
    points5: Floats
    mesh: Floats
    pose: Pose
    sharpness: float


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """An aligned face.

    Attributes:
        style: the crop style's name.
        pixels: ``(size, size, 3)`` RGB.
        matrix: ``(2, 3)`` float64, maps picture pixels to crop pixels (both in this module's convention).
        residual_px: root mean square distance between mapped points and template, in crop pixels.
    """

    style: str
    pixels: Picture
    matrix: NDArray[np.float64]
    residual_px: float

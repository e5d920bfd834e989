"""Faces: what a detector saw, verified and refined by a landmarker, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ops.geometry import mesh_box, points5, pose_from_mesh
from ops.images import resized
from ops.records import Box, Detection, Face

if TYPE_CHECKING:
    from ops.records import Floats, Picture

NO_FACE = "no face found"
"""Why a picture has no row of a face."""

SHARPNESS_SIDE = 112
SAME_FACE = 0.5
"""Of two finds that share more than this of the smaller one, the landmarker's surer one is kept."""

MESH_POINTS = 468
PRESENCE = 0.2
"""A find whose mesh the landmarker is less sure of than this is no face."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What a landmarker saw in one face.

    Attributes:
        points: ``(n, 2)`` or, of a mesh, ``(n, 3)`` pixels.
        presence: how sure the landmarker is that this is a face, in [0, 1]; 1 from landmarkers that can't tell.
    """

    points: Floats
    presence: float


class FaceDetector(Protocol):
    """Finds faces in a picture."""

    def detect(self, pixels: Picture) -> list[Detection]:
        """Return the faces found, highest score first; boxes may reach past the picture's border."""
        ...


class FaceLandmarker(Protocol):
    """Places landmarks on a face that a detector found."""

    def landmarks(self, pixels: Picture, detection: Detection) -> Landmarks | None:
        """Return the landmarks, or None where the box leaves nothing to look at."""
        ...


def find_faces(
    pixels: Picture,
    detector: FaceDetector,
    landmarker: FaceLandmarker,
    *,
    min_score: float = 0.5,
    max_faces: int | None = None,
) -> list[Face]:
    """Find the faces of a picture.

    Args:
        pixels: the picture.
        detector: proposes faces.
        landmarker: a mesh landmarker; finds that it does not take for a face are dropped.
        min_score: lowest detector score.
        max_faces: keep only that many, the highest scores; None keeps all.

    Returns:
        The faces by falling score, ties from left to right.
    """
    finds: list[tuple[float, Box, float, Floats]] = []
    for detection in detector.detect(pixels):
        if detection.score < min_score:
            continue
        seen = landmarker.landmarks(pixels, detection)
        if seen is not None and seen.presence >= PRESENCE:
            mesh = seen.points[:MESH_POINTS]
            finds.append((seen.presence, mesh_box(mesh), detection.score, mesh))
    kept: list[tuple[Box, float, Floats]] = []
    for _, box, score, mesh in sorted(finds, key=lambda find: -find[0]):
        if all(_shared(box, other) <= SAME_FACE for other, _, _ in kept):
            kept.append((box, score, mesh))
    kept.sort(key=lambda one: (-one[1], one[0].x1))
    return [
        Face(index, box, score, points5(mesh), mesh, pose_from_mesh(mesh), sharpness(pixels, box))
        for index, (box, score, mesh) in enumerate(kept[:max_faces])
    ]


def _shared(one: Box, other: Box) -> float:
    """Return the intersection of two boxes as a share of the smaller one."""
    iou = one.iou(other)
    return iou / (1 + iou) * (one.area + other.area) / min(one.area, other.area)


def sharpness(pixels: Picture, box: Box) -> float:
    """Return the variance of the Laplacian of the grey face scaled to 112 x 112; 0 for a box outside of the picture."""
    import cv2

    height, width = pixels.shape[:2]
    inside = box.clipped(width, height)
    x1, y1, x2, y2 = int(inside.x1), int(inside.y1), int(np.ceil(inside.x2)), int(np.ceil(inside.y2))
    if x2 <= x1 or y2 <= y1:
        return 0.0
    grey = np.asarray(cv2.cvtColor(pixels[y1:y2, x1:x2], cv2.COLOR_RGB2GRAY), np.uint8)
    small = resized(grey, (SHARPNESS_SIDE, SHARPNESS_SIDE))
    return float(cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_32F))[1][0, 0] ** 2)

"""Every face of a picture: looked for more warily than usual, and told where no mesh lies over one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ops.anonymising.outline import hull81
from ops.faces import find_faces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Box, Detection, Face, Picture

MIDDLE = 0.5
"""Share of a box, about its centre, that has to lie under a mesh."""

HIDDEN = 0.8
"""How much of that middle has to."""

GRID = 7

POINTS = 5
"""Detectors that give so many points begin with the eyes."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What is known of a picture's faces.

    Attributes:
        faces: those with a mesh, the surest first.
        bare: what was taken for a face and has none.
    """

    faces: Sequence[Face]
    bare: Sequence[Detection]


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """A detector that knows the answer."""

    found: list[Detection]

    def detect(self, pixels: Picture) -> list[Detection]:
        return self.found


def look(
    pixels: Picture, detector: FaceDetector, landmarker: FaceLandmarker, least: float, known: Sequence[Face] = ()
) -> Sight:
    """Look for every face of a picture.

    Args:
        pixels: the picture.
        detector: a wary one, which rather sees a face too many.
        landmarker: of meshes.
        least: the lowest score of the detector that counts.
        known: faces found before; they stay, and further ones are numbered after them.
    """
    found = [one for one in detector.detect(pixels) if one.score >= least and one.box.area > 0]
    faces = list(known)
    number = max((face.index for face in known), default=-1) + 1
    for face in find_faces(pixels, _Given(found), landmarker, min_score=least):
        if not any(_hides(other, face.box) for other in known):
            faces.append(replace(face, index=number))
            number += 1
    return Sight(tuple(faces), _unexplained(found, faces))


def joined(seen: Sight, followed: Sequence[Face]) -> Sight:
    """Add the faces of a video's frame that were followed there from others, where no face that was seen hides them."""
    missed = [face for face in followed if not any(_hides(other, face.box) for other in seen.faces)]
    first = max((face.index for face in seen.faces), default=-1) + 1
    further = tuple(replace(face, index=number) for number, face in enumerate(missed, start=first))
    return Sight((*seen.faces, *further), _unexplained(seen.bare, further))


def _unexplained(found: Sequence[Detection], faces: Sequence[Face]) -> list[Detection]:
    """Return what was found and lies under no face's mesh."""
    return [one for one in found if not any(_explains(face, one) for face in faces)]


def _explains(face: Face, found: Detection) -> bool:
    """Tell whether what was found is under a face's mesh: its middle or, of a box drawn too large, its eyes."""
    eyes = None if found.points is None or len(found.points) < POINTS else found.points[:2]
    return _hides(face, found.box) or (eyes is not None and _inside(face, eyes) == 1)


def _hides(face: Face, box: Box) -> bool:
    """Tell whether the middle of a box lies within the outline of a face, by a grid of points."""
    middle = box.grown(MIDDLE)
    across, down = np.linspace(middle.x1, middle.x2, GRID), np.linspace(middle.y1, middle.y2, GRID)
    return _inside(face, np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)) >= HIDDEN


def _inside(face: Face, points: NDArray[np.floating]) -> float:
    """Return the share of points ``(n, 2)`` that lie within the outline of a face."""
    import cv2

    outline = hull81(face)
    return float(np.mean([cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in points]))

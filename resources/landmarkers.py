"""Landmarkers by name: a mesh of 468 or 478 points, dlib's 68 points, 98 points."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

import numpy as np

from model_assets.registry import fetch
from ops.faces import PRESENCE, Landmarks
from resources.devices import resolve_device
from resources.litert import TfLite
from resources.onnx_sessions import open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.faces import FaceLandmarker
    from ops.records import Box, Detection, Picture

MESH_ROOM = 1.5
"""The mesh model looks at the detector's box grown by this factor, as in MediaPipe's face landmark graph."""

OTHER_ROOMS = (2.0, 1.25)
"""Where that shows it no face, it looks from further away and from closer by: many a masked face is seen then."""

EYE_CORNERS = (33, 263)
BLAZEFACE_POINTS = 6
"""Boxes of a detector with these points are what the mesh model was made for: one look is enough."""


class MeshLandmarker:
    """MediaPipe's face_landmark model: 468 points in 3D and whether it is a face.

    Where the box comes from another detector than BlazeFace, a first pass finds how the head leans and a second looks
    again, upright.
    """

    models = ("face_mesh",)
    side = 192

    def __init__(self, device: str = "auto") -> None:
        resolve_device(device)
        self._model = TfLite(fetch("face_mesh"))

    def landmarks(self, pixels: Picture, detection: Detection) -> Landmarks | None:
        """Return the mesh, ``(468, 3)`` pixels."""
        box, eyes = detection.box, detection.points
        if not np.isfinite(box).all() or min(box.width, box.height) < 1:
            return None
        side = max(box.width, box.height)
        upright = eyes is not None and len(eyes) == BLAZEFACE_POINTS
        lean = _lean(eyes[0], eyes[1]) if eyes is not None and upright else 0.0
        seen = self._look(pixels, box.center, MESH_ROOM * side, lean)
        for room in OTHER_ROOMS:
            if seen.presence >= PRESENCE:
                break
            seen = max(seen, self._look(pixels, box.center, room * side, lean), key=lambda look: look.presence)
        return seen if upright or seen.presence < PRESENCE else self.again(pixels, seen)

    def again(self, pixels: Picture, seen: Landmarks) -> Landmarks:
        """Look again at where a mesh was seen."""
        points = seen.points[:, :2]
        low, high = points.min(axis=0), points.max(axis=0)
        lean = _lean(*points[list(EYE_CORNERS)])
        return self._look(pixels, tuple((low + high) / 2), MESH_ROOM * float((high - low).max()), lean)

    def _look(self, pixels: Picture, center: tuple[float, float], side: float, lean: float) -> Landmarks:
        import cv2

        scale = side / self.side
        cos, sin = np.cos(lean) * scale, np.sin(lean) * scale
        linear = np.array([[cos, -sin], [sin, cos]])
        matrix = np.column_stack([linear, np.array(center) - linear @ np.full(2, (self.side - 1) / 2)])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(pixels, matrix, (self.side, self.side), flags=flags)
        raw, flag = self._model(patch.astype(np.float32) / np.float32(255))[:2]
        mesh = raw.reshape(-1, 3)
        flat = (mesh[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        points = np.column_stack([flat, mesh[:, 2] * scale]).astype(np.float32)
        return Landmarks(points, float(1 / (1 + np.exp(-np.clip(flag.ravel()[0], -60, 60)))))


class FaceLandmarkerTask:
    """MediaPipe's FaceLandmarker with face_landmarker.task: 478 points; it finds the face in the box by itself."""

    models = ("face_landmarker",)

    def __init__(self, device: str = "auto") -> None:
        import mediapipe as mp
        from mediapipe.tasks.python import BaseOptions, vision

        resolve_device(device)
        self._image = mp.Image
        self._format = mp.ImageFormat.SRGB
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(fetch("face_landmarker"))), num_faces=1
        )
        self._model = vision.FaceLandmarker.create_from_options(options)
        # its destructor, run when Python has stopped its threads, could only complain: at exit nothing is left to close
        atexit.register(setattr, self._model, "_handle", None)

    def landmarks(self, pixels: Picture, detection: Detection) -> Landmarks | None:
        """Return ``(478, 3)`` pixels, or None when it sees no face in the box's surroundings."""
        x1, y1, patch = _surroundings(pixels, detection.box.grown(2.0))
        height, width = patch.shape[:2]
        if min(height, width) < 2:
            return None
        found = self._model.detect(self._image(image_format=self._format, data=np.ascontiguousarray(patch)))
        if not found.face_landmarks:
            return None
        points = np.array([(point.x, point.y, point.z) for point in found.face_landmarks[0]], np.float32)
        return Landmarks(points * np.array([width, height, width], np.float32) + np.array([x1, y1, 0], np.float32), 1.0)


class Dlib68:
    """dlib's shape predictor: 68 points."""

    models = ("dlib_68",)

    def __init__(self, device: str = "auto") -> None:
        import dlib

        resolve_device(device)
        self._rectangle = dlib.rectangle
        self._model = dlib.shape_predictor(str(fetch("dlib_68")))

    def landmarks(self, pixels: Picture, detection: Detection) -> Landmarks | None:
        """Return ``(68, 2)`` pixels."""
        sides = (round(value) for value in detection.box)
        shape = self._model(pixels, self._rectangle(*sides))
        return Landmarks(np.array([(part.x, part.y) for part in shape.parts()], np.float32), 1.0)


class Landmarks98:
    """A 98-point model in ONNX: 64 x 64 BGR bytes in, (y, x) in [0, 1] out."""

    models = ("landmarks_98",)
    side = 64

    def __init__(self, device: str = "auto") -> None:
        self._model = open_session(fetch("landmarks_98"), device)

    def landmarks(self, pixels: Picture, detection: Detection) -> Landmarks | None:
        """Return ``(98, 2)`` pixels."""
        import cv2

        x1, y1, patch = _surroundings(pixels, detection.box)
        height, width = patch.shape[:2]
        if min(height, width) < 2:
            return None
        small = cv2.resize(patch, (self.side, self.side))[..., ::-1]
        given = self._model.get_inputs()[0]
        values = small[None] if given.shape[-1] == 3 else small.transpose(2, 0, 1)[None]
        (out,) = self._model.run(None, {given.name: np.ascontiguousarray(values)})[:1]
        points = np.asarray(out, np.float32).reshape(-1, 2)[:, ::-1]
        return Landmarks(points * np.array([width, height], np.float32) + np.array([x1, y1], np.float32), 1.0)


LANDMARKERS: dict[str, type[MeshLandmarker | FaceLandmarkerTask | Dlib68 | Landmarks98]] = {
    "mesh": MeshLandmarker,
    "face_landmarker": FaceLandmarkerTask,
    "dlib_68": Dlib68,
    "landmarks_98": Landmarks98,
}


MESHES = ("mesh", "face_landmarker")
"""Landmarkers whose first 468 points are MediaPipe's mesh."""


def make_landmarker(name: str, device: str = "auto") -> FaceLandmarker:
    """Return a landmarker by name.

    Raises:
        ValueError: no landmarker has that name.
    """
    if name not in LANDMARKERS:
        raise ValueError(f"unknown landmarker {name!r}; allowed: {', '.join(LANDMARKERS)}")
    return LANDMARKERS[name](device)


def _lean(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Angle of the line through both eyes, radians."""
    across, down = right - left
    return float(np.arctan2(down, across))


def _surroundings(pixels: Picture, box: Box) -> tuple[int, int, Picture]:
    """Return left, top and pixels of the part of a box that lies in the picture."""
    inside = box.clipped(pixels.shape[1], pixels.shape[0])
    x1, y1, x2, y2 = int(inside.x1), int(inside.y1), int(np.ceil(inside.x2)), int(np.ceil(inside.y2))
    return x1, y1, pixels[y1:y2, x1:x2]

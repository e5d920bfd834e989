"""MediaPipe's 52 blendshapes of a face whose mesh is known: how much it blinks, smiles, opens its mouth."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ops.expressions.state import State
from ops.faces import Landmarks
from resources.landmarkers import MeshLandmarker
from resources.litert import TfLite
from resources.start_weights import AUTO, NONE

if TYPE_CHECKING:
    from pathlib import Path

    from ops.records import Floats, Picture

FACE_LANDMARKER = "face_landmarker"
"""MediaPipe's file with a mesh of 478 points and the blendshapes read off it."""

SUBSET = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip
"""The points that the model looks at, as in MediaPipe's face blendshapes graph."""

BLINK_LEFT, BLINK_RIGHT, JAW_OPEN, SMILE_LEFT, SMILE_RIGHT = 9, 10, 25, 44, 45
"""Where the model tells what; its left and right are the person's."""


class _FinerMesh(MeshLandmarker):
    """The mesh model inside the file, 478 points: irises too, and lips and lids closer than the plain one."""

    side = 256

    def __init__(self, model: bytes) -> None:
        self._model = TfLite(model)


@dataclass(frozen=True)
class Blendshapes:
    """Both models of the file, run without MediaPipe's graph; picklable, each process opens them for itself.

    Attributes:
        path: the file.
        sha256: of it.
    """

    path: Path
    sha256: str

    def __call__(self, pixels: Picture, mesh: Floats) -> State:
        """Return the state of a face; arguments are those of :meth:`shapes`."""
        shapes = self.shapes(pixels, mesh)
        left, right = (1 - float(shapes[which]) for which in (BLINK_RIGHT, BLINK_LEFT))
        smile = float(shapes[[SMILE_LEFT, SMILE_RIGHT]].mean())
        return State(left, right, smile, float(shapes[JAW_OPEN]), "blendshapes")

    def shapes(self, pixels: Picture, mesh: Floats) -> Floats:
        """Return the 52 blendshapes, each in [0, 1].

        Args:
            pixels: a picture.
            mesh: ``(468, 3)`` pixels of it: which face.
        """
        finer, told = self._models
        seen = finer.again(pixels, Landmarks(mesh, 1.0))
        return told(seen.points[list(SUBSET), :2])[0]

    def files(self) -> dict[Path, str]:
        """Return the file with its checksum."""
        return {self.path: self.sha256}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _models(self) -> tuple[_FinerMesh, TfLite]:
        with zipfile.ZipFile(self.path) as task:
            return _FinerMesh(task.read("face_landmarks_detector.tflite")), TfLite(task.read("face_blendshapes.tflite"))


def blendshapes(wish: str) -> Blendshapes | None:
    """Find what tells a face's state besides its mesh.

    Args:
        wish: ``face_landmarker``; ``auto`` for it where it can be had; ``none``.

    Raises:
        ValueError: it is something else.
        ModelUnavailable: the registry can't get it.
    """
    from model_assets.registry import ModelUnavailable, Registry, fetch

    if wish == NONE:
        return None
    if wish not in {AUTO, FACE_LANDMARKER}:
        raise ValueError(f"blendshapes is {wish!r}; use one of {AUTO}, {FACE_LANDMARKER}, {NONE}")
    try:
        return Blendshapes(fetch(FACE_LANDMARKER), Registry.load().models[FACE_LANDMARKER].sha256)
    except ModelUnavailable:
        if wish == AUTO:
            return None
        raise

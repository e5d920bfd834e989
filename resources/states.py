"""What tells a face's state: its mesh, looked at anew with the iris model, or MediaPipe's blendshapes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from model_assets.registry import Registry, fetch
from ops.expressions.state import State, mesh_state
from ops.faces import Landmarks
from ops.geometry import pose_from_mesh
from resources.blendshapes import Blendshapes, blendshapes
from resources.landmarkers import MeshLandmarker
from resources.lids import Lids

if TYPE_CHECKING:
    from pathlib import Path

    from ops.records import Floats, Picture

MESH, IRIS = "mesh", "iris"


@dataclass(frozen=True)
class MeshStates:
    """Mesh and iris model; picklable, each process opens them for itself.

    Attributes:
        iris: the iris model's file.
        sha256: of it.
    """

    iris: Path
    sha256: str

    def __call__(self, pixels: Picture, mesh: Floats) -> State:
        """Return the state of a face.

        Args:
            pixels: a picture.
            mesh: ``(468, 3)`` pixels of it: which face.
        """
        landmarker, lids = self._models
        seen = landmarker.again(pixels, Landmarks(mesh, 1.0)).points
        return mesh_state(lids(pixels, seen), pose_from_mesh(seen))

    def versions(self) -> dict[str, str]:
        """Return the checksums of both models' files."""
        return {IRIS: self.sha256, "face_mesh": Registry.load().models["face_mesh"].sha256}

    def files(self) -> dict[Path, str]:
        """Return the iris model's file with its checksum."""
        return {self.iris: self.sha256}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _models(self) -> tuple[MeshLandmarker, Lids]:
        return MeshLandmarker(), Lids(self.iris)


def mesh_states() -> MeshStates:
    """Find what tells faces' states from their mesh.

    Raises:
        ModelUnavailable: the registry can't get the iris model.
    """
    return MeshStates(fetch(IRIS), Registry.load().models[IRIS].sha256)


def states(wish: str) -> MeshStates | Blendshapes:
    """Find what tells faces' states.

    Args:
        wish: ``mesh``; ``face_landmarker`` for blendshapes; ``auto`` for these where they can be had, else the mesh.

    Raises:
        ValueError: it is something else.
        ModelUnavailable: the registry can't get it.
    """
    found = None if wish == MESH else blendshapes(wish)
    return found or mesh_states()

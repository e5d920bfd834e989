"""A face's shape in three dimensions: what every back end gives, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ops.records import Refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ops.records import Face, Floats, Picture, Pose


class ShapeError(Refusal):
    """A face to which no shape can be fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class PosedMesh:
    """A surface as it lies over a face in a picture, and the same surface upright in centimetres.

    Attributes:
        vertices: ``(n, 3)`` float32 pixels of the picture, x right, y down; z in the same unit, smaller is nearer.
        triangles: ``(m, 3)`` int32 vertex numbers, counter-clockwise as seen from outside.
        metric: ``(n, 3)`` float32 cm, the head's rotation undone: x to the viewer's right, y up, z towards the camera.
        uv: ``(n, 2)`` float32 in [0, 1], v downwards; None where the shape has no texture.
        pose: how the head is turned.
        parameters: what a manifest keeps of the fit, numbers by name.
    """

    vertices: Floats
    triangles: NDArray[np.int32]
    metric: Floats
    uv: Floats | None
    pose: Pose
    parameters: dict[str, list[float]]


class FaceShape(Protocol):
    """Fits a surface to a face; picklable, so that worker processes can be handed one."""

    name: str

    def fit(self, face: Face, pixels: Picture) -> PosedMesh:
        """Return the surface over one face of a picture.

        Raises:
            ShapeError: none fits this face.
        """
        ...

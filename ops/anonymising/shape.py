"""A face's shape in three dimensions: what every back end gives, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ops.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ops.records import Face, Floats, Picture, Pose


SMALLEST_PX = 2.0
"""A mesh that is less wide or high has no shape left."""


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

    @property
    def name(self) -> str:
        """What manifests call it."""
        ...

    def versions(self) -> tuple[str, ...]:
        """Return what decides about the result: the name, and the hashes of files that it is made with."""
        ...

    def files(self) -> Mapping[Path, str]:
        """Return the files that it opens, with their hashes."""
        ...

    def fit(self, face: Face, pixels: Picture) -> PosedMesh:
        """Return the surface over one face of a picture.

        Raises:
            ShapeError: none fits this face.
        """
        ...


def check_mesh(mesh: Floats) -> None:
    """Refuse a face's mesh that is not finite, or all but a point or a line.

    Raises:
        ShapeError: it is.
    """
    if not np.isfinite(mesh).all() or np.ptp(mesh[:, :2], axis=0).min() < SMALLEST_PX:
        raise ShapeError("the face's mesh is broken")

"""A face's own mesh as its shape: MediaPipe's 468 points, in the canonical mesh's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ops.anonymising.shape import PosedMesh, check_mesh
from ops.geometry import canonical_mesh, pose_of, rigid, similarity, transformed

if TYPE_CHECKING:
    from pathlib import Path

    from ops.records import Face, Picture


class MeshShape:
    """The surface that the landmarker saw.

    One picture does not tell how large a head is: the part of the face that hardly moves is as large as the canonical
    mesh's, and all else is in proportion.
    """

    name = "mesh"

    def versions(self) -> tuple[str, ...]:
        """Return its name."""
        return (self.name,)

    def files(self) -> dict[Path, str]:
        """Return none: nothing is opened."""
        return {}

    def fit(self, face: Face, pixels: Picture) -> PosedMesh:
        """Return the face's mesh; the picture is not looked at.

        Raises:
            ShapeError: the mesh is not finite, or all but a point or a line.
        """
        check_mesh(face.mesh)
        canonical = canonical_mesh()
        chosen, _ = rigid()
        points = face.mesh.astype(np.float64) * (1, -1, -1)
        matrix = similarity(points[chosen], canonical.vertices[chosen])
        scale = float(np.linalg.norm(matrix[0, :3]))
        return PosedMesh(
            vertices=np.ascontiguousarray(face.mesh, np.float32),
            triangles=canonical.triangles,
            metric=np.asarray(transformed(matrix, points), np.float32),
            uv=canonical.uv,
            pose=pose_of(matrix[:, :3].T / scale),
            parameters={"pixels_per_cm": [1 / scale]},
        )

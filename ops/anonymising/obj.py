"""Surfaces as Wavefront OBJ text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ops.anonymising.shape import PosedMesh


def obj_text(mesh: PosedMesh) -> str:
    """Return a surface upright in centimetres, y up, with its texture coordinates where it has any."""
    places = mesh.metric.round(4) + np.float32(0)  # no -0
    lines = "# centimetres, y up\n" + "v %.4f %.4f %.4f\n" * len(places) % tuple(places.ravel().tolist())
    corners = mesh.triangles + 1
    if mesh.uv is None:
        return lines + "f %d %d %d\n" * len(corners) % tuple(corners.ravel().tolist())
    upwards = np.stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]], axis=1)
    lines += "vt %.5f %.5f\n" * len(upwards) % tuple(upwards.ravel().tolist())
    return lines + "f %d/%d %d/%d %d/%d\n" * len(corners) % tuple(corners.repeat(2, axis=1).ravel().tolist())

"""Fits between point sets, the face mesh's named points, and a head's pose."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ops.records import Box, Floats, Pose

MESH_68 = (
    127, 234, 177, 215, 172, 136, 149, 148, 152, 377, 378, 365, 397, 435, 401, 454, 356,
    70, 63, 105, 66, 55, 285, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 155, 153, 144, 382, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""MediaPipe mesh vertices that stand for the 68 points of iBUG 300-W, in its order."""

LEFT_EYE = (33, 160, 158, 133, 153, 144)
RIGHT_EYE = (362, 385, 387, 263, 373, 380)
NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH = 4, 61, 291
CANONICAL = Path(__file__).with_name("data") / "canonical_mesh.npz"


class CanonicalMesh(NamedTuple):
    """A mean face in MediaPipe's topology.

    Attributes:
        vertices: ``(468, 3)`` centimetres, x to the viewer's right, y up, z towards the viewer.
        triangles: ``(898, 3)`` vertex indices, counter-clockwise as seen from the front; eyes and mouth are closed.
        uv: ``(468, 2)`` in [0, 1], a cylinder around the head unrolled, v downwards.
    """

    vertices: Floats
    triangles: NDArray[np.int32]
    uv: Floats


@cache
def canonical_mesh() -> CanonicalMesh:
    """Return the mean face; ``python -m resources.canonical`` makes its table."""
    with np.load(CANONICAL) as table:
        return CanonicalMesh(*(table[name] for name in CanonicalMesh._fields))


def points68(mesh: Floats) -> Floats:
    """Return the 68 iBUG points of a mesh, ``(68, 2)``."""
    return np.ascontiguousarray(mesh[list(MESH_68), :2])


def points5(mesh: Floats) -> Floats:
    """Return left eye, right eye, nose tip, left and right mouth corner of a mesh, ``(5, 2)``."""
    eyes = [mesh[list(eye), :2].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, *mesh[[NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH], :2]]).astype(np.float32)


def mesh_box(mesh: Floats) -> Box:
    """Return the box around a mesh."""
    (x1, y1), (x2, y2) = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    return Box(float(x1), float(y1), float(x2), float(y2))


def similarity(src: ArrayLike, dst: ArrayLike) -> NDArray[np.float64]:
    """Fit rotation, uniform scale and translation in closed form (Umeyama, IEEE TPAMI 1991), without reflection.

    Args:
        src: ``(n, d)`` points, or ``(batch, n, d)``.
        dst: their targets, of the same or a broadcastable shape.

    Returns:
        ``(d, d + 1)`` matrix, or a batch of them; not finite where the source points coincide.

    >>> similarity([[0, 0], [1, 0]], [[1, 1], [1, 3]]).round(6).tolist()
    [[0.0, -2.0, 1.0], [2.0, 0.0, 1.0]]
    """
    source, target = np.broadcast_arrays(np.asarray(src, np.float64), np.asarray(dst, np.float64))
    mean_source, mean_target = source.mean(axis=-2, keepdims=True), target.mean(axis=-2, keepdims=True)
    a, b = source - mean_source, target - mean_target
    u, s, vt = np.linalg.svd(np.swapaxes(b, -1, -2) @ a)
    sign = np.ones_like(s)
    sign[..., -1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * sign[..., None, :]) @ vt
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = (s * sign).sum(axis=-1) / (a**2).sum(axis=(-1, -2))
    linear = scale[..., None, None] * rotation
    shift = np.swapaxes(mean_target, -1, -2) - linear @ np.swapaxes(mean_source, -1, -2)
    return np.concatenate([linear, shift], axis=-1)


def affine(src: ArrayLike, dst: ArrayLike) -> NDArray[np.float64]:
    """Fit the least-squares affine map of ``(n, 2)`` points, exact for three: a ``(2, 3)`` matrix.

    Raises:
        numpy.linalg.LinAlgError: the source points lie on a line.
    """
    source = np.asarray(src, np.float64)
    columns = np.column_stack([source, np.ones(len(source))])
    solution, _, rank, _ = np.linalg.lstsq(columns, np.asarray(dst, np.float64), rcond=1e-9)
    if rank < columns.shape[1]:
        raise np.linalg.LinAlgError("the points lie on a line")
    return np.ascontiguousarray(solution.T)


def transformed(matrix: NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    """Map ``(n, d)`` points through a ``(d, d + 1)`` matrix."""
    return np.asarray(points, np.float64) @ matrix[:, :-1].T + matrix[:, -1]


def residual(matrix: NDArray[np.float64], src: ArrayLike, dst: ArrayLike) -> float:
    """Return the root mean square distance between mapped points and their targets, in target pixels."""
    error = transformed(matrix, src) - np.asarray(dst, np.float64)
    return float(np.sqrt((error**2).sum(axis=1).mean()))


@cache
def rigid() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the vertices above the nose's base, which hardly move with expression, and where they are, centred."""
    vertices = canonical_mesh().vertices
    chosen = np.flatnonzero(vertices[:, 1] > vertices[2, 1])
    points = vertices[chosen].astype(np.float64)
    return chosen, points - points.mean(axis=0)


def pose_from_mesh(mesh: Floats) -> Pose:
    """Return the pose that turns the canonical mesh into this one.

    The best rotation in 3D is found as in :func:`similarity`.

    Args:
        mesh: ``(468, 3)`` pixels.
    """
    chosen, points = rigid()
    u, _, vt = np.linalg.svd((mesh[chosen].astype(np.float64) * (1, -1, -1)).T @ points)
    return pose_of(u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)


def pose_of(rotation: NDArray[np.float64]) -> Pose:
    """Read a ``(3, 3)`` rotation in the canonical mesh's axes as roll, then pitch, then yaw."""
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[1, 2], -1, 1))
    roll = -np.arctan2(rotation[1, 0], rotation[1, 1])
    return Pose(*(float(np.degrees(angle)) for angle in (yaw, pitch, roll)))


def rotation_of(pose: Pose) -> NDArray[np.float64]:
    """Return the ``(3, 3)`` rotation of a pose, in the canonical mesh's axes; :func:`pose_of` reads it back."""
    yaw, pitch, roll = np.radians(pose)

    def turn(axis: int, angle: float) -> NDArray[np.float64]:
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
        return matrix

    return turn(1, yaw) @ turn(0, -pitch) @ turn(2, -roll)

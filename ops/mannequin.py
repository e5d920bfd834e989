"""A mannequin's head, drawn at any yaw: the mean face in front of a plain skull, with ears and a neck."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ops.geometry import canonical_mesh, mesh_box, points5, rotation_of
from ops.masking.chart import grid_triangles
from ops.raster import rasterise
from ops.records import Face, Floats, Picture, Pose

Numbers = NDArray[np.floating]

GREY = (231, 234, 238)
"""Of the background."""

_CLAY = np.array([216, 199, 184])
_SKULL = (0.0, 7.0, -7.6), (7.15, 7.5, 9.0)  # centre and radii, cm, in the canonical mesh's axes
_NAPE = (0.0, 2.2, -9.0), (6.2, 7.6, 6.6)
_EAR = (7.1, 0.7, -8.6), (0.7, 3.0, 1.7)
_LIGHTS = ((-0.45, 0.5, 0.74), 0.5), ((0.8, 0.1, 0.6), 0.16)  # towards it, and how strong
_AMBIENT = 0.42
_MIDDLE = np.array([0.0, 0.0, -4.5])  # what it turns about
_HEIGHT = 31.0  # cm that the picture shows
_SAMPLES = 3  # a pixel, each way
_SOFT = 0.009  # how far seams between the parts are smoothed, as a share of the picture


def mannequin(yaw: float, size: int) -> tuple[Picture, Face]:
    """Draw the head.

    Args:
        yaw: degrees, positive to the viewer's right.
        size: side of the square picture in pixels.

    Returns:
        The picture, and its face with the exact mesh.
    """
    import cv2

    points, triangles, normals = _head()
    turn = rotation_of(Pose(yaw, 0.0, 0.0))
    fine = size * _SAMPLES
    placed = _placed(points @ turn.T, turn, fine)
    attributes = np.ascontiguousarray(normals @ turn.T, np.float32)
    drawn = rasterise(placed, triangles, attributes, (fine, fine))
    soft = np.asarray(cv2.GaussianBlur(drawn.image, (0, 0), _SOFT * fine), np.float32)
    soft = soft / np.maximum(np.linalg.norm(soft, axis=2, keepdims=True), 1e-6)
    bright = np.full((fine, fine), _AMBIENT)
    for towards, strength in _LIGHTS:
        bright += strength * np.clip(soft @ (np.array(towards) / np.linalg.norm(towards)), 0, 1)
    colours = np.where(drawn.covered[..., None], bright[..., None] * _CLAY, GREY)
    pixels = colours.reshape(size, _SAMPLES, size, _SAMPLES, 3).mean((1, 3))
    mesh = _placed(canonical_mesh().vertices @ turn.T, turn, size)
    face = Face(0, mesh_box(mesh), 1.0, points5(mesh), mesh, Pose(yaw, 0.0, 0.0), 100.0)
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8), face


def _placed(points: Numbers, turn: Numbers, size: int) -> Floats:
    """Return turned points of the canonical mesh's axes as pixels of a picture."""
    x, y, z = ((points - _MIDDLE @ turn.T) * (size / _HEIGHT)).T
    return np.stack([x + size / 2 - 0.5, size / 2 - 0.5 - y, -z], 1).astype(np.float32)


@lru_cache(maxsize=1)
def _head() -> tuple[Floats, NDArray[np.int32], Floats]:
    """Return the head's vertices in cm, its triangles and its outward normals."""
    face = canonical_mesh()
    (x, y, z), radii = _EAR
    solids = [
        _ellipsoid(*_SKULL),
        _ellipsoid(*_NAPE),
        _neck(),
        _ellipsoid((x, y, z), radii),
        _ellipsoid((-x, y, z), radii),
    ]
    points = [face.vertices, *(solid.reshape(-1, 3) for solid in solids)]
    faces = [face.triangles, *(grid_triangles(*solid.shape[:2]) for solid in solids)]
    first = np.cumsum([0, *map(len, points[:-1])])
    return (
        np.concatenate(points),
        np.concatenate([t + n for t, n in zip(faces, first, strict=True)]).astype(np.int32),
        np.concatenate([_normals(p, t) for p, t in zip(points, faces, strict=True)]),
    )


def _ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Floats:
    """Return ``(24, 49, 3)`` points from top to bottom."""
    down, around = np.meshgrid(np.linspace(0, np.pi, 24), np.linspace(0, 2 * np.pi, 49), indexing="ij")
    unit = np.stack([np.sin(down) * np.sin(around), np.cos(down), np.sin(down) * np.cos(around)], -1)
    return np.asarray(unit * radii + centre, np.float32)


def _neck() -> Floats:
    """Return ``(20, 49, 3)`` points from inside the skull to where the shoulders begin."""
    along, around = np.meshgrid(np.linspace(0, 1, 20), np.linspace(0, 2 * np.pi, 49), indexing="ij")
    radius, flare = 4.9 + 0.6 * along, np.clip((along - 0.62) / 0.38, 0, 1) ** 2
    x = np.sin(around) * (radius + 16 * flare)
    z = np.cos(around) * (radius + 4 * flare) - 8.0 - 1.5 * along
    return np.asarray(np.stack([x, flare - 1 - 21 * along, z], -1), np.float32)


def _normals(points: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Return unit normals of one convex-like part that point away from its middle."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    normals = np.zeros_like(points)
    for n in range(3):
        np.add.at(normals, triangles[:, n], np.cross(b - a, c - a))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    outward = (normals * (points - points.mean(0))).sum()
    return normals if outward > 0 else -normals

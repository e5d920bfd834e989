"""Make the canonical mesh's table: ``python -m resources.canonical PORTRAITS OUTPUT``.

The vertices are the mean of what the mesh model sees on frontal portraits: aligned to each other by similarities in 3D
(generalised Procrustes analysis, Gower 1975), then averaged with their mirror image. The triangles are MediaPipe's
published tessellation of 852 triangles (Apache-2.0) with eyes and mouth closed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ops.geometry import similarity, transformed
from ops.records import Floats

OUTER_EYE_CORNERS = (33, 263)
BIOCULAR_CM = 8.9
"""Distance of the outer eye corners: about 8.8 cm in women, 9.1 in men (Farkas, Anthropometry of the Head and Face)."""

FRONTAL = 0.12
"""Largest difference of the nose tip's distances to both eye corners, as a share of their sum."""

ROUNDS = 10
HEAD_AXIS_CM = 9.0
"""Distance of the texture cylinder's axis behind the nose tip."""


def triangles() -> NDArray[np.int32]:
    """Return the tessellation with its holes closed, ``(898, 3)``."""
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    edges = [(edge.start, edge.end) for edge in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]
    faces = [(edges[n][0], edges[n][1], edges[n + 1][1]) for n in range(0, len(edges), 3)]
    directed = {(face[n], face[(n + 1) % 3]) for face in faces for n in range(3)}
    follows = {b: a for a, b in directed if (b, a) not in directed}
    while follows:
        start = min(follows)
        loop = [start]
        while (after := follows.pop(loop[-1])) != start:
            loop.append(after)
        if OUTLINE not in loop:
            faces += _closed(loop)
    return np.array(faces, np.int32)


OUTLINE = 10
"""A vertex of the face's outline, which stays open."""


def _closed(loop: list[int]) -> list[tuple[int, int, int]]:
    """Fill a hole with a strip of triangles between its upper and lower rim, from corner to corner."""
    corner = next(n for n, vertex in enumerate(loop) if vertex in {33, 263, 78})
    ring = loop[corner:] + loop[:corner]
    low, high, strip = 0, len(ring), []
    while high - low > 2:
        strip.append((ring[low], ring[low + 1], ring[(high - 1) % len(ring)]))
        low += 1
        if high - low > 2:
            strip.append((ring[low], ring[high - 2], ring[(high - 1) % len(ring)]))
            high -= 1
    return [face for face in strip if len(set(face)) == 3]


def mean_mesh(meshes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the symmetric Procrustes mean of ``(n, 468, 3)`` meshes, in centimetres, y up, z towards the viewer."""
    shapes = meshes * np.array([1.0, -1.0, -1.0])
    shapes -= shapes.mean(axis=1, keepdims=True)
    mean = shapes[0]
    for _ in range(ROUNDS):
        fits = similarity(shapes, mean)
        aligned = shapes @ np.swapaxes(fits[..., :3], 1, 2) + fits[:, None, :, 3]
        mean = aligned.mean(axis=0)
        mean = _mirrored(mean)
        left, right = mean[list(OUTER_EYE_CORNERS)]
        mean *= BIOCULAR_CM / np.linalg.norm(right - left)
    return _looking_ahead(mean, shapes)


def _looking_ahead(mean: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nod the mean until it looks where people on the portraits look on average: into the camera."""
    rotation = similarity(mean, shapes)[..., :3].sum(axis=0)
    nod = np.arctan2(rotation[2, 1], rotation[2, 2])
    cos, sin = np.cos(nod), np.sin(nod)
    ahead: NDArray[np.float64] = mean @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]).T
    return ahead


def _mirrored(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average a nearly symmetric shape with its mirror image, upright and centred."""
    flipped = mean * [-1, 1, 1]
    for _ in range(3):
        partner = _partners(mean, flipped)
        flipped = transformed(similarity(flipped[partner], mean), flipped)
    symmetric = (mean + flipped[partner]) / 2
    left, right = symmetric[list(OUTER_EYE_CORNERS)]
    x = (right - left) / np.linalg.norm(right - left)
    up = symmetric[10] - symmetric[152]
    y = up - x * (up @ x)
    y /= np.linalg.norm(y)
    upright = (symmetric - symmetric.mean(axis=0)) @ np.stack([x, y, np.cross(x, y)]).T
    other = _partners(upright * [-1, 1, 1], upright)
    exact: NDArray[np.float64] = (upright + upright[other] * [-1, 1, 1]) / 2
    return exact


def _partners(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return for each point the index of its own nearest among the others, one to one."""
    from scipy.optimize import linear_sum_assignment

    pairs: NDArray[np.intp] = linear_sum_assignment(np.linalg.norm(points[:, None] - others[None], axis=2))[1]
    return pairs


def unrolled(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return texture coordinates: the angle around a vertical axis and the height, both scaled to [0, 1]."""
    depth = vertices[:, 2] - vertices[:, 2].max() + HEAD_AXIS_CM
    angle = np.arctan2(vertices[:, 0], depth)
    flat = np.column_stack([angle, -vertices[:, 1]])
    return (flat - flat.min(axis=0)) / np.ptp(flat, axis=0)


def main(portraits: Path, output: Path) -> None:
    """Measure the portraits and write the table."""
    from ops import images
    from resources.models import FaceModels

    detector, landmarker = FaceModels(device="cpu").load()
    meshes: list[Floats] = []
    for path in sorted(portraits.glob("*.jpg")):
        pixels = images.read(path)
        for detection in detector.detect(pixels)[:1]:
            seen = landmarker.landmarks(pixels, detection)
            if seen is None:
                continue
            nose, left, right = seen.points[[4, *OUTER_EYE_CORNERS], :2]
            near, far = np.linalg.norm(nose - left), np.linalg.norm(nose - right)
            if abs(near - far) < FRONTAL * (near + far):
                meshes.append(seen.points)
    vertices = mean_mesh(np.stack(meshes))
    shape, texture = vertices.round(4).astype(np.float32), unrolled(vertices).round(5).astype(np.float32)
    np.savez_compressed(output, vertices=shape, triangles=triangles(), uv=texture)
    print(f"{output}: the mean of {len(meshes)} faces")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""A posed mesh drawn: clay under three lights, checked, as a wireframe, its normals or its depth.

Nothing of the photograph goes into what is drawn but the shape and where it lies. Drawn with a z-buffer at twice the
resolution and averaged, so that edges are smooth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops.raster import rasterise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.anonymising.shape import PosedMesh
    from ops.records import Floats, Picture

STYLES = ("grey", "textured", "wireframe", "normals", "depth")

SAMPLES = 2
"""Samples a pixel, each way."""

ALBEDO = 0.65
LIGHTS = (((-0.45, 0.6, 0.66), 1.0), ((0.85, 0.15, 0.5), 0.45), ((0.1, -0.5, 0.86), 0.3))
"""Where each comes from (x right, y up, z towards the camera) and how strong it is; all three from far away."""

CHECKS = 24
"""Squares across the texture: an even number, so that its seam does not show."""

TINTS = np.array([(224, 205, 190), (126, 148, 168)], np.float32) / 255
"""Of the squares."""

LINE = 0.6
"""Half the width of a wireframe's lines in pixels."""

WIRE, SURFACE = np.array([(96, 236, 226), (44, 52, 64)], np.float32) / 255


class Window(NamedTuple):
    """A part of a picture: its left upper pixel, and its size."""

    left: int
    top: int
    width: int
    height: int


class Drawn(NamedTuple):
    """What a mesh looks like.

    Attributes:
        colours: ``(h, w, 3)`` uint8 RGB; also beside the surface, where the nearest of its pixels counts.
        covered: ``(h, w)`` float32, the share of each pixel that the surface covers.
    """

    colours: Picture
    covered: Floats


def draw_mesh(mesh: PosedMesh, style: str, window: Window) -> Drawn | None:
    """Draw a mesh.

    Args:
        mesh: in pixels of a picture.
        style: one of :data:`STYLES`.
        window: the part of the picture to draw.

    Returns:
        The picture, or None where nothing of the mesh lies in the window.

    Raises:
        ValueError: an unknown style, or ``textured`` of a mesh without texture coordinates.
    """
    if style not in STYLES:
        raise ValueError(f"style {style!r} is unknown; allowed: {', '.join(STYLES)}")
    if style == "textured" and mesh.uv is None:
        raise ValueError("style 'textured' needs texture coordinates, and this shape has none")
    placed = (mesh.vertices - (window.left - 0.5, window.top - 0.5, 0)) * SAMPLES - (0.5, 0.5, 0)
    vertices, triangles = placed.astype(np.float32), mesh.triangles
    if style == "wireframe":  # a corner of two triangles lies at two heights, so that each needs corners of its own
        vertices = vertices[triangles].reshape(-1, 3)
        triangles = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
    attributes = _heights(vertices) if style == "wireframe" else _attributes(mesh, style)
    drawn = rasterise(vertices, triangles, attributes, (window.height * SAMPLES, window.width * SAMPLES))
    covered = _averaged(drawn.covered.astype(np.float32), window)
    here = covered > 0
    if not here.any():
        return None
    image = drawn.image
    if style == "wireframe":
        nearest = np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])
        image = ((nearest < LINE * SAMPLES) & drawn.covered).astype(np.float32)[..., None]
    values = _averaged(image, window)[here].reshape(-1, image.shape[2]) / covered[here, None]
    colours = np.zeros((window.height, window.width, 3), np.uint8)
    colours[here] = np.rint(np.clip(_coloured(values, style), 0, 1) * 255)
    return Drawn(_spread(colours, here), covered)


def normals_of(vertices: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Return each vertex's unit normal, the mean of its triangles' by their areas, ``(n, 3)`` in the vertices' axes."""
    a, b, c = (vertices[triangles[:, corner]].astype(np.float64) for corner in range(3))
    across = np.cross(b - a, c - a)
    total = np.column_stack(
        [np.bincount(triangles.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)]
    )
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(total / np.maximum(lengths, 1e-12), np.float32)


def _attributes(mesh: PosedMesh, style: str) -> Floats:
    """Return what is interpolated over the surface: normals with x right, y up, z to the camera, or the depth."""
    if style == "depth":
        z = mesh.vertices[:, 2:]
        return np.ascontiguousarray((z.max() - z) / max(float(np.ptp(z)), 1e-6), np.float32)
    normals = normals_of(mesh.vertices, mesh.triangles) * np.array((1, -1, -1), np.float32)
    return np.hstack([normals, mesh.uv]) if style == "textured" and mesh.uv is not None else normals


def _heights(corners: Floats) -> Floats:
    """Return, for each corner of separate triangles, its height over the side across from it, 0 over the others.

    Interpolated over a triangle these are the distances in pixels from its three sides.
    """
    flat = corners.reshape(-1, 3, 3)[..., :2].astype(np.float64)
    sides = np.roll(flat, -1, axis=1) - np.roll(flat, 1, axis=1)
    (ux, uy), (vx, vy) = (flat[:, 1] - flat[:, 0]).T, (flat[:, 2] - flat[:, 0]).T
    heights = np.abs(ux * vy - uy * vx)[:, None] / np.maximum(np.linalg.norm(sides, axis=2), 1e-9)
    return np.asarray(heights[..., None] * np.eye(3), np.float32).reshape(-1, 3)


def _coloured(values: Floats, style: str) -> Floats:
    """Return ``(n, 3)`` colours of pixels in [0, 1] by what was interpolated."""
    if style == "depth":
        return np.repeat(0.15 + 0.8 * values, 3, axis=1)
    if style == "wireframe":
        return np.asarray((1 - values) * SURFACE + values * WIRE, np.float32)
    normals = values[:, :3] / np.maximum(np.linalg.norm(values[:, :3], axis=1, keepdims=True), 1e-6)
    if style == "normals":
        return np.asarray((normals + 1) / 2, np.float32)
    light = np.zeros(len(values), np.float32)
    for towards, strength in LIGHTS:
        light += np.float32(strength) * np.maximum(normals @ _unit(towards), 0)
    if style == "grey":
        return np.repeat(ALBEDO * light[:, None], 3, axis=1)
    squares = np.floor(values[:, 3:5] * CHECKS).astype(int).sum(axis=1) % 2
    return np.asarray(TINTS[squares] * light[:, None], np.float32)


def _unit(vector: tuple[float, float, float]) -> Floats:
    return np.asarray(np.array(vector) / np.linalg.norm(vector), np.float32)


def _averaged(image: Floats, window: Window) -> Floats:
    """Return the means over the samples of each pixel."""
    import cv2

    size = (window.width, window.height)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _spread(colours: Picture, here: NDArray[np.bool_]) -> Picture:
    """Give pixels beside the surface the colour of the nearest one on it."""
    import cv2

    if here.all():
        return colours
    _, labels = cv2.distanceTransformWithLabels(
        (~here).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    table[labels[here]] = colours[here]
    return np.asarray(table[labels], np.uint8)

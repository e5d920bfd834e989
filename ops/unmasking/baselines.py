"""What a completed face has to be better than: the mask left on, the mean face, inpainting, and another's face."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ops import images
from ops.geometry import canonical_mesh, mesh_box, rotation_of, similarity
from ops.raster import rasterise
from ops.records import Pose
from ops.training.faces import read_square

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ops.records import Floats, Picture
    from ops.store import Row

AHEAD = Pose(0, 0, 0)
MASKED, MEAN, TELEA, NEAREST = "masked", "mean_face", "telea", "nearest_face"
BASELINES = (MASKED, MEAN, TELEA, NEAREST)
RADIUS = 3
"""Pixels around each that inpainting looks at."""

THUMB = 32
"""Side of the pictures by which faces are compared."""

FORGIVEN = 0.7
"""Share of a difference in light between two faces that does not count: the rest can't all be put right afterwards."""

SEAM = 0.015
"""Share of the side over which a warped face fades into the square behind it."""


class Baselines(NamedTuple):
    """The training split's faces, as what stands in for a completer.

    Attributes:
        folder: of the pairs.
        rows: of bare faces to train on.
        size: side of a square in pixels.
        mean: their mean, each warped to the mean mesh.
        mesh: the mean mesh, ``(468, 2)`` pixels of the square.
        thumbs: the faces, ``(n, THUMB, THUMB, 3)``.
    """

    folder: Path
    rows: list[Row]
    size: int
    mean: Picture
    mesh: Floats
    thumbs: NDArray[np.uint8]

    def completed(self, square: Picture, region: NDArray[np.bool_], mesh: Floats, pose: Pose) -> dict[str, Picture]:
        """Return a square with its region filled in each way of :data:`BASELINES`, not yet composed.

        Args:
            square: ``(size, size, 3)``.
            region: ``(size, size)``.
            mesh: ``(468, 2)`` pixels of the square.
            pose: of the face.
        """
        import cv2

        near = self.rows[self._nearest(square, region, mesh)]
        face, _ = read_square(self.folder, near, self.size)
        return {
            MASKED: square,
            MEAN: onto(self.mean, self.mesh, mesh, pose),
            TELEA: np.asarray(cv2.inpaint(square, region.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA), np.uint8),
            NEAREST: onto(face, mesh_of(near, self.size), mesh, pose),
        }

    def _nearest(self, square: Picture, region: NDArray[np.bool_], mesh: Floats) -> int:
        """Return the face that looks most alike where both are seen, mostly whatever the light."""
        shown = images.resized(square, (THUMB, THUMB)).astype(np.float32)
        hidden = images.resized(region.astype(np.uint8) * 255, (THUMB, THUMB)) > 0
        x1, y1, x2, y2 = (round(side * THUMB / self.size) for side in mesh_box(mesh))
        seen = np.zeros_like(hidden)
        seen[max(0, y1) : y2, max(0, x1) : x2] = True
        known = seen & ~hidden if (seen & ~hidden).any() else ~hidden
        others, mine = self.thumbs[:, known].astype(np.float32), shown[known]
        apart = others - mine
        apart -= FORGIVEN * apart.mean(axis=1, keepdims=True)
        return int(np.argmin((apart**2).mean(axis=(1, 2))))


def learn(folder: Path, rows: Sequence[Row], size: int) -> Baselines:
    """Look at the faces to train on.

    Args:
        folder: of the pairs.
        rows: of their manifest; of these the bare faces of the training split count, one or more.
        size: side of a square in pixels.
    """
    bare = [known for known in rows if (known["split"], known["wearing"]) == ("train", "bare")]
    meshes = [mesh_of(known, size) for known in bare]
    mesh = np.mean(meshes, axis=0).astype(np.float32)
    total, thumbs = np.zeros((size, size, 3)), []
    for known, own in zip(bare, meshes, strict=True):
        square, _ = read_square(folder, known, size)
        total += onto(square, own, mesh, AHEAD)
        thumbs.append(images.resized(square, (THUMB, THUMB)))
    mean = np.rint(total / len(bare)).astype(np.uint8)
    return Baselines(folder, bare, size, mean, mesh, np.stack(thumbs))


def mesh_of(known: Row, size: int) -> Floats:
    """Return the mesh of a row of the pairs, ``(468, 2)`` pixels of a square of ``size`` pixels."""
    mesh = np.reshape(known["mesh"], (-1, 2)).astype(np.float32)
    return (mesh + np.float32(0.5)) * np.float32(size / known["size"]) - np.float32(0.5)


def onto(square: Picture, mesh: Floats, target: Floats, pose: Pose) -> Picture:
    """Return a face warped to another mesh, triangle by triangle; around it the square, turned and scaled to fit.

    Args:
        square: ``(s, s, 3)``.
        mesh: of the face in it, ``(468, 2)`` pixels.
        target: where its points go, ``(468, 2)`` pixels.
        pose: of the target: what of it is turned away is hidden by what is nearer.
    """
    import cv2

    size, model = square.shape[0], canonical_mesh()
    fit = similarity(mesh, target)
    behind = cv2.warpAffine(square, fit, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    away = -(model.vertices @ rotation_of(pose)[2])
    corners = np.column_stack([target, away]).astype(np.float32)
    drawn = rasterise(corners, model.triangles, np.ascontiguousarray(mesh, np.float32), (size, size))
    x, y = (np.ascontiguousarray(drawn.image[..., axis]) for axis in (0, 1))
    front = cv2.remap(square, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    depth = cv2.distanceTransform(drawn.covered.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    share = np.clip(depth / (SEAM * size), 0, 1)[..., None]
    return np.rint(behind + share * (front.astype(np.float32) - behind)).astype(np.uint8)

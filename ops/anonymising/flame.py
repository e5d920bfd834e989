"""FLAME fitted to the landmarks of a face: linear blend skinning, and the least squares that find its coefficients."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ops.anonymising.flame_file import CONTOUR, JOINTS, Flame, Landmarks, read_flame
from ops.anonymising.shape import PosedMesh, ShapeError, check_mesh
from ops.content import file_md5
from ops.geometry import points68, pose_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ops.records import Face, Floats, Picture

    Numbers = NDArray[np.float64]

JAW = 2
"""The joint that is fitted; the head's rotation is the camera's, neck and eyes stay."""

ROUNDS = 10
FACE_WEIGHT, JAW_WEIGHT = 1e-3, 1e-2
"""What a squared coefficient and a squared radian cost; a landmark costs its squared error in eye distances."""

WORST = 0.15
"""Root mean square of the landmarks' distances in eye distances from which on a fit is none."""

EYES = (36 - 17, 45 - 17)
"""The outer eye corners among the static landmarks."""

MOST_YAW = 39
STEP = 1e-6


class Camera(NamedTuple):
    """How a head lies in a picture, and its jaw.

    Attributes:
        scale: pixels a metre.
        rotation: ``(3, 3)`` of the head, in the model's axes.
        shift: ``(2,)`` pixels, of the model's origin; y upwards.
        jaw: ``(3,)`` radians about the axes.
    """

    scale: float
    rotation: Numbers
    shift: Numbers
    jaw: Numbers


class Fit(NamedTuple):
    """A head that was fitted.

    Attributes:
        pose: where it lies.
        coefficients: ``(k,)`` the person's, then the expression's.
        error: root mean square of the landmarks' distances, in eye distances.
    """

    pose: Camera
    coefficients: Numbers
    error: float


@dataclass(frozen=True)
class FlameShape:
    """Fits FLAME; picklable, each process reads the files for itself.

    Attributes:
        model: the head model's file.
        landmarks: its landmark embeddings' files.
    """

    model: Path
    landmarks: tuple[Path, ...]

    name = "flame"

    def check(self) -> None:
        """Read the files.

        Raises:
            BadShapeFile: they are none of FLAME's.
            FileNotFoundError: there is no such file.
        """
        self._opened  # noqa: B018

    def versions(self) -> tuple[str, ...]:
        """Return its name and the files' hashes."""
        return (self.name, *self._hashes.values())

    def files(self) -> dict[Path, str]:
        """Return the files with the hashes that they have when they are first asked for."""
        return self._hashes

    def fit(self, face: Face, pixels: Picture) -> PosedMesh:
        """Return the head fitted to the 68 points of the face's mesh; the picture is not looked at.

        Raises:
            ShapeError: the mesh is broken, or no head comes near its points.
            BadShapeFile: the files are none of FLAME's.
        """
        from threadpoolctl import threadpool_limits

        flame, unrolled = self._opened
        check_mesh(face.mesh)
        with threadpool_limits(1):  # sums in one order, whatever the number of cores
            found = fit_landmarks(flame, points68(face.mesh).astype(np.float64) * (1, -1))
            upright = head(flame, found.coefficients, found.pose.jaw)
        if not found.error < WORST:
            raise ShapeError("no head of FLAME comes near the face's landmarks")
        right, up = found.pose.shift
        placed = found.pose.scale * (upright @ found.pose.rotation.T) * (1, -1, -1) + (right, -up, 0)
        return PosedMesh(
            vertices=placed.astype(np.float32),
            triangles=flame.triangles,
            metric=(upright * 100).astype(np.float32),
            uv=unrolled,
            pose=pose_of(found.pose.rotation),
            parameters={
                "pixels_per_cm": [found.pose.scale / 100],
                "shape": found.coefficients[: flame.shapes].tolist(),
                "expression": found.coefficients[flame.shapes :].tolist(),
                "jaw": found.pose.jaw.tolist(),
                "error": [found.error],
            },
        )

    @cached_property
    def _hashes(self) -> dict[Path, str]:
        return {path: file_md5(path) for path in (self.model, *self.landmarks)}

    @cached_property
    def _opened(self) -> tuple[Flame, Floats]:
        # with texture coordinates, a cylinder about the head's upright axis unrolled
        flame = read_flame(self.model, self.landmarks)
        x, y, z = (flame.template - flame.template.mean(axis=0)).T
        flat = np.stack([np.arctan2(x, z), -y], axis=1)
        return flame, ((flat - flat.min(axis=0)) / np.ptp(flat, axis=0)).astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def head(flame: Flame, coefficients: Numbers, jaw: Numbers) -> Numbers:
    """Return the vertices of a head that looks ahead, ``(n, 3)`` metres."""
    rotations = _rotations(jaw)
    shaped = flame.template + flame.directions @ coefficients
    bent = shaped + flame.bends @ (rotations[1:] - np.eye(3)).ravel()
    joints = flame.regressor @ shaped
    return skinned(bent[..., None], joints[..., None], flame.weights, flame.parents, rotations)[..., 0]


def skinned(
    points: Numbers, joints: Numbers, weights: Numbers, parents: tuple[int, ...], rotations: Numbers
) -> Numbers:
    """Blend the joints' rigid motions; linear in points and joints together, so directions are moved as well.

    Args:
        points: ``(n, 3, c)`` c vertices or directions, side by side.
        joints: ``(5, 3, c)`` the joints or the joints' directions that belong to them.
        weights: ``(n, 5)``.
        parents: of the joints.
        rotations: ``(5, 3, 3)``, each in its parent's axes.
    """
    turns, places = [rotations[0]], [joints[0]]
    for joint in range(1, len(parents)):
        parent = parents[joint]
        places.append(places[parent] + turns[parent] @ (joints[joint] - joints[parent]))
        turns.append(turns[parent] @ rotations[joint])
    shifts = np.stack([place - turn @ joint for place, turn, joint in zip(places, turns, joints, strict=True)])
    blended = np.tensordot(weights, np.stack(turns), 1)
    return np.asarray(blended @ points + np.tensordot(weights, shifts, 1), np.float64)


def contour_row(flame: Flame, yaw: float) -> int:
    """Return the row of the contour's landmarks for a head turned by ``yaw`` degrees.

    Row n holds those of n degrees to one side, row 39 + n those to the other. To which one depends on whose file it is;
    the landmarks themselves tell: on the side that a head turns to, its outline runs nearer to the nose.
    """
    far = points_on(flame.template, flame.triangles, _row(flame, MOST_YAW))[:, 2]
    to_the_right = far[9:].mean() > far[:8].mean()
    turned = round(min(max(yaw if to_the_right else -yaw, -MOST_YAW), MOST_YAW))
    return turned if turned >= 0 else MOST_YAW - turned


def points_on(vertices: Numbers, triangles: NDArray[np.int32], landmarks: Landmarks) -> Numbers:
    """Return where landmarks are on a surface, ``(l, 3)``."""
    return np.asarray(np.einsum("lt,lta->la", landmarks.shares, vertices[triangles[landmarks.triangles]]), np.float64)


def fit_landmarks(flame: Flame, target: Numbers) -> Fit:
    """Find the head whose landmarks, seen from far away, lie nearest to those of a face.

    In turn, the coefficients are found by ridge regression, for the landmarks are linear in them, and pose and jaw by
    steps of Gauss and Newton; the contour's landmarks are picked anew for each pose.

    Args:
        flame: the model.
        target: ``(68, 2)`` pixels, y upwards.
    """
    mean = points_on(flame.template, flame.triangles, flame.static)
    pose = _first_pose(mean, target[CONTOUR:])
    unit = pose.scale * float(np.linalg.norm(mean[EYES[1]] - mean[EYES[0]]))
    whole = np.concatenate([flame.template[..., None], flame.directions], axis=2)
    joints = np.tensordot(flame.regressor, whole, 1)
    values = np.zeros(0)
    for _ in range(ROUNDS):
        chosen = _chosen(flame, whole, joints, contour_row(flame, pose_of(pose.rotation).yaw))
        across = pose.scale / unit * pose.rotation[:2]
        seen = across @ chosen.landmarks(flame, pose.jaw)
        slopes = seen[..., 1:].reshape(target.size, -1)
        missing = ((target - pose.shift) / unit - seen[..., 0]).ravel()
        values = slopes.T @ np.linalg.solve(slopes @ slopes.T + FACE_WEIGHT * np.eye(target.size), missing)
        person = chosen.of(values)
        for _ in range(2):
            pose = _nearer(flame, person, target, unit, pose)
    distances = _missing(flame, person, target, unit, pose, np.zeros(9))[: target.size]
    return Fit(pose, values, float(np.sqrt((distances**2).sum() / len(target))))


class _Chosen(NamedTuple):
    """The corners of 68 landmarks, and the joints, each as a column that stands and a column a coefficient."""

    points: Numbers
    joints: Numbers
    weights: Numbers
    bends: Numbers
    shares: Numbers

    def of(self, coefficients: Numbers) -> _Chosen:
        """Return the landmarks of one person, as a column that stands."""
        column = np.append(1, coefficients)[:, None]
        return self._replace(points=self.points @ column, joints=self.joints @ column)

    def landmarks(self, flame: Flame, jaw: Numbers) -> Numbers:
        """Return the landmarks of a head that looks ahead, ``(68, 3, c)`` metres."""
        rotations = _rotations(jaw)
        points = self.points.copy()
        points[..., 0] += self.bends @ (rotations[1:] - np.eye(3)).ravel()
        moved = skinned(points, self.joints, self.weights, flame.parents, rotations)
        corners = moved.reshape(*self.shares.shape, *moved.shape[1:])
        return np.asarray(np.einsum("lt,ltac->lac", self.shares, corners), np.float64)


def _chosen(flame: Flame, whole: Numbers, joints: Numbers, row: int) -> _Chosen:
    """Return the contour's landmarks of a row, and the static ones."""
    contour, static = _row(flame, row), flame.static
    corners = flame.triangles[np.concatenate([contour.triangles, static.triangles])].ravel()
    shares = np.concatenate([contour.shares, static.shares])
    return _Chosen(whole[corners], joints, flame.weights[corners], flame.bends[corners], shares)


def _row(flame: Flame, row: int) -> Landmarks:
    return Landmarks(flame.contour.triangles[row], flame.contour.shares[row])


def _first_pose(points: Numbers, target: Numbers) -> Camera:
    """Return the scaled orthographic pose that brings ``(l, 3)`` points nearest to ``(l, 2)`` targets.

    The affine camera of least squares, made rigid: the nearest pair of rows at right angles and of one length.
    """
    middle, aim = points.mean(axis=0), target.mean(axis=0)
    affine = np.linalg.lstsq(points - middle, target - aim, rcond=None)[0].T
    u, lengths, vt = np.linalg.svd(affine, full_matrices=False)
    rows, scale = u @ vt, float(lengths.mean())
    rotation = np.vstack([rows, np.cross(*rows)])
    return Camera(scale, rotation, aim - scale * rows @ middle, np.zeros(3))


def _nearer(flame: Flame, person: _Chosen, target: Numbers, unit: float, pose: Camera) -> Camera:
    """Return the pose after one step of Gauss and Newton; slopes are differences."""
    here = _missing(flame, person, target, unit, pose, np.zeros(9))
    slopes = [(_missing(flame, person, target, unit, pose, step) - here) / STEP for step in STEP * np.eye(9)]
    step = np.linalg.lstsq(np.stack(slopes, axis=1), -here, rcond=None)[0]
    return _moved(pose, unit, step.astype(np.float64))


def _missing(flame: Flame, person: _Chosen, target: Numbers, unit: float, pose: Camera, step: Numbers) -> Numbers:
    """Return what is to be made small after a step: the landmarks' distances in eye distances, and the jaw."""
    moved = _moved(pose, unit, step)
    seen = person.landmarks(flame, moved.jaw)[..., 0] @ (moved.scale * moved.rotation[:2]).T + moved.shift
    return np.concatenate([(target - seen).ravel() / unit, JAW_WEIGHT**0.5 * moved.jaw])


def _moved(pose: Camera, unit: float, step: Numbers) -> Camera:
    """Return a pose after a step: logarithm of the scale, rotation, shift in eye distances, jaw."""
    return Camera(
        pose.scale * float(np.exp(np.clip(step[0], -1, 1))),
        rotation_by(step[1:4]) @ pose.rotation,
        pose.shift + unit * step[4:6],
        pose.jaw + step[6:],
    )


def _rotations(jaw: Numbers) -> Numbers:
    """Return the rotations of all joints, of which only the jaw turns, ``(5, 3, 3)``."""
    rotations = np.tile(np.eye(3), (JOINTS, 1, 1))
    rotations[JAW] = rotation_by(jaw)
    return rotations


def rotation_by(vector: Numbers) -> Numbers:
    """Return the ``(3, 3)`` rotation about a vector by its length in radians (Rodrigues)."""
    import cv2

    return np.asarray(cv2.Rodrigues(np.asarray(vector, np.float64))[0], np.float64)

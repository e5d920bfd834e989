"""FLAME's files, which the user brings: a head that is bent by numbers, and where landmarks lie on it.

The fields and their meaning are those of Li et al., Learning a model of facial shape and expression from 4D scans, ACM
TOG 2017. Files are read without running anything that they name.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.pickled import LARGEST, PickleRefused, as_array, only_object, read_pickle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Indices = NDArray[np.int32]

JOINTS = 5
"""Root, neck, jaw, left and right eye."""

STATIC, ROWS, CONTOUR = 51, 79, 17
"""Landmarks that stay where they are (iBUG's 18th to 68th), and rows of those along the jaw: yaw 0 to 39, -1 to -39."""

MODEL = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
STATIC_NAMES = ("lmk_face_idx", "static_lmk_faces_idx"), ("lmk_b_coords", "static_lmk_bary_coords")
CONTOUR_NAMES = ("lmk_face_idx", "dynamic_lmk_faces_idx"), ("lmk_b_coords", "dynamic_lmk_bary_coords")


class BadShapeFile(ValueError):
    """A file that holds no shape model, or none that is meant."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Points on a surface: ``triangles`` by number, and ``shares`` of their three corners, ``(..., 3)``."""

    triangles: Indices
    shares: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Flame:
    """A head model of n vertices; metres, x to the viewer's right, y up, z towards the viewer.

    Attributes:
        template: ``(n, 3)`` the mean head.
        directions: ``(n, 3, k)`` what each coefficient adds.
        shapes: how many of the k are of the person; the others are of the expression.
        bends: ``(n, 3, 36)`` what the joints' rotations add.
        regressor: ``(5, n)`` where the joints are, of the vertices.
        weights: ``(n, 5)`` how much each joint moves a vertex.
        parents: of the joints; the root's is not looked at.
        triangles: ``(m, 3)``.
        static: 51 landmarks.
        contour: 17 along the jaw in 79 rows.
    """

    template: Numbers
    directions: Numbers
    shapes: int
    bends: Numbers
    regressor: Numbers
    weights: Numbers
    parents: tuple[int, ...]
    triangles: Indices
    static: Landmarks
    contour: Landmarks


def read_flame(model: Path, landmarks: Iterable[Path]) -> Flame:
    """Read a head model and its landmark embeddings.

    Args:
        model: ``.pkl`` as it is handed out, or ``.npz`` with the same fields.
        landmarks: files that together hold the 51 static landmarks and the rows of the contour: ``.pkl``, ``.npy``
            or ``.npz``.

    Raises:
        BadShapeFile: one is no such file, asks for something to be run, is too large, or lacks something.
        FileNotFoundError: there is no such file.
    """
    held = _fields(model)
    missing = [name for name in MODEL if name not in held]
    if missing:
        raise BadShapeFile(f"{model} has no {', '.join(missing)}")
    template = _shaped(model, held, "v_template", (None, 3))
    count = len(template)
    directions = _shaped(model, held, "shapedirs", (count, 3, None))
    triangles = _shaped(model, held, "f", (None, 3))
    tables = [(path, _fields(path)) for path in landmarks]
    tree = _shaped(model, held, "kintree_table", (2, JOINTS))
    parents = (-1, *(int(parent) for parent in tree[0, 1:]))
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise BadShapeFile(f"{model} has a kintree_table with the parents {parents}; a joint comes after its parent")
    return Flame(
        template=template,
        directions=directions,
        shapes=directions.shape[2] * 3 // 4,  # 300 of 400
        bends=_shaped(model, held, "posedirs", (count, 3, (JOINTS - 1) * 9)),
        regressor=_shaped(model, held, "J_regressor", (JOINTS, count)),
        weights=_shaped(model, held, "weights", (count, JOINTS)),
        parents=parents,
        triangles=_numbered(model, "f", triangles, count),
        static=_landmarks(tables, STATIC_NAMES, (STATIC,), len(triangles)),
        contour=_landmarks(tables, CONTOUR_NAMES, (ROWS, CONTOUR), len(triangles)),
    )


def _landmarks(
    tables: list[tuple[Path, dict[str, Any]]],
    names: tuple[tuple[str, ...], tuple[str, ...]],
    shape: tuple[int, ...],
    triangles: int,
) -> Landmarks:
    """Find landmarks of a shape among files, under the names that are in use for them."""
    for path, held in tables:
        for index, share in zip(*names, strict=True):
            if index in held and share in held and _read(path, held, index).shape == shape:
                numbers = _numbered(path, index, _shaped(path, held, index, shape), triangles)
                return Landmarks(numbers, _shaped(path, held, share, (*shape, 3)))
    paths = ", ".join(str(path) for path, _ in tables) or "no file"
    raise BadShapeFile(f"{paths}: no {' or '.join(names[0])} of the shape {shape} for landmarks")


def _fields(path: Path) -> dict[str, Any]:
    """Return what a file holds by name: arrays, or what a pickle asks for in place of them."""
    if path.stat().st_size > LARGEST:
        raise BadShapeFile(f"{path} has {path.stat().st_size} bytes; up to {LARGEST} are allowed")
    try:
        if path.suffix == ".npz":
            return _unpacked(path)
        held = read_pickle(path.read_bytes()) if path.suffix == ".pkl" else _object(path)
    except PickleRefused as error:
        raise BadShapeFile(f"{path} is refused: {error}") from None
    if not isinstance(held, dict):
        raise BadShapeFile(f"{path} is refused: it holds no table")
    return held


def _unpacked(path: Path) -> dict[str, Any]:
    """Return the arrays of a ``.npz``."""
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > LARGEST:
            raise BadShapeFile(f"{path} unpacks to {size} bytes; up to {LARGEST} are allowed")
        with np.load(path, allow_pickle=False) as table:
            return {name: table[name] for name in table.files}
    except BadShapeFile:
        raise
    except Exception as error:  # archives break in many ways
        raise BadShapeFile(f"{path} is no .npz of numbers ({type(error).__name__})") from error


def _object(path: Path) -> Any:
    """Return the one object of a ``.npy``."""
    if path.suffix != ".npy":
        raise BadShapeFile(f"{path} is no .pkl, .npz or .npy")
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            _, _, kind = read(file)
        except (ValueError, RecursionError, MemoryError) as error:
            raise BadShapeFile(f"{path} is no .npy ({error})") from None
        if not kind.hasobject:
            raise BadShapeFile(f"{path} holds bare numbers; a .npy with a table of arrays is due")
        return only_object(read_pickle(file.read()))


def _read(path: Path, held: dict[str, Any], name: str) -> NDArray[Any]:
    try:
        return held[name] if isinstance(held[name], np.ndarray) else as_array(held[name])
    except PickleRefused as error:
        raise BadShapeFile(f"{path} is refused: {name}: {error}") from None


def _shaped(path: Path, held: dict[str, Any], name: str, shape: tuple[int | None, ...]) -> Numbers:
    """Return a field's numbers, finite and of a shape; None stands for any number from 1 on."""
    array = _read(path, held, name)
    fits = len(array.shape) == len(shape) and all(
        is_ == due if due is not None else is_ > 0 for is_, due in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        due = " x ".join("any" if side is None else str(side) for side in shape)
        raise BadShapeFile(f"{path} has a {name} of {array.dtype} {array.shape}; {due} finite numbers are due")
    return np.asarray(array, np.float64)


def _numbered(path: Path, name: str, array: Numbers, count: int) -> Indices:
    """Return indices into ``count`` things."""
    if array.min() < 0 or array.max() >= count:
        raise BadShapeFile(f"{path} has numbers from {array.min():.0f} to {array.max():.0f} in {name} of {count}")
    return array.astype(np.int32)

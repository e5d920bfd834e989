"""Embedders: networks that give the same person's faces vectors which point the same way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ops.alignment import AlignPoints, align
from ops.geometry import mesh_box, points5, points68
from resources.onnx_sessions import BadNetwork, open_session
from resources.start_weights import AUTO, NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.records import Floats, Picture

DLIB = "dlib_resnet"
"""128 numbers; those of two people mostly have a cosine of .78 to .90, so that little above that is much."""


@dataclass(frozen=True)
class Embedder:
    """A network in a file; picklable, each process opens it for itself.

    Attributes:
        name: ``dlib_resnet``, or that of an ONNX file, which takes ``(n, 3, s, s)`` float32 RGB in [-1, 1] as
            InsightFace aligns them, and gives ``(n, k)``.
        path: the file.
        sha256: of it.
    """

    name: str
    path: Path
    sha256: str

    def __call__(self, pixels: Picture, mesh: Floats) -> Floats:
        """Return a face's vector, of length 1.

        Args:
            pixels: a picture.
            mesh: ``(468, 2)`` or ``(468, 3)`` pixels of it; of a masked face that of the bare one, if it is known.

        Raises:
            BadNetwork: the file is no such network.
            ops.alignment.AlignmentError: the mesh can't be aligned.
        """
        vector = self._embed(pixels, mesh)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def files(self) -> dict[Path, str]:
        """Return the file with its checksum."""
        return {self.path: self.sha256}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _embed(self) -> Callable[[Picture, Floats], Floats]:
        return _dlib(self.path) if self.name == DLIB else _onnx(self.path)


def embedder(wish: str) -> Embedder | None:
    """Find what tells how alike two people look.

    Args:
        wish: ``auto`` for dlib's network where it can be had, ``dlib_resnet``, ``none``, or the path of an ONNX file.

    Raises:
        ValueError: it is something else.
        FileNotFoundError: there is no such file.
        ModelUnavailable: the registry can't get it.
    """
    from model_assets.registry import ModelUnavailable, Registry, fetch

    if wish == NONE:
        return None
    if wish.endswith(".onnx"):
        return Embedder(Path(wish).name, Path(wish), hashlib.sha256(Path(wish).read_bytes()).hexdigest())
    if wish not in {AUTO, DLIB}:
        raise ValueError(f"identity is {wish!r}; use one of {AUTO}, {DLIB}, {NONE}, or the path of an ONNX file")
    try:
        return Embedder(DLIB, fetch(DLIB), Registry.load().models[DLIB].sha256)
    except ModelUnavailable:
        if wish == AUTO:
            return None
        raise


def _dlib(path: Path) -> Callable[[Picture, Floats], Floats]:
    import dlib

    network = dlib.face_recognition_model_v1(str(path))

    def embed(pixels: Picture, mesh: Floats) -> Floats:
        corners = points68(mesh)
        box = dlib.rectangle(*(round(side) for side in mesh_box(corners)))
        points = [dlib.point(round(float(x)), round(float(y))) for x, y in corners]
        shape = dlib.full_object_detection(box, points)
        return np.array(network.compute_face_descriptor(np.ascontiguousarray(pixels), shape), np.float32)

    return embed


def _onnx(path: Path) -> Callable[[Picture, Floats], Floats]:
    session = open_session(path)
    given = session.get_inputs()
    shape, made = given[0].shape, session.get_outputs()[0].shape
    if len(given) != 1 or len(shape) != 4 or shape[1] != 3 or not isinstance(shape[2], int) or len(made) != 2:
        raise BadNetwork(f"{path} takes {shape} and gives {made}; an embedder takes (n, 3, s, s) and gives (n, k)")
    name, side = given[0].name, int(shape[2])

    def embed(pixels: Picture, mesh: Floats) -> Floats:
        crop = align(pixels, AlignPoints(five=points5(mesh)), "arcface", side).pixels
        values = (crop.transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / np.float32(127.5)
        return np.asarray(session.run(None, {name: np.ascontiguousarray(values)})[0][0], np.float32)

    return embed

"""Face shapes by name: the face's own mesh, or FLAME from files that the user brings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ops.anonymising.flame import FlameShape
from ops.anonymising.mesh_shape import MeshShape

if TYPE_CHECKING:
    from ops.anonymising.shape import FaceShape

SHAPES = ("mesh", "flame")
EMBEDDINGS = "*embedding*"
"""Names of landmark embeddings' files in a folder of FLAME's."""


def face_shape(name: str, flame: str | Path | None = None, landmarks: str | Path | None = None) -> FaceShape:
    """Return what fits surfaces to faces; FLAME's files are read, so that what is wrong with them is told early.

    Args:
        name: one of :data:`SHAPES`.
        flame: FLAME's model file, ``.pkl`` or ``.npz``.
        landmarks: a file of landmark embeddings, or the folder that holds ``flame_static_embedding.pkl`` and
            ``flame_dynamic_embedding.npy``.

    Raises:
        ValueError: the name is another, or one of FLAME's files is not named.
        BadShapeFile: one of them is no such file.
        FileNotFoundError: there is no such file.
    """
    if name not in SHAPES:
        raise ValueError(f"shape {name!r} is unknown; allowed are {', '.join(SHAPES)}")
    if name == "mesh":
        return MeshShape()
    if not flame or not landmarks:
        raise ValueError("the shape 'flame' takes files of your own: name both the model's and its landmark embeddings")
    given = Path(landmarks)
    shape = FlameShape(Path(flame), tuple(sorted(given.glob(EMBEDDINGS))) if given.is_dir() else (given,))
    shape.check()
    return shape

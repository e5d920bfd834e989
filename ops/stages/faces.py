"""Face geometry: who is where in a frame, turned which way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ops import images
from ops.faces import NO_FACE, find_faces
from ops.manifests import rows_at
from ops.records import Box, Face, Pose
from ops.stages import refusal
from ops.store import DONE, SKIPPED, Column, Item, fingerprint, row, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ops.faces import FaceDetector, FaceLandmarker
    from ops.store import Dataset, Row

VERSION = 1
NEEDED = ("fingerprint", "frame", "source", "time", "picture", "identity")
"""Columns of frames that a plan needs, and carries on."""

ORIGIN = (
    Column("frame", "string", "the frame's identity"),
    Column("time", "float64", "seconds into the video; null for a photograph"),
    Column("identity", "string", "the person, where the source's naming tells"),
)
BOX = (
    Column("x1", "float32", "left edge of the face box, pixels"),
    Column("y1", "float32", "upper edge"),
    Column("x2", "float32", "right edge, exclusive"),
    Column("y2", "float32", "lower edge, exclusive"),
)
POSE = (
    Column("score", "float32", "the detector's confidence, 0 to 1"),
    Column("yaw", "float32", "degrees, positive to the viewer's right"),
    Column("pitch", "float32", "degrees, positive upwards"),
    Column("roll", "float32", "degrees, positive clockwise as seen"),
)
COLUMNS = (
    *ORIGIN,
    Column("picture", "string", "file that holds the pixels, relative to the data folder"),
    *BOX,
    *POSE,
    Column("sharpness", "float32", "variance of the Laplacian of the face at 112 px"),
    Column("points5", "list<float>", "x, y of left eye, right eye, nose tip, left and right mouth corner"),
    Column("mesh", "list<float>", "x, y, z of the 468 mesh points, pixels"),
)


BULKY = ("points5", "mesh")
"""Columns that only what draws needs: they are left on disk until a face is worked on."""


class FaceModels(Protocol):
    """What can hand out a detector and a mesh landmarker; picklable, so that every process loads its own."""

    def load(self) -> tuple[FaceDetector, FaceLandmarker]:
        """Load both models."""

    def versions(self) -> dict[str, str]:
        """Return names and checksums of everything that decides about the result."""


def plan(frames: pd.DataFrame, data: Path, models: FaceModels, *, min_score: float, max_faces: int) -> list[Item]:
    """List the frames to look at: ``frames`` holds the done rows of the frames dataset, ``data`` is the data folder."""
    settings = {"models": models.versions(), "min_score": min_score, "max_faces": max_faces, "version": VERSION}
    return [
        Item(
            fingerprint(known["fingerprint"], known["frame"], settings),
            {**known, "path": str(data / known["picture"])},
            known["fingerprint"],
        )
        for known in rows_of(frames[[*NEEDED]])
    ]


class Look:
    """Find the faces of one frame."""

    def __init__(self, models: FaceModels, *, min_score: float, max_faces: int, max_pixels: int) -> None:
        self.detector, self.landmarker = models.load()
        self.min_score = min_score
        self.max_faces = max_faces
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face; one with a reason where there is none."""
        known = item.payload
        same = {name: known[name] for name in ("frame", "time", "picture", "identity")}
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **same)]
        faces = find_faces(
            pixels, self.detector, self.landmarker, min_score=self.min_score, max_faces=self.max_faces or None
        )
        if not faces:
            return [row(item, known["source"], status=SKIPPED, reason=NO_FACE, **same)]
        return [row(item, known["source"], **same, **face_columns(face)) for face in faces]


class Stored(NamedTuple):
    """Faces of one frame where the manifest of face geometry has them: what an item carries in the place of meshes.

    Attributes:
        manifest: the file.
        places: numbers of the rows.
        faces: their indices in the frame.
        fingerprint: what made them.
    """

    manifest: str
    places: tuple[int, ...]
    faces: tuple[int, ...]
    fingerprint: str

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Stored:
        """Return where the faces of these rows of :func:`described` are."""
        places, faces = (tuple(int(known[name]) for known in rows) for name in ("row", "face"))
        return cls(rows[0]["manifest"], places, faces, rows[0]["fingerprint"])

    def load(self) -> list[Face]:
        """Read the faces.

        Raises:
            RuntimeError: the manifest has been written anew since the work was planned.
        """
        import pyarrow as pa

        try:
            rows = rows_at(Path(self.manifest), self.places).to_pylist()
        except (OSError, pa.ArrowException):
            rows = []
        meant = [(self.fingerprint, face) for face in self.faces]
        if [(known["fingerprint"], known["face"]) for known in rows] != meant:
            raise RuntimeError(f"{self.manifest} was written anew while its faces were worked on: run again")
        return [face_of(known) for known in rows]


def described(dataset: Dataset) -> pd.DataFrame:
    """Return the done rows of face geometry without :data:`BULKY`, and where each is: ``manifest`` and ``row``."""
    columns = ["fingerprint", "source", "face", *(c.name for c in COLUMNS if c.name not in BULKY)]
    return dataset.read(columns, DONE, numbered=True).assign(manifest=str(dataset.manifest))


def about(face: Face) -> dict[str, Any]:
    """Return which face it is, its box, score and pose as manifest columns."""
    box = dict(zip(("x1", "y1", "x2", "y2"), face.box, strict=True))
    return {"face": face.index, **box, "score": face.score, **face.pose._asdict()}


def face_columns(face: Face) -> dict[str, Any]:
    """Return a face as manifest columns; :func:`face_of` reads them back."""
    points5, mesh = np.ravel(face.points5), np.ravel(face.mesh)
    return {**about(face), "sharpness": face.sharpness, "points5": points5, "mesh": mesh}


def face_of(known: dict[str, Any]) -> Face:
    """Return the face that a manifest row holds; without points and mesh where the row has none."""
    return Face(
        index=int(known["face"]),
        box=Box(*(float(known[side]) for side in ("x1", "y1", "x2", "y2"))),
        score=float(known["score"]),
        points5=np.asarray(known.get("points5", ()), np.float32).reshape(-1, 2),
        mesh=np.asarray(known.get("mesh", ()), np.float32).reshape(-1, 3),
        pose=Pose(*(float(known[angle]) for angle in ("yaw", "pitch", "roll"))),
        sharpness=float(known["sharpness"]),
    )

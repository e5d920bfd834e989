"""Unmasking pairs: faces framed upright, bare and wearing drawn masks, dealt out by person."""

from __future__ import annotations

from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ops import images
from ops.content import file_md5
from ops.detection.likeness import look_at
from ops.detection.shots import Shot
from ops.detection.split_files import Written, ties_of
from ops.detection.splits import Member
from ops.files import write_atomic
from ops.geometry import transformed
from ops.masking import MaskingError, MaskSpec, draw_spec, prepare, render, visible_fractions
from ops.stages import digest_of, refusal, splits
from ops.stages.faces import BOX, POSE, about, face_of
from ops.store import SKIPPED, Column, Item, fingerprint, row, rows_of
from ops.unmasking.framing import frame_face, framed
from ops.unmasking.regions import draw_region

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from ops.detection.likeness import Thumb
    from ops.masking import MaskSettings
    from ops.records import Face, Picture
    from ops.stages.splits import Dealt
    from ops.store import Row

    Matrices = dict[tuple[str, str], list[NDArray[np.float64]]]

FACE = "face"
"""What every member of the split counts as."""

BARE, MASKED = "bare", "masked"
DRAWING = (
    "masking",
    "raster.py",
    "unmasking/framing.py",
    "unmasking/regions.py",
    "stages/pairs.py",
    "detection/splits.py",
    "detection/likeness.py",
)
LOOKED_AT = 160
"""Side in pixels of the squares that faces are compared in."""

BACKDROP = 0.1
"""Of such a square, left out all around: turned, zoomed and mirrored copies of a photograph differ there."""

BLOWN_UP = 4.0
"""Faces that have to be enlarged more than so many times show too little to be told apart."""

HIDES = 0.01
"""A region smaller than this share of the square leaves nothing to complete."""

COLUMNS = (
    Column("split", "string", "train, val or test"),
    Column("group", "string", "faces of one group are never in two splits"),
    Column("folder", "string", "source: the folder under data/raw that the face comes from"),
    Column("picture", "string", "file that the pixels come from, relative to the data folder"),
    Column("content", "string", "BLAKE2b hash of that file"),
    Column("frame", "string", "identity of the frame"),
    Column("width", "int32", "of the picture in pixels"),
    Column("height", "int32", "of it; beyond its edges the square shows it mirrored"),
    Column("identity", "string", "the person, where the source's naming tells"),
    Column("video", "string", "video that the frame comes from; null for a photograph"),
    Column("wearing", "string", "bare or masked"),
    Column("variant", "int32", "which masked variant; null for the bare face"),
    Column(
        "region", "string", "of a bare face what else may be completed: eyes, mouth or strokes; of a masked one: mask"
    ),
    Column("alpha", "string", "how much of each pixel belongs to the region, 8-bit PNG of the square's size"),
    Column("mask_state", "string", "how the mask is worn, measured by what is hidden; null for the bare face"),
    *BOX,
    *POSE,
    Column("size", "int32", "side of the square in pixels"),
    Column("matrix", "list<double>", "2x3 matrix from picture to square pixels, row by row"),
    Column("mesh", "list<float>", "x, y of the 468 mesh points in pixels of the square"),
)


def columns() -> tuple[Column, ...]:
    """Return the manifest's columns with every drawn parameter of a mask."""
    kinds = {"str": "string", "float": "float64", "int": "int64"}
    drawn = [Column(field.name, kinds[str(field.type)], f"drawn: {field.name}") for field in fields(MaskSpec)]
    return (*COLUMNS, *drawn)


def face_shots(faces: pd.DataFrame, frames: pd.DataFrame) -> list[Shot]:
    """Return every frame with a face, as what can be dealt out.

    Args:
        faces: done rows of face geometry of all sources, with ``folder``.
        frames: done rows of frames of all sources, with ``folder``.
    """
    known = {(told["folder"], told["frame"]): told for told in rows_of(frames)}
    shots = []
    for _, group in faces.groupby(["folder", "frame"], sort=True):
        rows = rows_of(group)
        told = known[rows[0]["folder"], rows[0]["frame"]]
        boxes = tuple(face_of(one).box for one in rows)
        video = f"raw/{told['folder']}/{told['source']}" if told["kind"] == "video" else None
        shots.append(
            Shot(
                key=told["frame"] if video else told["content"],
                video=video,
                width=int(told["width"]),
                height=int(told["height"]),
                boxes=boxes,
                labels=(FACE,) * len(boxes),
                **{name: told[name] for name in ("source", "folder", "picture", "frame", "identity")},
            )
        )
    return shots


def plan(
    shots: Iterable[Shot],
    faces: pd.DataFrame,
    split: Dealt,
    data: Path,
    settings: MaskSettings,
    *,
    size: int,
    variants: int,
    quality: int,
    **limits: float,
) -> list[Item]:
    """List the faces to frame.

    Args:
        shots: from :func:`face_shots`.
        faces: done rows of face geometry of all sources, with ``folder``.
        split: of the shots, from :func:`ops.stages.splits.deal`.
        data: the data folder.
        settings: what masks may be drawn.
        size: side of the square in pixels.
        variants: masked versions of each face.
        quality: of the JPEG files.
        limits: ``min_face_px`` and ``max_yaw``, beyond which a face is left out.
    """
    of = {(shot.folder, shot.frame): shot for shot in shots}
    made_with = [settings.as_key(), size, variants, quality, limits, digest_of(*DRAWING)]
    items = []
    for known in rows_of(faces):
        shot = of[known["folder"], known["frame"]]
        if shot.key not in split.splits:
            continue
        place = {"split": split.splits[shot.key], "group": split.groups[shot.key]}
        items.append(
            Item(
                fingerprint(known["fingerprint"], known["face"], astuple(shot), place, made_with),
                {
                    "source": shot.source,
                    "path": str(data / shot.picture),
                    "shot": shot,
                    "face": face_of(known),
                    **place,
                },
            )
        )
    return items


class Pair:
    """Frame one face, bare and masked."""

    def __init__(
        self,
        folder: Path,
        settings: MaskSettings,
        *,
        size: int,
        variants: int,
        quality: int,
        min_face_px: float,
        max_yaw: float,
        max_pixels: int,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.size = size
        self.variants = variants
        self.quality = quality
        self.min_face_px = min_face_px
        self.max_yaw = max_yaw
        self.max_pixels = max_pixels

    def __call__(self, item: Item) -> list[Row]:
        """Return the bare face's row and one a masked variant, or one with the reason why there is none."""
        known, face = item.payload, item.payload["face"]
        shot: Shot = known["shot"]
        same = {**shot.about(), **about(face), "split": known["split"], "group": known["group"]}
        try:
            self._judge(face)
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
            prepared = prepare(pixels, face)
        except images.BadImage as error:
            return [refusal(item, error, **same)]
        except MaskingError as error:
            return [row(item, shot.source, status=SKIPPED, reason=error.reason, **same)]
        matrix = frame_face(face.mesh, self.size)
        mesh = transformed(matrix, face.mesh[:, :2]).astype(np.float32)
        same |= {"size": self.size, "matrix": np.ravel(matrix), "mesh": np.ravel(mesh)}
        stem = f"{known['split']}/{item.fingerprint}"
        rng = np.random.default_rng(int(fingerprint("region", shot.key, face.index), 16))
        kind, region = draw_region(mesh, self.size, rng)
        files = self._write(stem, framed(pixels, matrix, self.size), region.astype(np.uint8) * 255)
        rows = [row(item, shot.source, **same, **files, wearing=BARE, region=kind)]
        for variant in range(self.variants):
            told = {**same, "wearing": MASKED, "variant": variant}
            spec = draw_spec(f"{shot.key}/{face.index}/{variant}", self.settings)
            try:
                masked = render(pixels, face, spec, prepared=prepared, garments=self.settings.garments)
            except MaskingError as error:
                rows.append(row(item, shot.source, status=SKIPPED, reason=error.reason, **told))
                continue
            whole = masked.full_region()
            alpha = framed(whole.astype(np.uint8) * 255, matrix, self.size)
            if alpha.mean() / 255 < HIDES:
                rows.append(row(item, shot.source, status=SKIPPED, reason="the mask hides next to nothing", **told))
                continue
            seen = visible_fractions(face, whole, prepared.front_part)
            files = self._write(f"{stem}_v{variant}", framed(masked.picture, matrix, self.size), alpha)
            told |= {"region": "mask", "mask_state": seen.state, **spec.as_row(), **files}
            rows.append(row(item, shot.source, **told))
        return rows

    def _judge(self, face: Face) -> None:
        """Refuse faces that show too little."""
        if face.box.height < self.min_face_px:
            raise MaskingError(f"a face of {face.box.height:.0f} px is smaller than {self.min_face_px:g} px")
        if abs(face.pose.yaw) > self.max_yaw:
            raise MaskingError(f"turned by {abs(face.pose.yaw):.0f} degrees, more than {self.max_yaw:g}")

    def _write(self, stem: str, picture: Picture, alpha: NDArray[np.uint8]) -> dict[str, str]:
        files = {"output": f"{stem}.jpg", "alpha": f"{stem}_region.png"}
        write_atomic(self.folder / files["output"], images.encode_jpeg(picture, self.quality, subsampling="444"))
        write_atomic(self.folder / files["alpha"], images.encode_png(alpha))
        return files


class Look(splits.Look):
    """Look at one picture, and at its faces upright, so that they are found again in copies turned or zoomed.

    Args:
        data: the data folder.
        matrices: from picture to square pixels, of each face of a frame, by its source and name.
        max_pixels: of a picture.
    """

    def __init__(self, data: Path, matrices: Matrices, *, max_pixels: int) -> None:
        super().__init__(data, max_pixels=max_pixels)
        self.matrices = matrices

    def seen(self, pixels: Picture, shot: Shot) -> tuple[Thumb, list[Thumb | None]]:
        """Return the look of the picture, and of each of its faces."""
        matrices = self.matrices[shot.folder, shot.frame]
        return look_at(pixels)[0], [
            upright_look(framed(pixels, matrix, LOOKED_AT)) if np.linalg.norm(matrix[0, :2]) <= BLOWN_UP else None
            for matrix in matrices
        ]


def matrices_of(faces: pd.DataFrame) -> Matrices:
    """Return what :class:`Look` needs to know of the done rows of face geometry, with ``folder``."""
    found: Matrices = {}
    for known in rows_of(faces):
        matrix = frame_face(face_of(known).mesh, LOOKED_AT)
        found.setdefault((known["folder"], known["frame"]), []).append(matrix)
    return found


def upright_look(square: Picture) -> Thumb:
    """Return the look of a face in its square, without the backdrop."""
    edge = round(BACKDROP * len(square))
    return look_at(np.ascontiguousarray(square[edge:-edge, edge:-edge]))[0]


def read_bare(folder: Path, data: Path, rows: Iterable[Row], *, max_pixels: int = images.MAX_PIXELS) -> list[Written]:
    """Look again at every bare face and at the picture it comes from: what a check of the split compares.

    Args:
        folder: the dataset's.
        data: the data folder.
        rows: the dataset's done rows.
        max_pixels: of a picture.
    """
    written = []
    for known in rows:
        if known["wearing"] != BARE:
            continue
        pixels = images.read(data / known["picture"], max_pixels=max_pixels)
        square = upright_look(images.read(folder / known["output"]))
        ties = (*ties_of({**known, "made_from": ()}), f"square {file_md5(folder / known['output'])}")
        member = Member(known["content"], (FACE,), ties, look_at(pixels)[0], (square,))
        written.append(Written(known["output"], Path(known["output"]).parts[0], BARE, member))
    return written

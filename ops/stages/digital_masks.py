"""Digital masks: every face of a source's pictures covered by a drawn one, or nothing of the picture at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ops import images
from ops.alignment import AlignmentError
from ops.anonymising.anonymise import AnonymisingError, Look, anonymise, covered_region, same_inside
from ops.anonymising.obj import obj_text
from ops.anonymising.outline import hull81
from ops.anonymising.selection import Selection, Square, cut_out, drawn, reason_against, seen_in, square_around
from ops.anonymising.sight import Sight, look
from ops.faces import NO_FACE
from ops.files import write_atomic
from ops.stages import digest_of, refusal
from ops.stages.faces import BOX, ORIGIN, POSE, Stored, about, face_of
from ops.store import DONE, REJECTED, SKIPPED, Column, Item, fingerprint, grouped, row, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from ops.anonymising.anonymise import Anonymised
    from ops.anonymising.shape import FaceShape
    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Face, Floats, Picture
    from ops.stages.faces import FaceModels
    from ops.store import Row

    Embed = Callable[[Picture, Floats], Floats]

VERSION = 1
CODE = ("anonymising", "raster.py", "geometry.py", "faces.py")
ROLES = ("database", "query")
"""First folders of the layout in which people are looked for: role / person / video / pictures."""

MADE = (
    Column("square", "list<int32>", "left, top and side of what was cut out of the picture, pixels; null: all of it"),
    Column("outline", "list<float>", "x, y of the hull of the face's 81 points, pixels of the output"),
    Column("mask_only", "string", "the digital masks alone, RGBA PNG"),
    Column("on_black", "string", "the digital masks alone, on black"),
    Column("surface", "string", "the face's shape as .obj, upright, centimetres, y up"),
    Column("drawn_as", "string", "grey, textured, wireframe, normals or depth"),
    Column("cut", "string", "hull, oval or mesh: what is drawn beyond the hull"),
    Column("shape", "string", "what fitted the surface"),
    Column("parameters", "string", "of the fit, JSON: lists of numbers by name"),
    Column("covered_px", "int64", "pixels within the outlines of all faces of the picture"),
    Column("same_px_inside", "int64", "of these, those that are as in the input, after encoding: always 0"),
    Column("identity_cosine", "float32", "of the embeddings of the face before and after; null: not computed"),
)
COLUMNS = (
    *ORIGIN,
    Column("picture", "string", "file that holds the pixels, relative to the data folder"),
    *BOX,
    *POSE,
    *MADE,
)


@dataclass(frozen=True)
class Wishes:
    """What to anonymise, and how.

    Attributes:
        how: digital masks look.
        wanted: which pictures are left out.
        least: score from which on the wary detector's find is a face that has to be covered.
        size: side of the square around the surest face that is cut out, pixels; 0: the whole picture.
        shape: names and hashes of what fits surfaces.
        judge: hash of the network that tells how alike people look; ``none``.
    """

    how: Look = field(default_factory=Look)
    wanted: Selection = field(default_factory=Selection)
    least: float = 0.4
    size: int = 0
    shape: tuple[str, ...] = ("mesh",)
    judge: str = "none"

    def key(self) -> list[Any]:
        """Return what stands for them in a fingerprint."""
        return [asdict(self), digest_of(*CODE), VERSION]


def plan(
    frames: pd.DataFrame, faces: pd.DataFrame, data: Path, *, wishes: Wishes, finder: Mapping[str, str]
) -> tuple[list[Item], list[Row]]:
    """List the pictures to anonymise; the others come back as rows with a reason.

    Args:
        frames: done rows of the source's frames.
        faces: of its face geometry, :func:`ops.stages.faces.described`.
        data: the data folder.
        wishes: how.
        finder: names and checksums of what looks for further faces.
    """
    made_with = [wishes.key(), dict(finder)]
    found = grouped(faces, "frame")
    every = {known["frame"]: known for known in rows_of(frames)}
    told: dict[str, str] = {}
    for frame in every:
        here = [face_of(one) for one in found.get(frame, ())]
        reason = reason_against(here, wishes.wanted) if here else NO_FACE
        if reason:
            told[frame] = reason
    videos: dict[str, list[str]] = {}
    for frame in sorted(every.keys() - told.keys()):
        video = every[frame]["source"] if every[frame]["kind"] == "video" else video_folder(every[frame]["source"])
        videos.setdefault(video or f"the photograph {frame}", []).append(frame)
    chosen = drawn(videos, wishes.wanted)
    told |= {frame: not_drawn(wishes.wanted) for frame in every if frame not in chosen and frame not in told}
    items, rows = [], []
    for frame, known in every.items():
        same = {name: known[name] for name in ("frame", "time", "identity", "picture")}
        content = found[frame][0]["fingerprint"] if frame in found else known["fingerprint"]
        item = Item(fingerprint(content, frame, made_with), {"source": known["source"], "same": same}, content)
        if frame in told:
            rows.append(row(item, known["source"], status=SKIPPED, reason=told[frame], **same))
        else:
            more = {"path": str(data / known["picture"]), "faces": Stored.of(found[frame])}
            items.append(item._replace(payload=item.payload | more))
    return items, rows


def video_folder(path: str) -> str | None:
    """Return the folder of a video's pictures in the layout role / person / video / pictures; None in any other.

    >>> video_folder("query/ann/b/7.png"), video_folder("ann/7.png")
    ('query/ann/b', None)
    """
    parts = PurePath(path).parts
    return "/".join(parts[:3]) if len(parts) == 4 and parts[0] in ROLES else None


def not_drawn(wanted: Selection) -> str:
    """Return the reason of a picture that the draw left out."""
    return f"not among the {wanted.per_video} pictures drawn of its video"


class Maker:
    """Anonymise pictures, and write what comes of them: nothing before all of a picture's faces are covered.

    Args:
        folder: where outputs go.
        shape: fits surfaces to faces.
        models: what looks for faces.
        embed: tells how alike people look, or None.
        wishes: how.
        max_pixels: larger pictures are refused unread.
    """

    def __init__(
        self,
        folder: Path,
        shape: FaceShape,
        models: FaceModels,
        embed: Embed | None,
        wishes: Wishes,
        *,
        max_pixels: int,
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.models = models
        self.embed = embed
        self.wishes = wishes
        self.max_pixels = max_pixels

    @cached_property
    def finder(self) -> tuple[FaceDetector, FaceLandmarker]:
        """What looks for faces, loaded when it is first needed."""
        return self.models.load()

    def picture(self, pixels: Picture, stem: str, known: Sequence[Face] = ()) -> list[dict[str, Any]]:
        """Return a picture's manifest columns, a row a face; or one with the reason why nothing was written.

        Args:
            pixels: the picture.
            stem: what its files are named by.
            known: faces found before, all of which are covered.
        """
        seen = look(pixels, *self.finder, self.wishes.least, known)
        square = None
        if seen.faces and not seen.bare:
            reason = reason_against(seen.faces, self.wishes.wanted)
            if reason:
                return [{"status": SKIPPED, "reason": reason}]
            if self.wishes.size:
                square = square_around(seen.faces[0])
                pixels = cut_out(pixels, square, self.wishes.size)
                seen = seen_in(seen, square, self.wishes.size)
        try:
            made = anonymise(pixels, seen, self.shape, self.wishes.how)
            files = _files(made, stem)
            same = _same_after_encoding(pixels, made, files[f"{stem}_overlay.png"])
        except AnonymisingError as error:
            return [{"status": SKIPPED if error.reason == NO_FACE else REJECTED, "reason": error.reason}]
        columns = self._columns(pixels, seen, made, stem)
        for name, content in files.items():
            write_atomic(self.folder / name, content)
        return [{**told, "square": square, "same_px_inside": same} for told in columns]

    def _columns(self, pixels: Picture, seen: Sight, made: Anonymised, stem: str) -> list[dict[str, Any]]:
        names = {"output": "overlay", "mask_only": "mask", "on_black": "black"}
        same = self.told(made) | {column: f"{stem}_{name}.png" for column, name in names.items()}
        return [
            {
                **about(face),
                **same,
                **self.told_of(face, made),
                "surface": _surface(stem, face.index),
                "identity_cosine": _likeness(self.embed, pixels, made.overlay, face),
            }
            for face in seen.faces
        ]

    def told(self, made: Anonymised) -> dict[str, Any]:
        """Return what is told of a picture in the row of each of its faces."""
        how = {"drawn_as": self.wishes.how.style, "cut": self.wishes.how.cut, "shape": self.shape.name}
        return {"status": DONE, **how, "covered_px": int(made.region.sum())}

    def told_of(self, face: Face, made: Anonymised) -> dict[str, Any]:
        """Return what is told of one face."""
        return {"outline": np.ravel(hull81(face)), "parameters": json.dumps(made.shapes[face.index].parameters)}


class DigitalMask(Maker):
    """Anonymise one picture of a source."""

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a face, or one with the reason why nothing was written."""
        known = item.payload
        try:
            pixels = images.read(Path(known["path"]), max_pixels=self.max_pixels)
        except images.BadImage as error:
            return [refusal(item, error, **known["same"])]
        made = self.picture(pixels, item.fingerprint, known["faces"].load())
        return [row(item, known["source"], **known["same"], **told) for told in made]


def faults(folder: Path, data: Path, rows: Sequence[Row], known: Sequence[Row], *, max_pixels: int) -> list[str]:
    """Say what is wrong with the files of one picture, by looking at them again.

    Args:
        folder: where they lie.
        data: the data folder.
        rows: the picture's manifest rows, one a face.
        known: the rows of face geometry of the picture: all these faces have to be covered.
        max_pixels: of the largest picture.
    """
    first = rows[0]
    pixels = images.read(data / first["picture"], max_pixels=max_pixels)
    seen = Sight([face_of(one) for one in known], [])
    if first["square"] is not None:
        square, size = Square(*map(int, first["square"])), images.read(folder / first["output"]).shape[0]
        pixels, seen = cut_out(pixels, square, size), seen_in(seen, square, size)
    outlines = [np.reshape(one["outline"], (-1, 2)) for one in rows] + [hull81(face) for face in seen.faces]
    overlay = images.read(folder / first["output"], max_pixels=max_pixels)
    alone = images.read_rgba(folder / first["mask_only"], max_pixels=max_pixels)
    on_black = images.read(folder / first["on_black"], max_pixels=max_pixels)
    name = first["output"]
    if {overlay.shape[:2], alone.shape[:2], on_black.shape[:2]} != {pixels.shape[:2]}:
        return [f"{name}: not of the picture's size"]
    region, clear = np.zeros(pixels.shape[:2], bool), alone[..., 3] == 0
    for outline in outlines:
        region |= covered_region(np.asarray(outline, np.float32), pixels.shape)
    same = same_inside(pixels, overlay, region)
    told = {
        f"{same} pixels of faces are as they were": same > 0,
        "digital masks alone leave a face open": bool((alone[region, 3] != 255).any()),
        "something lies beside digital masks": bool(alone[clear].any() or on_black[clear].any()),
    }
    return [f"{name}: {reason}" for reason, wrong in told.items() if wrong]


def _files(made: Anonymised, stem: str) -> dict[str, bytes]:
    """Return a picture's files by name."""
    shown = {"overlay": made.overlay, "mask": made.mask, "black": made.on_black}
    return {f"{stem}_{name}.png": images.encode_png(pixels) for name, pixels in shown.items()} | {
        _surface(stem, index): obj_text(mesh).encode() for index, mesh in made.shapes.items()
    }


def _surface(stem: str, index: int) -> str:
    return f"{stem}_face{index}.obj"


def _same_after_encoding(pixels: Picture, made: Anonymised, file: bytes) -> int:
    """Return how many pixels within outlines are as in the input, once the file is decoded again.

    Raises:
        AnonymisingError: any is.
    """
    same = same_inside(pixels, images.decode(file), made.region)
    if same:
        raise AnonymisingError(f"{same} pixels of faces are as they were")
    return same


def _likeness(embed: Embed | None, before: Picture, after: Picture, face: Face) -> float | None:
    if embed is None:
        return None
    try:
        return float(embed(before, face.mesh) @ embed(after, face.mesh))
    except AlignmentError:
        return None

"""Annotated scenes: every box that somebody drew around a face, and every one that masking knows, in one table."""

from __future__ import annotations

import hashlib
import posixpath
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ops.detection.annotation_files import read_source
from ops.detection.annotations import Annotated, Mark, brief, settle, spelling
from ops.detection.scenes import read_scenes
from ops.frames import kind_of
from ops.masking import LABELS
from ops.records import Box, Refusal
from ops.stages import digest_of
from ops.store import DONE, REJECTED, SKIPPED, UNREAD, Column, Dataset, Item, fingerprint, row, rows_of, unread

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from ops.detection.annotation_files import Told
    from ops.detection.label_formats import Scene
    from ops.store import Row

VERSION = 1
COLUMNS = (
    Column("folder", "string", "source: the folder under data/raw that the picture comes from"),
    Column("picture", "string", "file that holds the pixels, relative to the data folder"),
    Column("width", "int32", "upright width in pixels"),
    Column("height", "int32", "upright height in pixels"),
    Column("content", "string", "BLAKE2b hash of the picture's bytes"),
    Column("frame", "string", "identity of the frame: the picture itself or, where synthetic, what it was made from"),
    Column("time", "float64", "seconds into the video; null for a photograph"),
    Column("variant", "int32", "which masked version of the frame; null where nothing was drawn"),
    Column("identity", "string", "the person, where the source's naming tells"),
    Column("video", "string", "video that the frame comes from, relative to the data folder; null for a photograph"),
    Column("synthetic", "bool", "labelled by the pipeline, for training alone: masks drawn in, or faces known as bare"),
    Column("annotation", "string", "file that tells of the box, relative to the data folder"),
    Column("annotation_format", "string", "voc, yolo, coco or masked_faces"),
    Column("label", "string", "class: with_mask, without_mask, mask_weared_incorrect; null: a picture without boxes"),
    Column("class_name", "string", "the class as the annotation spells it"),
    Column("x1", "float64", "left edge of the box in pixels, inside the picture"),
    Column("y1", "float64", "upper edge"),
    Column("x2", "float64", "right edge, exclusive"),
    Column("y2", "float64", "lower edge, exclusive"),
    Column("clipped", "bool", "the box reached beyond the picture and was cut off at its edge"),
    Column("difficult", "bool", "hard to see, where the annotation tells"),
    Column("truncated", "bool", "not all of the face is in the box, where the annotation tells"),
)


class Plan(NamedTuple):
    """What there is to do, rows for what can't be done, and what a reader of the log should know."""

    items: list[Item]
    told: list[Row]
    notes: list[str]


def plan(
    data: Path, folders: Iterable[str], table: Mapping[str, str], *, first_pixel: int, bare: Collection[str] = ()
) -> Plan:
    """List what is annotated in all sources.

    Args:
        data: the data folder, with ``raw``, ``frames`` and ``masked_faces``.
        folders: names of the sources.
        table: spellings of classes, from :func:`ops.detection.annotations.class_map`.
        first_pixel: of Pascal VOC, see :func:`ops.detection.annotation_formats.read_voc`.
        bare: sources in which nobody wears a mask: photographs that masks were drawn on count as they are too.
    """
    folders = sorted(folders)
    unknown = sorted(set(bare) - set(folders))
    whole = Plan([], [], [f"{folder} is to be bare, and there is no such source" for folder in unknown])
    for folder in folders:
        frames, masked = (Dataset(data / asset / folder) for asset in ("frames", "masked_faces"))
        if not frames.manifest.is_file():
            whole.notes.append(f"{folder} is left out: its frames are not made")
            continue
        source = _Source(folder, pictures_of(folder, rows_of(frames.read())), table)
        told, bad = read_source(data / "raw" / folder, first_pixel=first_pixel)
        for each in bad:
            source.refuse(each.path, each.reason, **source.from_file(each.path, each.format))
        source.pair(told)
        if masked.manifest.is_file():
            scenes = read_scenes(masked.folder)
            source.add_masked(scenes)
            if folder in bare:
                source.add_bare(scenes)
        whole.items.extend(source.items)
        whole.told.extend(source.told)
    return whole


def pictures_of(folder: str, frames: Sequence[Row]) -> dict[str, Row | str]:
    """Return what is known of each photograph of a source, or why it can't be used, by its path in the source.

    Of a picture that repeats another's content, ``frames`` holds no more than that.
    """
    stills = [known for known in frames if kind_of(known["source"]) == "image"]
    first = {known["content"]: known for known in stills if known["status"] == DONE}
    pictures: dict[str, Row | str] = {}
    for known in stills:
        seen = first.get(known["content"])
        if known["status"] == REJECTED or seen is None:
            pictures[known["source"]] = known["reason"]
        else:
            pictures[known["source"]] = {
                "picture": f"raw/{folder}/{known['source']}",
                "identity": known["identity"],
                "width": int(seen["width"]),
                "height": int(seen["height"]),
                "content": seen["content"],
                "frame": seen["frame"],
                "synthetic": False,
            }
    return pictures


class _Source:
    """One source on its way into the table: what is to be judged, and what is told at once."""

    def __init__(self, folder: str, pictures: Mapping[str, Row | str], table: Mapping[str, str]) -> None:
        self.folder = folder
        self.pictures = pictures
        self.table = table
        self.items: list[Item] = []
        self.told: list[Row] = []
        self.truth: dict[str, list[str | None]] = {}

    def from_file(self, path: str, format: str) -> Row:
        return {"annotation": f"raw/{self.folder}/{path}", "annotation_format": format}

    def refuse(self, path: str, reason: str, *, status: str = REJECTED, **about: Any) -> None:
        item = Item(fingerprint("refused", self.folder, path, reason, about), {})
        self.told.append(row(item, path, status=status, reason=reason, folder=self.folder, **about))

    def pair(self, told: Sequence[Told]) -> None:
        """Find each annotation's picture, which only the first has; tell of pictures that stay alone among others."""
        stems: dict[str, list[str]] = defaultdict(list)
        for path in self.pictures:
            stems[posixpath.splitext(path)[0]].append(path)
        owners: dict[str, str] = {}
        for each in told:
            for path in self._found(each, stems):
                known = self.pictures[path]
                if path in owners:
                    self._refuse_marks(each, f"{path} has the boxes of {owners[path]}", status=SKIPPED)
                    continue
                owners[path] = each.path
                if isinstance(known, str):
                    self._refuse_marks(each, f"its picture {path}: {known}")
                else:
                    self._add(path, {**known, **self.from_file(each.path, each.format)}, each.of)
                    self.truth[known["frame"]] = [self.table.get(spelling(mark.name)) for mark in each.of.marks]
        beside = {posixpath.dirname(path) for path in owners}
        for path, known in self.pictures.items():
            if path not in owners and posixpath.dirname(path) in beside and not isinstance(known, str):
                self.refuse(path, "no annotation that can be used tells of it", status=SKIPPED, **known)

    def add_masked(self, scenes: Sequence[Scene]) -> None:
        """Add pictures with drawn masks, with the labels that they were drawn by."""
        for scene in scenes:
            about = {
                "picture": f"masked_faces/{self.folder}/{scene.output}",
                "video": f"raw/{self.folder}/{scene.source}" if kind_of(scene.source) == "video" else None,
                "synthetic": True,
                "annotation": f"masked_faces/{self.folder}/manifest.parquet",
                "annotation_format": "masked_faces",
                **{part: getattr(scene, part) for part in ("width", "height", "frame", "time", "variant", "identity")},
            }
            marks = (Mark(face.label, face.box, truncated=face.cut, cut=face.cut) for face in scene.faces)
            if self._contradicted(scene):
                reason = "its frame is annotated with masks already worn, or with faces that masking did not see"
                self.refuse(scene.source, reason, status=SKIPPED, **about)
            else:
                self._add(scene.source, about, Annotated((), tuple(marks)))

    def add_bare(self, scenes: Sequence[Scene]) -> None:
        """Add the photographs that masks were drawn on, all their faces bare, unless annotations tell of them."""
        for source, scene in {scene.source: scene for scene in reversed(scenes)}.items():
            known = self.pictures.get(source)
            if known is None or isinstance(known, str) or known["frame"] in self.truth:
                continue
            about = {
                "synthetic": True,
                "annotation": f"masked_faces/{self.folder}/manifest.parquet",
                "annotation_format": "masked_faces",
            }
            marks = (Mark(LABELS[1], face.box, truncated=face.cut, cut=face.cut) for face in scene.faces)
            self._add(source, {**known, **about}, Annotated((), tuple(marks)))

    def _found(self, told: Told, stems: Mapping[str, list[str]]) -> list[str]:
        of = told.of
        if of.stem:
            paths = next((stems[place] for place in of.places if place in stems), [])
        else:
            paths = [place for place in of.places if place in self.pictures][:1]
        if not paths:
            self._refuse_marks(told, of.problem or f"no picture {of.places[0]}{'.*' if of.stem else ''}")
        return paths

    def _add(self, path: str, about: Row, of: Annotated) -> None:
        told = {"about": {"folder": self.folder, **about}, "of": of._replace(places=())}
        key = fingerprint(path, told, sorted(self.table.items()), VERSION, digest_of("detection/annotations.py"))
        self.items.append(Item(key, {"source": path, **told}))

    def _refuse_marks(self, told: Told, reason: str, *, status: str = REJECTED) -> None:
        """Tell of each box of an annotation that has no picture, or once where it has no box."""
        where = self.from_file(told.path, told.format)
        for index, mark in enumerate(told.of.marks):
            self.refuse(told.path, reason, status=status, face=index, class_name=mark.name, **where)
        if not told.of.marks:
            self.refuse(told.path, reason, status=status, **where)

    def _contradicted(self, scene: Scene) -> bool:
        """Tell whether people saw other than faces without masks in the bare frame, or more of them than masking."""
        truth = self.truth.get(scene.frame)
        return truth is not None and not (0 < len(truth) <= len(scene.faces) and set(truth) == {LABELS[1]})


class Judge:
    """Turn what is told of one picture into rows.

    Args:
        data: the data folder.
        table: spellings of classes.
    """

    def __init__(self, data: Path, table: Mapping[str, str]) -> None:
        self.data = data
        self.table = table

    def __call__(self, item: Item) -> list[Row]:
        """Return a row a box, done or with the reason why it can't be; one without box where there is none."""
        source, about, of = (item.payload[part] for part in ("source", "about", "of"))
        if about.get("content") is None:
            try:
                data = (self.data / about["picture"]).read_bytes()
            except OSError as error:
                return [row(unread(item), source, status=REJECTED, reason=f"{UNREAD}: {error.strerror}", **about)]
            about = {**about, "content": hashlib.blake2b(data, digest_size=16).hexdigest()}
        size = (about["width"], about["height"])
        problem = None
        if of.size and of.size != size:
            problem = "annotated at {} x {} pixels, the picture has {} x {}".format(*of.size, *size)
        rows = [
            row(item, source, face=index, **about, **self._judged(mark, of, problem, size))
            for index, mark in enumerate(of.marks)
        ]
        alone = {"status": REJECTED, "reason": problem} if problem else {}
        return rows or [row(item, source, **about, **alone)]

    def _judged(self, mark: Mark, of: Annotated, problem: str | None, size: tuple[int, int]) -> Row:
        told = {"class_name": mark.name, "difficult": mark.difficult, "truncated": mark.truncated}
        told["label"] = self.table.get(spelling(mark.name))
        try:
            if problem or mark.problem:
                raise Refusal(problem or str(mark.problem))
            if told["label"] is None:
                raise Refusal(f"unknown class {brief(mark.name)}: params.yaml has no such spelling")
            scale = size if of.relative else (1, 1)
            box, beyond = settle([side * scale[index % 2] for index, side in enumerate(mark.box)], *size)
        except Refusal as error:
            return {**told, "status": REJECTED, "reason": error.reason}
        return {**told, **dict(zip(Box._fields, box, strict=True)), "clipped": beyond or mark.cut}

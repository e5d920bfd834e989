"""Label exports: masked pictures, each with all its faces, in the formats that detectors and segmenters train on."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ops.detection.label_formats import FORMATS, TOLD, LabelledFace, Scene
from ops.files import DRAFT, is_draft, write_atomic
from ops.masking import LABELS
from ops.records import Box
from ops.store import DONE, SKIPPED, Dataset, fingerprint, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ops.store import Row

LISTING = "export.json"
READERS_LEAVE = "labels.cache"
LONGEST_NAME = 200
NEEDED = (
    *("source", "frame", "time", "identity", "variant", "face", "output"),
    *("status", "label", "region", "polygon", *TOLD),
    *Box._fields,
    *(f"mask_{side}" for side in Box._fields),
)


class Exported(NamedTuple):
    """What an export holds: pictures, faces of each class; and how many files of an earlier one were removed."""

    pictures: int
    faces: dict[str, int]
    removed: int


def export(dataset: Path, output: Path, format: str) -> Exported:
    """Write pictures of masked faces with their labels, in one of :data:`ops.detection.label_formats.FORMATS`.

    Pictures are hard links where that can be. The same dataset gives the same bytes; what an earlier export to the
    same folder left and this one has no more is removed.

    Args:
        dataset: folder with a manifest of masked faces.
        output: new, empty, or an earlier export in the same format.
        format: by name.

    Raises:
        ValueError: the format is unknown, there is no masked picture, the manifest has no labels, or ``output`` lies
            in the dataset or holds anything else.
        FileNotFoundError: there is no manifest, or a picture that it names is gone.
        DatasetBusy: another process writes one of the two.
    """
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    if output.resolve().is_relative_to(dataset.resolve()):
        raise ValueError(f"{output} lies inside the dataset {dataset}; choose another folder")
    if not dataset.is_dir():
        raise FileNotFoundError(f"there is no folder {dataset}")
    folder, holds, write = FORMATS[format]
    with Dataset(dataset).lock():
        scenes = [replace(scene, faces=tuple(filter(holds, scene.faces))) for scene in read_scenes(dataset)]
        if not scenes:
            raise ValueError(f"{dataset} holds no masked picture, so there is nothing to export")
        pictures = {f"{folder}/{scene.name}": dataset / scene.output for scene in scenes}
        removed = _fill(output, format, pictures, write(scenes))
    faces = Counter(face.label for scene in scenes for face in scene.faces)
    return Exported(len(scenes), {label: faces[label] for label in LABELS}, removed)


def read_scenes(dataset: Path) -> list[Scene]:
    """Return the masked pictures of a dataset, by file name.

    A face without a mask is in every picture of its frame, or only in that variant for which none could be drawn.
    Crops have no region, so they are no pictures.

    Raises:
        ValueError: the manifest has no labels.
        FileNotFoundError: there is no manifest.
    """
    import pyarrow.parquet as pq

    made = Dataset(dataset)
    present = set(pq.read_schema(made.manifest).names) if made.manifest.is_file() else set(NEEDED)
    if missing := sorted(set(NEEDED) - present):
        raise ValueError(f"{made.manifest} tells no {', '.join(missing)}: these are no masked faces, or older ones")
    worn: dict[str, list[Row]] = {}
    bare: dict[tuple[str, str], list[Row]] = {}
    for known in rows_of(made.read([*NEEDED])):
        if known["status"] == DONE and known["region"] is not None:
            worn.setdefault(known["output"], []).append(known)
        elif known["status"] == SKIPPED and known["x1"] is not None:
            bare.setdefault((known["source"], known["frame"]), []).append(known)
    names = flat_names(worn)
    return [_scene(names[output], rows, bare) for output, rows in sorted(worn.items())]


def flat_names(paths: Iterable[str]) -> dict[str, str]:
    """Return a file name for each relative path; no two share a stem, in capitals or not.

    Folders become a part of the name. What can't stand in a list or in XML becomes ``_``, and so does a leading dot,
    which would hide the file. Names that would clash or be too long end in a hash of the path.

    >>> flat_names(["a b/one.jpg", "two.png"])
    {'a b/one.jpg': 'a b__one.jpg', 'two.png': 'two.png'}
    """
    plain = {}
    for path in paths:
        flat = "".join(letter if letter.isprintable() else "_" for letter in path.replace("/", "__"))
        plain[path] = os.path.splitext("_" + flat[1:] if flat.startswith(".") else flat)
    owners = Counter(stem.casefold() for stem, _ in plain.values())
    return {
        path: stem + suffix
        if owners[stem.casefold()] == 1 and len((stem + suffix).encode()) <= LONGEST_NAME
        else f"{stem[:40]}_{fingerprint(path)}{suffix}"
        for path, (stem, suffix) in plain.items()
    }


def _scene(name: str, worn: Sequence[Row], bare: dict[tuple[str, str], list[Row]]) -> Scene:
    first = worn[0]
    height, width = json.loads(first["region"])["size"]
    masked = [_face(known, width, height, known) for known in worn]
    others = bare.get((first["source"], first["frame"]), [])
    others = [known for known in others if known["variant"] in (None, first["variant"])]
    faces = (*masked, *(_face(known, width, height, None) for known in others))
    of = {part: first[part] for part in ("output", "source", "frame", "time", "identity")}
    return Scene(name=name, width=width, height=height, variant=int(first["variant"]), faces=faces, **of)


def _face(known: Row, width: int, height: int, worn: Row | None) -> LabelledFace:
    whole = Box(*(known[side] for side in Box._fields))
    box = whole.clipped(width, height)
    return LabelledFace(known["label"], box, box != whole, worn)


def _fill(output: Path, format: str, pictures: dict[str, Path], files: dict[str, bytes]) -> int:
    """Put pictures and files in their places; return how many others were removed."""
    wanted = pictures.keys() | files.keys()
    with Dataset(output).lock():
        _list(output, format, _listed(output, format) | wanted)
        for inside in {os.path.dirname(name) for name in wanted}:
            (output / inside).mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            place(picture, output / name)
        for name, data in files.items():
            _write(output / name, data)
        gone = _files(output) - {LISTING, READERS_LEAVE} - wanted
        for name in gone:
            (output / name).unlink()
        _list(output, format, wanted)
    return sum(not _is_draft(name) for name in gone)


def _listed(output: Path, format: str) -> set[str]:
    """Return the files that an earlier export wrote; refuse a folder that holds others."""
    listing = output / LISTING
    known = json.loads(listing.read_text()) if listing.is_file() else {"format": format, "files": []}
    if known["format"] != format:
        raise ValueError(f"{output} holds an export as {known['format']}, not as {format}; choose another folder")
    foreign = {name for name in _files(output) if not _is_draft(name)} - {LISTING, READERS_LEAVE, *known["files"]}
    if foreign:
        raise ValueError(f"{output} holds {min(foreign)!r}, which no export wrote; choose another folder")
    return set(known["files"])


def _list(output: Path, format: str, files: Iterable[str]) -> None:
    text = json.dumps({"format": format, "files": sorted(files)}, ensure_ascii=False, indent=0)
    _write(output / LISTING, f"{text}\n".encode())


def _files(folder: Path) -> set[str]:
    return {os.path.relpath(os.path.join(base, name), folder) for base, _, names in os.walk(folder) for name in names}


def _is_draft(path: str) -> bool:
    return is_draft(os.path.basename(path))


def place(picture: Path, target: Path) -> None:
    """Link a picture to where it goes, or copy it where that can't be."""
    if target.exists() and target.samefile(picture):
        return
    draft = target.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        os.link(picture.resolve(), draft)
    except OSError:
        _write(target, picture.read_bytes())
    else:
        os.replace(draft, target)


def _write(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)

"""The annotation files of a source folder, found by their names and read in the order of their paths.

Only regular files that lie inside the source are opened, and none that is absurdly large.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ops.detection.annotation_formats import LARGEST, read_coco, read_names, read_voc, read_yolo
from ops.detection.annotations import NAMES_FILES, Annotated, BadAnnotation, Names, format_of
from ops.frames import is_utf8, open_inside

if TYPE_CHECKING:
    from collections.abc import Mapping


class Told(NamedTuple):
    """What one annotation file tells of one picture; ``path`` and ``format`` are those of the file."""

    path: str
    format: str
    of: Annotated


class Unusable(NamedTuple):
    """An annotation file that can't be used, or something in it, and why."""

    path: str
    format: str
    reason: str


def read_source(raw: Path, *, first_pixel: int) -> tuple[list[Told], list[Unusable]]:
    """Read all annotation files of a source; hidden ones are left out, as they are among pictures.

    Args:
        raw: the source's folder.
        first_pixel: of Pascal VOC, see :func:`ops.detection.annotation_formats.read_voc`.
    """
    files, bad = _files(raw)
    names: dict[str, Names | None] = dict.fromkeys(path for path, format in files if format == "names")
    told: list[Told] = []
    for path, format in sorted(files, key=lambda file: (file[1] != "names", file[0])):
        try:
            data = _bytes(raw, path, format)
            if format == "names":
                names[path] = known = read_names(data, path)
                bad += [Unusable(path, format, problem) for problem in known.problems]
            elif format == "voc":
                told.append(Told(path, format, read_voc(data, path, first_pixel=first_pixel)))
            elif format == "yolo":
                told.append(Told(path, format, read_yolo(data, path, _nearest(names, path))))
            else:
                told += [Told(path, format, of) for of in read_coco(data, path)]
        except BadAnnotation as error:
            bad.append(Unusable(path, format, error.reason))
        except OSError as error:
            bad.append(Unusable(path, format, str(error.strerror)))
    return sorted(told, key=lambda each: each.path), bad


def _files(raw: Path) -> tuple[list[tuple[str, str]], list[Unusable]]:
    files, bad = [], []
    for base, folders, inside in os.walk(raw):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(base, name).relative_to(raw).as_posix() for name in inside if not name.startswith(".")):
            format = format_of(path)
            if format and is_utf8(path):
                files.append((path, format))
            elif format:
                shown = os.fsencode(path).decode("utf-8", "backslashreplace")
                bad.append(Unusable(shown, format, "name is not UTF-8"))
    return files, sorted(bad)


def _bytes(raw: Path, path: str, format: str) -> bytes:
    with open_inside(raw, path) as file:
        data = file.read(LARGEST[format] + 1)
    if len(data) > LARGEST[format]:
        raise BadAnnotation(f"too large: more than {LARGEST[format]} bytes")
    return data


def _nearest(names: Mapping[str, Names | None], path: str) -> Names | None:
    """Return the class names that hold for a label file: those in its folder, or in the nearest above; None for none.

    Raises:
        BadAnnotation: that file can't be used.
    """
    by_place = {(posixpath.dirname(file), posixpath.basename(file).casefold()): file for file in names}
    folder = path
    while folder:
        folder = posixpath.dirname(folder)
        for file in (by_place[folder, name] for name in NAMES_FILES if (folder, name) in by_place):
            if names[file] is None:
                raise BadAnnotation(f"the class names in {file} can't be used")
            return names[file]
    return None

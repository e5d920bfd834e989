"""Boxes that others drew: what an annotation file tells of its pictures, and what can be made of it.

:mod:`ops.detection.annotation_formats` reads the files. Nothing here opens one.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from ops.masking import LABELS
from ops.records import Box, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES_FILES = ("data.yaml", "data.yml", "classes.txt")
TOLD_IN = ("annotations", "annotation", "xmls", "labels")
PICTURES_IN = ("images", "Images", "JPEGImages")
BEYOND = 0.01
"""Pixels by which a box may pass the edge unnoticed: shares of six digits are no more exact."""

LONGEST = 80


class BadAnnotation(Refusal):
    """An annotation file that can't be used."""


class Mark(NamedTuple):
    """One box as a file tells it.

    Attributes:
        name: the class as the file spells it.
        box: x1, y1, x2, y2, half-open, in pixels, or in shares of the picture's size where :attr:`Annotated.relative`.
        problem: why it can't be used; then ``box`` means nothing.
        difficult: hard to see, where told.
        truncated: not all of the face is in it, where told.
        cut: it was cut off at the picture's edge before it was written down.
    """

    name: str
    box: tuple[float, float, float, float] = Box(0.0, 0.0, 0.0, 0.0)
    problem: str | None = None
    difficult: bool | None = None
    truncated: bool | None = None
    cut: bool = False


class Annotated(NamedTuple):
    """What a file tells of one picture.

    Attributes:
        places: where the picture may be, relative to the source's folder; the first that is there is it.
        marks: what is drawn in it.
        stem: ``places`` lack a suffix.
        relative: boxes are shares of the picture's width and height.
        size: width and height that the boxes were drawn at, where told.
        problem: why none of it can be used.
    """

    places: tuple[str, ...]
    marks: tuple[Mark, ...] = ()
    stem: bool = False
    relative: bool = False
    size: tuple[int, int] | None = None
    problem: str | None = None


class Names(NamedTuple):
    """Class names of a YOLO folder by id, the file that tells them, and what in it can't be used."""

    file: str
    by_id: dict[str, str]
    problems: tuple[str, ...] = ()


def format_of(path: str) -> str | None:
    """Tell by its path what an annotation file is: ``voc``, ``yolo``, ``coco``, ``names``, or None for others.

    >>> format_of("annotations/1.xml"), format_of("labels/train/1.txt"), format_of("notes/1.txt")
    ('voc', 'yolo', None)
    """
    folder, name = posixpath.split(path.casefold())
    if name in NAMES_FILES:
        return "names"
    if name.endswith(".xml"):
        return "voc"
    if name.endswith(".coco.json") or (name.startswith("instances") and name.endswith(".json")):
        return "coco"
    return "yolo" if name.endswith(".txt") and "labels" in folder.split("/") else None


def class_map(classes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Turn labels with their spellings into a table from spelling to label; a label spells itself.

    Raises:
        ValueError: a label that is none of ``ops.masking.LABELS``, or a spelling of two labels.
    """
    table = {spelling(label): label for label in LABELS}
    for label, names in classes.items():
        if label not in LABELS:
            raise ValueError(f"there is no class {label!r}; there are {', '.join(LABELS)}")
        for name in names:
            if table.setdefault(spelling(name), label) != label:
                raise ValueError(f"{name!r} stands for {table[spelling(name)]} and for {label}")
    return table


def spelling(name: str) -> str:
    """Return a class name without what its spellings differ in: capitals, spaces, hyphens.

    >>> spelling(" Mask worn-INCORRECTLY")
    'mask_worn_incorrectly'
    """
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def settle(box: Sequence[float], width: int, height: int) -> tuple[Box, bool]:
    """Return a box's part inside the picture, and whether it reached beyond.

    Args:
        box: x1, y1, x2, y2 in pixels, half-open.
        width: of the picture.
        height: of the picture.

    Raises:
        Refusal: it has no area, less than a pixel of it is inside, or it reaches further out than the picture is large.

    >>> settle((-3, 10, 20, 40), 100, 100)
    (Box(x1=0.0, y1=10, x2=20, y2=40), True)
    """
    whole = Box(*box)
    if not (whole.x2 > whole.x1 and whole.y2 > whole.y1):
        raise Refusal(f"no area: {corners(whole)}")
    if whole.x1 < -width or whole.y1 < -height or whole.x2 > 2 * width or whole.y2 > 2 * height:
        raise Refusal(f"reaches further beyond a picture of {width} x {height} than that is large: {corners(whole)}")
    inside = whole.clipped(width, height)
    if min(inside.width, inside.height) < 1:
        raise Refusal(f"less than a pixel of it is inside a picture of {width} x {height}: {corners(whole)}")
    return inside, max(abs(a - b) for a, b in zip(whole, inside, strict=True)) > BEYOND


def corners(box: Sequence[float]) -> str:
    """Return a box as a reason tells it."""
    return ", ".join(f"{side:.6g}" for side in box)


def plain(text: str) -> str:
    """Return text that a table can hold: one line, not too long, lone surrogates told as escapes."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def brief(value: object) -> str:
    """Return a value as a reason tells it: quoted, not too long."""
    return repr(plain(str(value)))


def stem_of(path: str) -> str:
    """Return a path's last part without its suffix."""
    return posixpath.splitext(posixpath.basename(path))[0]


def is_inside(folder: str, name: str) -> bool:
    """Tell whether ``name``, seen from ``folder`` of a source, is a path in that source.

    >>> is_inside("annotations", "../images/1.jpg"), is_inside("annotations", "../../1.jpg"), is_inside("", "/1.jpg")
    (True, False, False)
    """
    whole = posixpath.normpath(posixpath.join(folder, name))
    return whole != ".." and not whole.startswith(("../", "/"))


def places(path: str, name: str, split: str = "") -> tuple[str, ...]:
    """Return where the picture ``name`` of an annotation file may be, the likeliest place first, all in the source.

    In the folder of pictures that stands beside that of annotations, among the annotations, or above them; and in a
    folder ``split`` of any of these.

    >>> places("a/labels/train/1.txt", "1")
    ('a/images/train/1', 'a/Images/train/1', 'a/JPEGImages/train/1', 'a/labels/train/1', 'a/train/1')
    """
    folder = posixpath.dirname(path)
    parts = folder.split("/") if folder else []
    told_in = [index for index, part in enumerate(parts) if part.casefold() in TOLD_IN]
    if told_in:
        before, after = parts[: told_in[-1]], parts[told_in[-1] + 1 :]
        beside = ["/".join([*before, pictures, *after]) for pictures in PICTURES_IN]
        bases = [*beside, folder, "/".join([*before, *after])]
    else:
        bases = [folder, *(posixpath.join(folder, pictures) for pictures in PICTURES_IN)]
    bases += [posixpath.join(base, split) for base in bases if split]
    return tuple(posixpath.normpath(posixpath.join(base, name)) for base in bases if is_inside(base, name))

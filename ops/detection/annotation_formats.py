"""Pascal VOC, YOLO and COCO annotations, read from bytes that may be broken or hostile.

A file that can't be used is a :class:`BadAnnotation`; a picture or box in it that can't be carries its problem.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
from typing import TYPE_CHECKING, Any

from ops import plain_yaml
from ops.detection.annotations import (
    Annotated,
    BadAnnotation,
    Mark,
    Names,
    brief,
    corners,
    is_inside,
    places,
    plain,
    stem_of,
)
from ops.records import Refusal

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST = {"voc": 8 << 20, "yolo": 8 << 20, "coco": 512 << 20, "names": plain_yaml.LARGEST}
"""Bytes above which a file is refused unread, by format; ``names`` are data.yaml and classes.txt."""

SLACK = 0.01
"""By how much a YOLO share may leave [0, 1]; ultralytics' reader has the same."""


def read_voc(data: bytes, path: str, *, first_pixel: int = 1) -> Annotated:
    """Read a Pascal VOC file: one picture.

    Args:
        data: the file's content.
        path: the file, relative to the source's folder.
        first_pixel: 1 where pixels count from one and a box holds its last row and column, as VOC has it; 0 where the
            corners are those of a half-open box.

    Raises:
        BadAnnotation: no XML, XML with a document type (entities hide there), no VOC, or a picture out of the folder.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise BadAnnotation("XML with a document type or entities, which are not read") from None
    except (ParseError, ValueError, LookupError) as error:
        raise BadAnnotation(f"no XML: {plain(str(error))}") from None
    if root.tag != "annotation":
        raise BadAnnotation(f"no Pascal VOC: its root is {brief(root.tag)}, not 'annotation'")
    name = _text(root, "filename")
    if ".." in name.split("/") or name.startswith("/"):
        raise BadAnnotation(f"its picture {brief(name)} leaves the folder")
    marks = tuple(_voc_mark(known, first_pixel) for known in root.findall("object"))
    width, height = (_text(root, f"size/{side}") for side in ("width", "height"))
    told = all(re.fullmatch(r"[0-9]{1,6}", side) and int(side) for side in (width, height))
    size = (int(width), int(height)) if told else None
    return Annotated(places(path, name or stem_of(path)), marks, stem=not name, size=size)


def read_yolo(data: bytes, path: str, names: Names | None) -> Annotated:
    """Read a YOLO label file: a line a box, ``class x y width height``, centre and size as shares of the picture's.

    Without names a class is called by its id.

    Raises:
        BadAnnotation: it is no text.
    """
    marks = tuple(_yolo_mark(line, names) for line in _lines(data) if line.strip())
    return Annotated(places(path, stem_of(path)), marks, stem=True, relative=True)


def read_names(data: bytes, path: str) -> Names:
    """Read the class names of data.yaml or, a line a name, of classes.txt.

    Where data.yaml says that the pictures are is not followed, but told where it leaves the source's folder.

    Raises:
        BadAnnotation: no YAML, YAML with aliases or deeply nested, or no names in it.
    """
    if path.casefold().endswith(".txt"):
        return Names(path, {str(number): plain(line) for number, line in enumerate(_lines(data)) if line.strip()})
    try:
        known = plain_yaml.read_yaml(data)
    except plain_yaml.BadYaml as error:
        raise BadAnnotation(plain(str(error))) from None
    names = known.get("names") if isinstance(known, dict) else None
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    words = {_word(number): _word(name) for number, name in pairs.items()} if isinstance(pairs, dict) else {}
    by_id = {number: name for number, name in words.items() if number is not None and name is not None}
    if not by_id or len(by_id) != len(words):
        raise BadAnnotation("no class names: 'names' is to be a list of them, or a table from id to name")
    folder = posixpath.dirname(path)
    told = [(part, place) for part in ("path", "train", "val", "test") for place in _texts(known.get(part))]
    leaving = (f"{part} {brief(place)} leaves the source" for part, place in told if not is_inside(folder, place))
    return Names(path, by_id, tuple(leaving))


def read_coco(data: bytes, path: str) -> list[Annotated]:
    """Read a COCO file of instances: one for each picture, and one without a place for what belongs to no picture.

    Maskline's own files have the mask's box as ``bbox`` and the face's as ``face_box``: where it is, that one is taken.

    Raises:
        BadAnnotation: no JSON, or no COCO.
    """
    try:
        known = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadAnnotation(f"no JSON: {plain(str(error))}") from None
    images, annotations, categories = (_entries(known, part) for part in ("images", "annotations", "categories"))
    names: dict[str | None, str] = {}
    for each in categories:
        number, name = _id(each.get("id")), plain(str(each.get("name")))
        if names.setdefault(number, name) != name:
            raise BadAnnotation(f"two categories have the id {brief(number)}: {brief(names[number])} and {brief(name)}")
    marks: dict[str | None, list[Mark]] = {}
    for each in annotations:
        marks.setdefault(_id(each.get("image_id")), []).append(_coco_mark(each, names))
    pictures, seen = [], set()
    for each in images:
        number = _id(each.get("id"))
        pictures.append(_coco_picture(each, path, marks.pop(number, []), known=number not in seen))
        seen.add(number)
    return pictures + [
        Annotated((), tuple(lost), problem=f"no picture has the id {brief(number)}") for number, lost in marks.items()
    ]


def _text(parent: Element, path: str) -> str:
    return (parent.findtext(path) or "").strip()


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Refusal(f"{brief(value)} is no number") from None
    if not math.isfinite(number) or isinstance(value, bool):
        raise Refusal(f"{brief(value)} is no number of pixels")
    return number


def _voc_mark(known: Element, first_pixel: int) -> Mark:
    told = {"1": True, "0": False}
    name, difficult, truncated = (_text(known, part) for part in ("name", "difficult", "truncated"))
    mark = Mark(plain(name), difficult=told.get(difficult), truncated=told.get(truncated))
    try:
        x1, y1, x2, y2 = (_number(_text(known, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
        if x2 <= x1 or y2 <= y1:
            raise Refusal(f"no area: {corners((x1, y1, x2, y2))}")
    except Refusal as error:
        return mark._replace(problem=error.reason)
    return mark._replace(box=(x1 - first_pixel, y1 - first_pixel, x2, y2))


def _yolo_mark(line: str, names: Names | None) -> Mark:
    number, *shares = line.split()
    if names and number not in names.by_id:
        return Mark(plain(number), problem=f"unknown class: {names.file} has no id {brief(number)}")
    mark = Mark(names.by_id[number] if names else plain(number))
    try:
        if len(shares) != 4:
            raise Refusal(f"a line is class, x, y, width, height; this one has {len(shares) + 1} parts")
        x, y, width, height = (_number(share) for share in shares)
        if not (all(-SLACK <= share <= 1 + SLACK for share in (x, y)) and max(width, height) <= 1 + SLACK):
            raise Refusal(f"shares of a picture go from 0 to 1: {corners((x, y, width, height))}")
    except Refusal as error:
        return mark._replace(problem=error.reason)
    return mark._replace(box=(x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def _coco_picture(each: dict[str, Any], path: str, marks: list[Mark], *, known: bool) -> Annotated:
    name, width, height = (each.get(part) for part in ("file_name", "width", "height"))
    problem = None
    if _id(each.get("id")) is None:
        problem = "a picture without an id"
    elif not known:
        problem = f"another picture has the id {brief(each['id'])} too"
    elif not isinstance(name, str) or not name:
        problem = "a picture without a file_name"
    elif not is_inside(posixpath.dirname(path), name):
        problem = f"its picture {brief(name)} leaves the source's folder"
    if problem or not isinstance(name, str):
        return Annotated((), tuple(marks), problem=problem)
    split = stem_of(path).partition("_")[2]
    size = (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None
    return Annotated(places(path, name, split), tuple(marks), size=size)


def _coco_mark(known: dict[str, Any], names: dict[str | None, str]) -> Mark:
    kind = _id(known.get("category_id"))
    if kind is None or kind not in names:
        return Mark(plain(str(kind)), problem=f"unknown class: no category has the id {brief(kind)}")
    box = known.get("face_box", known.get("bbox"))
    try:
        if known.get("iscrowd") == 1:
            raise Refusal("a crowd, not one face")
        if not isinstance(box, list) or len(box) != 4:
            raise Refusal(f"a box is x, y, width, height, not {brief(box)}")
        x, y, width, height = (_number(side) for side in box)
    except Refusal as error:
        return Mark(names[kind], problem=error.reason)
    return Mark(names[kind], (x, y, x + width, y + height))


def _id(value: Any) -> str | None:
    return str(value) if isinstance(value, int | str) else None


def _entries(known: Any, part: str) -> list[dict[str, Any]]:
    entries = known.get(part) if isinstance(known, dict) else None
    if not isinstance(entries, list):
        raise BadAnnotation(f"no COCO: it needs a list {part!r}")
    return [each if isinstance(each, dict) else {} for each in entries]


def _word(value: Any) -> str | None:
    """Return a YAML scalar as a word; numbers with thousands of digits are none."""
    return plain(str(value)) if isinstance(value, str) or (isinstance(value, int) and abs(value) < 1 << 31) else None


def _texts(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _lines(data: bytes) -> list[str]:
    try:
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadAnnotation("not UTF-8 text") from None

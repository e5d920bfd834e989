"""The files of a split as YOLO's trainers read them, written and read back: labels, lists, ``data.yaml``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ops import images
from ops.detection.likeness import look_at
from ops.detection.splits import SPLITS, Member
from ops.masking import LABELS
from ops.records import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.store import Row

REAL, PASTED, SYNTHETIC = "real", "pasted", "synthetic"
ORIGINS = (REAL, PASTED, SYNTHETIC)
LINKED = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
START_OF_JPEG, END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"


class Written(NamedTuple):
    """A picture of a split as it lies there.

    Attributes:
        path: relative to the split's folder.
        split: by its folder.
        origin: by the manifest; None where that doesn't name the picture.
        member: what it shows, recomputed from the file, and its ties, from the manifest.
    """

    path: str
    split: str
    origin: str | None
    member: Member


def label_file(output: str) -> str:
    """Return the label file of a picture.

    >>> label_file("images/val/a.b.jpg")
    'labels/val/a.b.txt'
    """
    return Path("labels", *Path(output).parts[1:]).with_suffix(".txt").as_posix()


def label_lines(known: Mapping[str, Any]) -> str:
    """Return a line a box: class, middle and size as shares of the picture."""
    lines = []
    for label, x1, y1, x2, y2 in boxes_of(known):
        shares = ((x1 + x2) / 2 / known["width"], (y1 + y2) / 2 / known["height"])
        size = ((x2 - x1) / known["width"], (y2 - y1) / known["height"])
        lines.append(" ".join([str(LABELS.index(label)), *(f"{share:.6f}" for share in (*shares, *size))]))
    return "".join(f"{line}\n" for line in lines)


def read_labels(text: str, width: int, height: int) -> list[tuple[int, Box]]:
    """Return the classes, as YOLO counts them, and boxes in pixels that :func:`label_lines` wrote."""
    marks = []
    for line in text.splitlines():
        number, x, y, across, down = (float(part) for part in line.split())
        low, high = (x - across / 2, y - down / 2), (x + across / 2, y + down / 2)
        marks.append((int(number), Box(low[0] * width, low[1] * height, high[0] * width, high[1] * height)))
    return marks


def boxes_of(known: Mapping[str, Any]) -> list[tuple[str, float, float, float, float]]:
    """Return label and corners of each box of a manifest's row."""
    flat = [float(side) for side in known["boxes"]]
    return [(label, *flat[4 * i : 4 * i + 4]) for i, label in enumerate(known["labels"])]


def texts(rows: Sequence[Row]) -> dict[str, bytes]:
    """Return all text files of a split, name to content, for its manifest's rows.

    ``train_real.txt`` lists the photographs alone, to tell what pasted and synthetic pictures add.
    """
    files = {label_file(known["output"]): label_lines(known).encode() for known in rows}
    lists = {split: [known["output"] for known in rows if known["split"] == split] for split in SPLITS}
    train = SPLITS[0]
    lists[f"{train}_real"] = [known["output"] for known in rows if known["split"] == train and known["origin"] == REAL]
    files |= {f"{name}.txt": "".join(f"./{path}\n" for path in sorted(paths)).encode() for name, paths in lists.items()}
    folders = "".join(f"{split}: images/{split}\n" for split in SPLITS)
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(LABELS))
    return {**files, "data.yaml": f"{folders}names:\n{names}".encode()}


def linkable(path: Path) -> bool:
    """Tell whether trainers read a file as it is and leave it so.

    They write over a JPEG, whatever its name, that has anything behind its end.
    """
    if path.suffix.lower() not in LINKED:
        return False
    with path.open("rb") as file:
        if file.read(len(START_OF_JPEG)) != START_OF_JPEG:
            return True
        file.seek(-len(END_OF_JPEG), 2)
        return file.read() == END_OF_JPEG


def ties_of(known: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what keeps a picture together with others, by columns of a manifest."""
    named = [f"{name} {known[name]}" for name in ("identity", "video", "frame") if known[name] is not None]
    return (*named, *(f"content {key}" for key in (known["content"], *known["made_from"])))


def read_written(folder: Path, rows: Iterable[Row], *, max_pixels: int = images.MAX_PIXELS) -> list[Written]:
    """Look at every picture that lies in a split's folders, whether the manifest names it or not.

    Raises:
        ops.images.BadImage: a picture can't be read.
    """
    known = {row["output"]: row for row in rows}
    return [
        _read(folder, path, known.get(path.relative_to(folder).as_posix()), max_pixels)
        for path in sorted((folder / "images").glob("*/*"))
    ]


def _read(folder: Path, path: Path, known: Row | None, max_pixels: int) -> Written:
    name = path.relative_to(folder).as_posix()
    data = path.read_bytes()
    pixels = images.decode(data, max_pixels=max_pixels)
    height, width = pixels.shape[:2]
    told = folder / label_file(name)
    marks = read_labels(told.read_text(), width, height) if told.is_file() else []
    labels = [LABELS[number] for number, _ in marks]
    look, faces = look_at(pixels, [box for _, box in marks])
    key = hashlib.blake2b(data, digest_size=16).hexdigest()
    ties = ties_of(known) if known else ()
    seen = tuple(face for face in faces if face is not None)
    return Written(
        name, path.parent.name, known["origin"] if known else None, Member(key, tuple(labels), ties, look, seen)
    )

"""What the benchmarks of drawn masks share: faces of folders, and figures with intervals."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from ops import images
from ops.faces import find_faces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ops.faces import FaceDetector, FaceLandmarker
    from ops.records import Face, Picture

QUALITY = 95
"""JPEG quality that every picture goes through once more before it is judged, drawn on or not."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A face in a picture.

    Attributes:
        name: the picture's folder and file name, and of further faces the index: ``masked/a.jpg#1``.
        digest: of the file's content.
        pixels: the whole picture.
        face: the face.
    """

    name: str
    digest: str
    pixels: Picture
    face: Face


def pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, sorted by name.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in images.IMAGE_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"{folder} holds no picture")
    return found


def faces(paths: Sequence[Path], models: tuple[FaceDetector, FaceLandmarker], *, every: bool = False) -> Iterator[Seen]:
    """Yield the face with the highest score of each picture that has one, or ``every`` face."""
    for path in paths:
        data = path.read_bytes()
        pixels = images.decode(data)
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        for face in find_faces(pixels, *models, max_faces=None if every else 1):
            name = f"{path.parent.name}/{path.name}" + (f"#{face.index}" if face.index else "")
            yield Seen(name, digest, pixels, face)


def stored(pixels: Picture) -> Picture:
    """Return a picture as it comes back from a JPEG file."""
    return images.decode(images.encode_jpeg(pixels, QUALITY))


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of a share by Wilson's score method (1927).

    >>> [round(end, 3) for end in wilson(97, 100)]
    [0.915, 0.99]
    """
    z, share = 1.96, hits / max(count, 1)
    middle = (share + z * z / (2 * max(count, 1))) / (1 + z * z / max(count, 1))
    half = z / (1 + z * z / max(count, 1)) * sqrt(share * (1 - share) / max(count, 1) + (z / (2 * max(count, 1))) ** 2)
    return max(middle - half, 0.0), min(middle + half, 1.0)

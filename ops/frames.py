"""What a source folder holds: its files with their content hashes, the frames of its videos, their sound.

Scanning opens regular files only, and only those that lie inside the source when all links are followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ops.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ops.videos import BadVideo, VideoFrame, VideoInfo, extract_sound, sample_video, video_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "BadVideo",
    "RawFile",
    "Rejected",
    "Scan",
    "VideoFrame",
    "VideoInfo",
    "extract_sound",
    "find_duplicates",
    "identity_of",
    "is_utf8",
    "kind_of",
    "look",
    "open_inside",
    "sample_video",
    "scan",
    "video_info",
]

NOBODY = re.compile(r"(jpegimages|images?|imgs?|pictures|photos|train|valid|validation|val|test)\d*", re.IGNORECASE)
"""Folder names that are no person's."""

MAX_IMAGE_BYTES = 1 << 30
_CHUNK = 1 << 20


class RawFile(NamedTuple):
    """A picture or video of a source.

    Attributes:
        path: relative to the source, with forward slashes.
        kind: ``image`` or ``video``, by its suffix.
        size: bytes.
        content: BLAKE2b of the bytes, 32 hex digits.
    """

    path: str
    kind: str
    size: int
    content: str


class Rejected(NamedTuple):
    """A file or folder that can't be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a source holds, by path; ``ignored`` counts files whose suffix is none of ours."""

    found: tuple[RawFile | Rejected, ...]
    ignored: int

    def __iter__(self) -> Iterator[RawFile | Rejected]:
        return iter(self.found)


def kind_of(path: str) -> str | None:
    """Return ``image``, ``video`` or None by a path's suffix, whatever its case."""
    suffix = PurePosixPath(path).suffix.lower()
    return "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def scan(folder: Path) -> Scan:
    """List a source's pictures and videos, in all its folders, sorted by path.

    Hidden files and folders are left out; links to folders aren't followed.

    Raises:
        NotADirectoryError: no such folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    found: list[RawFile | Rejected] = []
    ignored = 0
    pending = [""]
    while pending:
        here = pending.pop()
        try:
            entries = list(os.scandir(folder / here))
        except OSError as error:
            found.append(Rejected(here or ".", str(error.strerror)))
            continue
        for entry in entries:
            path = f"{here}/{entry.name}" if here else entry.name
            inner = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith("."):
                continue
            if not (inner or kind_of(path) or os.path.isdir(entry.path)):
                ignored += 1
            elif inner and is_utf8(entry.name):
                pending.append(path)
            else:
                found.append(look(folder, path))
    return Scan(tuple(sorted(found, key=lambda item: item.path)), ignored)


def look(folder: Path, path: str) -> RawFile | Rejected:
    """Hash one file of a source, or say why it can't be used."""
    if not is_utf8(path):
        return Rejected(os.fsencode(path).decode("utf-8", "backslashreplace"), "name is not UTF-8")
    try:
        with open_inside(folder, path) as file:
            kind = kind_of(path)
            size = os.fstat(file.fileno()).st_size
            if kind is None:
                return Rejected(path, f"neither picture nor video by its suffix {PurePosixPath(path).suffix!r}")
            if kind == "image" and size > MAX_IMAGE_BYTES:
                return Rejected(path, f"too large: {size} bytes, at most {MAX_IMAGE_BYTES}")
            digest = hashlib.blake2b(digest_size=16)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            return RawFile(path, kind, size, digest.hexdigest())
    except OSError as error:
        return Rejected(path, str(error.strerror))


def find_duplicates(contents: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map every repeated file to the first with the same content.

    >>> find_duplicates([("a.jpg", "01"), ("b.jpg", "02"), ("c.jpg", "01")])
    {'c.jpg': 'a.jpg'}
    """
    first: dict[str, str] = {}
    return {path: first[content] for path, content in contents if first.setdefault(content, path) != path}


def identity_of(path: str, rule: str) -> str | None:
    """Tell who a file shows, by its source's naming.

    Args:
        path: relative to the source.
        rule: ``parent`` (the folder's name; None at the top, and for the folders that every set of annotated pictures
            has, such as ``images`` or ``train``), ``stem`` (the file's), ``none``, or ``regex:PATTERN``, searched in
            the path: the group named ``identity``, else the first.

    Raises:
        ValueError: an unknown rule, or a pattern that is wrong or has no group.

    >>> identity_of("ann/1.jpg", "parent"), identity_of("ann_1.jpg", "regex:^([a-z]+)_")
    ('ann', 'ann')
    """
    name, _, pattern = rule.partition(":")
    if rule == "none":
        return None
    if rule == "parent":
        parent = PurePosixPath(path).parent.name
        return None if not parent or NOBODY.fullmatch(parent) else parent
    if rule == "stem":
        return PurePosixPath(path).stem
    if name != "regex":
        raise ValueError(f"identity {rule!r}: allowed are parent, stem, none and regex:PATTERN")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"identity {rule!r}: {error}") from error
    if not expression.groups:
        raise ValueError(f"identity {rule!r}: the pattern needs a group")
    match = expression.search(path)
    return match[expression.groupindex.get("identity", 1)] if match else None


def is_utf8(name: str) -> bool:
    """Tell whether a file name is text, as far as Python could make text of it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_inside(folder: Path, path: str) -> BinaryIO:
    """Open a regular file that lies in the folder once all links are followed; nothing else is ever opened."""
    root = os.path.realpath(folder, strict=True)
    target = os.path.realpath(Path(root, path), strict=True)
    if not Path(target).is_relative_to(root):
        raise PermissionError(errno.EPERM, "symlink leaves the source")
    if not stat.S_ISREG(os.lstat(target).st_mode):
        raise PermissionError(errno.EPERM, "not a regular file")
    return os.fdopen(os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")

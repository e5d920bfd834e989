"""What files and folders hold, as DVC names it: MD5 of their bytes, and of a folder's listing.

A large folder's listing is remembered in the user's cache, so that a file is read again only where its number, size or
times have changed; DVC remembers its own likewise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ops.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLED = 2.0
"""Seconds after which another change of a file shows in its times."""

MANY = 256
"""Files from which on a folder is worth remembering."""

KEPT_DAYS = 60
"""Days after which a listing that nobody asked for is forgotten."""


class Entry(NamedTuple):
    """A file in a folder: its path relative to it, the MD5 of its bytes, and what stands for its number, size, times.

    The last is empty where the file is so new that its times may yet lie.
    """

    path: str
    md5: str
    stamp: str


def file_md5(path: Path | str) -> str:
    """MD5 of a file as 32 hex digits (DVC's content address, not a security measure)."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def listing(folder: Path) -> list[dict[str, str]]:
    """Return ``md5`` and ``relpath`` of every file in a folder, sorted by relative path."""
    return [{"md5": entry.md5, "relpath": entry.path} for entry in _entries(folder)]


def directory_md5(folder: Path) -> str:
    """MD5 of a folder's content as DVC writes it in dvc.lock, ``<32 hex>.dir``: that of the listing as JSON."""
    told = hashlib.md5(b"[", usedforsecurity=False)
    for number, entry in enumerate(_entries(folder)):
        before = ", " if number else ""
        told.update(f'{before}{{"md5": "{entry.md5}", "relpath": {_quoted(entry.path)}}}'.encode())
    told.update(b"]")
    return f"{told.hexdigest()}.dir"


def _entries(folder: Path) -> Iterator[Entry]:
    """Yield every file of a folder, sorted by relative path: from memory where nothing changed."""
    root = os.path.join(folder, "")  # plain text: there may be a hundred thousand files
    paths = sorted(os.path.join(base, name) for base, _, names in os.walk(root) for name in names)
    if len(paths) < MANY:
        yield from (_entry(root, path, None) for path in paths)
        return
    memory = _memory(root)
    known, lines, news = _remembered(memory), [], 0
    before = next(known, None)
    for path in paths:
        name = path[len(root) :]
        while before and before.path < name:
            before = next(known, None)
        entry = _entry(root, path, before if before and before.path == name else None)
        news += entry is not before
        if entry.stamp:
            lines.append(f"{entry.md5} {entry.stamp} {_quoted(entry.path)}\n")
        yield entry
    with contextlib.suppress(OSError):
        if news:
            write_atomic(memory, "".join(lines).encode())
            _forget_old(memory.parent)
        else:
            memory.touch()


def _entry(root: str, path: str, before: Entry | None) -> Entry:
    """Look at a file; where nothing changed it is what it was."""
    told = os.stat(path)
    stamp = f"{told.st_ino} {told.st_size} {told.st_mtime_ns} {told.st_ctime_ns}"
    if before and before.stamp == stamp:
        return before
    settled = time.time() - told.st_ctime > SETTLED
    return Entry(path[len(root) :], file_md5(path), stamp if settled else "")


def _memory(root: str) -> Path:
    """Return the file that remembers a folder's listing."""
    home = os.path.expanduser("~")
    cache = Path(tempfile.gettempdir() if home == "~" else home, ".cache", "maskline", "listings")
    return cache / hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()


def _forget_old(memories: Path) -> None:
    """Remove the listings of folders that nobody has asked for in a long time."""
    for memory in memories.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - memory.stat().st_mtime > KEPT_DAYS * 86400:
                memory.unlink()


def _remembered(memory: Path) -> Iterator[Entry]:
    """Yield what is remembered of a folder; nothing where that can't be read."""
    with contextlib.suppress(OSError, ValueError, TypeError), memory.open() as lines:
        for line in lines:
            md5, *stamp, path = line.split(" ", 5)
            yield Entry(str(json.loads(path)), md5, " ".join(stamp))

"""Files that must stay as they are while work goes on: the models that fingerprints were made from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALGORITHMS = {32: "md5", 64: "sha256"}
"""By the number of hexadecimal digits."""


class Opens(Protocol):
    """What opens models by their paths."""

    def files(self) -> Mapping[Path, str]:
        """Return the models' files, with the MD5 or SHA-256 that fingerprints are made from."""


def files_of(*openers: Opens | None) -> dict[Path, str]:
    """Return the files that all of these open, with their hashes; None opens nothing."""
    return {path: digits for each in openers if each for path, digits in each.files().items()}


class ChangedModel(RuntimeError):
    """A model's file is another one than the work was planned with."""


class Pinned:
    """Files with the hashes that a plan went by.

    Args:
        files: path to MD5 or SHA-256, in hexadecimal digits.

    Raises:
        ChangedModel: one of them has another hash by now.
    """

    def __init__(self, files: Mapping[Path, str]) -> None:
        self._seen = {path: _mark(path) for path in files}
        for path, digits in files.items():
            with path.open("rb") as file:
                if hashlib.file_digest(file, ALGORITHMS[len(digits)]).hexdigest() != digits:
                    raise _changed(path)

    def check(self) -> None:
        """Look whether any file was exchanged or written to since.

        Raises:
            ChangedModel: so it was.
        """
        for path, mark in self._seen.items():
            if _mark(path) != mark:
                raise _changed(path)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_size, told.st_mtime_ns


def _changed(path: Path) -> ChangedModel:
    return ChangedModel(f"{path} was exchanged while the run was under way; finished work is kept: run again")

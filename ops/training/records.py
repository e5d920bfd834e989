"""What a training is written down in; ``resources.tracking`` has the one that MLflow keeps."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ops.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


TOKEN = "training"  # noqa: S105 - a file's name


class Run(Protocol):
    """The record of one training."""

    run_id: str

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch, unless it is there."""

    def keep(self, files: Iterable[Path]) -> None:
        """Keep files, by their names."""

    def register(self, file: str) -> int:
        """Make a version of the network of a kept file, or return that which was made."""


class Track(Protocol):
    """Opens the record of a training, which may have been begun."""

    def __call__(
        self, training: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], *, parent: str = ""
    ) -> AbstractContextManager[Run]:
        """Open it.

        Args:
            training: what stands for the training.
            name: to be shown.
            params: settings.
            tags: what it is made of.
            parent: the record that it is a part of.
        """


def forget(scratch: Path, fingerprint: str) -> None:
    """Remove the working folder of a training, and the folder that it is in when nothing else is there."""
    shutil.rmtree(scratch / fingerprint, ignore_errors=True)
    with suppress(OSError):
        scratch.rmdir()


def token_of(work: Path) -> str:
    """Return what stands for the training in a working folder, from its first moment to its last."""
    path = work / TOKEN
    if not path.exists():
        write_atomic(path, secrets.token_hex(16).encode())
    return path.read_text()


def written(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, and return their paths."""
    for name, data in files.items():
        write_atomic(folder / name, data)
    return [folder / name for name in files]

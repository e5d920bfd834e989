"""DVC by its command line: what is recorded in dvc.lock, and whether the project's folder is as it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOCK = "dvc.lock"


class DvcError(RuntimeError):
    """A command of DVC failed; the message is DVC's own."""


def locked(root: Path) -> dict[str, dict[str, str]]:
    """Return what each recorded stage of a project has put out, path to content; nothing where there is no dvc.lock."""
    path = root / LOCK
    stages = yaml.safe_load(path.read_text())["stages"] if path.is_file() else {}
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in stages.items()}


def changed(root: Path, stages: Sequence[str]) -> dict[str, str]:
    """Return the stages for which dvc.lock and the project's folder differ, each with what differs.

    Raises:
        DvcError: the folder is no project of DVC's, or has no such stage.
    """
    told = json.loads(_dvc(root, "status", "--json", *stages))
    return {name: ", ".join(_differences(found)) for name, found in told.items()}


def commit(root: Path, targets: Sequence[str]) -> None:
    """Put what stages, or .dvc files, have made into the cache, and its content into dvc.lock.

    Raises:
        DvcError: an output is missing, the disk is full, or DVC is busy elsewhere.
    """
    _dvc(root, "commit", "--force", "--quiet", *targets)


def _differences(found: Sequence[str | dict[str, dict[str, Any]]]) -> Iterator[str]:
    """Yield what differs: data first, code at last and only counted."""
    kinds = [each for each in found if isinstance(each, dict)]
    changes = {path: how for each in kinds for kind in each.values() for path, how in kind.items()}
    if changes.pop("params.yaml", None):
        yield "settings"
    data = {path: how for path, how in changes.items() if path.startswith("data/")}
    yield from (f"{path} ({how})" for path, how in data.items())
    if len(changes) > len(data):
        yield f"{len(changes) - len(data)} files of code"


def _dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise DvcError(f"dvc {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout

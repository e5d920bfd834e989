"""Where a training starts: weights by name from the model registry, a file of the user's, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

AUTO, NONE = "auto", "none"
POSE = "yolo11n_pose"
"""What fits YOLO26n where that itself can't be had: the backbone of YOLO11n and half of its neck."""


class Start(NamedTuple):
    """Weights to start from.

    Attributes:
        name: in the registry, ``none``, or the file's name.
        path: the file, verified where it comes from the registry; None for none.
        sha256: of the file, or empty.
    """

    name: str
    path: Path | None
    sha256: str


def start_weights(wish: str, size: str) -> Start:
    """Find the weights that a training of YOLO26 in a size is to start from.

    Args:
        wish: ``auto`` for the best that can be had, ``none``, a model of the registry, or the path of a ``.pt`` file.
            Such a file is a pickle that runs what it says: name only files that you trust.
        size: ``n``, ``s`` or ``m``.

    Raises:
        ModelUnavailable: the registry has no such model, or can't get it.
        FileNotFoundError: there is no such file.
    """
    from model_assets.registry import ModelUnavailable, fetch

    if wish == NONE:
        return Start(NONE, None, "")
    if wish.endswith(".pt"):
        return _file(Path(wish).name, Path(wish))
    if wish != AUTO:
        return _file(wish, fetch(wish))
    for name in (f"yolo26{size}", *([POSE] if size == "n" else [])):
        try:
            return _file(name, fetch(name))
        except ModelUnavailable:
            continue
    return Start(NONE, None, "")


def _file(name: str, path: Path) -> Start:
    with path.open("rb") as data:
        return Start(name, path, hashlib.file_digest(data, "sha256").hexdigest())

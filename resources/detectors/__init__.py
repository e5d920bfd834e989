"""Face detectors by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from resources.detectors.blazeface import MODELS, BlazeFace, Cascade

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.faces import FaceDetector

DETECTORS: dict[str, Callable[[str], FaceDetector]] = {
    "blazeface": Cascade,
    **{name: partial(BlazeFace, name) for name in MODELS},
}


def make_detector(name: str, device: str = "auto") -> FaceDetector:
    """Return a detector by name.

    Raises:
        ValueError: no detector has that name.
    """
    if name not in DETECTORS:
        raise ValueError(f"unknown detector {name!r}; allowed: {', '.join(DETECTORS)}")
    return DETECTORS[name](device)

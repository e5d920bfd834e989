"""Face detectors by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from resources.detectors.blazeface import MODELS, BlazeFace, Cascade, Wary
from resources.detectors.others import DlibHog, Haar, Res10, Rfb, RfbNms, YuNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.faces import FaceDetector

DETECTORS: dict[str, Callable[[str], FaceDetector]] = {
    "blazeface": Cascade,
    "wary": Wary,
    **{name: partial(BlazeFace, name) for name in MODELS},
    "dlib_hog": DlibHog,
    "haar": Haar,
    "rfb_320": partial(Rfb, "rfb_320"),
    "rfb_640": partial(Rfb, "rfb_640"),
    "rfb_nms": RfbNms,
    "yunet": YuNet,
    "res10": Res10,
}
"""Detectors by name."""

FILES: dict[str, tuple[str, ...]] = {
    "blazeface": ("blazeface_short", "blazeface_back"),
    "wary": ("blazeface_short", "blazeface_back"),
    "dlib_hog": (),
    "haar": (),
    "res10": ("res10", "res10_config"),
}
"""Model files of those detectors that are not named like their only file."""


def make_detector(name: str, device: str = "auto") -> FaceDetector:
    """Return a detector by name.

    Raises:
        ValueError: no detector has that name.
    """
    if name not in DETECTORS:
        raise ValueError(f"unknown detector {name!r}; allowed: {', '.join(DETECTORS)}")
    return DETECTORS[name](device)

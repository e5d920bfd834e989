"""Compare pictures with the approved ones in tests/golden/.

A picture that is meant to look different is approved by running its test with MASKLINE_APPROVE=1; look at it before it
is committed. JPEG is fine for sheets, PNG where a grey level counts.
"""

import os
from pathlib import Path

import cv2
import numpy as np

from ops.records import Picture

FOLDER = Path(__file__).parent / "golden"
OUTPUT = Path(__file__).parent / "output"


def assert_golden(actual: Picture, name: str, *, mean: float = 1.0, share: float = 0.01, level: int = 24) -> None:
    """Fail unless a picture looks like ``tests/golden/NAME``; leave it and the difference in tests/output then.

    Args:
        actual: RGB.
        name: file name with suffix.
        mean: the mean difference allowed, in grey levels.
        share: the share of values allowed to differ by more than ``level`` grey levels.
        level: see ``share``.
    """
    approved = FOLDER / name
    bgr = np.ascontiguousarray(actual[:, :, ::-1])
    if os.environ.get("MASKLINE_APPROVE"):
        FOLDER.mkdir(exist_ok=True)
        cv2.imwrite(str(approved), bgr, [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_PNG_COMPRESSION, 9])
    expected = cv2.imread(str(approved)) if approved.exists() else np.zeros((1, 1, 3), np.uint8)
    same_size = expected.shape == bgr.shape
    difference = cv2.absdiff(bgr, expected) if same_size else bgr
    if same_size and difference.mean() <= mean and (difference > level).mean() <= share:
        return
    OUTPUT.mkdir(exist_ok=True)
    saved = OUTPUT / f"{approved.stem}_actual.png"
    cv2.imwrite(str(saved), bgr)
    cv2.imwrite(str(OUTPUT / f"{approved.stem}_difference.png"), cv2.convertScaleAbs(difference, alpha=8))
    told = (
        f"differs by {difference.mean():.2f} on average, {(difference > level).mean():.2%} by more than {level}"
        if same_size
        else f"has shape {bgr.shape}, not {expected.shape}"
    )
    raise AssertionError(f"{name}: the picture {told}; see {saved} and the difference beside it")

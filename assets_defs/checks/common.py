"""What checks of several groups share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pandas as pd

from ops.store import DONE, Dataset, rows_of

if TYPE_CHECKING:
    from ops.detection.split_files import Written

ONE_KIND = 0.9
SAMPLE = 200
"""Rows that a check which opens pictures looks at, evenly spread."""


def verdict(check: str, wrong: Sequence[str], *, passed: bool = True, **told: Any) -> dg.AssetCheckResult:
    """Return a check's result: it passes where nothing is wrong, and tells how much is, and the first three.

    Args:
        check: its name.
        wrong: what it found.
        passed: False where it does not pass all the same.
        told: further metadata.
    """
    metadata = {**told, "wrong": len(wrong), "first": "; ".join(wrong[:3])}
    return dg.AssetCheckResult(check_name=check, passed=passed and not wrong, metadata=metadata)


def no_leak(written: "Sequence[Written]") -> dg.AssetCheckResult:
    """Pass when no two splits share a person, video, frame, picture or face, by the files as they lie there.

    Pictures and faces are looked at again; held out splits hold photographs alone, unless there are none at all.
    """
    from ops.detection.split_files import REAL, SYNTHETIC
    from ops.detection.splits import SAME_LOOK, SPLITS, leaks

    pairs = leaks([one.member for one in written], [one.split for one in written])
    photographs = any(one.origin == REAL for one in written)
    made = [one.path for one in written if photographs and one.origin != REAL and one.split != SPLITS[0]]
    unknown = [one.path for one in written if one.origin is None]
    # masks drawn over faces make them alike; that these are others' faces, their bare frames have shown
    drawn = [one.origin == SYNTHETIC for one in written]
    pairs = [(i, j, why) for i, j, why in pairs if why != SAME_LOOK or not (drawn[i] and drawn[j])]
    first = [f"{written[i].path} and {written[j].path}: {why}" for i, j, why in pairs]
    return verdict(
        "no_leak",
        [*first, *made, *unknown],
        looked_at=len(written),
        leaks=len(pairs),
        made_up_and_held_out=len(made),
        unknown=len(unknown),
    )


def outside_untouched(dataset: Dataset, data: Path, *, max_pixels: int) -> dg.AssetCheckResult:
    """Pass when not one bit changed beside the regions: of pictures by their files, of videos by what was encoded."""
    from ops import images
    from ops.unmasking.unmask import changed_outside

    rows = dataset.read(["picture", "output", "alpha", "changed_px_outside"], status=DONE)
    touched = set(rows.loc[rows["changed_px_outside"] != 0, "output"])
    pictures = spread(rows[rows["alpha"].notna()].drop_duplicates("output"))
    for known in rows_of(pictures):
        before = images.read(data / known["picture"], max_pixels=max_pixels)
        after = images.read(dataset.folder / known["output"], max_pixels=max_pixels)
        alpha = images.read_grey(dataset.folder / known["alpha"], max_pixels=max_pixels)
        same = before.shape == after.shape and alpha.shape == after.shape[:2]
        if not same or changed_outside(before, after, alpha):
            touched.add(known["output"])
    return verdict("outside_untouched", sorted(touched), looked_at=len(pictures))


def variety(dataset: Dataset) -> dg.AssetCheckResult:
    """Warn when one kind makes up nearly all masks."""
    kinds = dataset.read(["kind"], status=DONE)["kind"].value_counts(normalize=True)
    largest = float(kinds.max()) if len(kinds) else 1.0
    return dg.AssetCheckResult(
        check_name="variety",
        passed=largest <= ONE_KIND,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={str(kind): float(share) for kind, share in kinds.items()},
    )


def spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most :data:`SAMPLE` of the rows, evenly spread."""
    if len(rows) <= SAMPLE:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, SAMPLE).astype(int)]

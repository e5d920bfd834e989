"""A detector's report, read back for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ops.masking import LABELS
from ops.pictures import CLASS_TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TITLES = {"ap50_95": "AP50-95", "ap50": "AP50", "precision": "Precision", "recall": "Recall"}
MEANINGS = {
    "ap50_95": "Average precision, the mean over overlaps of .50 to .95 and over classes: how well boxes fit, too.",
    "ap50": "Average precision where half an overlap is enough, the mean over classes.",
    "precision": "Share of the boxes found that are right, at the thresholds chosen on validation pictures.",
    "recall": "Share of the annotated faces that are found, at the same thresholds.",
}
PLOTS = {
    "Precision and recall": ("pr.png", "f1.png", "p.png", "r.png"),
    "Confusion": ("confusion_normalised.png", "confusion.png"),
    "Size of faces": ("sizes.png",),
    "Mistakes": ("errors.png",),
}
WORST = "worst.jpg"


class Report(NamedTuple):
    """A report's figures, and the folder of its pictures."""

    metrics: dict[str, Any]
    folder: Path

    def plots(self) -> dict[str, list[Path]]:
        """Return the plots that are there, by topic."""
        there = {topic: [self.folder / name for name in names] for topic, names in PLOTS.items()}
        return {topic: found for topic, paths in there.items() if (found := [path for path in paths if path.is_file()])}


def read(folder: Path) -> Report | None:
    """Read the report in a folder; None where there is none."""
    path = folder / "metrics.json"
    return Report(json.loads(path.read_text()), folder) if path.is_file() else None


def table(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row a class, and one of their mean: boxes, and each figure with its 95% interval."""
    titles = [*(title.capitalize() for title in CLASS_TITLES), "Mean"]
    rows = [*(metrics["per_class"][label] for label in LABELS), metrics]
    return [
        {"Class": title, "Faces": row["boxes"], **{TITLES[name]: with_interval(row, name) for name in TITLES}}
        for title, row in zip(titles, rows, strict=True)
    ]


def with_interval(row: Mapping[str, Any], name: str) -> str:
    """Return a figure with its interval.

    >>> with_interval({"ap50": 0.5, "intervals": {"ap50": [0.41, 0.6]}}, "ap50")
    '0.500 (0.410 to 0.600)'
    """
    return "n/a" if row[name] is None else f"{row[name]:.3f} ({interval(row, name)})"


def interval(row: Mapping[str, Any], name: str) -> str:
    """Return the ends of a figure's 95% interval."""
    low, high = row["intervals"][name]
    return "n/a" if low is None or high is None else f"{low:.3f} to {high:.3f}"

"""What the report on unmasking says of the networks, in the runs of their trainings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ops.stages.unmasking_report import METRICS
from ops.unmasking.judgement import COMPLETED, FOUND

if TYPE_CHECKING:
    from pathlib import Path

    from resources.tracking import Tracking


def log_report(store: Tracking, trained: Path, report: Path) -> list[str]:
    """Add what the report on unmasking says of a network to that network's run.

    Args:
        store: where its trainings are tracked.
        trained: its folder.
        report: the report's.

    Returns:
        What a reader of the log should know.
    """
    (about,) = trained.glob("*.json")
    run_id = json.loads(about.read_text())["run_id"]
    told = json.loads((report / METRICS).read_text())
    figures = told["segmenter"] if about.stem == "segmenter" else told[FOUND][COMPLETED]
    known = {f"test_{key}": value for key, value in figures.items() if isinstance(value, float)}
    return store.log_report(run_id, known, report, {"meaningful": told["meaningful"]})

"""The champion: the detector in use, which a newly trained one has to beat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ops.detection.scoring import FIGURES
from ops.stages.report import ABOUT, CHAMPION, ONNX, TRAINED, Contender
from resources import tracking
from resources.mask_detectors import OnnxMaskDetector, shipped

if TYPE_CHECKING:
    from pathlib import Path

    from resources.tracking import Tracking

SHIPPED = "shipped"
REPLACED = "replaced"
"""Tag of a run that became champion: the version that was it before, or ``shipped``."""


def contenders(trained: Path, champion: Path) -> dict[str, OnnxMaskDetector]:
    """Return both detectors, each on one thread of a CPU: what they find is the same on every run."""
    return {name: OnnxMaskDetector(path, threads=1) for name, path in ((TRAINED, trained), (CHAMPION, champion))}


def to_beat(store: Tracking, trained: Path) -> tuple[Path, Contender]:
    """Return the file of the detector that a trained one has to beat, and what is known of it.

    It is the champion or, where the trained one became champion already, the one before, so that a report made again
    says the same; the shipped weights where there is none.

    Args:
        store: where trainings are tracked.
        trained: folder of the trained detector.
    """
    run_id = json.loads((trained / ABOUT).read_text())["run_id"]
    champion = store.champion()
    if champion is not None and champion.run_id == run_id:
        tags = next((run.tags for run in store.runs() if run.run_id == run_id), {})
        before = tags.get(REPLACED, SHIPPED)
        champion = next((version for version in store.versions() if str(version.version) == before), None)
    path = store.artifact(champion.run_id, ONNX) if champion else shipped()
    detector = OnnxMaskDetector(path)
    origin, of, version = (TRAINED, champion.run_id, champion.version) if champion else (SHIPPED, None, None)
    return path, Contender(origin, of, version, path.read_bytes(), detector.thresholds, detector.learned)


def log_report(store: Tracking, folder: Path, present: Contender) -> list[str]:
    """Add a report's figures and plots to the detector's run and, where it was promoted, make that the champion.

    Args:
        store: where trainings are tracked.
        folder: the report's.
        present: what the detector had to beat.

    Returns:
        What a reader of the log should know.
    """
    told = json.loads((folder / "metrics.json").read_text())
    metrics = {f"test_{name}": told[name] for name in FIGURES}
    metrics |= {f"test_{name}_{label}": row[name] for label, row in told["per_class"].items() for name in FIGURES}
    tags: dict[str, object] = {"meaningful": told["meaningful"]}
    if told["promoted"]:
        tags[REPLACED] = SHIPPED if present.version is None else present.version
    notes = store.log_report(told["run_id"], metrics, folder, tags)
    if told["promoted"] and not notes:
        champion = json.loads((folder / "champion.json").read_text())
        store.alias(champion["version"], tracking.CHAMPION)
    return notes

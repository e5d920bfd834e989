"""The project's own networks, as what trains them takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import model_assets
from ops.stages.unmasking_report import METRICS
from ops.store import file_md5
from ops.training.tasks import Network
from ops.unmasking.judgement import COMPLETED, FOUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from resources.tracking import Tracking

LOGGED = (METRICS, "*.png", "*.jpg")


def segmenter() -> Network:
    """Return what builds a mask segmenter."""

    def build(widths: Sequence[int]) -> nn.Module:
        from model_assets.networks.segmenter import WIDTHS, Segmenter

        return Segmenter(tuple(widths) or WIDTHS)

    return Network(build, _code("segmenter"))


def completer() -> Network:
    """Return what builds a face completer."""

    def build(widths: Sequence[int]) -> nn.Module:
        from model_assets.networks.completer import WIDTHS, Completer

        return Completer(tuple(widths) or WIDTHS)

    return Network(build, _code("completer"))


def adversary() -> Network:
    """Return what builds a discriminator; of the widths it takes the first alone."""

    def build(widths: Sequence[int]) -> nn.Module:
        from model_assets.networks.completer import Discriminator

        return Discriminator(*widths[:1])

    return Network(build, _code("completer"))


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
    if run_id not in {run.run_id for run in store.runs()}:
        return [f"run {run_id} is not in the store of trainings, so that this report is not logged there"]
    told = json.loads((report / METRICS).read_text())
    figures = told["segmenter"] if about.stem == "segmenter" else told[FOUND][COMPLETED]
    known = {f"test_{key}": value for key, value in figures.items() if isinstance(value, float)}
    files = [path for pattern in LOGGED for path in sorted(report.glob(pattern))]
    store.log_report(run_id, known, files, {"meaningful": told["meaningful"]})
    return []


def _code(name: str) -> str:
    return file_md5(Path(model_assets.__path__[0]) / "networks" / f"{name}.py")

"""The checks of the networks of unmasking and of their report."""

import json
from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.checks.common import SAMPLE
from ops.store import Dataset

if TYPE_CHECKING:
    from ops.training.tasks import Pairs, Task


def runs_as_trained(dataset: Dataset, task: "Task", pairs: "Pairs") -> dg.AssetCheckResult:
    """Pass when the ONNX takes validation squares, and gives for every pixel what the weights give, from 0 to 1."""
    from ops.stages.networks import SAME, WEIGHTS, deviation, load
    from ops.training.onnx_files import session_of

    model = (dataset.folder / f"{task.name}.onnx").read_bytes()
    session, squares = session_of(model), task.given(pairs, SAMPLE // 10)
    made = [session.run(None, dict(zip(task.inputs, given, strict=True)))[0] for given in squares]
    wrong = sum(not ((each >= 0) & (each <= 1)).all() for each in made)
    apart = deviation(task, load(task, dataset.folder / WEIGHTS), model, pairs)
    return dg.AssetCheckResult(
        check_name="runs_as_trained",
        passed=not wrong and apart <= SAME,
        metadata={"squares": len(made), "wrong": int(wrong), "onnx_from_weights": apart},
    )


def beats_baselines(dataset: Dataset) -> dg.AssetCheckResult:
    """Pass when completed faces are far enough ahead of the best baseline, and look more like the person than masked.

    Warn where there are too few people in the test split for figures to mean anything.
    """
    told = json.loads((dataset.folder / "metrics.json").read_text())
    ahead = {name: f"{known['by']} of {known['of']}, {known['interval']}" for name, known in told["ahead"].items()}
    return dg.AssetCheckResult(
        check_name="beats_baselines",
        passed=told["beats_baselines"],
        severity=dg.AssetCheckSeverity.ERROR if told["meaningful"] else dg.AssetCheckSeverity.WARN,
        metadata={
            **{f"ahead_{name}": text for name, text in ahead.items()},
            "people": told["people"],
            "squares": told["squares"],
            "meaningful": told["meaningful"],
            "floor": ", ".join(f"{name} {least}" for name, least in told["floor"].items()),
        },
    )

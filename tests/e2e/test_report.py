"""The detector's report through Dagster, MLflow and DVC: who is champion, and what people are shown."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets_defs.detection import detector_report
from assets_defs.resources import Compute, Tracking, Workspace
from ops.content import directory_md5
from resources import tracking
from resources.champions import REPLACED, log_report, to_beat
from resources.mask_detectors import shipped
from tests.reported import BLIND, SEEN, write_split, write_trained

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NEAR = [(175.0, 55.0, 295.0, 225.0, 0.9, 0)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shipped().is_file(), reason=f"the project's own detector is not there: {shipped()}"),
]


def train(data: Path, store: tracking.Tracking, rows: list, name: str) -> str:
    """Put a detector into the store and into ``mask_detector``, as a training does; return its run."""
    with store.run(name, name, {}, {}) as run:
        folder = write_trained(data / "mask_detector", rows, run_id=run.run_id)
        run.keep([folder / "detector.onnx"])
        write_trained(folder, rows, run_id=run.run_id, version=run.register("detector.onnx"))
    return run.run_id


def make(data: Path, store: tracking.Tracking, photographs: int = 4) -> dg.ExecuteInProcessResult:
    resources = {"workspace": Workspace(data=str(data)), "compute": Compute(workers=1)}
    config = {"ops": {"detector_report": {"config": {"photographs": photographs}}}}
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [detector_report],
            instance=instance,
            resources={**resources, "tracking": Tracking(uri=store.uri)},
            run_config={**quiet, **config},
            raise_on_error=False,
        )


def checked(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {check.check_name: (check.passed, check.severity.value) for check in result.get_asset_check_evaluations()}


def champion(data: Path) -> dict:
    told: dict = json.loads((data / "detector_report" / "champion.json").read_text())
    return told


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> tuple[Path, tracking.Tracking]:
    data = tmp_path_factory.mktemp("data")
    write_split(data / "yolo_splits")
    return data, tracking.Tracking(f"sqlite:///{data / 'mlflow' / 'mlflow.db'}")


def test_champions_follow_each_other(place):
    data, store = place
    blind = train(data, store, BLIND, "blind")
    result = make(data, store)
    assert not result.success, "it is below the floor on enough photographs"
    assert checked(result)["beats_floor"] == (False, "ERROR")
    assert store.champion() is None
    assert champion(data)["origin"] == "shipped"
    assert (data / "detector_report" / "champion.onnx").read_bytes() == shipped().read_bytes()

    near = train(data, store, NEAR, "near")
    assert make(data, store).success
    assert store.champion().run_id == near == champion(data)["run_id"]
    whole = directory_md5(data / "detector_report")
    assert make(data, store).success, "the champion is compared with the one before, not with itself"
    assert directory_md5(data / "detector_report") == whole
    (run,) = [run for run in store.runs() if run.run_id == near]
    assert run.tags[REPLACED] == "shipped"
    assert run.metrics["test_ap50"] == run.metrics["test_ap50_with_mask"] == 1.0
    assert store.artifact(near, "worst.jpg").is_file()
    assert store.artifact(near, "pr.png").is_file()

    best = train(data, store, SEEN, "best")
    result = make(data, store)
    assert result.success
    assert checked(result) == {"beats_floor": (True, "ERROR"), "beats_champion": (True, "WARN")}
    assert store.champion().run_id == best
    assert [run.tags[REPLACED] for run in store.runs() if run.run_id == best] == ["2"]
    (event,) = result.asset_materializations_for_node("detector_report")
    assert "| with_mask | 4 | 1.000 [1.000, 1.000]" in event.metadata["figures"].value
    assert event.metadata["champion"].value == "trained"

    write_trained(data / "mask_detector", NEAR, run_id=blind)
    assert checked(make(data, store)) == {"beats_floor": (True, "ERROR"), "beats_champion": (False, "WARN")}
    assert store.champion().run_id == best == champion(data)["run_id"]


def test_figures_that_mean_nothing_warn_and_promote_nobody(place):
    data, store = place
    before = store.champion().run_id
    train(data, store, SEEN, "few")
    result = make(data, store, photographs=5)
    assert result.success
    assert checked(result) == {"beats_floor": (False, "WARN"), "beats_champion": (False, "WARN")}
    assert store.champion().run_id == before
    (event,) = result.asset_materializations_for_node("detector_report")
    assert event.metadata["meaningful"].value is False
    assert "mean nothing on fewer than 5" in event.metadata["why"].value


def test_a_run_that_the_store_does_not_know_is_told(place, tmp_path):
    data, store = place
    make(data, store)
    elsewhere = tracking.Tracking(f"sqlite:///{tmp_path / 'none.db'}")
    _, present = to_beat(elsewhere, data / "mask_detector")
    assert present.origin == "shipped"
    assert "is not in the store" in log_report(elsewhere, data / "detector_report", present)[0]


def test_dvc_shows_metrics_and_plots(place, tmp_path):
    data, store = place
    make(data, store)
    shutil.copytree(data / "detector_report", tmp_path / "data" / "detector_report")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)

    def dvc(*command: str) -> str:
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(
            [BIN / "dvc", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ERROR" not in done.stderr, done.stderr
        return done.stdout

    dvc("init", "--no-scm", "-q")
    told = json.loads(dvc("metrics", "show", "--json"))
    figures = told[""]["data"]["data/detector_report/metrics.json"]["data"]
    assert figures["per_class"]["with_mask"]["ap50"] == 1.0
    assert "ap50" in dvc("metrics", "show")
    page = Path(dvc("plots", "show", "-o", "plots").strip().removeprefix("file://")).read_text()
    for title in ("Precision over recall", "F1 over threshold", "Confusion", "Mistakes", "worst.jpg", "sizes.png"):
        assert title in page

"""A tiny detector through Dagster, with settings of its own, and the search for better ones."""

import json

import dagster as dg
import pyarrow as pa
import pytest

from assets_defs.detection import mask_detector
from assets_defs.resources import Compute, Models, Tracking, Workspace
from assets_defs.settings import settings_of
from ops.manifests import parquet
from ops.stages.detector import CARD, ONNX, WEIGHTS
from ops.stages.splits import COLUMNS
from ops.store import BASE_COLUMNS, arrow_schema
from orchestration.materialize import read_wishes, run, stale
from orchestration.search import detector_search
from resources.tracking import Tracking as Store
from resources.tracking import local_uri
from tests.tiny_split import SIDE, make_split

WISHES = {"start": "none", "epochs": 1, "image_size": 64, "batch": 4}


def test_settings_for_one_run_are_read_and_checked():
    texts = ["mask_detector.epochs=2", "mask_detector.lr0=0.1", "frames.identity=none", "frames.fps=3"]
    assert read_wishes(texts, ["frames", "mask_detector"]) == {
        "mask_detector": {"epochs": 2, "lr0": 0.1},
        "frames": {"identity": "none", "fps": 3.0},
    }
    assert settings_of("mask_detector", WISHES).items() >= WISHES.items()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mask_detector.epochs", "is no ASSET.NAME=VALUE"),
        ("masks.epochs=1", "the assets are frames, mask_detector"),
        ("mask_detector.era=1", "has no setting era; it has start, size"),
        ("mask_detector.epochs=0", "mask_detector.epochs: .*greater than or equal to 1"),
        ("mask_detector.image_size=100", "mask_detector.image_size: .*multiple of 32"),
        ("frames.fps=[", "is no YAML"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        read_wishes([text], ["frames", "mask_detector"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with a small split, an instance, resources, and a detector made with wishes."""
    data = tmp_path_factory.mktemp("data")
    split = make_split(data / "yolo_splits")
    rows = [{"fingerprint": "x", "source": "x", "status": "done", "width": SIDE, "height": SIDE}]
    table = pa.Table.from_pylist(rows, schema=arrow_schema([*BASE_COLUMNS, *COLUMNS]))
    (split / "manifest.parquet").write_bytes(parquet(table))
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute()}
    resources["tracking"] = Tracking(uri=local_uri(data))
    with dg.DagsterInstance.ephemeral() as instance:
        yield data, instance, resources, run(instance, resources, "mask_detector", "", WISHES)


@pytest.mark.slow
def test_a_detector_is_trained_checked_and_told(made):
    data, _, _, result = made
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert check.check_name == "loads_and_predicts" and check.passed and check.blocking
    assert check.metadata["onnx_from_weights"].value < 1e-3
    (event,) = result.asset_materializations_for_node(mask_detector.key.to_user_string())
    told = {name: value.value for name, value in event.metadata.items()}
    card = json.loads((data / "mask_detector" / CARD).read_text())
    assert told["start"] == card["start"] == "none" and told["epochs"] == card["epochs"] == 1
    assert "drawn weights" in told["notes"]
    assert all("data:image/jpeg" in told[name] for name in ("curves", "sheet"))
    assert set(card["formats"]) == set(ONNX) and (data / "mask_detector" / WEIGHTS).is_file()
    (trained,) = Store(local_uri(data)).runs()
    assert trained.run_id == card["run_id"]
    assert trained.tags.items() >= {"start": "none", "split_hash": card["split_hash"]}.items()
    assert trained.tags["data_version"].endswith(".dir") and trained.params["image_size"] == "64"


@pytest.mark.slow
def test_the_same_wishes_find_it_fresh(made):
    _, instance, resources, _ = made
    workspace = resources["workspace"]
    assert stale(instance, workspace, "mask_detector", "", WISHES) is None
    assert stale(instance, workspace, "mask_detector", "").startswith("it was made with batch 4 and not 16")
    again = run(instance, resources, "mask_detector", "", WISHES)
    (event,) = again.asset_materializations_for_node("mask_detector")
    assert (event.metadata["made"].value, event.metadata["kept"].value) == (0, 1)


@pytest.mark.slow
def test_the_search_tells_the_best_settings_and_keeps_every_trial(made):
    data, instance, resources, _ = made
    config = {"trials": 1, "epochs": 1, "image_size": 64, "start": "none"}
    done = detector_search.execute_in_process(
        run_config={"ops": {"try_settings": {"config": config}}},
        instance=instance,
        resources={name: resources[name] for name in ("workspace", "models", "tracking")},
    )
    assert done.success
    (output,) = [event for event in done.all_node_events if event.is_successful_output]
    text = output.step_output_data.metadata["params.yaml"].value
    assert "optimizer: AdamW" in text and "lr0: " in text
    names = [each.name for each in Store(local_uri(data)).runs()]
    assert sorted(name for name in names if name.startswith(("search", "trial"))) == ["search", "trial 1"]
    assert [path.name for path in (data / "training" / "search").iterdir()] == ["study.db"]

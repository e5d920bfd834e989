"""Mask detection as users start it: the asset through Dagster, and ``maskline detect``."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets_defs.checks.detection import scores_in_range
from assets_defs.detection import detector_report, mask_detections
from assets_defs.faces import frames
from assets_defs.resources import Compute, Models, Workspace
from assets_defs.results import made_of
from ops import images
from ops.content import directory_md5
from ops.records import Box
from ops.sample import make_sample
from ops.store import Dataset
from ops.videos import extract_sound, video_info
from tests.detectors import BLUE, GREEN, RED, patch_detector

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def scene(*faces):
    pixels = np.full((320, 320, 3), 128, np.uint8)
    for (x, y), colour in faces:
        pixels[y : y + 32, x : x + 32] = colour
    return images.encode_png(pixels)


PICTURES = {
    "a.png": scene(((0, 0), RED), ((64, 64), RED)),
    "b.png": scene(((96, 32), RED), ((160, 160), GREEN), ((288, 288), BLUE)),
    "sub/c.png": scene(),
}


def fill(folder: Path) -> None:
    for name, data in PICTURES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def champion(data: Path, **changed) -> None:
    report = data / "detector_report"
    report.mkdir(exist_ok=True)
    patch_detector(report / "champion.onnx", **changed)
    (report / "champion.json").write_text(json.dumps({"origin": "trained", "thresholds": [0.9, 0.9, 0.9]}))


def run(instance, data: Path, *names: str, **settings) -> dg.ExecuteInProcessResult:
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute(workers=1)}
    config = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    if settings:
        config["ops"] = {"mask_detections": {"config": settings}}
    return dg.materialize(
        [frames, mask_detections],
        selection=names,
        partition_key="street",
        instance=instance,
        resources=resources,
        run_config=config,
    )


def told(result: dg.ExecuteInProcessResult) -> dict:
    (event,) = result.asset_materializations_for_node("mask_detections")
    return {name: value.value for name, value in event.metadata.items()}


def passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_the_asset_is_made_checked_shown_and_compared_with_last_time(tmp_path):
    fill(tmp_path / "raw" / "street")
    champion(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["street"])
        result = run(instance, tmp_path, "frames", "mask_detections")
        first = told(result)
        assert passed(result) | {"decodable": True, "duplicates": True} == {
            "decodable": True,
            "duplicates": True,
            "scores_in_range": True,
            "rate_drift": True,
        }
        assert (first["done"], first["skipped"], first["made"], first["kept"]) == (5, 1, 3, 0)
        assert first["boxes_a_picture"] == pytest.approx(5 / 3) and first["share_with_mask"] == pytest.approx(0.6)
        assert first["pictures_a_second"] > 0
        assert first["sheet"].startswith("![contact sheet](data:image/jpeg;base64,")
        second = run(instance, tmp_path, "mask_detections")
        assert told(second)["made"] == 0 and "pictures_a_second" not in told(second)
        assert passed(second) == {"scores_in_range": True, "rate_drift": True}
        stricter = run(instance, tmp_path, "mask_detections", thresholds={"with_mask": 1.0})
        assert told(stricter)["made"] == 3 and passed(stricter)["scores_in_range"]
        champion(tmp_path, names=["without_mask", "with_mask", "mask_weared_incorrect"])
        third = run(instance, tmp_path, "mask_detections")
        assert told(third)["made"] == 3, "another detector, all anew"
        drift = {check.check_name: check for check in third.get_asset_check_evaluations()}["rate_drift"]
        assert not drift.passed and drift.severity == dg.AssetCheckSeverity.WARN and third.success
        assert drift.metadata["moved"].value == "share_with_mask, share_without_mask"


def test_the_check_looks_at_what_was_written(tmp_path):
    fill(tmp_path / "raw" / "street")
    champion(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["street"])
        run(instance, tmp_path, "frames", "mask_detections")
    good = Dataset(tmp_path / "mask_detections" / "street").read()
    (tmp_path / "wrong").mkdir()
    for column, value in (
        ("x2", 321.0),
        ("y1", -1.0),
        ("score", 0.5),
        ("score", 1.01),
        ("label", "masked"),
        ("x1", 300.0),
    ):
        rows = good.copy()
        rows.loc[rows["status"] == "done", column] = value
        rows.to_parquet(tmp_path / "wrong" / "manifest.parquet")
        found = scores_in_range(Dataset(tmp_path / "wrong"))
        assert not found.passed and found.metadata["wrong"].value >= 1, column


def test_a_partition_is_stale_when_the_report_is_another(tmp_path):
    fill(tmp_path / "raw" / "street")
    champion(tmp_path)
    workspace = Workspace(data=str(tmp_path))
    before = made_of(workspace, "mask_detections", "street", {})
    assert made_of(workspace, "mask_detections", "street", {}) == before
    champion(tmp_path, size=640)
    assert made_of(workspace, "mask_detections", "street", {}) != before


def test_it_is_asked_for_when_a_source_or_the_report_changed():
    """A change of one source concerns its own partition, one of the report all that have frames."""
    resources = {"workspace": Workspace(), "models": Models(), "compute": Compute()}
    spec = dg.AssetSpec("detector_report")
    defs = dg.Definitions(assets=[frames, spec, mask_detections], resources=resources)

    def observe(instance, version: str, *sources: str, report: str | None = None) -> None:
        for source in sources:
            tags = {"dagster/data_version": version}
            instance.report_runless_asset_event(dg.AssetMaterialization("frames", partition=source, tags=tags))
        if report:
            tags = {"dagster/data_version": report}
            instance.report_runless_asset_event(dg.AssetMaterialization("detector_report", tags=tags))

    def asked(instance, cursor=None) -> tuple[set, object]:
        result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
        return set(result.get_requested_partitions(mask_detections.key)), result.cursor

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["one", "two", "empty"])
        observe(instance, "1", "one", "two", report="1")
        _, cursor = asked(instance)
        for source in ("one", "two"):
            instance.report_runless_asset_event(dg.AssetMaterialization("mask_detections", partition=source))
        nothing, cursor = asked(instance, cursor)
        observe(instance, "1", "one", report="1")
        same, cursor = asked(instance, cursor)
        observe(instance, "2", "one")
        one, cursor = asked(instance, cursor)
        instance.report_runless_asset_event(dg.AssetMaterialization("mask_detections", partition="one"))
        _, cursor = asked(instance, cursor)
        observe(instance, "2", report="2")
        both, cursor = asked(instance, cursor)
    assert (nothing, same, one, both) == (set(), set(), {"one"}, {"one", "two"})


def maskline(*arguments: object, code: int = 0, verb: str = "detect") -> str:
    command = [sys.executable, "-m", "apps.cli", verb, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def onnx(tmp_path_factory) -> Path:
    return patch_detector(tmp_path_factory.mktemp("onnx") / "patch.onnx")


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    fill(folder)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_detect_mirrors_folders_and_tells_every_box(given, onnx, tmp_path):
    out = tmp_path / "out"
    summary = json.loads(maskline(given, out, "--weights", onnx, "--save-crops", "--json"))
    assert summary.pop("seconds") > 0
    assert summary == {"pictures": 4, "faces": 5, "outputs": 7, "skipped": 1, "rejected": 1}
    crops = {"a_face0_with_mask", "a_face1_with_mask", "b_face0_with_mask", "b_face1_without_mask"}
    crops |= {"b_face2_mask_weared_incorrect"}
    pictures = {"a_detected.jpg", "b_detected.jpg", *(f"{name}.jpg" for name in crops)}
    assert files(out) == pictures | {"manifest.parquet", "rejects.parquet"}
    rows = pd.read_parquet(out / "manifest.parquet")
    assert {"x1", "y1", "x2", "y2", "label", "score"} <= set(rows.columns)
    assert rows["status"].value_counts().to_dict() == {"done": 5, "skipped": 1, "rejected": 1}
    edge = rows[rows["label"] == "mask_weared_incorrect"].iloc[0]
    assert (edge["x1"], edge["y1"], edge["x2"], edge["y2"]) == (288, 288, 320, 320)
    assert images.read(out / edge["crop"]).shape == (36, 36, 3), "no further than the picture goes"
    assert not maskline(given, "--out", tmp_path / "other", "--weights", onnx, "--save-crops")
    assert directory_md5(tmp_path / "other") == directory_md5(out)
    again = maskline(given, out, "--weights", onnx, "--save-crops", code=0)
    assert again == "" and directory_md5(tmp_path / "other") == directory_md5(out)


def test_detect_takes_thresholds_for_all_and_for_one_class(given, onnx, tmp_path):
    out = tmp_path / "out"
    options = ["--weights", onnx, "--no-annotate", "--json"]
    assert (
        json.loads(maskline(given, out, *options, "--threshold", "without_mask=1", "--threshold", ".8"))["faces"] == 5
    )
    rows = pd.read_parquet(out / "manifest.parquet").dropna(subset="label")
    told = rows.groupby("label")["threshold"].first().to_dict()
    assert told == pytest.approx({"with_mask": 0.8, "without_mask": 1.0, "mask_weared_incorrect": 0.8})
    assert files(out) == {"manifest.parquet", "rejects.parquet"}
    for wrong in ("none", "with_mask=", "masked=.5", "1.5"):
        assert "threshold" in maskline(given, out, *options, "--threshold", wrong, code=2)


def test_detect_writes_videos_with_their_sound(tmp_path, onnx, shared_data):
    clip = shared_data / "video" / "talk2.mp4"
    (tmp_path / "in").mkdir()
    shutil.copy(clip, tmp_path / "in" / "talk.mp4")
    low = ["--weights", onnx, "--threshold", ".05", "--json"]
    summary = json.loads(maskline(tmp_path / "in" / "talk.mp4", tmp_path / "out", *low, "--save-crops"))
    rows = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert rows["frame"].nunique() == 125 and summary["rejected"] == 0
    written = tmp_path / "out" / "talk_detected.mp4"
    assert extract_sound(written) == extract_sound(clip)
    assert video_info(written).duration == pytest.approx(video_info(clip).duration, abs=0.02)
    cut = rows.dropna(subset="crop")
    assert (
        set(cut["time"]) <= {0, 1, 2, 3, 4}
        and len(cut)
        and (cut["crop"].map(lambda name: (tmp_path / "out" / name).is_file())).all()
    )
    maskline(tmp_path / "in" / "talk.mp4", tmp_path / "few", *low, "--no-annotate", "--fps", 2)
    few = pd.read_parquet(tmp_path / "few" / "manifest.parquet")
    assert few["frame"].nunique() == 10 and set(few["frame"]) <= set(rows["frame"])
    assert not list((tmp_path / "few").glob("*.mp4"))


def test_detect_tells_what_is_wrong_with_the_command(given, onnx, tmp_path):
    assert "OUTPUT, or --out" in maskline(given, "--weights", onnx, code=2)
    assert "OUTPUT, or --out" in maskline(given, tmp_path / "a", "--out", tmp_path / "b", "--weights", onnx, code=2)
    assert "does not exist" in maskline(tmp_path / "gone", tmp_path / "a", "--weights", onnx, code=2)
    assert "lies inside" in maskline(given, given / "out", "--weights", onnx, code=2)
    (tmp_path / "text.onnx").write_text("no model")
    assert "no ONNX that can be run" in maskline(given, tmp_path / "a", "--weights", tmp_path / "text.onnx", code=2)
    maskline(given, tmp_path / "a", "--weights", onnx, "--device", "gpu", code=2)
    maskline(given / "broken.jpg", tmp_path / "a", "--weights", onnx, code=1)
    maskline(given / "sub", tmp_path / "b", "--weights", onnx)


def test_the_shipped_detector_is_the_default_and_finds_drawn_masks(tmp_path):
    raw, masked, found = (tmp_path / name for name in ("raw", "masked", "found"))
    make_sample(raw)
    maskline(raw, masked, "--no-crop", "--state", "correct", verb="mask")
    maskline(masked, found, "--no-annotate")
    boxes = pd.read_parquet(found / "manifest.parquet").dropna(subset="label")
    worn = pd.read_parquet(masked / "manifest.parquet")
    worn = worn[(worn["status"] == "done") & ~worn["output"].str.endswith(".mp4")]
    assert len(worn) >= 10
    right = 0
    for face in worn.itertuples():
        here = boxes[boxes["source"] == face.output]
        truth = Box(face.x1, face.y1, face.x2, face.y2)
        overlap = [truth.iou(Box(*box)) for box in here[["x1", "y1", "x2", "y2"]].to_numpy()]
        assert max(overlap, default=0) > 0.5, f"{face.output}: no box on the face"
        right += here["label"].iloc[int(np.argmax(overlap))] == face.label
    assert right >= 0.8 * len(worn)


def test_the_report_is_upstream():
    assert {key.to_user_string() for key in mask_detections.dependency_keys} == {"frames", "detector_report"}
    assert detector_report.partitions_def is None

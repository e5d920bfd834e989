"""The main job through Dagster: real pictures in, masked faces and crops out, nothing made twice."""

import json
import random
import shutil
from pathlib import Path

import cv2
import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets_defs.faces import aligned_crops, face_geometry, frames, masked_faces
from assets_defs.resources import Compute, Models, Workspace
from ops import images
from ops.content import directory_md5
from ops.masking.labels import decode_rle
from ops.sample import make_sample
from ops.store import Dataset
from tests.bad_files import make_bad_files

ASSETS = [frames, face_geometry, masked_faces, aligned_crops]
NAMES = ["frames", "face_geometry", "masked_faces", "aligned_crops"]
pytestmark = pytest.mark.slow


def run(data: Path, source: str, *, workers: int = 1, config: dict | None = None) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", [source])
        return dg.materialize(
            ASSETS,
            partition_key=source,
            instance=instance,
            resources={"workspace": Workspace(data=str(data)), "models": Models(), "compute": Compute(workers=workers)},
            run_config={"ops": config or {}, "loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )


def told(result: dg.ExecuteInProcessResult, asset: str, name: str):
    (event,) = result.asset_materializations_for_node(asset)
    return event.metadata[name].value


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    make_sample(data / "raw" / "sample")
    return data, run(data, "sample")


def test_every_stage_makes_something_and_every_check_passes(finished):
    data, result = finished
    assert result.success
    for name in NAMES:
        assert told(result, name, "done") > 0
        assert (data / name / "sample" / "manifest.parquet").is_file()
    failed = [e.check_name for e in result.get_asset_check_evaluations() if not e.passed and e.blocking]
    assert not failed
    assert len(result.get_asset_check_evaluations()) == 7


def test_sheets_are_small_pictures_in_the_metadata(finished):
    _, result = finished
    for name in NAMES:
        sheet = told(result, name, "sheet")
        assert sheet.startswith("![contact sheet](data:image/jpeg;base64,")
        assert len(sheet) < 82_000


def test_data_versions_are_the_folders_md5(finished):
    data, result = finished
    for name in NAMES:
        (event,) = result.asset_materializations_for_node(name)
        assert event.tags["dagster/data_version"] == directory_md5(data / name / "sample")


def test_labels_are_what_was_drawn(finished):
    data, _ = finished
    folder = data / "masked_faces" / "sample"
    rows = Dataset(folder).read(status="done")
    faces = Dataset(data / "face_geometry" / "sample").read(status="done").set_index(["frame", "face"])
    frames_of = Dataset(data / "frames" / "sample").read(status="done").set_index("frame")
    assert len(rows)
    for known in rows.to_dict("records"):
        picture = images.read(folder / known["output"]).astype(int)
        bare = images.read(data / frames_of.loc[known["frame"], "picture"])
        bare = images.decode(images.encode_jpeg(bare)).astype(int)
        region = decode_rle(json.loads(known["region"]))
        assert picture.shape == bare.shape
        others = rows[rows["output"] == known["output"]]
        touched = np.zeros(region.shape, bool)
        for alpha in others["alpha"]:
            touched |= images.read(folder / alpha)[..., 0] > 0
        change = np.abs(picture - bare).max(axis=2)
        beside = cv2.dilate(touched.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
        assert change[~beside].max() == 0, "JPEG's blocks away from the masks are those of the bare picture"
        assert change[region].mean() > change[~touched].mean()
        face = faces.loc[(known["frame"], known["face"])]
        assert known["mask_x1"] < (face["x1"] + face["x2"]) / 2 < known["mask_x2"]


def test_logs_have_a_line_a_mask_and_no_duplicates_after_a_rerun(finished):
    data, _ = finished
    log = data / "masked_faces" / "sample" / "logs.csv"
    before = log.read_text()
    run(data, "sample")
    assert log.read_text() == before
    lines = before.splitlines()
    assert lines[0].startswith("image_path,mask_type,mask_color,mask_y_offset,mask_rotation_angle,error,mask_success")
    assert len(lines) == len(set(lines))


def test_a_rerun_makes_nothing_and_one_more_picture_makes_one(finished, tmp_path):
    data, _ = finished
    shutil.copytree(data, tmp_path / "data")
    again = run(tmp_path / "data", "sample")
    assert [told(again, name, "made") for name in NAMES] == [0, 0, 0, 0]
    raw = tmp_path / "data" / "raw" / "sample"
    original = sorted(path for path in raw.rglob("*.jpg"))[0]
    (raw / "one more.jpg").write_bytes(images.encode_jpeg(images.read(original)[:, ::-1].copy()))
    more = run(tmp_path / "data", "sample")
    assert [told(more, name, "made") for name in NAMES[:3]] == [1, 1, 1]


def test_worker_count_and_order_do_not_change_a_byte(finished, tmp_path):
    data, _ = finished
    raw = data / "raw" / "sample"
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    random.Random(7).shuffle(files)
    for path in files:
        target = tmp_path / "raw" / "sample" / path.relative_to(raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert run(tmp_path, "sample", workers=3).success
    for name in NAMES:
        assert directory_md5(tmp_path / name) == directory_md5(data / name)


def test_bad_files_are_rows_with_reasons_and_the_rest_goes_on(finished, tmp_path):
    data, _ = finished
    raw = tmp_path / "raw" / "bad"
    shutil.copytree(data / "raw" / "sample", raw)
    expected = make_bad_files(raw)
    result = run(tmp_path, "bad")
    rows = Dataset(tmp_path / "frames" / "bad").read()
    for name, outcome in expected.items():
        (known,) = rows[rows["source"] == name].drop_duplicates("source").to_dict("records")
        assert known["status"] == outcome, (name, known["reason"])
        assert pd.isna(known["reason"]) == (outcome == "done"), name
    assert result.success
    good = Dataset(data / "frames" / "sample").read(["source"], status="done")["source"]
    assert set(good) <= set(rows["source"][rows["status"] == "done"])


def test_real_photographs(shared_data, tmp_path):
    """Twenty real portraits and a talking face: every one ends as masked pictures and crops."""
    raw = tmp_path / "raw" / "portraits"
    raw.mkdir(parents=True)
    for path in sorted((shared_data / "portraits").iterdir())[:20]:
        shutil.copy(path, raw)
    shutil.copy(shared_data / "video" / "talk1.mp4", raw)
    result = run(tmp_path, "portraits", workers=2)
    assert result.success
    masked = Dataset(tmp_path / "masked_faces" / "portraits").read(status="done")
    assert masked["source"].nunique() == 21
    assert Dataset(tmp_path / "frames" / "portraits").read(status="done")["sound"].notna().any()

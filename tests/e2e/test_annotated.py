"""Annotated scenes through Dagster: a small VOC folder, the sample's masked faces, and our own exports read back."""

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets_defs.detection import annotated_scenes
from assets_defs.faces import face_geometry, frames, masked_faces
from assets_defs.resources import Compute, Models, Workspace
from assets_defs.settings import settings_of
from ops import images
from ops.content import directory_md5
from ops.detection.annotations import class_map
from ops.detection.label_formats import FORMATS
from ops.detection.scenes import export, read_scenes
from ops.sample import make_sample, portraits
from ops.stages.scenes import plan
from ops.store import Dataset

ASSETS = [frames, face_geometry, masked_faces, annotated_scenes]
SIDES = ["x1", "y1", "x2", "y2"]
COLLINS, HOPPER, PAST = (165, 55, 285, 225), (150, 80, 360, 360), (400, 300, 530, 520)
VOC = """<annotation><filename>{name}</filename><size><width>512</width><height>512</height></size>
{things}</annotation>"""
THING = """<object><name>{}</name><difficult>0</difficult><bndbox>
<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""
pytestmark = pytest.mark.slow


def run(data: Path, source: str | None, *names: str) -> dg.ExecuteInProcessResult:
    resources = {"workspace": Workspace(data=str(data)), "models": Models(), "compute": Compute(workers=1)}
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", [source] if source else [])
        return dg.materialize(
            ASSETS, selection=names, partition_key=source, instance=instance, resources=resources, run_config=quiet
        )


def told(result: dg.ExecuteInProcessResult, name: str):
    (event,) = result.asset_materializations_for_node("annotated_scenes")
    return event.metadata[name].value


def annotate(folder: Path, name: str, *things: tuple) -> None:
    text = VOC.format(name=name, things="".join(THING.format(kind, *box) for kind, box in things))
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"{Path(name).stem}.xml").write_text(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The sample, and a street: one annotated as bare, one as masked, one without a face, one whose XML is a bomb."""
    data = tmp_path_factory.mktemp("data")
    make_sample(data / "raw" / "sample")
    street = data / "raw" / "street"
    (street / "images").mkdir(parents=True)
    collins, hopper = portraits()
    pictures = {"bare": collins, "masked": np.ascontiguousarray(hopper[:512, :512]), "bomb": collins[::-1].copy()}
    pictures["nobody"] = np.ascontiguousarray(np.rot90(collins, 2))
    for name, pixels in pictures.items():
        (street / "images" / f"{name}.jpg").write_bytes(images.encode_jpeg(pixels))
    annotate(street, "bare.jpg", ("No Mask", COLLINS))
    annotate(street, "masked.jpg", ("incorrect_mask", HOPPER), ("mask", PAST), ("helmet", COLLINS))
    annotate(street, "nobody.jpg")
    (street / "annotations" / "bomb.xml").write_text('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>')
    for source in ("sample", "street"):
        assert run(data, source, "frames", "face_geometry", "masked_faces").success
    return data, run(data, None, "annotated_scenes")


@pytest.fixture(scope="module")
def rows(finished) -> pd.DataFrame:
    return Dataset(finished[0] / "annotated_scenes").read()


def test_it_is_made_checked_and_shown(finished):
    data, result = finished
    assert result.success
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "boxes_inside": True,
        "class_counts": True,
    }
    assert told(result, "sheet").startswith("![contact sheet](data:image/jpeg;base64,")
    (event,) = result.asset_materializations_for_node("annotated_scenes")
    assert event.tags["dagster/data_version"] == directory_md5(data / "annotated_scenes")
    assert {path.name for path in (data / "annotated_scenes").iterdir()} == {"manifest.parquet", "rejects.parquet"}


def test_what_people_drew(rows):
    street = rows[(rows["folder"] == "street") & ~rows["synthetic"].fillna(True).astype(bool)].set_index("source")
    bare = street.loc["images/bare.jpg"]
    assert (bare["label"], bare["class_name"], *bare[SIDES]) == ("without_mask", "No Mask", 164, 54, 285, 225)
    masked = street.loc[["images/masked.jpg"]]
    assert list(masked["label"].fillna("")) == ["mask_weared_incorrect", "with_mask", ""]
    assert list(masked["status"]) == ["done", "done", "rejected"]
    assert masked["reason"].iloc[2] == "unknown class 'helmet': params.yaml has no such spelling"
    assert list(masked["clipped"].iloc[:2]) == [False, True]
    assert list(masked[SIDES].iloc[1]) == [399, 299, 512, 512]
    nobody = street.loc["images/nobody.jpg"]
    assert (nobody["status"], nobody["width"]) == ("done", 512) and pd.isna(nobody["label"])
    assert street.loc["images/bomb.jpg"]["status"] == "skipped"
    bomb = rows[rows["source"] == "annotations/bomb.xml"].iloc[0]
    assert (bomb["status"], bomb["annotation_format"]) == ("rejected", "voc")
    assert "document type or entities" in bomb["reason"]


def test_what_masking_knows(finished, rows):
    data, _ = finished
    drawn = rows[(rows["folder"] == "sample") & (rows["status"] == "done")]
    scenes = read_scenes(data / "masked_faces" / "sample")
    assert drawn["synthetic"].all()
    assert set(drawn["picture"]) == {f"masked_faces/sample/{scene.output}" for scene in scenes}
    assert len(drawn) == sum(len(scene.faces) for scene in scenes)
    for scene in scenes:
        here = drawn[drawn["picture"] == f"masked_faces/sample/{scene.output}"]
        assert list(here["label"]) == [face.label for face in scene.faces]
        assert np.allclose(here[SIDES], [face.box for face in scene.faces])
        assert list(here["clipped"]) == [face.cut for face in scene.faces]
    clip = drawn[drawn["source"] == "clip.mp4"]
    assert set(clip["video"]) == {"raw/sample/clip.mp4"} and clip["time"].notna().all()
    assert drawn.loc[drawn["source"] != "clip.mp4", "video"].isna().all()
    assert {"eileen_collins", "grace_hopper"} <= set(drawn["identity"])
    frames_of = Dataset(data / "frames" / "sample").read(["frame"], status="done")["frame"]
    assert set(drawn["frame"]) <= set(frames_of)


def test_drawn_masks_that_contradict_people_are_left_out(rows):
    """On a bare face they are labels as good as any; beside faces that wear masks already they are not."""
    street = rows[(rows["folder"] == "street") & rows["synthetic"].fillna(False).astype(bool)]
    assert set(street.loc[street["source"] == "images/bare.jpg", "status"]) == {"done"}
    others = street[street["source"] == "images/masked.jpg"]
    assert len(others) and set(others["status"]) == {"skipped"}
    assert others["reason"].str.startswith("its frame is annotated with masks already worn").all()


def test_photographs_known_to_be_bare_teach_bare_faces(finished, rows):
    """Those of one source: each photograph that masks were drawn on, once, with all its faces, for training alone."""
    data, _ = finished
    table = class_map(settings_of("annotated_scenes")["classes"])
    known = plan(data, ["sample", "street"], table, first_pixel=1, bare=["sample"])
    of = [item.payload for item in known.items if item.payload["about"]["picture"].startswith("raw/sample/")]
    drawn = rows[(rows["folder"] == "sample") & (rows["status"] == "done") & (rows["source"] != "clip.mp4")]
    assert sorted(each["source"] for each in of) == sorted(drawn["source"].unique())
    for each in of:
        boxes = drawn[(drawn["source"] == each["source"]) & (drawn["variant"] == 0)]
        assert each["about"]["synthetic"]
        assert {mark.name for mark in each["of"].marks} == {"without_mask"}
        assert sorted(mark.box for mark in each["of"].marks) == sorted(map(tuple, boxes[SIDES].to_numpy()))


def test_a_rerun_makes_nothing_and_one_more_annotation_makes_one(finished, tmp_path):
    data, _ = finished
    shutil.copytree(data, tmp_path / "data")
    again = run(tmp_path / "data", None, "annotated_scenes")
    assert told(again, "made") == 0 and told(again, "swept") == 0
    assert directory_md5(tmp_path / "data" / "annotated_scenes") == directory_md5(data / "annotated_scenes")
    annotate(tmp_path / "data" / "raw" / "street", "bomb.jpg", ("mask", COLLINS))
    more = run(tmp_path / "data", None, "annotated_scenes")
    assert told(more, "made") == 1


def test_our_own_exports_are_read_back(finished, tmp_path):
    """Each as a source of its own: the same pictures, classes and boxes, as exactly as the format tells them."""
    data, _ = finished
    scenes = read_scenes(data / "masked_faces" / "sample")
    exact = {"yolo-detect": 0.01, "coco": 0.001, "voc": 0.501}
    for format in exact:
        export(data / "masked_faces" / "sample", tmp_path / "raw" / format, format)
        run(tmp_path, format, "frames")
    assert run(tmp_path, None, "annotated_scenes").success
    table = Dataset(tmp_path / "annotated_scenes").read()
    assert set(table["status"]) == {"done"}
    assert not table["synthetic"].any()
    for format, tolerance in exact.items():
        for scene in scenes:
            picture = f"raw/{format}/{FORMATS[format].pictures}/{scene.name}"
            here = table[table["picture"] == picture]
            assert list(here["label"]) == [face.label for face in scene.faces]
            assert np.abs(here[SIDES].to_numpy() - [face.box for face in scene.faces]).max() <= tolerance


def test_a_box_that_got_out_blocks(finished, tmp_path):
    from assets_defs.checks.detection import boxes_inside, class_counts

    rows = Dataset(finished[0] / "annotated_scenes").read()
    first = rows.index[rows["label"].notna() & (rows["status"] == "done")][0]
    rows.loc[first, "x2"] = rows.loc[first, "width"] + 1
    rows[rows["label"] != "without_mask"].to_parquet(tmp_path / "manifest.parquet")
    found = boxes_inside(Dataset(tmp_path))
    assert not found.passed and found.metadata["wrong"].value == 1
    counts = class_counts(Dataset(tmp_path))
    assert not counts.passed and counts.severity == dg.AssetCheckSeverity.WARN
    assert counts.metadata["without_mask"].value == "0 real, 0 synthetic"


def test_it_is_asked_for_when_its_inputs_changed_and_not_again():
    """Across partitions, with one source that was never made: nothing waits for that one."""
    defs = dg.Definitions(assets=ASSETS, resources={"workspace": Workspace(), "models": Models(), "compute": Compute()})

    def observe(instance: dg.DagsterInstance, version: str) -> None:
        for asset in ("frames", "face_geometry", "masked_faces"):
            tags = {"dagster/data_version": version}
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition="sample", tags=tags))

    def asked(instance: dg.DagsterInstance, cursor=None) -> tuple[int, object]:
        result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
        return result.get_num_requested(dg.AssetKey("annotated_scenes")), result.cursor

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["sample", "empty"])
        observe(instance, "1")
        _, cursor = asked(instance)
        instance.report_runless_asset_event(dg.AssetMaterialization("annotated_scenes"))
        second, cursor = asked(instance, cursor)
        observe(instance, "1")
        third, cursor = asked(instance, cursor)
        observe(instance, "2")
        fourth, cursor = asked(instance, cursor)
        fifth, cursor = asked(instance, cursor)
    assert (second, third, fourth, fifth) == (0, 0, 0, 1), "a tick later, when nothing more changes"

"""Tracing over real chains: every link is found, and what changed since is said to have changed."""

import json
import shutil
from itertools import islice
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.cli import app
from assets_defs import detection, expression, faces, privacy, unmasking
from assets_defs.config import WHOLE as TOGETHER
from assets_defs.config import inputs
from assets_defs.lineage import CARRIED, column_lineage, table_schema
from assets_defs.resources import Compute, Models, Workspace
from model_assets.registry import Registry
from ops import images
from ops.content import directory_md5
from ops.files import write_atomic
from ops.manifests import BadManifest
from ops.sample import make_sample
from ops.store import Column, Dataset, Item, row
from ops.tracing import AGAIN, CHANGED, GONE, PER_SOURCE, SAME, UNKNOWN, WHOLE, NotMade, place_of, trace
from ops.training.tasks import read_pairs, split_hash
from ops.video_writer import write_video
from ops.videos import sample_video
from resources.compute import Local
from resources.mask_detectors import shipped
from tests.unit.test_splits import texture

FACES = [faces.frames, faces.face_geometry, faces.masked_faces, faces.aligned_crops]
SHARED = [detection.annotated_scenes, detection.yolo_splits, unmasking.unmasking_pairs]
SHOWN = [detection.mask_detections, unmasking.unmasked_faces, privacy.digital_masks]
ALL = [*FACES, *SHARED, *SHOWN, expression.expression_regions, expression.expression_edits]
pytestmark = pytest.mark.slow


SMALL = {"frames": {"fps": 0.5}, "masked_faces": {"variants": 1}, "unmasking_pairs": {"variants": 1, "size": 64}}


def run(data: Path, assets: list[dg.AssetsDefinition], **config: dict) -> dg.ExecuteInProcessResult:
    """Materialize assets of one source, and then those of all sources."""
    resources = {"workspace": Workspace(data=str(data)), "models": Models(), "compute": Compute(workers=1)}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["home"])
        for asset in assets:
            result = dg.materialize(
                ALL,
                selection=[asset],
                partition_key="home" if asset.partitions_def else None,
                instance=instance,
                resources=resources,
                run_config={
                    "ops": {n: {"config": told} for n, told in (SMALL | config).items() if n == asset.key.path[0]},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
            assert result.success
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A portrait, two people and a video, made into everything that needs no training."""
    folder = tmp_path_factory.mktemp("data")
    make_sample(folder / "sample")
    raw = folder / "raw" / "home"
    raw.mkdir(parents=True)
    for name in ("grace_hopper/grace_hopper.jpg", "together/collins_and_hopper.jpg"):
        shutil.copy(folder / "sample" / name, raw)
    clip = folder / "sample" / "clip.mp4"
    with write_video(raw / "clip.mp4", like=clip) as made:
        for shot in islice(sample_video(clip, None), 6):
            made.add(shot.pixels, shot.time, shot.duration)
    report = folder / "detector_report"
    report.mkdir()
    shutil.copy(shipped(), report / "champion.onnx")
    told = {"origin": "shipped", "run_id": None, "version": None, "thresholds": [0.3, 0.3, 0.3]}
    (report / "champion.json").write_text(json.dumps(told))
    run(folder, ALL)
    return folder


@pytest.fixture
def copy(data, tmp_path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "data"))


def first(data: Path, asset: str, column: str = "output", **wanted: object) -> Path:
    """Return the first file of an asset whose row has these values."""
    source = "" if asset in WHOLE else "home"
    rows = Dataset(data / asset / source).read(status="done")
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return data / asset / source / rows[column].dropna().iloc[0]


def names(link) -> list[str]:
    """Return the links' names along the first of each, down to what was given."""
    return [link.what, *(names(link.of[0]) if link.of else [])]


def test_a_masked_crop_leads_back_to_its_photograph_with_settings_and_models(data):
    chain = trace(first(data, "aligned_crops", wearing="masked", source="grace_hopper.jpg"))
    steps = ["aligned_crops", "masked_faces", "face_geometry", "frames"]
    assert names(chain) == [*(f"{name} [home]" for name in steps), "raw file"]
    *made, raw = [chain, chain.of[0], chain.of[0].of[0], chain.of[0].of[0].of[0], chain.of[0].of[0].of[0].of[0]]
    assert raw.file == str(data / "raw" / "home" / "grace_hopper.jpg")
    assert not chain.broken and {link.state for link in (*made, raw)} == {SAME}
    assert {row["variant"] for row in chain.of[0].rows} == {chain.rows[0]["variant"]}
    assert chain.of[0].made_with["settings"]["variants"] == 1
    checksums = made[2].made_with["models"]
    assert checksums["face_mesh"] == Registry.load().models["face_mesh"].sha256
    assert {link.what for link in made[2].of} >= {"model face_mesh", "model blazeface_short"}


def test_a_bare_crop_has_no_mask_in_its_chain(data):
    chain = trace(first(data, "aligned_crops", wearing="bare"))
    assert names(chain)[1] == "face_geometry [home]"


def test_one_of_two_faces_is_followed_alone(data):
    picture = first(data, "masked_faces", source="collins_and_hopper.jpg")
    both, one = trace(picture), trace(picture, face=1)
    assert [len(link.rows) for link in (both, both.of[0], both.of[0].of[0])] == [2, 2, 1]
    assert (both.state, both.of[0].made_with["models"]["detector"]) == (SAME, "blazeface")
    assert [row["face"] for row in (*one.rows, *one.of[0].rows)] == [1, 1]
    with pytest.raises(NotMade, match="no face 7; there is 0, 1"):
        trace(picture, face=7)


def test_every_moment_of_an_annotated_video_leads_to_the_video(data):
    video = first(data, "mask_detections", source="clip.mp4")
    between = sorted(row["time"] for row in trace(video).rows)[1]
    for time in (0.0, between):
        chain = trace(video, time=time, find=lambda checksum: None)
        assert {row["time"] for row in chain.rows} == {time}
        assert names(chain)[-1] == "raw file"
        assert not chain.broken
    assert "between" in chain.of[0].note
    (model,) = [link for link in chain.of if link.what.startswith("model")]
    assert (model.file, model.note) == (str(data / "detector_report" / "champion.onnx"), "shipped")


def test_pictures_and_labels_of_a_split_lead_on_to_what_was_masked(data):
    picture = first(data, "yolo_splits", origin="synthetic")
    label = data / "yolo_splits" / "labels" / picture.parent.name / f"{picture.stem}.txt"
    for file in (picture, label):
        chain = trace(file)
        assert names(chain)[:3] == ["yolo_splits", "annotated_scenes", "masked_faces [home]"]
        assert names(chain)[-1] == "raw file"
        assert not chain.broken


def test_a_picture_with_pasted_faces_leads_to_every_photograph_that_is_in_it(tmp_path):
    street = tmp_path / "raw" / "home"
    (street / "labels").mkdir(parents=True)
    (street / "data.yaml").write_text("names: [with_mask, without_mask]\n")
    for index in range(16):
        (street / f"{index}.png").write_bytes(images.encode_png(texture(index) // 2 + 64))
        (street / "labels" / f"{index}.txt").write_text(f"{int(index % 5 == 0)} 0.45 0.5 0.3 0.44\n")
    run(tmp_path, [*FACES[:3], *SHARED[:2]])
    (known, *_) = Dataset(tmp_path / "yolo_splits").read(status="done").query("origin == 'pasted'").to_dict("records")
    (pasted, *others) = json.loads(known["pasted"])
    picture = tmp_path / "yolo_splits" / known["output"]
    chain = trace(picture)
    assert [link.note for link in chain.of] == ["", *["its without_mask was pasted in"] * (1 + len(others))]
    photographs = [names(link)[:3] for link in chain.of]
    assert photographs == [["annotated_scenes", "frames [home]", "raw file"]] * len(chain.of) and not chain.broken
    lent = tmp_path / pasted["picture"]
    lent.write_bytes(lent.read_bytes() + b"\0")
    assert {(link.what, link.state, link.file) for link in trace(picture).broken} == {
        ("frames [home]", CHANGED, str(lent)),
        ("raw file", CHANGED, str(lent)),
    }


MADE_OF = {
    ("unmasked_faces", "grace_hopper.jpg"): ["masked_faces [home]", "face_geometry [home]", "frames [home]"],
    ("digital_masks", "collins_and_hopper.jpg"): ["face_geometry [home]", "frames [home]"],
    ("expression_edits", "grace_hopper.jpg"): ["face_geometry [home]", "frames [home]"],
    ("digital_masks", "clip.mp4"): ["face_geometry [home]", "frames [home]"],
}


@pytest.mark.parametrize(("asset", "source"), MADE_OF)
def test_what_is_made_for_people_to_look_at_leads_back_with_its_models(data, copy, asset, source):
    """Pictures completed, covered and edited: by way of the tables that they are made of."""
    chain = trace(first(data, asset, source=source), find=lambda checksum: checksum)
    assert names(chain) == [f"{asset} [home]", *MADE_OF[asset, source], "raw file"]
    assert {link.state for link in chain.every()} == {SAME}
    assert "model face_mesh" in {link.what for link in chain.of}
    assert [Path(link.file).name for link in chain.every() if link.what == "raw file"] == [source]
    (copy / "raw" / "home" / source).unlink()
    assert GONE in {link.state for link in trace(first(copy, asset, source=source)).broken}


def test_what_is_made_of_a_whole_table_counts_its_raw_files(data, copy):
    chain = trace(data / "yolo_splits" / "data.yaml")
    assert [link.what for link in chain.every()][-1] == "raw files"
    assert [link.note for link in chain.every()][-1] == "3 files, 3 as they were"
    (copy / "raw" / "home" / "clip.mp4").unlink()
    log = trace(copy / "masked_faces" / "home" / "logs.csv")
    assert [link.state for link in log.broken] == [GONE]
    assert "clip.mp4: gone" in log.broken[0].note


def test_a_raw_file_that_changed_is_told(copy):
    crop = first(copy, "aligned_crops", wearing="masked", source="grace_hopper.jpg")
    raw = copy / "raw" / "home" / "grace_hopper.jpg"
    raw.write_bytes(raw.read_bytes() + b"\0")
    assert [(link.what, link.state) for link in trace(crop).broken] == [("raw file", CHANGED)]
    told = CliRunner().invoke(app, ["trace", str(crop), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["broken"] == 1
    raw.unlink()
    assert [(link.what, link.state) for link in trace(crop).broken] == [("raw file", GONE)]


def test_a_table_made_again_with_other_settings_is_not_taken_for_the_old_one(copy):
    crop = first(copy, "aligned_crops", wearing="masked", source="grace_hopper.jpg")
    run(copy, [faces.face_geometry], face_geometry={"min_score": 0.6})
    (link,) = trace(crop).broken
    assert (link.what, link.state) == ("face_geometry [home]", AGAIN)
    run(copy, [faces.masked_faces, faces.aligned_crops])
    assert not trace(first(copy, "aligned_crops", wearing="masked", source="grace_hopper.jpg")).broken


def test_a_manifest_of_before_is_filled_in_and_nothing_is_made_again(copy):
    run(copy, [faces.face_geometry])
    manifest = copy / "face_geometry" / "home" / "manifest.parquet"
    before = directory_md5(copy / "face_geometry")
    pq.write_table(pq.read_table(manifest).drop_columns(["parent", "made_with"]), manifest)
    pair = first(copy, "unmasking_pairs", wearing="masked")
    crop = first(copy, "aligned_crops", wearing="bare")
    assert trace(pair).of[0].of[0].state == SAME, "frames are told by what they show"
    masked = copy / "aligned_crops" / "home" / "manifest.parquet"
    pq.write_table(pq.read_table(masked).drop_columns(["parent", "made_with"]), masked)
    assert trace(crop).of[0].state == UNKNOWN
    result = run(copy, [faces.face_geometry])
    (event,) = result.asset_materializations_for_node("face_geometry")
    assert event.metadata["made"].value == 0
    assert directory_md5(copy / "face_geometry") == before


def test_a_network_is_held_against_the_pairs_that_it_learned_from(copy):
    dataset, pairs = Dataset(copy / "mask_segmenter"), copy / "unmasking_pairs"
    card = {"split_hash": split_hash(read_pairs(Dataset(pairs))), "run_id": "17", "mlflow_version": 1}

    def write(item: Item) -> list[dict]:
        write_atomic(dataset.folder / "segmenter.json", json.dumps(card).encode())
        return [row(item, "unmasking_pairs", output="segmenter.json")]

    dataset.build([Item("1", {"source": "unmasking_pairs"})], lambda: write, Local(1))
    chain = trace(dataset.folder / "segmenter.json")
    assert (chain.run or {})["run_id"] == "17"
    assert names(chain) == ["mask_segmenter", "unmasking_pairs", "raw files"]
    assert not chain.broken
    picture = first(copy, "unmasking_pairs", split="train")
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert [link.state for link in trace(dataset.folder / "segmenter.json").broken] == [CHANGED]


def test_what_a_verb_wrote_leads_to_its_input(data, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    shutil.copy(data / "raw" / "home" / "grace_hopper.jpg", photos)
    asked = ["mask", str(photos), str(out), "--no-crop", "--workers", "1"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    masked = out / "grace_hopper_aug0_masked.png"
    told = CliRunner().invoke(app, ["trace", str(masked)])
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["maskline", "mask", "as", "it", "was"]
    assert str(photos / "grace_hopper.jpg") in told.stdout
    chain = trace(masked)
    assert chain.made_with["settings"]["masks"]["seed"] == 0
    assert any(link.what == "model face_mesh" for link in chain.of)
    (photos / "grace_hopper.jpg").write_bytes(b"another")
    assert [link.state for link in trace(masked).broken] == [CHANGED]


VERBS = {
    "detect": (["--save-crops"], "grace_hopper_face0_without_mask.jpg", "model mask_detector.onnx"),
    "anonymise": ([], "grace_hopper_face0.obj", "model face_mesh"),
    "express": (["--smile", "0.6", "--save-regions"], "grace_hopper_expression_alpha.png", "model face_mesh"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_file_of_a_verb_leads_to_its_photograph(data, tmp_path, verb):
    options, made, model = VERBS[verb]
    photograph = Path(shutil.copy(data / "raw" / "home" / "grace_hopper.jpg", tmp_path))
    asked = [verb, str(photograph), str(tmp_path / "out"), *options, "--workers", "1"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert (tmp_path / "out" / made).is_file()
    for file in sorted({*(tmp_path / "out").iterdir()}):
        chain = trace(file, find=lambda checksum: checksum)
        assert chain.what == f"maskline {verb}" and {link.state for link in chain.every()} == {SAME}
        assert {"raw file", "raw files"} & {link.what for link in chain.of}
        assert model in {link.what for link in chain.of}
    photograph.write_bytes(b"another")
    assert [link.file for link in trace(tmp_path / "out" / made).broken] == [str(photograph)]


def test_a_manifest_that_names_a_file_out_of_its_reach_is_not_believed(copy):
    crop = first(copy, "aligned_crops", wearing="masked")
    manifest = crop.parent / "manifest.parquet"
    table = pq.read_table(manifest)
    for name, told in (("output", "../../raw/home/clip.mp4"), ("source", "/etc/passwd")):
        column = pa.array([told, *table[name].to_pylist()[1:]], pa.string())
        pq.write_table(table.set_column(table.column_names.index(name), name, column), manifest)
        with pytest.raises(BadManifest, match=f"a path in '{name}' names no file, or one outside"):
            trace(crop)


def test_what_nobody_made_is_refused(data, tmp_path):
    stray = tmp_path / "stray.jpg"
    stray.write_bytes(b"")
    with pytest.raises(NotMade, match=r"neither there nor above lies a manifest\.parquet"):
        trace(stray)
    told = CliRunner().invoke(app, ["trace", str(tmp_path / "nothing.jpg")])
    assert told.exit_code == 2
    with pytest.raises(NotMade, match="made of the whole"):
        trace(data / "yolo_splits" / "data.yaml", face=0)


def test_places_know_every_asset_and_its_inputs():
    assert {*PER_SOURCE, *WHOLE} == set(pd.Series([*PER_SOURCE, *WHOLE]))
    assert set(WHOLE) == set(TOGETHER)
    for asset, parents in {**PER_SOURCE, **WHOLE}.items():
        assert set(parents) <= set(inputs(asset)), asset


def test_a_folders_place_is_told_by_its_manifest(data):
    place = place_of(data / "aligned_crops" / "home" / "manifest.parquet")
    assert (place.asset, place.source, place.data) == ("aligned_crops", "home", data)


def test_columns_that_are_taken_over_hold_what_their_inputs_hold(data):
    """Column lineage names real columns, and carried values are those of the input."""

    def table(asset: str) -> pd.DataFrame:
        return Dataset(data / asset / ("" if asset in WHOLE else "home")).read(status="done")

    made = {asset.key.path[0] for asset in ALL}
    for asset in made - {"frames"}:
        mine, lineage = table(asset), column_lineage(asset).deps_by_column
        assert set(lineage) <= set(mine.columns), asset
        shown = table_schema(asset, [Column(name, "string", "") for name in mine.columns]).columns
        assert {column.name for column in shown if "[from " in column.description} == set(lineage), asset
        for column, deps in lineage.items():
            for dep in deps:
                name = dep.asset_key.path[0]
                assert name in inputs(asset) and dep.column_name in table(name).columns, (asset, column)
    for asset in made & set(CARRIED):
        for parent, columns in CARRIED[asset].items():
            for column in columns.split():
                mine, theirs = (table(name)[column].dropna() for name in (asset, parent))
                both = CARRIED[asset].values() if asset in {"annotated_scenes", "aligned_crops"} else ()
                if sum(column in names.split() for names in both) < 2:
                    assert set(mine) <= set(theirs), (asset, parent, column)

"""Digital masks as users start them: the asset through Dagster, and ``maskline anonymise``."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from apps.cli import app
from assets_defs.faces import face_geometry, frames
from assets_defs.privacy import digital_masks
from assets_defs.resources import Compute, Models, Workspace
from ops import images
from ops.content import directory_md5
from ops.sample import make_sample, portraits
from ops.store import Dataset
from ops.videos import video_info

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def refused(*words) -> str:
    """Return what a command that is used wrongly tells, on one line."""
    done = CliRunner().invoke(app, ["anonymise", *map(str, words)])
    assert done.exit_code == 2, done.output
    return " ".join(done.stderr.split())


def command(*words) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "apps.cli", "anonymise", *map(str, words)]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


def picture(path: Path, which: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(portraits()[which]))


def run(data, instance, **settings) -> dg.ExecuteInProcessResult:
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute(workers=1)}
    return dg.materialize(
        [frames, face_geometry, digital_masks],
        partition_key="home",
        instance=instance,
        resources=resources,
        run_config={
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "ops": {"digital_masks": {"config": settings}},
        },
        raise_on_error=False,
    )


def test_the_asset_covers_faces_and_its_check_passes(tmp_path):
    picture(tmp_path / "raw" / "home" / "ann" / "a.png")
    picture(tmp_path / "raw" / "home" / "grace" / "b.png", 1)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["home"])
        result = run(tmp_path, instance, identity="none", style="normals")
        assert result.success
        (event,) = result.asset_materializations_for_node("digital_masks")
        (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "fail_closed"]
        folder = tmp_path / "digital_masks" / "home"
        rows = Dataset(folder).read(status="done")
        assert len(rows) == 2 and set(rows["identity"]) == {"ann", "grace"} and set(rows["drawn_as"]) == {"normals"}
        assert check.passed and check.metadata["pictures"].value == 2
        assert event.tags["dagster/data_version"] == directory_md5(folder)
        assert event.metadata["sheet"].value.startswith("![contact sheet](data:image/jpeg")
        again = run(tmp_path, instance, identity="none", style="normals")
        (event,) = again.asset_materializations_for_node("digital_masks")
        assert event.metadata["made"].value == 0


def test_pictures_and_videos_are_covered_by_one_command(tmp_path):
    make_sample(tmp_path / "in")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    done = command(tmp_path / "in", tmp_path / "out", "--json", "--style", "textured")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outputs"] == 9 and told["rejected"] == 1
    rows = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    clip = rows[rows["source"] == "clip.mp4"]
    assert set(clip["output"].dropna()) == {"clip_overlay.mp4"} and (clip["status"] == "done").mean() > 0.95
    info = video_info(tmp_path / "out" / "clip_overlay.mp4")
    assert info[1:5] == video_info(tmp_path / "in" / "clip.mp4")[1:5] and not info.has_sound
    for known in rows[rows["status"] == "done"].to_dict("records"):
        if known["source"] != "clip.mp4":
            before, after = (
                images.read(tmp_path / "in" / known["source"]),
                images.read(tmp_path / "out" / known["output"]),
            )
            assert (before != after).any(axis=2).sum() >= known["covered_px"] and known["same_px_inside"] == 0
            assert (tmp_path / "out" / known["surface"]).is_file()


def test_folders_of_people_are_mirrored_and_an_ini_file_names_them(tmp_path):
    for role in ("database", "query"):
        for index in range(3):
            picture(tmp_path / "people" / role / "ann" / "v1" / f"{index}.png", index % 2)
    (tmp_path / "folders.ini").write_text("[PATHS]\nINPUT_FOLDER = people\nOUTPUT_FOLDER = covered\n")
    options = ("--layout", "identity-video", "--per-video", 2, "--json")
    done = command(tmp_path / "folders.ini", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == 4
    made = sorted(path.parent for path in (tmp_path / "covered").rglob("*_overlay.png"))
    assert set(made) == {tmp_path / "covered" / role / "ann" / "v1" for role in ("database", "query")}
    rows = pd.read_parquet(tmp_path / "covered" / "manifest.parquet")
    done_rows = rows[rows["status"] == "done"]
    assert set(done_rows["role"]) == {"database", "query"} and set(done_rows["identity"]) == {"ann"}
    (tmp_path / "bare.ini").write_text("INPUT_FOLDER = people\n")
    assert "has no OUTPUT_FOLDER" in refused(tmp_path / "bare.ini")
    assert "and OUTPUT" in refused(tmp_path / "folders.ini", tmp_path / "other")
    (tmp_path / "none.ini").write_text("[open\n")
    assert "is no .ini file" in refused(tmp_path / "none.ini")


def test_outputs_lie_beside_inputs_where_that_is_wanted(tmp_path):
    picture(tmp_path / "a.png")
    for _ in range(2):
        done = command(tmp_path, "--beside", "--json", "--identity", "auto")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["pictures"] == 1
    (cosine,) = pd.read_parquet(tmp_path / "manifest.parquet")["identity_cosine"]
    assert 0.3 < cosine < 0.98
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.png",
        *(f"a_{kind}" for kind in ("overlay.png", "mask.png", "black.png", "face0.obj")),
        "manifest.parquet",
        "rejects.parquet",
    }
    assert (images.read(tmp_path / "a.png") == portraits()[0]).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--style", "clay"), "'clay' is unknown; allowed: grey"),
        (("--cut", "round"), "'round' is unknown; allowed: hull"),
        (("--layout", "flat"), "'flat' is unknown; allowed: mirror"),
        (("--shape", "flame"), "files of your own"),
        (("--beside",), "name a folder to write to"),
    ],
)
def test_what_is_not_allowed_is_one_line(tmp_path, options, told):
    picture(tmp_path / "in" / "a.png")
    assert told in refused(tmp_path / "in", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_of_a_picture_without_a_face(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "noise.png").write_bytes(images.encode_png(noise))
    done = command(tmp_path / "in", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["outputs"] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.parquet", "rejects.parquet"}

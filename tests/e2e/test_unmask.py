"""Unmasking as users start it: the asset through Dagster, and ``maskline unmask``."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets_defs.faces import face_geometry, frames, masked_faces
from assets_defs.resources import Compute, Models, Workspace
from assets_defs.unmasking import face_completer, mask_segmenter, unmasked_faces
from ops import images
from ops.content import directory_md5
from ops.faces import find_faces
from ops.masking import MaskSettings, draw_spec, render
from ops.sample import make_sample, portraits
from ops.store import Dataset
from ops.videos import extract_sound, video_info
from resources.models import FaceModels
from resources.unmaskers import shipped
from tests.colour_networks import colour_networks, greenness, masked

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def command(*words) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "apps.cli", "unmask", *map(str, words)]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    unmasker = colour_networks(tmp_path_factory.mktemp("networks"), 128)
    return ["--segmenter", unmasker.segmenter, "--completer", unmasker.completer]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The asset made of a source with a masked portrait, by networks as if trained here."""
    data = tmp_path_factory.mktemp("data")
    (data / "raw" / "home").mkdir(parents=True)
    for name, pixels in {"worn.png": masked(portraits()[0]), "bare.png": portraits()[1]}.items():
        (data / "raw" / "home" / name).write_bytes(images.encode_png(pixels))
    made = colour_networks(data, 128)
    for path, asset in ((made.segmenter, "mask_segmenter"), (made.completer, "face_completer")):
        (data / asset).mkdir()
        shutil.move(path, data / asset / path.name)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["home"])
        yield data, instance


def run(data, instance, *names, **settings) -> dg.ExecuteInProcessResult:
    resources = {"workspace": Workspace(data=str(data)), "models": Models(device="cpu"), "compute": Compute(workers=1)}
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    config["ops"] = {"unmasked_faces": {"config": settings}} if settings else {}
    return dg.materialize(
        [frames, face_geometry, masked_faces, mask_segmenter, face_completer, unmasked_faces],
        selection=names,
        partition_key="home",
        instance=instance,
        resources=resources | {"tracking": dg.ResourceDefinition.none_resource()},
        run_config=config,
        raise_on_error=False,
    )


def test_the_asset_unmasks_with_what_was_trained_and_its_check_passes(finished):
    data, instance = finished
    assert run(data, instance, "frames", "face_geometry", "masked_faces").success
    result = run(data, instance, "unmasked_faces", networks="trained")
    assert result.success
    (event,) = result.asset_materializations_for_node("unmasked_faces")
    (check,) = result.get_asset_check_evaluations()
    rows = Dataset(data / "unmasked_faces" / "home").read(status="done")
    worn = rows[rows["picture"] == "raw/home/worn.png"]
    assert len(worn) == 1
    after = images.read(data / "unmasked_faces" / "home" / worn["output"].iloc[0])
    assert (greenness(after) > 60).sum() < 30
    assert check.passed and check.metadata["looked_at"].value == len(rows)
    assert event.tags["dagster/data_version"] == directory_md5(data / "unmasked_faces" / "home")
    assert event.metadata["sheet"].value.startswith("![contact sheet](data:image/jpeg")
    again = run(data, instance, "unmasked_faces", networks="trained")
    (event,) = again.asset_materializations_for_node("unmasked_faces")
    assert event.metadata["made"].value == 0


def test_pictures_and_videos_are_unmasked_by_one_command(networks, tmp_path):
    make_sample(tmp_path / "in")
    (tmp_path / "in" / "worn.png").write_bytes(images.encode_png(masked(portraits()[0])))
    done = command(tmp_path / "in", tmp_path / "out", "--panels", "--json", *networks)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outputs"] == 1 and told["rejected"] == 0 and told["pictures"] > 5
    made = tmp_path / "out" / "worn_unmasked.png"
    before, after = masked(portraits()[0]), images.read(made)
    alpha = images.read_grey(tmp_path / "out" / "worn_unmasked_alpha.png")
    assert (before[alpha == 0] == after[alpha == 0]).all() and (greenness(after) > 60).sum() < 30
    assert (tmp_path / "out" / "worn_unmasked_panels.jpg").is_file()
    rows = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert set(rows.loc[rows["status"] == "skipped", "reason"]) <= {"no mask found", "no face found"}
    assert np.nansum(rows["changed_px_outside"]) == 0


def test_a_masked_video_keeps_its_length_and_sound(networks, tmp_path):
    from ops.video_writer import write_video
    from ops.videos import sample_video

    make_sample(tmp_path / "sample")
    source, given = tmp_path / "sample" / "clip.mp4", tmp_path / "worn.mp4"
    still = masked(portraits()[0])[: video_info(source).height, : video_info(source).width]
    with write_video(given, like=source) as made:
        for shot in sample_video(source, None):
            made.add(still, shot.time, shot.duration)
            if shot.index == 5:
                break
    done = command(given, tmp_path / "out", *networks)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "out" / "worn_unmasked.mp4"
    assert video_info(path)[1:] == video_info(given)[1:] and extract_sound(path) == extract_sound(given)
    first = next(sample_video(path, None)).pixels
    assert (greenness(first) > 60).sum() < 0.03 * (greenness(still) > 60).sum()


def test_what_is_missing_or_no_network_is_one_line(networks, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(images.encode_png(portraits()[0]))
    wrong = command(picture, tmp_path / "out", "--segmenter", networks[3], "--completer", networks[3])
    assert wrong.returncode == 1 and "a mask segmenter takes floats" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_shipped_networks_are_the_default_and_take_a_drawn_mask_off(tmp_path):
    assert all(path.stat().st_size <= most for path, most in zip(shipped(), (4_000_000, 12_000_000), strict=True))
    pixels = portraits()[1]
    (face,) = find_faces(pixels, *FaceModels(device="cpu").load(), max_faces=1)
    worn = render(pixels, face, replace(draw_spec("shipped", MaskSettings()), state="correct"))
    (tmp_path / "worn.png").write_bytes(images.encode_png(worn.picture))
    done = command(tmp_path / "worn.png", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    made = images.read(tmp_path / "out" / "worn_unmasked.png")
    inside = worn.full_region()
    before, after = (np.abs(each[inside].astype(int) - pixels[inside]).mean() for each in (worn.picture, made))
    assert after < 0.6 * before, "nearer to the face that was there"

"""The command line as a user runs it: files and folders in, mirrored outputs, exit codes, one JSON object."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ops import images
from ops.content import directory_md5
from ops.sample import make_sample
from ops.store import Dataset

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def maskline(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "apps.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    make_sample(folder / "made")
    pictures = sorted((folder / "made").rglob("*.jpg"))[:3]
    (folder / "photos" / "a b").mkdir(parents=True)
    for path in pictures:
        shutil.copy(path, folder / "photos" / "a b")
    (folder / "photos" / "empty.png").write_bytes(b"")
    return folder / "photos"


def test_mask_mirrors_folders_and_names(photos, tmp_path):
    out = tmp_path / "out"
    told = json.loads(
        maskline("mask", photos, out, "--n-augmentations", 2, "--crop-style", "buffalo", "--workers", 1, "--json")
    )
    assert told.keys() == {"pictures", "faces", "outputs", "skipped", "rejected", "seconds"}
    assert (told["pictures"], told["rejected"]) == (4, 1)
    stems = [path.stem for path in (photos / "a b").iterdir()]
    for stem in stems:
        for variant in range(2):
            assert (out / "a b" / f"{stem}_aug{variant}_masked.png").is_file()
            assert list((out / "a b").glob(f"{stem}_aug{variant}_buffalo*.jpg"))
    rows = pd.read_parquet(out / "manifest.parquet")
    assert {"source", "output", "face", "status", "reason", "region", "state", "x1", "matrix", "kind"} <= set(rows)
    assert rows.loc[rows["source"] == "empty.png", "status"].tolist() == ["rejected"]
    assert "empty.png" in (out / "missed_images.txt").read_text()
    before = (out / "manifest.parquet").read_bytes()
    log = (out / "logs.csv").read_text()
    maskline("mask", photos, out, "--n-augmentations", 2, "--crop-style", "buffalo", "--json")
    assert (out / "manifest.parquet").read_bytes() == before
    assert (out / "logs.csv").read_text() == log


def test_runs_with_other_wishes_on_one_output_keep_each_others_rows(photos, tmp_path):
    first, second = sorted((photos / "a b").iterdir())[:2]
    out = tmp_path / "out"
    maskline("mask", first, out, "--n-augmentations", 3, "--crop-style", "buffalo")
    maskline("faces", second, out)
    rows = pd.read_parquet(out / "manifest.parquet")
    assert set(rows["source"]) == {first.name, second.name}
    assert rows.loc[rows["source"] == first.name, "matrix"].notna().any()
    maskline("mask", first, out, "--no-crop", "--n-augmentations", 1)
    assert {path.name for path in out.glob(f"{first.stem}_aug*")} == {
        f"{first.stem}_aug0_masked.png",
        f"{first.stem}_aug0_alpha_face0.png",
    }
    assert (out / f"{second.stem}_faces.jpg").is_file()
    assert len((out / "logs.csv").read_text().splitlines()) == 2


def test_an_interrupted_run_with_other_wishes_leaves_no_wrong_labels(photos, tmp_path):
    """Files that another seed wrote over before a kill are not taken for the first seed's."""
    picture = next((photos / "a b").iterdir())
    for name in ("out", "calm"):
        maskline("mask", picture, tmp_path / name, "--no-crop")
    maskline("mask", picture, tmp_path / "other", "--no-crop", "--seed", 1)
    code = (
        "import sys; from pathlib import Path; from apps import cli; from ops import store;"
        "store.Dataset._finish = lambda *args: sys.exit(9); cli.main()"
    )
    command = [sys.executable, "-c", code, "mask", str(picture), str(tmp_path / "out"), "--no-crop", "--seed", "1"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    masked = f"{picture.stem}_aug0_masked.png"
    assert (tmp_path / "out" / masked).read_bytes() == (tmp_path / "other" / masked).read_bytes()
    maskline("mask", picture, tmp_path / "out", "--no-crop")
    assert directory_md5(tmp_path / "out") == directory_md5(tmp_path / "calm")


def test_files_with_one_stem_do_not_write_over_each_other(photos, tmp_path):
    picture = next((photos / "a b").iterdir())
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(picture, folder / "a.jpg")
    (folder / "a.png").write_bytes(images.encode_png(images.read(picture)))
    for name in ("a.jpg", "a.png"):
        maskline("mask", folder / name, tmp_path / "out", "--no-crop")
    rows = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert sorted(rows["output"]) == ["a.jpg_aug0_masked.png", "a.png_aug0_masked.png"]


def test_masks_alone_crops_alone_and_neither(photos, tmp_path):
    picture = next((photos / "a b").iterdir())
    maskline("mask", picture, tmp_path / "masks", "--no-crop")
    assert not list((tmp_path / "masks").glob("*.jpg"))
    assert (tmp_path / "masks" / f"{picture.stem}_aug0_masked.png").is_file()
    maskline("mask", picture, tmp_path / "crops", "--no-mask")
    assert not list((tmp_path / "crops").glob("*.png"))
    assert list((tmp_path / "crops").glob(f"{picture.stem}_aug0_arcface*.jpg"))
    maskline("mask", picture, tmp_path / "neither", "--no-mask", "--no-crop")
    copy = images.read(tmp_path / "neither" / f"{picture.stem}_aug0_original.png")
    assert np.array_equal(copy, images.read(picture))


def test_crop_and_faces(photos, tmp_path):
    maskline("crop", photos, tmp_path / "crops", "--crop-style", "arcface", "--size", 224)
    crops = list((tmp_path / "crops" / "a b").glob("*_arcface*.jpg"))
    assert crops
    assert all(images.read(path).shape == (224, 224, 3) for path in crops)
    maskline("faces", photos, tmp_path / "faces")
    rows = pd.read_parquet(tmp_path / "faces" / "manifest.parquet")
    assert {"x1", "y1", "x2", "y2", "score", "yaw", "pitch", "roll"} <= set(rows)
    assert rows.loc[rows["status"] == "done", "yaw"].notna().all()


def test_same_seed_same_bytes_other_seed_other_masks(photos, tmp_path):
    picture = next((photos / "a b").iterdir())
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        maskline("mask", picture, tmp_path / name, "--no-crop", "--seed", seed)
    one, same, other = (
        (tmp_path / n / f"{picture.stem}_aug0_masked.png").read_bytes() for n in ("one", "same", "other")
    )
    assert one == same
    assert one != other


def test_kill_in_the_middle_then_resume_gives_the_same_tree(photos, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    original = next((photos / "a b").iterdir()).read_bytes()
    for number in range(80):
        (folder / f"{number:03d}.jpg").write_bytes(original + bytes([number]))
    arguments = ("--crop-style", "buffalo", "--workers", 2)
    maskline("mask", folder, tmp_path / "calm", *arguments)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "apps.cli", "mask", folder, out, *arguments]
    victim = subprocess.Popen([str(part) for part in command], cwd=ROOT, start_new_session=True)
    while len(list(out.glob("*_masked.png"))) < 40:
        assert victim.poll() is None, "the process ended before it could be killed"
        time.sleep(0.01)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    assert not (out / "manifest.parquet").exists()
    maskline("mask", folder, out, *arguments)
    assert directory_md5(out) == directory_md5(tmp_path / "calm")


def test_a_full_disk_is_one_clear_line_and_the_next_run_resumes(photos, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        told = maskline("mask", photos, disk / "out", code=1)
        assert told.strip().count("\n") == 0
        assert "No space left on device" in told
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        maskline("mask", photos, disk / "out")
        maskline("mask", photos, tmp_path / "calm" / "out")
        assert directory_md5(disk / "out") == directory_md5(tmp_path / "calm" / "out")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_runs_on_one_output_do_not_mix(photos, tmp_path):
    with Dataset(tmp_path / "out").lock():
        assert "being written by another process" in maskline("mask", photos, tmp_path / "out", code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["mask", "nowhere.jpg", "{out}"], 2, "nowhere.jpg does not exist"),
        (["mask", "{photos}", "{photos}/out"], 2, "lies inside INPUT"),
        (["mask", "{photos}", "{out}", "--crop-style", "bufalo"], 2, "buffalo"),
        (["mask", "{photos}", "{out}", "--detector", "retina"], 2, "blazeface"),
        (["mask", "{photos}/empty.png", "{out}"], 1, "rejected"),
        (["mask", "{photos}"], 2, "Missing argument"),
    ],
)
def test_wrong_usage_and_hopeless_input(photos, tmp_path, arguments, code, words):
    filled = [text.format(photos=photos, out=tmp_path / "out") for text in arguments]
    assert words in " ".join(maskline(*filled, code=code).split())


def test_models_are_listed():
    models = json.loads(maskline("models", "list", "--json"))
    assert {"blazeface_short", "face_mesh", "dlib_68"} <= {model["name"] for model in models}
    assert all(model["licence"] and model["sources"] for model in models)

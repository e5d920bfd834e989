"""The embedded sample: the same bytes every time, and faces in every picture."""

import numpy as np
import pytest

from ops import frames, images
from ops.sample import make_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "sample"
    make_sample(folder)
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_call_writes_nothing_and_repairs_what_changed(sample, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*") if path.is_file()}
    make_sample(sample)
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*") if path.is_file()} == before
    make_sample(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"half")
    make_sample(tmp_path)
    assert contents(tmp_path) == contents(sample)


def test_what_is_in_it(sample):
    found = list(frames.scan(sample))
    assert not [item for item in found if isinstance(item, frames.Rejected)]
    assert [item.kind for item in found].count("image") == 8
    assert frames.find_duplicates((item.path, item.content) for item in found) == {
        "grace_hopper/grace_hopper_again.jpg": "grace_hopper/grace_hopper.jpg"
    }
    about = {item.path: images.describe((sample / item.path).read_bytes()) for item in found if item.kind == "image"}
    assert {info.format for info in about.values()} == {"JPEG", "PNG", "WEBP"}
    assert about["grace_hopper/grace_hopper_turned.jpg"][2:5] == (512, 600, 6)
    told = (sample / "SOURCES.md").read_text()
    assert all(word in told for word in ("Eileen Collins", "Grace Hopper", "public domain", "NASA", "US Navy"))


def test_the_turned_portrait_is_upright(sample):
    turned = images.read(sample / "grace_hopper" / "grace_hopper_turned.jpg").astype(int)
    upright = images.read(sample / "grace_hopper" / "grace_hopper.jpg").astype(int)
    assert np.abs(turned - upright).mean() < 3


def test_the_clip_shows_both_portraits(sample):
    shots = [shot.pixels.astype(int) for shot in frames.sample_video(sample / "clip.mp4")]
    assert [shot.shape for shot in shots] == [(360, 360, 3)] * 4
    zoomed, changed = np.abs(shots[1] - shots[0]).mean(), np.abs(shots[2] - shots[1]).mean()
    assert 5 < zoomed < changed


def test_every_picture_and_every_second_of_the_clip_shows_a_face(sample):
    import dlib

    detector = dlib.get_frontal_face_detector()
    for item in frames.scan(sample):
        path = sample / item.path
        video = item.kind == "video"
        pictures = [shot.pixels for shot in frames.sample_video(path)] if video else [images.read(path)]
        expected = 2 if "together" in item.path else 1
        # above 0.25: the detector takes the badge on the space suit for a face, at 0.2 and less
        assert [len(detector.run(pixels, 0, 0.25)[0]) for pixels in pictures] == [expected] * len(pictures), item.path

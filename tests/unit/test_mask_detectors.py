"""Mask detectors in ONNX files: what they tell, how they travel, and what is refused."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ops.masking import LABELS
from resources.devices import DeviceUnavailable, cuda_devices
from resources.mask_detectors import BadDetector, OnnxMaskDetector, shipped
from tests.detectors import BLUE, GREEN, RED, patch_detector

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def patch(tmp_path_factory):
    return patch_detector(tmp_path_factory.mktemp("onnx") / "patch.onnx", thresholds=(0.9, 0.8, 0.7))


@pytest.fixture
def coloured():
    pixels = np.full((640, 640, 3), 128, np.uint8)
    for (x, y), colour in (((64, 64), RED), ((128, 0), GREEN), ((0, 576), BLUE)):
        pixels[y : y + 64, x : x + 64] = colour
    return pixels


def test_it_finds_what_is_there_in_the_pictures_own_pixels(patch, coloured):
    detector = OnnxMaskDetector(patch)
    assert (detector.labels, detector.thresholds, detector.size) == (LABELS, pytest.approx((0.9, 0.8, 0.7)), 320)
    found = detector(coloured).over(detector.thresholds)
    told = dict(zip(found.names, found.boxes.tolist(), strict=True))
    assert told == {
        "with_mask": [64, 64, 128, 128],
        "without_mask": [128, 0, 192, 64],
        "mask_weared_incorrect": [0, 576, 64, 640],
    }
    assert detector(coloured, floor=0).boxes.shape == (100, 4)


def test_classes_in_another_order_come_out_in_ours(patch, coloured, tmp_path):
    names = ["mask_weared_incorrect", "with_mask", "without_mask"]
    other = OnnxMaskDetector(patch_detector(tmp_path / "a.onnx", names=names, thresholds=(0.7, 0.8, 0.9)))
    assert other.thresholds == pytest.approx((0.8, 0.9, 0.7))
    found = other(coloured, floor=0.9)
    assert {tuple(box): name for box, name in zip(found.boxes.tolist(), found.names, strict=True)} == {
        (64, 64, 128, 128): "mask_weared_incorrect",
        (128, 0, 192, 64): "with_mask",
        (0, 576, 64, 640): "without_mask",
    }


def test_it_travels_after_use_and_threads_change_nothing(tiny_detector, coloured):
    detector = OnnxMaskDetector(tiny_detector, threads=2)
    first = detector(coloured)
    assert len(first.boxes) and (first.boxes >= 0).all() and (first.boxes <= 640).all()
    copy = pickle.loads(pickle.dumps(detector))  # noqa: S301 - our own bytes
    assert copy == detector
    alone = OnnxMaskDetector(tiny_detector, threads=1)
    for other in (copy, alone):
        assert all(np.array_equal(a, b) for a, b in zip(first, other(coloured), strict=True))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.onnx"):
        _ = OnnxMaskDetector(tmp_path / "gone.onnx").size


def test_what_is_no_onnx_is_told(tmp_path):
    for name, data in {"text.onnx": b"no model\n" * 9, "empty.onnx": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadDetector, match=name):
            _ = OnnxMaskDetector(tmp_path / name).size


@pytest.mark.parametrize("changed", ["names", "thresholds", "size"])
def test_metadata_that_lacks_is_told(tmp_path, changed):
    path = patch_detector(tmp_path / "a.onnx", **{changed: None})
    with pytest.raises(BadDetector, match="names, thresholds and size"):
        _ = OnnxMaskDetector(path).size


@pytest.mark.parametrize(
    "wrong",
    [{"names": ["face", "mask", "none"]}, {"names": LABELS[:2]}, {"thresholds": [0.5]}, {"size": 100}, {"size": 0}],
)
def test_metadata_that_does_not_fit_is_told(tmp_path, wrong):
    path = patch_detector(tmp_path / "a.onnx", **wrong)
    with pytest.raises(BadDetector, match="with_mask, without_mask, mask_weared_incorrect in any order"):
        OnnxMaskDetector(path)(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("learned", [["no number"], 7, [1]])
def test_what_it_learned_from_must_be_hashes(tmp_path, learned):
    path = patch_detector(tmp_path / "patch.onnx", learned=learned)
    with pytest.raises(BadDetector, match="learned, if any, as a list of hexadecimal numbers"):
        _ = OnnxMaskDetector(path).size


def test_another_networks_file_is_told(mirror):
    with pytest.raises(BadDetector, match=r"a mask detector takes floats \(n, 3, h, w\) and gives floats \(n, k, 6\)"):
        _ = OnnxMaskDetector(mirror / "version-RFB-320.onnx").size


@pytest.mark.skipif(cuda_devices() > 0, reason="there is a GPU")
def test_a_device_that_is_not_there_is_told(patch):
    with pytest.raises(DeviceUnavailable, match="cuda"):
        _ = OnnxMaskDetector(patch, "cuda").size


def test_where_nothing_counts_it_looks_again_at_half_the_size(patch):
    """Red dots between black: grey at 320 pixels, pure red at 160, which takes the middle of each four by four."""
    dot = np.zeros((4, 4, 3), np.uint8)
    dot[1:3, 1:3] = RED
    pixels = np.full((640, 640, 3), 128, np.uint8)
    pixels[128:256, 256:384] = np.tile(dot, (32, 32, 1))
    detector = OnnxMaskDetector(patch)
    found = detector(pixels).over(detector.thresholds)
    assert (found.names, found.boxes.tolist()) == (["with_mask"], [[256, 128, 384, 256]])
    pixels[:64, :64] = GREEN
    found = detector(pixels).over(detector.thresholds)
    assert (found.names, found.boxes.tolist()) == (["without_mask"], [[0, 0, 64, 64]])


def test_the_shipped_detector_is_one():
    detector = OnnxMaskDetector(shipped())
    assert shipped().stat().st_size <= 6_000_000
    assert all(0 < threshold < 1 for threshold in detector.thresholds)
    assert detector.size % 32 == 0


def test_making_one_loads_nothing():
    code = (
        "import sys, json; from pathlib import Path; from resources.mask_detectors import OnnxMaskDetector;"
        "OnnxMaskDetector(Path('a.onnx')); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "cv2", "torch"} & set(json.loads(done.stdout))

"""Export of the mask detector: what an ONNX gives against what its network gives."""

import json

import numpy as np
import pytest
import torch

from ops import images
from ops.masking import LABELS
from ops.stages.detector import WEIGHTS
from ops.training import export
from ops.training.detector import BEST, listed
from ops.training.onnx_files import to_float16
from tests.tiny_split import make_split

SIDE = 96


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("split") / "split")


def rows(count=300, seed=0):
    drawn = np.random.default_rng(seed)
    scores = np.sort(drawn.uniform(0.1, 0.9, count))[::-1]
    corners = drawn.uniform(0, 300, (count, 2))
    return np.column_stack([corners, corners + 50, scores, drawn.integers(0, 3, count)]).astype(np.float32)


def test_rows_are_compared_whatever_their_order():
    left = rows()
    assert export.rows_apart(left, left[np.random.default_rng(1).permutation(300)], 640) == 0


@pytest.mark.parametrize(("column", "by", "apart"), [(0, 6.4, 0.01), (4, 0.05, 0.05), (5, 1, 1.0)])
def test_a_row_that_is_another_is_found(column, by, apart):
    left, right = rows(), rows()
    right[3, column] = (right[3, column] + by) % 3 if column == 5 else right[3, column] + by
    assert export.rows_apart(left, right, 640) == pytest.approx(apart, rel=1e-3)


def test_the_last_of_nearly_equal_rows_may_be_another():
    left, right = rows(), rows()
    right[-1, :4], right[-1, 4] = 0, right[-1, 4] + 1e-6
    assert export.rows_apart(left, right, 640) == 0
    right[0, :4] = 0
    assert export.rows_apart(left, right, 640) > 0.01


def test_what_no_detector_says_is_unsound():
    for column, value in ((0, np.nan), (4, 1.5), (5, 3)):
        broken = rows()
        broken[7, column] = value
        assert export.sound(rows()) and not export.sound(broken)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """An untrained network as a training's checkpoint."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network = DetectionModel("yolo26n.yaml", nc=len(LABELS), verbose=False)
    network.names = dict(enumerate(LABELS))
    path = tmp_path_factory.mktemp("drawn") / BEST
    about = {"epoch": 4, "train_args": {"imgsz": SIDE, "data": "/home/me/data.yaml"}}
    torch.save({**about, "version": "8", "license": "AGPL-3.0", "docs": "", "ema": network.half()}, path)
    return path


@pytest.mark.slow
def test_an_onnx_gives_what_its_network_gives_at_every_size(drawn, tmp_path, split):
    weights, epoch = export.clean_weights(drawn)
    assert (epoch, b"/home/me" in weights) == (5, False)
    (tmp_path / WEIGHTS).write_bytes(weights)
    network = export.load_network(tmp_path / WEIGHTS)
    whole = export.to_onnx(network, SIDE)
    assert {entry.key: json.loads(entry.value) for entry in whole.metadata_props} == {"names": list(LABELS), "size": 96}
    pictures = [images.read(split / name) for name in listed(split, "val")]
    half = to_float16(whole)
    small = export.to_int8(whole, pictures, SIDE, tmp_path)
    for model in (whole, half, small):
        run = export.run_of(model.SerializeToString())
        for shape in ((1, 3, 64, 64), (3, 3, 416, 32), (2, 3, 160, 224)):
            found = run(np.zeros(shape, np.float32))
            assert found.shape == (shape[0], 300, 6) and found.dtype == np.float32
    for side in (SIDE, 320):
        assert export.deviation(network, export.run_of(whole.SerializeToString()), pictures, side) < 1e-4
    assert export.deviation(network, export.run_of(half.SerializeToString()), pictures, SIDE) < 0.01
    sizes = [len(model.SerializeToString()) for model in (whole, half, small)]
    assert sizes[1] < 0.55 * sizes[0] and sizes[2] < sizes[1]

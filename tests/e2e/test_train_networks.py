"""``maskline train segmenter`` and ``completer``, as users start them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app
from ops.store import Dataset
from resources.tracking import Tracking, local_uri
from tests.tiny_pairs import make_pairs

TINY = ["--size", "32", "--widths", "8,12", "--epochs", "1", "--batch", "6"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return make_pairs(tmp_path_factory.mktemp("pairs"), size=32, train=2, val=1).folder


def call(*arguments: object):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "figures", "more"),
    [
        ("segmenter", {"dice", "iou", "bare"}, []),
        ("completer", {"psnr", "ssim", "l1"}, ["--adversary", "8", "--perceptual", "none", "--close-from", "0.5"]),
    ],
)
def test_a_network_is_trained_and_told_and_not_trained_again(pairs, tmp_path, name, figures, more):
    store = local_uri(tmp_path)
    given = [name, pairs, tmp_path / "out", *TINY, *more, "--device", "cpu", "--tracking", store, "--json"]
    first, again = (call(*given) for _ in range(2))
    assert first.exit_code == again.exit_code == 0, first.output
    told, later = (json.loads(run.stdout) for run in (first, again))
    assert figures <= told.keys() and told["validated_on"] == "people of its own"
    assert (told["made"], told["kept"], later["made"], later["kept"]) == (1, 0, 0, 1)
    assert Tracking(store, f"{'mask' if name == 'segmenter' else 'face'}_{name}").runs()[0].run_id == told["run_id"]
    files = {path.name for path in (tmp_path / "out").iterdir()} - {"manifest.parquet", "rejects.parquet"}
    assert files == set(Dataset(tmp_path / "out").read()["output"]) and f"{name}.onnx" in files


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--widths", "8,x"], "widths are '8,x'; use whole numbers"),
        (["--size", "40"], "size is 40; use a multiple of 16"),
        (["--keep", "first"], "keep is 'first'; use one of best, last"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_what_cannot_be_is_a_usage_error(pairs, tmp_path, wrong, told):
    done = call("segmenter", pairs, tmp_path / "out", *wrong)
    assert done.exit_code == 2 and told in done.output
    assert not (tmp_path / "out").exists()


def test_a_folder_without_pairs_is_a_usage_error(tmp_path):
    done = call("completer", tmp_path, tmp_path / "out")
    assert done.exit_code == 2 and "has no manifest.parquet" in done.output

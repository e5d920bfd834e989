"""Tiny networks trained to the end: killed and gone on with, judged every epoch, exported, tracked, and checked."""

import csv
import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from assets_defs.checks.unmasking import runs_as_trained
from ops import images
from ops.content import file_md5
from ops.stages import completer, segmenter
from ops.stages.networks import BEST, COLUMNS, CURVES, EPOCHS, SHEET, UNPROVEN, WEIGHTS, deviation, load, make, plan
from ops.store import Dataset, DatasetBusy
from ops.training.onnx_files import to_onnx
from ops.training.recipe import CompleterRecipe, SegmenterRecipe
from ops.training.tasks import Task, evened, read_pairs
from resources import networks
from resources.compute import Local
from resources.tracking import CHALLENGER, Tracking, local_uri
from tests.tiny_pairs import make_pairs

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"size": 32, "widths": (8, 12), "epochs": 3, "batch": 6, "average": 0.9, "precision": "float32", "every": 2}
pytestmark = pytest.mark.slow


def segment(**more) -> segmenter.Segment:
    return segmenter.Segment(networks.segmenter(), SegmenterRecipe(**SMALL | {"lr": 5e-3} | more))


def complete(**more) -> completer.Complete:
    recipe = CompleterRecipe(**SMALL | {"adversary": 8, "whole_from": 0.0, "close_from": 0.4} | more)
    return completer.Complete(networks.completer(), networks.adversary(), None, recipe)


TASKS = {"segmenter": (segment, segmenter.COLUMNS), "completer": (complete, completer.COLUMNS)}


@contextmanager
def unrecorded(*_, **__):
    """A record that says when an epoch is over, and keeps nothing."""

    def tell(number, metrics):
        print("epoch", number, flush=True)

    yield SimpleNamespace(run_id="x", epoch=tell, keep=lambda files: None, register=lambda file: 1)


def train(task: Task, pairs: Dataset, data: Path, *, record: bool = True) -> Dataset:
    dataset = Dataset(data / task.name, TASKS[task.name][1])
    track = Tracking(local_uri(data), task.name).run if record else unrecorded
    make(dataset, read_pairs(pairs), data / "training", task, device="cpu", track=track, mapper=Local(1))
    return dataset


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Dataset:
    return make_pairs(tmp_path_factory.mktemp("pairs"), size=48, train=3, val=1)


@pytest.fixture(scope="module")
def made(pairs, tmp_path_factory) -> dict[str, Dataset]:
    data = tmp_path_factory.mktemp("data")
    return {name: train(task(), pairs, data) for name, (task, _) in TASKS.items()}


@pytest.mark.parametrize(("name", "judge"), [("segmenter", "dice"), ("completer", "ssim")])
def test_every_file_of_a_training_is_there_and_told(made, pairs, name, judge):
    folder = made[name].folder
    card = json.loads((folder / f"{name}.json").read_text())
    files = {WEIGHTS, f"{name}.onnx", EPOCHS, CURVES, SHEET, f"{name}.json"}
    rows = made[name].read(status="done").set_index("output")
    assert set(rows.index) == files
    assert rows.loc[WEIGHTS, judge] == card["figures"]["all"][judge]
    assert card["widths"] == [8, 12] and card["size"] == 32 and card["validated_on"] == "people of its own"
    kinds = card["figures"]["by_kind"]
    assert {kind: told["squares"] for kind, told in kinds.items()} == {"surgical": 2, "cloth": 2}
    with (folder / EPOCHS).open() as table:
        epochs = list(csv.DictReader(table))
    assert [float(epoch["epoch"]) for epoch in epochs] == [1, 2, 3]
    best = max(epochs, key=lambda epoch: float(epoch[f"val/{judge}"]))
    assert card["kept_epoch"] == (float(best["epoch"]) if name == "segmenter" else 3)
    assert images.read(folder / SHEET).shape[1] > 8 * 192


@pytest.mark.parametrize("name", TASKS)
def test_mlflow_has_the_run_its_epochs_its_files_and_a_version(made, name):
    store = Tracking(local_uri(made[name].folder.parent), name)
    (run,), (version,) = store.runs(), store.versions()
    card = json.loads((made[name].folder / f"{name}.json").read_text())
    assert (run.run_id, run.status) == (card["run_id"], "FINISHED")
    assert (version.version, version.aliases) == (card["mlflow_version"], (CHALLENGER,))
    assert run.params["lr"] and run.tags["data_version"].endswith(".dir")
    assert run.tags["split_hash"] == card["split_hash"]
    assert [step for step, _ in store.history(run.run_id, "train/loss")] == [1, 2, 3]
    kept = {path.name for path in store.artifact(run.run_id, WEIGHTS).parent.iterdir()}
    sheets = {f"sheet_{epoch:04d}.jpg" for epoch in (1, 2, 3)}
    assert kept == {*made[name].read()["output"], *sheets, "weights_0002.pt"}


@pytest.mark.parametrize("name", TASKS)
def test_the_onnx_gives_what_the_weights_give_and_the_check_sees_when_not(made, pairs, tmp_path, name):
    task, told = TASKS[name][0](), read_pairs(pairs)
    folder = made[name].folder
    apart = deviation(task, load(task, folder / WEIGHTS), (folder / f"{name}.onnx").read_bytes(), told)
    assert 0 <= apart < 1e-3
    assert runs_as_trained(made[name], task, told).passed

    foreign = Dataset(tmp_path / name, COLUMNS)
    foreign.folder.mkdir()
    for path in folder.iterdir():
        (foreign.folder / path.name).write_bytes(path.read_bytes())
    torch.manual_seed(1)
    strange = to_onnx(task.whole(task.network.build(task.recipe.widths)), task.inputs, task.output, 32)
    (foreign.folder / f"{name}.onnx").write_bytes(strange.SerializeToString())
    result = runs_as_trained(foreign, task, told)
    assert not result.passed and result.metadata["onnx_from_weights"].value > 1e-3


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from ops.content import file_md5
from ops.store import Dataset
from resources.tracking import TrackedRun
from tests.unit import test_networks
log = TrackedRun.epoch
def epoch(self, number, metrics):
    log(self, number, metrics)
    print("epoch", number, flush=True)
TrackedRun.epoch = epoch
name, pairs, data, record = sys.argv[1:]
test_networks.train(test_networks.TASKS[name][0](), Dataset(Path(pairs)), Path(data), record=record == "True")
"""


@pytest.mark.parametrize(("name", "record"), [("segmenter", True), ("completer", False)])
def test_a_killed_training_ends_as_if_it_had_not_been(made, pairs, tmp_path, name, record):
    command = [sys.executable, "-c", KILLED, name, str(pairs.folder), str(tmp_path), str(record)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        for line in killed.stdout:
            if line == "epoch 2\n":
                killed.kill()
    assert killed.returncode == -9
    (work,) = (tmp_path / "training").iterdir()
    assert (work / BEST).is_file() and not (tmp_path / name / "manifest.parquet").exists()
    ended = train(TASKS[name][0](), pairs, tmp_path, record=record)
    assert not (tmp_path / "training").exists()
    for file in (f"{name}.onnx", WEIGHTS, EPOCHS, CURVES, SHEET):
        assert (ended.folder / file).read_bytes() == (made[name].folder / file).read_bytes(), file
    if record:
        store = Tracking(local_uri(tmp_path), name)
        (run,) = store.runs()
        assert run.status == "FINISHED"
        assert [step for step, _ in store.history(run.run_id, "train/loss")] == [1, 2, 3]


def test_what_is_trained_is_not_trained_again(made, pairs):
    before = {path: path.stat().st_mtime_ns for path in made["segmenter"].folder.rglob("*")}
    train(segment(), pairs, made["segmenter"].folder.parent)
    assert {path: path.stat().st_mtime_ns for path in made["segmenter"].folder.rglob("*")} == before
    (other,) = plan(segment(epochs=4), read_pairs(pairs))
    assert other.fingerprint != made["segmenter"].read()["fingerprint"][0]


@pytest.mark.parametrize("name", TASKS)
def test_a_training_goes_on_from_another_ones_weights(made, pairs, tmp_path, name):
    weights, (task, columns) = made[name].folder / WEIGHTS, TASKS[name]
    asked = task(start=str(weights), epochs=1, lr=1e-5)
    before, after = (plan(each, read_pairs(pairs))[0].fingerprint for each in (task(epochs=1, lr=1e-5), asked))
    assert before != after
    dataset = Dataset(tmp_path / name, columns)
    train_of = {"device": "cpu", "track": unrecorded, "mapper": Local(1)}
    make(dataset, read_pairs(pairs), tmp_path / "training", asked, **train_of)
    old, new = (load(asked, folder / WEIGHTS).state_dict() for folder in (made[name].folder, dataset.folder))
    learned = [key for key in old if "running" not in key and "num" not in key]
    assert all(torch.allclose(old[key], new[key], atol=1e-3) for key in learned)
    card = json.loads((dataset.folder / f"{name}.json").read_text())
    assert card["start_md5"] == file_md5(weights)

    (tmp_path / "text.pt").write_text("no")
    for wrong in (
        tmp_path / "text.pt",
        made[{"segmenter": "completer", "completer": "segmenter"}[name]].folder / WEIGHTS,
    ):
        with pytest.raises(ValueError, match="can't be started from"):
            make(dataset, read_pairs(pairs), tmp_path / "training", task(start=str(wrong)), **train_of)


def test_a_fresh_training_leaves_the_one_that_is_under_way_alone(pairs, tmp_path):
    task, told, dataset = segment(), read_pairs(pairs), Dataset(tmp_path / "segmenter", segmenter.COLUMNS)
    begun = tmp_path / "training" / plan(task, told)[0].fingerprint / BEST
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"of the other")
    how = {"device": "cpu", "track": unrecorded, "mapper": Local(1), "fresh": True}
    with dataset.lock(), pytest.raises(DatasetBusy):
        make(dataset, told, tmp_path / "training", task, **how)
    assert begun.read_bytes() == b"of the other"


def test_rare_states_are_seen_more_often():
    rows = [{"state": state, "n": n} for state, count in (("worn", 16), ("off", 4), (None, 3)) for n in range(count)]
    counts = {share: Counter(known["state"] for known in evened(rows, "state", share)) for share in (0, 0.5, 1)}
    assert counts[0] == {"worn": 16, "off": 4, None: 3}
    assert counts[0.5] == {"worn": 16, "off": 8, None: 3}
    assert counts[1] == {"worn": 16, "off": 16, None: 3}


def test_figures_of_what_was_trained_on_are_told_to_prove_nothing(tmp_path):
    pairs = read_pairs(make_pairs(tmp_path / "pairs", size=32, train=1))
    task = segment(epochs=1, every=0)
    dataset = Dataset(tmp_path / "segmenter", segmenter.COLUMNS)
    how = {"device": "cpu", "track": unrecorded, "mapper": Local(1)}
    report = make(dataset, pairs, tmp_path / "training", task, **how)
    assert UNPROVEN in report.notes
    assert json.loads((dataset.folder / "segmenter.json").read_text())["validated_on"] == "what it was trained on"
    with pytest.raises(ValueError, match="no masked face to train on"):
        read_pairs(make_pairs(tmp_path / "none", size=32, val=1))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"size": 40}, "size is 40; use a multiple of 16"), ({"keep": "first"}, "keep is 'first'; use one of best, last")],
)
def test_a_recipe_that_cannot_be_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        replace(segment().recipe, **wrong)

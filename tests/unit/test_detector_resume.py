"""Trainings and searches that are killed, and go on."""

import json
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.stages.detector import CARD, COLUMNS, ONNX, WEIGHTS, make, plan
from ops.store import Dataset, DatasetBusy
from ops.training.detector import ENDED, Recipe, epochs_of, newest
from ops.training.search import search
from resources.compute import Local
from resources.start_weights import Start
from resources.tracking import CHALLENGER, Tracking, local_uri
from tests.tiny_split import make_split

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def quiet(epoch, metrics):
    """Don't watch."""


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return make_split(tmp_path_factory.mktemp("split") / "split")


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from ops.stages.detector import COLUMNS, make
from ops.store import Dataset
from ops.training.detector import Recipe
from resources.compute import Local
from resources.start_weights import Start
from resources.tracking import TrackedRun, Tracking, local_uri
split, out = map(Path, sys.argv[1:])
log = TrackedRun.epoch
def epoch(self, number, metrics):
    log(self, number, metrics)
    print("epoch", number, flush=True)
TrackedRun.epoch = epoch
recipe = Recipe(image_size=64, epochs=3, batch=4, patience=9, close_mosaic=1)
make(Dataset(out / "detector", COLUMNS), split, out / "training", recipe, Start("none", None, ""), device="cpu",
    track=Tracking(local_uri(out)).run, mapper=Local(1))
"""


def test_a_killed_training_goes_on_and_every_epoch_is_logged_once(split, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(split), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        for line in killed.stdout:
            if line == "epoch 2\n":
                killed.kill()
    assert killed.returncode == -9
    (work,) = (tmp_path / "training").iterdir()
    assert newest(work) is not None and not (newest(work) / ENDED).exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "", "quiet where there is no terminal"
    store, folder = Tracking(local_uri(tmp_path)), tmp_path / "detector"
    (run,) = store.runs()
    card = json.loads((folder / CARD).read_text())
    assert run.status == "FINISHED" and card["run_id"] == run.run_id and card["epochs"] == 3
    for metric in ("train/box_loss", "val/ap50", "lr"):
        assert [step for step, _ in store.history(run.run_id, metric)] == [1, 2, 3]
    table = epochs_of(folder / "epochs.csv")
    assert [row["epoch"] for row in table] == [1, 2, 3]
    (version,) = store.versions()
    assert version.aliases == (CHALLENGER,) and version.version == card["mlflow_version"]
    assert {path.name for path in store.artifact(run.run_id, CARD).parent.iterdir()} == {
        WEIGHTS,
        *ONNX.values(),
        "curves.png",
        "epochs.csv",
        CARD,
    }
    assert not (tmp_path / "training").exists()
    rows = Dataset(folder, COLUMNS).read()
    assert set(rows["output"]) == {path.name for path in store.artifact(run.run_id, CARD).parent.iterdir()}
    assert not list(split.rglob("*.cache"))


def test_a_fresh_training_leaves_the_one_that_is_under_way_alone(split, tmp_path):
    recipe, start, dataset = Recipe(image_size=64), Start("none", None, ""), Dataset(tmp_path / "detector", COLUMNS)
    begun = tmp_path / "training" / plan(split, recipe, start)[0].fingerprint / "last.pt"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"of the other")
    how = {"device": "cpu", "track": open_book, "mapper": Local(1), "fresh": True}
    with dataset.lock(), pytest.raises(DatasetBusy):
        make(dataset, split, tmp_path / "training", recipe, start, **how)
    assert begun.read_bytes() == b"of the other"


@contextmanager
def open_book(*_, **__):
    """A record that nobody reads."""
    yield SimpleNamespace(run_id="x", epoch=quiet)


def test_a_search_that_was_killed_ends_as_it_would_have(split, tmp_path):
    recipe = Recipe(image_size=64, epochs=1, batch=4, mosaic=0.5, close_mosaic=0, patience=9)
    how = {"trials": 2, "content": "x", "device": "cpu"}
    trainings: list[str] = []

    @contextmanager
    def interrupted(training, *_, **__):
        trainings.append(training)
        if len(trainings) == 3:
            raise KeyboardInterrupt
        yield SimpleNamespace(run_id="x", epoch=quiet)

    whole = search(split, tmp_path / "whole", recipe, None, track=open_book, **how)
    with pytest.raises(KeyboardInterrupt):
        search(split, tmp_path / "cut", recipe, None, track=interrupted, **how)
    ended = search(split, tmp_path / "cut", recipe, None, track=open_book, **how)
    assert ended == whole
    assert {"optimizer", "lr0", "mosaic", "mixup"} == set(ended.settings) and ended.trials == 2
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["study.db"]

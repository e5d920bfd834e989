"""Models that are exchanged under a run, and workers whose parent is gone."""

import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from ops.content import file_md5
from ops.files import write_atomic
from ops.pinned import ChangedModel
from ops.store import MANIFEST, Column, Dataset, Item, fingerprint, row
from resources.compute import Local
from tests.faults.line import Child, begin_warm, orphans, tree

pytestmark = pytest.mark.slow
COLUMNS = (Column("told", "string", "what the model says"),)


class Say:
    """A worker with a model: a file, opened with the first item, that says what is in it."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model, self.told = folder, model, ""

    def __call__(self, item: Item) -> list[dict]:
        self.told = self.told or self.model.read_text()
        write_atomic(self.folder / f"{item.fingerprint}.txt", self.told.encode())
        return [row(item, item.payload["source"], output=f"{item.fingerprint}.txt", told=self.told)]


def say(folder: Path, model: Path, progress=None):
    known = file_md5(model)
    items = [Item(fingerprint(number, known), {"source": f"{number}.jpg"}) for number in range(40)]
    work = partial(Say, folder, model)
    return Dataset(folder, COLUMNS).build(items, work, Local(1), models={model: known}, progress=progress)


@pytest.mark.parametrize("swap", [write_atomic, Path.write_bytes])
def test_a_model_that_is_exchanged_under_a_run_is_noticed_and_never_mixed(tmp_path, swap):
    model, folder = tmp_path / "model", tmp_path / "set"
    model.write_bytes(b"one")

    def exchanged(made: int, _: int) -> None:
        if made == 35:
            swap(model, b"two!")

    with pytest.raises(ChangedModel, match="model was exchanged while the run was under way"):
        say(folder, model, exchanged)
    model.write_bytes(b"one")
    assert say(folder, model).kept == 35, "what was made before stays"
    model.write_bytes(b"two!")
    assert say(folder, model).made == 40
    say(tmp_path / "calm", model)
    assert tree(folder) == tree(tmp_path / "calm") and set(Dataset(folder).read()["told"]) == {"two!"}


def test_a_model_exchanged_between_plan_and_work_is_noticed(tmp_path):
    model = tmp_path / "model"
    model.write_bytes(b"one")
    items = [Item("0", {"source": "0.jpg"})]
    with pytest.raises(ChangedModel):
        Dataset(tmp_path / "set", COLUMNS).build(
            items, partial(Say, tmp_path / "set", model), Local(1), models={model: "0" * 32}
        )
    assert not (tmp_path / "set" / MANIFEST).exists()


def test_a_model_written_over_in_place_goes_on_as_it_was(tmp_path):
    import numpy as np

    from model_assets.registry import fetch
    from resources.litert import TfLite

    file = Path(shutil.copy(fetch("face_mesh"), tmp_path))
    model, given = TfLite(file), np.random.default_rng(0).random((192, 192, 3), np.float32)
    before = model(given)
    file.write_bytes(bytes(file.stat().st_size))
    assert all((now == then).all() for now, then in zip(model(given), before, strict=True))


class Wait:
    """A worker that says that it began, and takes long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: Item) -> list[dict]:
        (self.folder / item.fingerprint).touch()
        time.sleep(60)
        return [row(item, "never.jpg")]


def wait(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may be told to ignore it
    list(Local(2).map(partial(Wait, folder), [Item(str(number), {}) for number in range(32)]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent_at_once(tmp_path, number):
    log = tmp_path / "child.log"
    begin_warm()
    child = Child(partial(wait, tmp_path), log)
    child.until(lambda: (tmp_path / "0").exists() and (tmp_path / "8").exists())
    child.kill(number)
    child.join(10)
    assert child.process.exitcode and not orphans(str(log))


def test_what_a_worker_can_not_load_is_told_as_it_is():
    with pytest.raises(FileNotFoundError, match="no such model"):
        list(Local(2).map(partial(unloadable, "no such model"), [Item("0", {})]))


def unloadable(why: str):
    raise FileNotFoundError(why)

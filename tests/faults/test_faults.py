"""What goes wrong on the way of a run: after each, the next run makes what an undisturbed one makes, byte for byte."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from ops.files import write_atomic
from ops.manifests import BadManifest
from ops.store import MANIFEST, Dataset
from orchestration.forgotten import end_forgotten
from resources.tracking import Tracking, local_uri
from tests.faults.kills import disturb, tracked_once
from tests.faults.line import SOURCE, Child, begin_warm, beside, calm, leftovers, make, orphans, run, tree

WANTED = ("frames", "face_geometry", "masked_faces", "aligned_crops", "unmasking_pairs", "mask_segmenter")
KILLS = (("masked_faces", 3), ("frames", 3), ("aligned_crops", 2), ("face_geometry", 2), ("mask_segmenter", 2))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    begin_warm()
    return calm(tmp_path_factory.mktemp("faults") / "calm", WANTED)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "child.log"


def same_after_all(undisturbed, data: Path, asset: str, log: Path) -> bool:
    """Run an asset once more, and tell whether it comes out as the undisturbed one."""
    Child(partial(run, data, asset), log).ends_well()
    return tree(data / asset) == tree(undisturbed.folder / asset) and not leftovers(data)


def held(folder: Path) -> bool:
    """Tell whether a process writes a dataset."""
    try:
        with Dataset(folder).lock():
            return False
    except RuntimeError:
        return True


@pytest.mark.parametrize(("asset", "times"), KILLS)
def test_runs_that_were_killed_leave_nothing_behind(undisturbed, tmp_path, asset, times):
    assert disturb(undisturbed, asset, tmp_path / "data", random.Random(asset), times)


def limited(data: Path, asset: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
    run(data, asset)


@pytest.mark.parametrize("asset", ["frames", "masked_faces"])
def test_a_file_that_may_not_grow_fails_the_run(undisturbed, tmp_path, log, asset):
    data = beside(undisturbed, asset, tmp_path / "data")
    child = Child(partial(limited, data, asset), log)
    assert child.join() == 1 and os.strerror(errno.EFBIG) in log.read_text()
    assert not (data / asset / SOURCE / MANIFEST).exists()
    assert same_after_all(undisturbed, data, asset, log)


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of 128 KB."""
    folder = tmp_path / "data" / "masked_faces"
    folder.mkdir(parents=True)
    mount(folder, "-t", "tmpfs", "-o", "size=128k", "tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr}")


def test_a_full_disk_fails_the_run_and_with_more_room_it_goes_on(undisturbed, tmp_path, log, disk):
    data = tmp_path / "data"
    for path in beside(undisturbed, "masked_faces", tmp_path / "links").iterdir():
        path.rename(data / path.name)
    child = Child(partial(run, data, "masked_faces"), log)
    assert child.join() == 1 and os.strerror(errno.ENOSPC) in log.read_text()
    assert not list(disk.rglob(".draft-*"))
    mount(disk, "-o", "remount,size=16m")
    assert same_after_all(undisturbed, data, "masked_faces", log)


def test_a_read_only_output_is_told_and_stays_as_it_was(undisturbed, tmp_path, log):
    data = beside(undisturbed, "masked_faces", tmp_path / "data")
    folder = shutil.copytree(undisturbed.folder / "masked_faces", data / "masked_faces")
    (folder / SOURCE / MANIFEST).unlink()
    before = tree(folder)
    mount(folder, "--bind", str(folder))
    try:
        mount(folder, "-o", "remount,ro,bind")
        child = Child(partial(run, data, "masked_faces"), log)
        assert child.join() == 1 and os.strerror(errno.EROFS) in log.read_text()
        assert tree(folder) == before
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert same_after_all(undisturbed, data, "masked_faces", log)


def years_back(data: Path, asset: str, years: float) -> None:
    now = time.time
    time.time = lambda: now() - years * 365 * 86_400
    run(data, asset)


def test_a_clock_that_goes_back_changes_nothing(undisturbed, tmp_path, log):
    data = beside(undisturbed, "masked_faces", tmp_path / "data")
    child = Child(partial(run, data, "masked_faces", crash_at=undisturbed.writes["masked_faces"] - 8), log)
    assert child.join() == -9
    for path in (data / "masked_faces").rglob("*"):
        os.utime(path, (4e9, 4e9))
    Child(partial(years_back, data, "masked_faces", 9), log).ends_well()
    assert tree(data / "masked_faces") == tree(undisturbed.folder / "masked_faces")


def flipped(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def damage(data: Path, whole: Path, other: bytes) -> None:
    """Damage the manifest in every way, one after the other, and run after each."""
    manifest, rng = data / "face_geometry" / SOURCE / MANIFEST, random.Random(0)
    content, before = manifest.read_bytes(), tree(whole)
    ways = [b"", content[: len(content) // 2], content[:-1], b"PAR1", other, bytes(len(content))]
    for damaged in [*ways, *(flipped(content, rng) for _ in range(4))]:
        write_atomic(manifest, damaged)
        told = make(data, "face_geometry").asset_materializations_for_node("face_geometry")[0].metadata
        assert tree(data / "face_geometry") == before
        if damaged in ways:
            assert f"{MANIFEST} could not be read" in told["notes"].value


def test_a_damaged_manifest_is_made_anew(undisturbed, tmp_path, log):
    data, whole = beside(undisturbed, "face_geometry", tmp_path / "data"), undisturbed.folder / "face_geometry"
    shutil.copytree(whole, data / "face_geometry")
    other = (undisturbed.folder / "frames" / SOURCE / MANIFEST).read_bytes()
    Child(partial(damage, data, whole, other), log).ends_well()


def test_no_flipped_bit_of_a_manifest_is_another_value(undisturbed, tmp_path):
    content = (undisturbed.folder / "face_geometry" / SOURCE / MANIFEST).read_bytes()
    dataset, rng = Dataset(tmp_path), random.Random(1)
    dataset.manifest.write_bytes(content)
    whole, told = dataset.read(status="done"), 0
    for _ in range(300):
        dataset.manifest.write_bytes(flipped(content, rng))
        try:
            assert dataset.read(list(whole.columns), status="done").equals(whole)
        except BadManifest as error:
            assert str(error).startswith(f"{dataset.manifest} can't be read, materialize it again: ")
            told += 1
    assert told > 250


def test_an_output_that_a_power_cut_left_empty_is_made_again(undisturbed, tmp_path, log):
    data = beside(undisturbed, "aligned_crops", tmp_path / "data")
    shutil.copytree(undisturbed.folder / "aligned_crops", data / "aligned_crops")
    next((data / "aligned_crops" / SOURCE).glob("*.jpg")).write_bytes(b"")
    assert same_after_all(undisturbed, data, "aligned_crops", log)


def test_a_second_run_at_once_is_refused_and_the_first_loses_nothing(undisturbed, tmp_path, log):
    asset, data = "masked_faces", beside(undisturbed, "masked_faces", tmp_path / "data")
    folder = data / asset / SOURCE
    first = Child(partial(run, data, asset), tmp_path / "first.log")
    first.until(lambda: folder.is_dir() and held(folder))
    first.kill(signal.SIGSTOP)
    second = Child(partial(run, data, asset), log)
    assert second.join() == 1
    assert f"{folder} is being written by another process; wait for it to end" in log.read_text()
    first.kill(signal.SIGCONT)
    first.ends_well()
    assert tree(data / asset) == tree(undisturbed.folder / asset) and not leftovers(data)


def test_a_run_whose_process_was_killed_is_not_waited_for(undisturbed, tmp_path, log):
    """Dagster takes it for running for ever, and with it the one place in its pool."""
    data, home = beside(undisturbed, "masked_faces", tmp_path / "data"), tmp_path / "home"
    home.mkdir()
    child = Child(partial(make, data, "masked_faces", home=home), log)
    child.until(lambda: any((data / "masked_faces").rglob("*.jpg")))
    child.kill(signal.SIGSTOP)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert end_forgotten(instance) == []
        child.kill()
        child.join()
        (run_of,) = instance.get_runs()
        assert run_of.status == dg.DagsterRunStatus.STARTED and end_forgotten(instance) == [run_of.run_id]
        (run_of,) = instance.get_runs()
        assert run_of.status == dg.DagsterRunStatus.FAILURE and end_forgotten(instance) == []


@pytest.mark.parametrize(
    ("asset", "number", "workers"),
    [("masked_faces", signal.SIGTERM, 1), ("masked_faces", signal.SIGINT, 2), ("mask_segmenter", signal.SIGINT, 1)],
)
def test_a_terminated_run_ends_soon_and_goes_on_later(undisturbed, tmp_path, log, asset, number, workers):
    """Dagster's terminate button sends its run process SIGINT; containers are ended by SIGTERM."""
    data = beside(undisturbed, asset, tmp_path / "data")
    child = Child(partial(run, data, asset, workers=workers), log)
    begun = {"masked_faces": "masked_faces/**/*.jpg", "mask_segmenter": "training/*/epochs/*.json"}[asset]
    child.until(lambda: any(data.glob(begun)))
    child.kill(number)
    assert child.join() == 1 and "Interrupted" in log.read_text()
    assert not orphans(str(log))
    assert not list((data / asset).rglob(MANIFEST))
    assert same_after_all(undisturbed, data, asset, log)
    if asset == "mask_segmenter":
        Child(partial(tracked_once, data, asset), log).ends_well()


def short_of_memory(data: Path, asset: str, steps: int) -> None:
    """Run a training on a device whose memory is full at one of its steps."""
    import torch

    step, made = torch.optim.AdamW.step, []

    def stepped(self, closure=None):
        made.append(0)
        if len(made) > steps:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return step(self, closure)

    torch.optim.AdamW.step = stepped
    run(data, asset)


def test_a_training_whose_gpu_ran_out_of_memory_goes_on_where_it_was(undisturbed, tmp_path, log):
    data = beside(undisturbed, "mask_segmenter", tmp_path / "data")
    child = Child(partial(short_of_memory, data, "mask_segmenter", 1), log)
    assert child.join() == 1 and "CUDA out of memory" in log.read_text()
    assert not (data / "mask_segmenter" / MANIFEST).exists()
    assert same_after_all(undisturbed, data, "mask_segmenter", log)
    Child(partial(tracked_once, data, "mask_segmenter"), log).ends_well()


def killed_at_a_table(data: Path) -> None:
    """Make MLflow's store, and die at its twentieth table."""
    from alembic.ddl.impl import DefaultImpl

    create, made = DefaultImpl.create_table, []

    def counted(self, table, **how):
        made.append(table)
        if len(made) == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return create(self, table, **how)

    DefaultImpl.create_table = counted
    open_store(data)


def open_store(data: Path) -> None:
    with Tracking(local_uri(data)).run("a training", "its name", {}, {}):
        pass


def test_a_store_of_runs_whose_making_was_killed_is_made_anew(tmp_path, log):
    """MLflow itself can't open what is left: a table that it wants to make exists."""
    begin_warm()
    assert Child(partial(killed_at_a_table, tmp_path), log).join() == -9
    Child(partial(open_store, tmp_path), log).ends_well()

"""Dataset folders: nothing lost, nothing twice, the same bytes whatever happens on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from ops.content import directory_md5
from ops.files import write_atomic
from ops.store import Column, Dataset, DatasetBusy, Item, fingerprint, row, unread
from resources.compute import Local

COLUMNS = (Column("size", "int32", "bytes written"), Column("points", "list<float>", "some numbers"))


class Write:
    """A worker that writes one file an item, and counts its calls in a folder outside of the dataset."""

    def __init__(self, folder: Path, calls: Path, pause: float = 0) -> None:
        self.folder, self.calls, self.pause = folder, calls, pause

    def __call__(self, item: Item) -> list[dict]:
        name = f"{item.fingerprint}.txt"
        data = item.payload["text"].encode()
        write_atomic(self.folder / name, data)
        (self.calls / f"{item.fingerprint}-{time.monotonic_ns()}").touch()
        time.sleep(self.pause)
        return [row(item, item.payload["source"], output=name, size=len(data), points=[0.5, len(data)])]


def items(texts: list[str]) -> list[Item]:
    return [Item(fingerprint(text), {"source": f"{text}.jpg", "text": text}) for text in texts]


def build(folder: Path, calls: Path, texts: list[str], workers: int = 1, pause: float = 0):
    calls.mkdir(exist_ok=True)
    work = partial(Write, folder, calls, pause)
    return Dataset(folder, COLUMNS).build(items(texts), work, Local(workers))


def test_reruns_make_only_what_is_missing_and_sweep_what_is_gone(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    first = build(folder, calls, ["a", "b", "c"])
    assert (first.made, first.kept, first.counts["done"]) == (3, 0, 3)
    before = directory_md5(folder)
    again = build(folder, calls, ["c", "a", "b"])
    assert (again.made, again.kept, directory_md5(folder)) == (0, 3, before)
    other = build(folder, calls, ["a", "b", "d"])
    assert (other.made, other.kept, other.removed) == (1, 2, 1)
    assert list(Dataset(folder).read()["source"]) == ["a.jpg", "b.jpg", "d.jpg"]
    assert len(list(calls.iterdir())) == 4


def test_worker_count_and_order_do_not_change_a_byte(tmp_path):
    texts = [f"item {n}" for n in range(40)]
    build(tmp_path / "one", tmp_path / "calls", texts, workers=1)
    build(tmp_path / "two", tmp_path / "calls", texts[::-1], workers=3)
    assert directory_md5(tmp_path / "one") == directory_md5(tmp_path / "two")


def test_a_lost_output_is_made_again(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    build(folder, calls, ["a", "b"])
    before = directory_md5(folder)
    (folder / f"{fingerprint('a')}.txt").unlink()
    assert build(folder, calls, ["a", "b"]).made == 1
    assert directory_md5(folder) == before


def test_a_corrupt_manifest_is_told_and_made_anew(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    build(folder, calls, ["a", "b"])
    before = directory_md5(folder)
    (folder / "manifest.parquet").write_bytes(b"PAR1 nonsense")
    report = build(folder, calls, ["a", "b"])
    assert report.made == 2
    assert "manifest.parquet could not be read" in report.notes[0]
    assert directory_md5(folder) == before


def test_a_second_writer_is_refused(tmp_path):
    dataset = Dataset(tmp_path / "set", COLUMNS)
    with dataset.lock(), pytest.raises(DatasetBusy, match="being written by another process"):
        build(tmp_path / "set", tmp_path / "calls", ["a"])


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.test_store import build
build(Path({folder!r}), Path({calls!r}), [f"item {{n}}" for n in range(100)], pause=0.01)
"""


def test_kill_in_the_middle_loses_nothing_and_makes_nothing_twice(tmp_path):
    texts = [f"item {n}" for n in range(100)]
    build(tmp_path / "calm", tmp_path / "calm_calls", texts)
    folder, calls = tmp_path / "set", tmp_path / "calls"
    root = str(Path(__file__).resolve().parents[2])
    code = KILLED.format(root=root, folder=str(folder), calls=str(calls))
    victim = subprocess.Popen([sys.executable, "-c", code])
    while not calls.is_dir() or len(os.listdir(calls)) < 50:
        assert victim.poll() is None, "the process ended before it could be killed"
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert not (folder / "manifest.parquet").exists()
    report = build(folder, calls, texts)
    assert 0 < report.kept < 100
    assert report.made == 100 - report.kept
    assert directory_md5(folder) == directory_md5(tmp_path / "calm")


def test_a_kill_between_manifest_and_journal_doubles_no_row(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    build(folder, calls, ["a", "b"])
    whole = directory_md5(folder)
    (folder / ".journal").mkdir()
    shutil.copy(folder / "manifest.parquet", folder / ".journal" / "000000.parquet")
    assert build(folder, calls, ["a", "b"]).made == 0
    assert directory_md5(folder) == whole


class Fail(Write):
    """A worker that stops at one item."""

    def __call__(self, item: Item) -> list[dict]:
        if item.payload["text"] == "item 20":
            raise OSError("the plug was pulled")
        return super().__call__(item)


def test_an_error_loses_nothing_that_was_finished(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    calls.mkdir()
    texts = [f"item {n}" for n in range(30)]
    with pytest.raises(OSError, match="plug") as failed:
        Dataset(folder, COLUMNS).build(items(texts), partial(Fail, folder, calls), Local(1))
    assert "item 20.jpg" in failed.value.__notes__[0]
    report = build(folder, calls, texts)
    assert (report.kept, report.made) == (20, 10)


class Missing(Write):
    """A worker that can't read one item's file while a flag stands."""

    def __call__(self, item: Item) -> list[dict]:
        if item.payload["text"] == "b" and (self.calls / "away").exists():
            return [row(unread(item), item.payload["source"], status="rejected", reason="cannot be read")]
        return super().__call__(item)


def test_what_could_not_be_read_is_tried_again(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    calls.mkdir()
    (calls / "away").touch()
    work = partial(Missing, folder, calls)
    first = Dataset(folder, COLUMNS).build(items(["a", "b"]), work, Local(1))
    assert first.counts == {"done": 1, "skipped": 0, "rejected": 1}
    (calls / "away").unlink()
    again = Dataset(folder, COLUMNS).build(items(["a", "b"]), work, Local(1))
    assert (again.made, again.kept, again.counts) == (1, 1, {"done": 2, "skipped": 0, "rejected": 0})


def test_no_draft_survives_and_no_half_file_shows(tmp_path):
    folder, calls = tmp_path / "set", tmp_path / "calls"
    folder.mkdir()
    (folder / ".draft-0123456789abcdef").write_bytes(b"half")
    (folder / "stray.jpg").write_bytes(b"stray")
    assert build(folder, calls, ["a"]).removed == 2
    assert {path.name for path in folder.iterdir()} == {
        "manifest.parquet",
        "rejects.parquet",
        f"{fingerprint('a')}.txt",
    }


def test_a_users_folder_is_never_swept(tmp_path):
    folder, calls = tmp_path / "out", tmp_path / "calls"
    folder.mkdir()
    calls.mkdir()
    (folder / "holiday.jpg").write_bytes(b"mine")
    (folder / ".draft-letter.txt").write_bytes(b"mine, too")
    shared = Dataset(folder, COLUMNS, exclusive=False)
    work = partial(Write, folder, calls)
    shared.build(items(["a"]), work, Local(1))
    shared.build(items(["b"]), work, Local(1))
    assert (folder / "holiday.jpg").read_bytes() == b"mine"
    assert (folder / ".draft-letter.txt").read_bytes() == b"mine, too"
    assert sorted(shared.read()["source"]) == ["a.jpg", "b.jpg"]


def test_a_full_disk_fails_clearly_and_the_next_run_resumes(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        texts = [f"{n:04d}" + "x" * 9000 for n in range(40)]
        work = partial(Write, disk / "set", tmp_path)
        made = [Item(fingerprint(text), {"source": text[:4], "text": text}) for text in texts]
        with pytest.raises(OSError, match="No space left"):
            Dataset(disk / "set", COLUMNS).build(made, work, Local(1))
        assert not list((disk / "set").glob(".draft-*"))
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        Dataset(disk / "set", COLUMNS).build(made, work, Local(1))
        Dataset(tmp_path / "calm", COLUMNS).build(made, partial(Write, tmp_path / "calm", tmp_path), Local(1))
        assert directory_md5(disk / "set") == directory_md5(tmp_path / "calm")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_fingerprints_tell_values_apart():
    assert fingerprint("a", {"b": 1, "c": [2]}) == fingerprint("a", {"c": (2,), "b": 1})
    assert len({fingerprint(1), fingerprint("1"), fingerprint([1]), fingerprint(1.0), fingerprint(None)}) == 5
    assert len(json.loads(json.dumps(fingerprint("a")))) == 32


def test_a_users_folder_loses_drafts_at_its_root_and_no_table_of_another_program(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, calls = tmp_path / "out", tmp_path / "calls"
    calls.mkdir()
    work = partial(Write, folder, calls)
    shared = Dataset(folder, COLUMNS, exclusive=False)
    shared.build([], work, Local(1), refused=[row(Item("x", {}), "x.jpg", status="rejected", reason="damaged")])
    (folder / f".draft-{'a' * 16}").write_bytes(b"half a manifest")
    (folder / "link").symlink_to(tmp_path / "nowhere")
    shared.build([], work, Local(1), refused=[row(Item("x", {}), "x.jpg", status="rejected", reason="damaged")])
    assert not list(folder.glob(".draft-*"))
    shared.build(items(["a"]), work, Local(1))
    assert shared.build(items(["a"]), work, Local(1)).kept == 1, "a link to nowhere is nobody's loss"
    foreign = pa.table({"a": [1, 2]})
    pq.write_table(foreign, shared.manifest)
    with pytest.raises(OSError, match="the table of another program"):
        shared.build(items(["a"]), work, Local(1))
    assert pq.read_table(shared.manifest) == foreign


def test_rows_of_a_killed_run_in_a_users_folder_tell_what_made_them(tmp_path, monkeypatch):
    folder, calls = tmp_path / "out", tmp_path / "calls"
    calls.mkdir()
    work = partial(Write, folder, calls)
    with monkeypatch.context() as killed:
        killed.setattr(Dataset, "_finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Dataset(folder, COLUMNS, exclusive=False, made_with={"seed": 1}).build(items(["a"]), work, Local(1))
    Dataset(folder, COLUMNS, exclusive=False, made_with={"seed": 2}).build(items(["b"]), work, Local(1))
    made = Dataset(folder).read().set_index("source")["made_with"]
    assert made.to_dict() == {"a.jpg": '{"seed": 1}', "b.jpg": '{"seed": 2}'}

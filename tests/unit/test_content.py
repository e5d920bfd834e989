"""What folders hold is what DVC says, and nothing is read twice that has not changed."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops import content
from ops.content import directory_md5, listing


@pytest.fixture
def remembering(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "MANY", 1)
    monkeypatch.setattr(content, "SETTLED", 0.0)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home" / ".cache" / "maskline" / "listings"


def test_directory_md5_is_what_dvc_writes(tmp_path):
    (tmp_path / "data" / "set" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "set" / "b.txt").write_text("b")
    (tmp_path / "data" / "set" / "sub" / "ä.txt").write_text("a")
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    dvc = [str(Path(sys.executable).with_name("dvc"))]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=tmp_path, env=environment, check=True)
    subprocess.run([*dvc, "add", "-q", "data/set"], cwd=tmp_path, env=environment, check=True)
    assert f"md5: {directory_md5(tmp_path / 'data' / 'set')}" in (tmp_path / "data" / "set.dvc").read_text()


def test_a_file_is_read_again_where_anything_of_it_changed(tmp_path, remembering, monkeypatch):
    folder = tmp_path / "set"
    file = folder / "a" / "b.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    (folder / "z\n.txt").write_bytes(b"other")
    os.utime(file, (1e9, 1e9))
    time.sleep(0.05)
    first = directory_md5(folder)
    read: list[str] = []
    md5 = content.file_md5
    monkeypatch.setattr(content, "file_md5", lambda path: read.append(os.path.basename(path)) or md5(path))
    assert directory_md5(folder) == first and not read
    file.write_bytes(b"two")
    os.utime(file, (1e9, 1e9))
    time.sleep(0.05)
    second = directory_md5(folder)
    assert second != first and read == ["b.txt"]
    file.rename(folder / "a" / "c.txt")
    time.sleep(0.05)
    assert directory_md5(folder) not in {first, second} and read == ["b.txt", "c.txt"]
    (folder / "a" / "c.txt").rename(file)
    (folder / "0.txt").write_bytes(b"new")
    file.write_bytes(b"one")
    time.sleep(0.05)
    assert [entry["relpath"] for entry in listing(folder)] == ["0.txt", "a/b.txt", "z\n.txt"]
    assert read[2:] == ["0.txt", "b.txt"]
    (folder / "0.txt").unlink()
    assert directory_md5(folder) == first


def test_what_is_too_new_is_read_every_time(tmp_path, remembering, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"one")
    monkeypatch.setattr(content, "SETTLED", 3600.0)
    first = directory_md5(tmp_path / "set")
    (memory,) = remembering.iterdir()
    assert memory.read_text() == "" and directory_md5(tmp_path / "set") == first


DAMAGES = [b"\xff\xfe", b"0\n", b'0 1 1 1 1 "a"\n0 1 1 1 1 "', b"0 1 1 1 1 null\n", b"0 1 1 1 1 7\n"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_memory_and_a_cache_that_cannot_be_written_change_nothing(tmp_path, remembering, damage):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a").write_bytes(b"one")
    time.sleep(0.05)
    first = directory_md5(folder)
    (memory,) = remembering.iterdir()
    memory.write_bytes(damage)
    assert directory_md5(folder) == first
    memory.unlink()
    remembering.rmdir()
    remembering.write_text("in the way")
    assert directory_md5(folder) == first


def test_names_of_any_bytes_are_remembered(tmp_path, remembering, monkeypatch):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / os.fsdecode(b"\xff\n.txt")).write_bytes(b"one")
    time.sleep(0.05)
    first = directory_md5(folder)
    monkeypatch.setattr(content, "file_md5", lambda path: 1 / 0)
    assert directory_md5(folder) == first


def test_a_full_disk_under_the_memory_changes_nothing(tmp_path, remembering):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a").write_bytes(b"one")
    time.sleep(0.05)
    expected = directory_md5(folder)
    (folder / "a").touch()
    time.sleep(0.05)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        assert directory_md5(folder) == expected
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_the_memory_of_folders_long_gone_is_given_up(tmp_path, remembering):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a").write_bytes(b"one")
    time.sleep(0.05)
    remembering.mkdir(parents=True)
    old = remembering / ("0" * 32)
    old.touch()
    os.utime(old, (1e9, 1e9))
    directory_md5(folder)
    assert len(list(remembering.iterdir())) == 1 and not old.exists()

"""Datasets published to a folder and to an object store, cut off in the middle, damaged, and fetched again."""

import json
import shutil
from pathlib import Path

import dagster as dg
import fsspec
import pytest

from assets_defs.faces import face_geometry, frames
from assets_defs.resources import Compute, Models, Workspace
from ops.content import directory_md5, file_md5
from ops.files import write_atomic
from ops.sample import make_sample
from ops.store import MANIFEST
from resources import storage
from resources.storage import LISTING, PUBLISHING, Storage, StorageError


@pytest.fixture(scope="module")
def s3():
    """An object store on this machine, with a bucket."""
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer("127.0.0.1", port=0)
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("s3://maskline")
        yield "s3://maskline/published"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path) -> str:
    if request.param == "folder":
        return str(tmp_path / "share")
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


def dataset(folder: Path, names: str, manifest: str = "first") -> Path:
    for name in names:
        write_atomic(folder / "deep [1]" / f"{name}.bin", name.encode() * 1000)
    write_atomic(folder / MANIFEST, manifest.encode())
    return folder


def there(url: str, name: str) -> dict[str, bytes]:
    """Return what lies in the storage."""
    system, root = fsspec.url_to_fs(f"{url}/{name}", skip_instance_cache=True)
    return {path.removeprefix(f"{root}/"): system.cat_file(path) for path in system.find(root)}


def test_only_what_changed_is_sent_and_what_is_gone_is_removed(place, tmp_path):
    made = dataset(tmp_path / "made", "abc")
    at = Storage(place)
    assert [at.publish(made, "crops/x"), at.publish(made, "crops/x")] == [4, 0]
    (made / "deep [1]" / "a.bin").unlink()
    dataset(made, "cd", "second")
    assert at.publish(made, "crops/x") == 2
    found = there(place, "crops/x")
    listed = found.pop(LISTING)
    assert found == {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*.*")}
    (tmp_path / "listing").write_bytes(listed)
    assert f"{file_md5(tmp_path / 'listing')}.dir" == directory_md5(made), "what DVC and Dagster call the version"


def test_fetching_gives_the_same_folder_and_leaves_ones_own(place, tmp_path):
    made = dataset(tmp_path / "made", "abc")
    at = Storage(place)
    assert at.fetch(tmp_path / "early", "crops/x") == 0
    assert not (tmp_path / "early").exists()
    at.publish(made, "crops/x")
    assert [at.fetch(tmp_path / "copy", "crops/x"), at.fetch(tmp_path / "copy", "crops/x")] == [4, 0]
    assert directory_md5(tmp_path / "copy") == directory_md5(made)
    (tmp_path / "copy" / "deep [1]" / "b.bin").unlink()
    assert at.fetch(tmp_path / "copy", "crops/x") == 1
    own = dataset(tmp_path / "own", "a", "of my own making")
    before = directory_md5(own)
    assert at.fetch(own, "crops/x") == 0
    assert directory_md5(own) == before


class Cut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(3, 14))
def test_a_publication_cut_off_anywhere_is_mended_by_the_next(step, tmp_path, monkeypatch):
    """Whoever reads in between gets the old dataset or the new one whole, or is told; never a mixture."""
    at, made = Storage(str(tmp_path / "share")), dataset(tmp_path / "made", "abc")
    at.publish(made, "crops/x")
    old = directory_md5(made)
    shutil.rmtree(made / "deep [1]")
    dataset(made, "bdefg", "second")
    write_atomic(made / "deep [1]" / "c.bin", b"other bytes under the same name")
    monkeypatch.setattr(storage, "AT_ONCE", 2)
    calls = iter(range(1, 100))
    local = type(fsspec.filesystem("file"))

    def cutting(method):
        def call(*args, **named):
            if next(calls) == step:
                raise Cut
            return method(*args, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("_open", "cp_file", "rm_file"):
            patch.setattr(local, name, cutting(getattr(local, name)))
        with pytest.raises(Cut):
            at.publish(made, "crops/x")
    try:
        at.fetch(tmp_path / "copy", "crops/x")
        assert directory_md5(tmp_path / "copy") in {old, directory_md5(made)}
    except StorageError as error:
        assert "publish again" in str(error)
        assert not (tmp_path / "copy" / MANIFEST).exists()
    write_atomic(tmp_path / "share" / "crops" / "x" / "half.bin", b"of a file that nobody wants any more")
    at.publish(made, "crops/x")
    found = there(str(tmp_path / "share"), "crops/x")
    assert set(found) == {LISTING} | {path.relative_to(made).as_posix() for path in made.rglob("*.*")}
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    at.fetch(tmp_path / "copy", "crops/x")
    assert directory_md5(tmp_path / "copy") == directory_md5(made)


def test_what_is_damaged_or_leads_elsewhere_is_refused(tmp_path):
    at, made = Storage(str(tmp_path / "share")), dataset(tmp_path / "made", "abc")
    at.publish(made, "x")
    share = tmp_path / "share" / "x"
    damaged = share / "deep [1]" / "b.bin"
    damaged.write_bytes(b"B" + damaged.read_bytes()[1:])
    with pytest.raises(StorageError, match=r"b\.bin has MD5 [0-9a-f]{32}, and [0-9a-f]{32} was published"):
        at.fetch(tmp_path / "copy", "x")
    assert [path for path in (tmp_path / "copy").rglob("*") if path.is_file()] == []
    damaged.unlink()
    with pytest.raises(StorageError, match="gone, publish again"):
        at.fetch(tmp_path / "copy", "x")
    entries = json.loads((share / LISTING).read_text())
    (share / LISTING).write_text(json.dumps([*entries, {"md5": "0" * 32, "relpath": "../../stolen"}]))
    with pytest.raises(StorageError, match=r"'\.\./\.\./stolen', which leads out"):
        at.fetch(tmp_path / "copy", "x")
    (share / LISTING).write_text("[1]")
    with pytest.raises(StorageError, match="is no listing"):
        at.fetch(tmp_path / "copy", "x")


def materialize(data: Path, url: str, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("source", ["sample"])
        workspace = Workspace(data=str(data), storage=url)
        return dg.materialize(
            [frames, face_geometry],
            selection=[*assets],
            partition_key="sample",
            instance=instance,
            resources={"workspace": workspace, "models": Models(), "compute": Compute(workers=1)},
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )


@pytest.mark.slow
def test_assets_publish_what_they_made_and_fetch_what_they_need(s3, tmp_path):
    """On another machine, which has the raw files and nothing else."""
    here, other = tmp_path / "here", tmp_path / "other"
    for data in (here, other):
        make_sample(data / "raw" / "sample")
    (first,) = materialize(here, s3, frames).asset_materializations_for_node("frames")
    assert first.metadata["published"].value == len(list((here / "frames" / "sample").iterdir()))
    (second,) = materialize(other, s3, face_geometry).asset_materializations_for_node("face_geometry")
    assert second.metadata["done"].value > 0
    assert directory_md5(other / "frames") == directory_md5(here / "frames")
    (again,) = materialize(here, s3, face_geometry).asset_materializations_for_node("face_geometry")
    told = [again.metadata[name].value for name in ("made", "published")]
    assert told == [0, 0], "it was made, and published, over there"
    assert PUBLISHING not in there(s3, "frames/sample")

"""Tables that are larger than what is held in memory: every row where it belongs, however many a group holds."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from ops import manifests
from ops.content import directory_md5
from ops.files import write_atomic
from ops.manifests import BadManifest, Part, Stock, parquet, rows_at
from ops.stages import faces
from ops.store import JOURNAL, MANIFEST, Column, Dataset, Item, arrow_schema, fingerprint, row
from resources.compute import Local
from tests.posed import posed

COLUMNS = (Column("points", "list<float>", "some numbers"),)


class Write:
    """A worker that tells of several faces of an item, and of some files that there are none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: Item) -> list[dict]:
        number = item.payload["number"]
        if number % 5 == 0:
            return [row(item, item.payload["source"], status="skipped", reason="no face")]
        write_atomic(self.folder / f"{item.fingerprint}.txt", str(number).encode())
        same = {"output": f"{item.fingerprint}.txt"}
        return [
            row(item, item.payload["source"], face=face, points=[number, face] * (number % 4), **same)
            for face in range(number % 3 + 1)
        ]


def build(folder: Path, numbers: list[int], size: int, monkeypatch) -> Dataset:
    monkeypatch.setattr(manifests, "GROUP", size)
    dataset = Dataset(folder, COLUMNS, made_with={"size": "any"})
    items = [Item(fingerprint(n), {"source": f"{n:03d}.jpg", "number": n}, f"parent of {n}") for n in numbers]
    told = Item(fingerprint("told"), {})
    refused = [row(told, name, status="rejected", reason="damaged") for name in ("999.jpg", "004.png")]
    dataset.build(items, lambda: Write(folder), Local(1), refused=refused)
    return dataset


def test_rows_of_many_groups_come_in_the_same_order_with_all_they_hold(tmp_path, monkeypatch):
    numbers = list(range(90))
    whole = build(tmp_path / "whole", numbers, 10**6, monkeypatch).read()
    monkeypatch.setattr("ops.store.JOURNAL_ITEMS", 7)
    small = tmp_path / "small"
    build(small, numbers[::2][::-1], 5, monkeypatch)
    build(small, [*numbers[::-3], *numbers], 3, monkeypatch)
    assert len(manifests.read_table(small / MANIFEST)) == len(whole) > 150
    assert manifests._starts(small / MANIFEST, (0,)).tolist()[:3] == [0, 3, 6]
    assert Dataset(small).read().to_json() == whole.to_json()
    assert set(whole["made_with"].dropna()) == {'{"size": "any"}'} and whole["made_with"].isna().sum() == 2
    assert set(whole["parent"].dropna()) == {f"parent of {n}" for n in numbers}


def test_an_interrupted_build_and_a_manifest_of_another_grouping_are_put_together(tmp_path, monkeypatch):
    numbers = list(range(60))
    whole = build(tmp_path / "whole", numbers, 10**6, monkeypatch).read()
    monkeypatch.setattr("ops.store.JOURNAL_ITEMS", 7)
    folder = tmp_path / "set"
    build(folder, numbers[20:], 4, monkeypatch)
    monkeypatch.setattr(Dataset, "_finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(folder, numbers, 4, monkeypatch)
    assert len(list((folder / JOURNAL).iterdir())) == 3
    monkeypatch.undo()
    assert build(folder, numbers, 11, monkeypatch).read().to_json() == whole.to_json()


def test_one_go_and_increments_give_the_same_bytes(tmp_path, monkeypatch):
    numbers = list(range(50))
    whole = build(tmp_path / "whole", numbers, 8, monkeypatch)
    build(tmp_path / "grown", numbers[40:] + numbers[:5], 8, monkeypatch)
    build(tmp_path / "grown", numbers[::-2], 8, monkeypatch)
    assert directory_md5(build(tmp_path / "grown", numbers[::-1], 8, monkeypatch).folder) == directory_md5(whole.folder)


def test_a_journal_that_was_half_removed_loses_and_doubles_no_row(tmp_path, monkeypatch):
    numbers = list(range(60))
    whole = build(tmp_path / "whole", numbers, 8, monkeypatch)
    monkeypatch.setattr("ops.store.JOURNAL_ITEMS", 7)
    folder = tmp_path / "set"
    build(folder, numbers[:30], 8, monkeypatch)
    with monkeypatch.context() as killed:
        killed.setattr(Dataset, "_finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(folder, numbers[:51], 8, killed)
    for left in ("000000", "000002"):
        (folder / JOURNAL / f"{left}.parquet").unlink()
    assert directory_md5(build(folder, numbers, 8, monkeypatch).folder) == directory_md5(whole.folder)


def test_a_manifest_exchanged_during_a_build_ends_it(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    build(folder, list(range(30)), 8, monkeypatch)
    other = build(tmp_path / "other", list(range(10, 45)), 8, monkeypatch).manifest.read_bytes()
    make = Dataset._make

    def meanwhile(self, *args):
        made = make(self, *args)
        write_atomic(self.manifest, other)
        return made

    with monkeypatch.context() as running:
        running.setattr(Dataset, "_make", meanwhile)
        with pytest.raises(BadManifest, match="another process wrote"):
            build(folder, list(range(35)), 8, running)
    whole = build(tmp_path / "whole", list(range(35)), 8, monkeypatch)
    assert directory_md5(build(folder, list(range(35)), 8, monkeypatch).folder) == directory_md5(whole.folder)


def test_rows_are_read_by_place_and_group_by_group(tmp_path, monkeypatch):
    dataset = build(tmp_path, list(range(40)), 4, monkeypatch)
    numbered = dataset.read(["source", "face"], "done", numbered=True)
    assert list(numbered.columns) == ["source", "face", "row"]
    chosen = numbered.sample(12, random_state=1)
    rows = dataset.at(chosen["row"].tolist())
    assert [(known["source"], known["face"]) for known in rows] == list(
        zip(chosen["source"], chosen["face"], strict=True)
    )
    assert dataset.at([]) == []
    groups = [rows["source"].tolist() for rows in dataset.groups(["source"], "done")]
    assert len(groups) > 10 and [*chain(*groups)] == numbered["source"].tolist()
    with pytest.raises(BadManifest, match="it has no nope"):
        next(dataset.groups(["nope"]))
    with pytest.raises(BadManifest, match="there is none at 1000"):
        dataset.at([1000])
    with pytest.raises(FileNotFoundError, match="materialize it first"):
        next(Dataset(tmp_path / "none").groups(["source"]))
    dataset.manifest.write_bytes(dataset.manifest.read_bytes()[:-9])
    for read in (lambda: dataset.at([0]), lambda: next(dataset.groups(["source"]))):
        with pytest.raises(BadManifest, match="materialize it again"):
            read()


def test_parts_of_other_columns_are_put_beside_each_other(tmp_path):
    import pyarrow as pa

    one = pa.table({"key": ["a", "b"], "big": [[1.0], [2.0, 3.0]]})
    two = pa.table({"key": ["c"], "more": ["x"]})
    path = tmp_path / "two.parquet"
    path.write_bytes(parquet(two))
    stock = Stock(pa.schema([("key", pa.string())]), ["key", "more"])
    stock.index = pa.concat_tables([stock.add([Part(path)]), stock.add([Part(one)])], promote_options="default")
    stock.index = stock.index.take([2, 0, 1])
    (rows,) = stock.tables()
    assert rows.to_pylist() == [
        {"key": "b", "more": None, "big": [2.0, 3.0]},
        {"key": "c", "more": "x", "big": None},
        {"key": "a", "more": None, "big": [1.0]},
    ]
    with pytest.raises(pa.ArrowException):
        stock.add([Part(pa.table({"key": [1]}))])
    assert stock.add([]).num_rows == 0 and stock.schema.names == ["key", "more", "big"]


def test_stored_faces_are_those_that_were_meant_or_none(tmp_path):
    import pyarrow as pa

    known = [posed((60 + 30 * n, 70), 40) for n in range(3)]
    rows = [
        {"fingerprint": "one", "source": "a.jpg", "frame": "f", "status": "done", **faces.face_columns(face)}
        | {"face": number}
        for number, face in enumerate(known)
    ]
    dataset = Dataset(tmp_path, faces.COLUMNS)
    dataset.manifest.write_bytes(parquet(pa.Table.from_pylist(rows, schema=arrow_schema(dataset.columns))))
    assert rows_at(dataset.manifest, [2, 0])["face"].to_pylist() == [2, 0]
    described = faces.described(dataset)
    assert not {"mesh", "points5"} & set(described.columns)
    stored = faces.Stored.of([described.iloc[n].to_dict() for n in (2, 0)])
    loaded = stored.load()
    assert [face.index for face in loaded] == [2, 0]
    assert np.array_equal(loaded[0].mesh, known[2].mesh.astype(np.float32))
    again = "written anew while its faces were worked on"
    with pytest.raises(RuntimeError, match=again):
        stored._replace(fingerprint="other").load()
    write_atomic(dataset.manifest, parquet(pa.Table.from_pylist(rows[1:], schema=arrow_schema(dataset.columns))))
    for one in (1, 2):  # the row of another face, and one that is not there any more
        with pytest.raises(RuntimeError, match=again):
            faces.Stored.of([described.iloc[one].to_dict()]).load()
    dataset.manifest.unlink()
    with pytest.raises(RuntimeError, match=again):
        stored.load()

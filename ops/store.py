"""Dataset folders: files named by what made them, and a manifest that says what is there.

A dataset is a folder with files and ``manifest.parquet``, one row an output or a refusal. Work is done item by item; an
item's *fingerprint* covers its input's content, the settings that matter and the algorithm's version, so a fingerprint
that the manifest holds is work already done. Files come first (a draft, then ``os.replace``), then a line in the
journal, the manifest last: a kill at any moment loses nothing that was finished and never shows half a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ops.files import DRAFT, drafted, is_draft, write_atomic
from ops.manifests import FILE_COLUMNS, BadManifest, Finished, Part, Stock, groups, parquet, read_table, rows_at, write
from ops.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    Row = dict[str, Any]

MANIFEST = "manifest.parquet"
REJECTS = "rejects.parquet"
JOURNAL = ".journal"
JOURNAL_ITEMS, JOURNAL_SECONDS = 32, 2.0
UNREAD = "cannot be read"
"""How the reason of a row begins whose file could not be read; such rows are never finished work."""

DONE, SKIPPED, REJECTED = "done", "skipped", "rejected"
ORDER = ("folder", "source", "time", "face", "variant", "style", "output", "picture", "detector", "given", "contender")


class Column(NamedTuple):
    """One column of a manifest: its Arrow type as text (``list<float>`` for a list), and what it means."""

    name: str
    type: str
    description: str


BASE_COLUMNS = (
    Column("fingerprint", "string", "what made the row: hash of input content, settings and algorithm version"),
    Column("source", "string", "raw file, relative to its source folder"),
    Column("output", "string", "file in this folder, or null where nothing came out"),
    Column("face", "int32", "index of the face in its frame, or null"),
    Column("status", "string", "done, skipped or rejected"),
    Column("reason", "string", "why it was skipped or rejected, or null"),
    Column("parent", "string", "fingerprint of the one row of another dataset that it is made from, or null"),
    Column("made_with", "string", "settings, and names and checksums of models, that made it: JSON; or null"),
)
LINEAGE = ("parent", "made_with")
"""Columns that :meth:`Dataset.build` fills in; what they tell is in the fingerprint already."""

INDEX = (*("fingerprint", "source", "status", "reason"), *ORDER, *FILE_COLUMNS)
"""Columns that a build holds in memory, of the rows of all files; the others stay on disk."""

OWN = "own"
"""Column of a build's index: whether an item stands for the row."""


class Item(NamedTuple):
    """A piece of work.

    Attributes:
        fingerprint: what would make it the same again.
        payload: picklable, handed to the worker.
        parent: fingerprint of the one row of another dataset that it is made from.
    """

    fingerprint: str
    payload: dict[str, Any]
    parent: str | None = None


class Mapper(Protocol):
    """What runs the work: :mod:`resources.compute` has a local and a distributed one."""

    def map(self, work: Callable[[], Callable[[Item], list[Row]]], items: Sequence[Item]) -> Iterator[list[Row]]:
        """Yield the rows of every item, in any order; ``work()`` is called once a process."""


class DatasetBusy(RuntimeError):
    """Another process is writing the dataset."""


@dataclass(frozen=True)
class Report:
    """What a build did.

    Attributes:
        folder: the dataset.
        made: items computed now.
        kept: items found finished.
        removed: files swept because nothing names them any more.
        counts: rows by status.
        unread: rows of files that could not be read this time.
        notes: what a reader of the log should know.
    """

    folder: Path
    made: int
    kept: int
    removed: int
    counts: dict[str, int]
    unread: int = 0
    notes: tuple[str, ...] = field(default=())


def fingerprint(*parts: object) -> str:
    """Return 32 hex digits that stand for JSON-able ``parts``, independent of the order of dictionary keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=list)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Arrow schema of ``columns``."""
    import pyarrow as pa

    def parse(text: str) -> pa.DataType:
        if text.startswith("list<"):
            return pa.list_(parse(text[5:-1]))
        return pa.type_for_alias(text)

    return pa.schema([(column.name, parse(column.type)) for column in columns])


class Dataset:
    """A dataset folder.

    Args:
        folder: where it is; made when the first build starts.
        columns: the manifest's own columns, after :data:`BASE_COLUMNS`.
        exclusive: the folder holds nothing but this dataset, so files that nothing names are swept. Otherwise (a
            user's output folder) only drafts and files that a run replaced are removed, and rows of other inputs stay.
        made_with: what a build makes its rows with, JSON-able; it may tell only of what the fingerprints cover, so that
            rows found finished were made with it too.
    """

    def __init__(
        self,
        folder: Path,
        columns: Sequence[Column] = (),
        *,
        exclusive: bool = True,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.columns = (*BASE_COLUMNS, *columns)
        self.exclusive = exclusive
        self._made_with = made_with and json.dumps(made_with, sort_keys=True, ensure_ascii=False, default=list)

    @property
    def manifest(self) -> Path:
        """The manifest's path; absent until a build has ended."""
        return self.folder / MANIFEST

    def read(
        self, columns: Sequence[str] | None = None, status: str | None = None, *, numbered: bool = False
    ) -> pd.DataFrame:
        """Return the manifest's rows, all or those of one ``status``; ``numbered``: with their place, as ``row``.

        Raises:
            FileNotFoundError: the dataset has not been built.
            BadManifest: it is damaged, or has no such columns.
        """
        import pyarrow.compute as pc

        with self._telling():
            if not numbered:
                return read_table(self.manifest, columns, status).to_pandas()
            asked = None if columns is None else [*dict.fromkeys([*columns, "status"])]
            table = read_table(self.manifest, asked)
            table = table.append_column("row", [np.arange(table.num_rows)])
            table = table if status is None else table.filter(pc.equal(table["status"], status))
            return (table if columns is None else table.select([*columns, "row"])).to_pandas()

    def at(self, places: Sequence[int]) -> list[Row]:
        """Return the rows at these places, in this order; errors as :meth:`read` has them."""
        with self._telling():
            return rows_at(self.manifest, places).to_pylist() if len(places) else []

    def groups(self, columns: Sequence[str], status: str | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows of :meth:`read` some at a time."""
        with self._telling():
            asked = [*dict.fromkeys([*columns, "status"])]
            for table in groups(self.manifest, asked):
                rows = table.to_pandas()
                yield rows.loc[rows["status"] == status if status else slice(None), [*columns]]

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        import pyarrow as pa

        if not self.manifest.is_file():
            raise FileNotFoundError(f"{self.folder} has no {MANIFEST}: materialize it first")
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            why = str(error).splitlines()[0]
            raise BadManifest(f"{self.manifest} can't be read, materialize it again: {why}") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's exclusive lock; the kernel frees it when the process dies.

        Raises:
            DatasetBusy: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatasetBusy(f"{self.folder} is being written by another process; wait for it to end") from None
            yield
        finally:
            os.close(handle)

    def build(
        self,
        items: Iterable[Item],
        work: Callable[[], Callable[[Item], list[Row]]],
        mapper: Mapper,
        *,
        refused: Sequence[Row] = (),
        models: Mapping[Path, str] | None = None,
        also: Callable[[Finished], dict[str, bytes]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Make what is missing, keep what is there, drop what no item stands for any more.

        Args:
            items: all the work there is; repeated fingerprints count once.
            work: makes the worker; called once a process, only when something is missing. The worker writes its files
                with :func:`write_atomic` and returns the item's rows.
            mapper: runs the work.
            refused: rows of inputs that were rejected before any work.
            models: files that the work opens, with the MD5 or SHA-256 that the fingerprints were made from.
            also: further files of the dataset, made from the finished manifest: name to content.
            progress: called with (items made, items to make).

        Raises:
            DatasetBusy: another process is building it.
            ChangedModel: a model's file was exchanged on the way; of what was made since no row is kept.
            OSError: the disk is full or not writable; what was finished is kept for the next run.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        with self.lock():
            stock, notes = self._finished()
            named = set(self._named(stock.index))
            done = self._intact(stock.index)
            wanted = {item.fingerprint: item for item in items}
            todo = [item for key, item in wanted.items() if key not in done]
            ready = pa.array(sorted(done & wanted.keys()), pa.string())
            if not self.exclusive:
                stock = self._forget(stock, {item.payload["source"] for item in todo}, ready)
            kept = stock.index.filter(pc.is_in(stock.index["fingerprint"], ready))
            fresh = self._make(todo, work, mapper, Pinned(models if models and todo else {}), progress)
            told = pa.Table.from_pylist(list(refused), schema=arrow_schema(self.columns))
            stock = self._merged(stock, kept, stock.add(fresh), stock.add([Part(told)]))
            removed = self._finish(stock, wanted, named, also)
            counts = {DONE: 0, SKIPPED: 0, REJECTED: 0}
            counts |= {told["values"]: told["counts"] for told in stock.index["status"].value_counts().to_pylist()}
            unread = pc.sum(pc.starts_with(stock.index["reason"], UNREAD)).as_py() or 0
            return Report(self.folder, len(todo), len(wanted) - len(todo), removed, counts, unread, tuple(notes))

    def _finished(self) -> tuple[Stock, list[str]]:
        """Return what is there: the rows of the manifest, and of the journal of an interrupted run.

        The newest rows of a fingerprint count. A table that can't be read counts as absent. In a folder that is not
        exclusive, columns that another kind of run wrote stay; in one that is, a build fills in :data:`LINEAGE` anew.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        stock, notes = Stock(arrow_schema(self.columns), INDEX), []
        own = arrow_schema([column for column in self.columns if column.name not in LINEAGE])
        journal = sorted((self.folder / JOURNAL).glob("*.parquet"), reverse=True)
        for path in [*journal, *([self.manifest] if self.manifest.is_file() else [])]:
            try:
                table = stock.add([Part(path, own if self.exclusive else None)])
            except (pa.ArrowException, OSError, KeyError, ValueError) as error:
                if isinstance(error, KeyError) and not self.exclusive:
                    raise BadManifest(
                        f"{path} is the table of another program: move it away, or take another folder"
                    ) from None
                notes.append(f"{path.name} could not be read and its rows are made anew: {str(error).splitlines()[0]}")
                continue
            new = pc.invert(pc.is_in(table["fingerprint"], pc.unique(stock.index["fingerprint"])))
            index = pa.concat_tables([stock.index, table.filter(new)], promote_options="default")
            stock.index = index.combine_chunks()
        return stock, notes

    def _intact(self, index: pa.Table) -> set[str]:
        """Fingerprints whose files are all there; an empty one, as a power cut leaves it, is not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        present: list[str] = []
        for inside in {os.path.dirname(name) for name in self._named(index)}:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder / inside) as here:
                present += [os.path.join(inside, entry.name) for entry in here if _filled(entry)]
        there, whole = pa.array(present, pa.string()), set(index["fingerprint"].to_pylist())
        for name in self._files(index):
            lost = pc.and_(pc.is_valid(index[name]), pc.invert(pc.is_in(index[name], there)))
            whole -= set(index["fingerprint"].filter(lost).to_pylist())
        return whole

    def _files(self, index: pa.Table) -> list[str]:
        """Columns that name files of this folder."""
        return [c.name for c in self.columns if c.name in FILE_COLUMNS and c.name in index.column_names]

    def _named(self, index: pa.Table) -> Iterator[str]:
        """Files that rows name, some of them several times."""
        for column in self._files(index):
            yield from index[column].drop_null().to_pylist()

    def _forget(self, stock: Stock, sources: set[str], ready: pa.Array) -> Stock:
        """Take rows of these sources out of the manifest before their files are written over, but for what is ready."""
        import pyarrow as pa
        import pyarrow.compute as pc

        index = stock.index
        gone = pc.and_not(
            pc.is_in(index["source"], pa.array(sorted(sources), pa.string())), pc.is_in(index["fingerprint"], ready)
        )
        if not pc.any(gone).as_py():
            return stock
        stock.index = index.filter(pc.invert(gone))
        with drafted(self.manifest) as draft:
            write(draft, stock.schema, stock.tables())
        shutil.rmtree(self.folder / JOURNAL, ignore_errors=True)
        return self._finished()[0]

    def _make(
        self,
        todo: list[Item],
        work: Callable[[], Callable[[Item], list[Row]]],
        mapper: Mapper,
        pinned: Pinned,
        progress: Callable[[int, int], None] | None,
    ) -> list[Part]:
        """Work on items; return the files of the journal that their rows are in."""
        import pyarrow as pa

        schema = arrow_schema(self.columns)
        journal = self.folder / JOURNAL
        start = 1 + max((int(path.stem) for path in journal.glob("*.parquet")), default=-1)
        parents = {item.fingerprint: item.parent for item in todo}
        written: list[Part] = []
        buffer: list[Row] = []

        def flush() -> None:
            if buffer:
                for known in buffer:
                    known |= dict(zip(LINEAGE, (parents.get(known["fingerprint"]), self._made_with), strict=True))
                path = journal / f"{start + len(written):06d}.parquet"
                write_atomic(path, parquet(pa.Table.from_pylist(buffer, schema=schema)))
                written.append(Part(path))
                buffer.clear()

        made, flushed = 0, time.monotonic()
        try:
            for made, rows in enumerate(mapper.map(work, todo), start=1):
                pinned.check()
                buffer.extend(rows)
                if made % JOURNAL_ITEMS == 0 or time.monotonic() > flushed + JOURNAL_SECONDS:
                    flush()
                    flushed = time.monotonic()
                if progress:
                    progress(made, len(todo))
        except BaseException:
            with contextlib.suppress(OSError):
                flush()
            raise
        flush()
        if made != len(todo):
            raise RuntimeError(f"{len(todo)} items went out to be worked on, {made} came back")
        return written

    def _merged(self, stock: Stock, kept: pa.Table, fresh: pa.Table, told: pa.Table) -> Stock:
        """Put the rows that count in order: of items, found finished or made now, of refusals and of other inputs."""
        import pyarrow as pa
        import pyarrow.compute as pc

        own = pa.concat_tables([kept, fresh], promote_options="default")
        parts = [own.append_column(OWN, pa.array([True] * own.num_rows, pa.bool_())), told]
        if not self.exclusive:
            sources = pa.concat_arrays([chunk for part in parts for chunk in part["source"].chunks])
            parts.append(stock.index.filter(pc.invert(pc.is_in(stock.index["source"], sources))))
        index = pa.concat_tables(parts, promote_options="default")
        order = [(name, "ascending") for name in ORDER if name in index.column_names]
        stock.index = index.take(pc.sort_indices(index, order)).combine_chunks()
        return stock

    def _rows(self, stock: Stock, wanted: Mapping[str, Item]) -> Iterator[pa.Table]:
        """Yield whole rows in their order, those of items with the columns of :data:`LINEAGE`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        start = 0
        for table in stock.tables():
            own = stock.index[OWN].slice(start, table.num_rows).fill_null(False)
            items = [wanted.get(key) for key in table["fingerprint"].to_pylist()]
            parents = pa.array([item and item.parent for item in items], pa.string())
            told = dict(zip(LINEAGE, (parents, pa.scalar(self._made_with, pa.string())), strict=True))
            columns = [pc.if_else(own, told[n], table[n]) if n in told else table[n] for n in table.column_names]
            start += table.num_rows
            yield pa.table(columns, schema=stock.schema)

    def _finish(
        self,
        stock: Stock,
        wanted: Mapping[str, Item],
        before: set[str],
        also: Callable[[Finished], dict[str, bytes]] | None,
    ) -> int:
        """Write what people read, then the manifest, then remove what no row names any more."""
        import pyarrow.compute as pc

        told = stock.index.filter(pc.not_equal(stock.index["status"], DONE))
        files = {REJECTS: parquet(told.select(["source", "face", "status", "reason"]))}
        with drafted(self.manifest) as draft:
            write(draft, stock.schema, self._rows(stock, wanted))
            files |= also(Finished(draft)) if also else {}
            for name, data in files.items():
                path = self.folder / name
                if not path.is_file() or path.read_bytes() != data:
                    write_atomic(path, data)
        shutil.rmtree(self.folder / JOURNAL, ignore_errors=True)
        named = set(self._named(stock.index))
        if self.exclusive:
            return self._sweep(named | {MANIFEST, *files})
        obsolete = before - named - {MANIFEST, *files}
        for name in obsolete:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                (self.folder / name).unlink()
        for inside in {"", *(os.path.dirname(name) for name in named | obsolete)}:
            for path in (self.folder / inside).glob(f"{DRAFT}*"):
                if is_draft(path.name):
                    path.unlink()
        return len(obsolete)

    def _sweep(self, known: set[str]) -> int:
        """Remove every file that is not known, and empty folders."""
        removed, root = 0, os.path.join(self.folder, "")
        for base, _, names in os.walk(root, topdown=False):
            for name in names:
                path = os.path.join(base, name)
                if path[len(root) :] not in known:
                    os.unlink(path)
                    removed += 1
            if base != root and not os.listdir(base):
                os.rmdir(base)
        return removed


def _filled(entry: os.DirEntry[str]) -> bool:
    """Tell whether a file holds anything; a link to nowhere does not."""
    try:
        return entry.stat().st_size > 0
    except FileNotFoundError:
        return False


def unread(item: Item) -> Item:
    """Return what stands for an item whose file could not be read this time: never taken for finished work."""
    return item._replace(fingerprint=fingerprint("unread", item.fingerprint))


def row(item: Item, source: str, *, status: str = DONE, reason: str | None = None, **columns: object) -> Row:
    """Return a manifest row of ``item``; columns not given are null."""
    return {"fingerprint": item.fingerprint, "source": source, "status": status, "reason": reason, **columns}


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Return a table's rows as dictionaries, with None where pandas has its own notion of a missing value."""

    def known(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    names = list(table.columns)
    every = table.itertuples(index=False, name=None)
    return [{name: known(value) for name, value in zip(names, values, strict=True)} for values in every]


def grouped(table: pd.DataFrame, column: str) -> dict[Any, list[Row]]:
    """Return a table's rows as dictionaries by their value of a column; far quicker than one table for each value."""
    found: dict[Any, list[Row]] = {}
    for known in rows_of(table):
        found.setdefault(known[column], []).append(known)
    return found

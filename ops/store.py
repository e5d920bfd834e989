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
import re
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pandas as pd
    import pyarrow as pa

    Row = dict[str, Any]

MANIFEST = "manifest.parquet"
REJECTS = "rejects.parquet"
JOURNAL = ".journal"
JOURNAL_ITEMS, JOURNAL_SECONDS = 32, 2.0
DRAFT = ".draft-"
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
)
FILE_COLUMNS = (
    *("output", "alpha", "sound", "crop", "panels", "mask_only", "on_black", "surface"),
    *("left_eye_alpha", "right_eye_alpha", "mouth_alpha"),
)


class Item(NamedTuple):
    """A piece of work: what would make it the same again, and the picklable payload handed to the worker."""

    fingerprint: str
    payload: dict[str, Any]


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


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` either holds all of it or what it held before."""
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        draft.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        return
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    os.replace(draft, path)


@contextlib.contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Yield a draft to write to: it takes ``path``'s place when the block ends well, and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def file_md5(path: Path) -> str:
    """MD5 of a file as 32 hex digits (DVC's content address, not a security measure)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def directory_md5(folder: Path) -> str:
    """MD5 of a folder's content as DVC writes it in dvc.lock, ``<32 hex>.dir``.

    It is the MD5 of the JSON list of ``{"md5", "relpath"}`` sorted by relative path.
    """
    files = sorted(
        (path.relative_to(folder).as_posix(), path)
        for base, _, names in os.walk(folder)
        for path in (Path(base, name) for name in names)
    )
    listing = [{"md5": file_md5(path), "relpath": relative} for relative, path in files]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


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
    """

    def __init__(self, folder: Path, columns: Sequence[Column] = (), *, exclusive: bool = True) -> None:
        self.folder = folder
        self.columns = (*BASE_COLUMNS, *columns)
        self.exclusive = exclusive

    @property
    def manifest(self) -> Path:
        """The manifest's path; absent until a build has ended."""
        return self.folder / MANIFEST

    def read(self, columns: Sequence[str] | None = None, status: str | None = None) -> pd.DataFrame:
        """Return the manifest's rows, all or those of one ``status``.

        Raises:
            FileNotFoundError: the dataset has not been built.
        """
        import pyarrow.parquet as pq

        if not self.manifest.is_file():
            raise FileNotFoundError(f"{self.folder} has no {MANIFEST}: materialize it first")
        filters = None if status is None else [("status", "=", status)]
        return pq.read_table(self.manifest, columns=columns, filters=filters).to_pandas()

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
        also: Callable[[pa.Table], dict[str, bytes]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Make what is missing, keep what is there, drop what no item stands for any more.

        Args:
            items: all the work there is; repeated fingerprints count once.
            work: makes the worker; called once a process, only when something is missing. The worker writes its files
                with :func:`write_atomic` and returns the item's rows.
            mapper: runs the work.
            refused: rows of inputs that were rejected before any work.
            also: further files of the dataset, made from the finished table: name to content.
            progress: called with (items made, items to make).

        Raises:
            DatasetBusy: another process is building it.
            OSError: the disk is full or not writable; what was finished is kept for the next run.
        """
        with self.lock():
            schema, old, notes = self._finished()
            done = self._intact(old)
            wanted = {item.fingerprint: item for item in items}
            todo = [item for key, item in wanted.items() if key not in done]
            if not self.exclusive:
                self._forget(old, {item.payload["source"] for item in todo})
            fresh = self._make(todo, work, mapper, progress)
            table = self._merge(schema, old, done & wanted.keys(), fresh, refused)
            removed = self._finish(old, table, also(table) if also else {})
            counts: dict[str, int] = {DONE: 0, SKIPPED: 0, REJECTED: 0}
            for status in table["status"].to_pylist():
                counts[status] += 1
            unread = sum((reason or "").startswith(UNREAD) for reason in table["reason"].to_pylist())
            return Report(self.folder, len(todo), len(wanted) - len(todo), removed, counts, unread, tuple(notes))

    def _finished(self) -> tuple[pa.Schema, pa.Table, list[str]]:
        """Return schema and rows of what is there: the manifest, and the journal of an interrupted run.

        The newest rows of a fingerprint count. A table that can't be read counts as absent. In a folder that is not
        exclusive, columns that another kind of run wrote stay.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        schema, tables, notes = arrow_schema(self.columns), [], []
        journal = sorted((self.folder / JOURNAL).glob("*.parquet"), reverse=True)
        for path in [*journal, *([self.manifest] if self.manifest.is_file() else [])]:
            try:
                table = pq.read_table(path)
                if self.exclusive:
                    table = table.select(schema.names).cast(schema)
                else:
                    schema = pa.unify_schemas([schema, table.schema])
                tables.append(table)
            except (pa.ArrowException, OSError, KeyError, ValueError) as error:
                notes.append(f"{path.name} could not be read and its rows are made anew: {str(error).splitlines()[0]}")
        old = schema.empty_table()
        for table in tables:
            new = pc.invert(pc.is_in(table["fingerprint"], pc.unique(old["fingerprint"])))
            old = pa.concat_tables([old, table.filter(new)], promote_options="default").combine_chunks()
        return schema, old, notes

    def _intact(self, table: pa.Table) -> set[str]:
        """Fingerprints whose files are all there."""
        files = self._named(table)
        lost = files.keys() - self._present(files)
        return set(table["fingerprint"].to_pylist()) - {key for name in lost for key in files[name]}

    def _named(self, table: pa.Table) -> dict[str, set[str]]:
        """Files that rows name, with the fingerprints of those rows."""
        keys = table["fingerprint"].to_pylist()
        files: dict[str, set[str]] = {}
        for column in self.columns:
            if column.name in FILE_COLUMNS and column.name in table.column_names:
                for key, name in zip(keys, table[column.name].to_pylist(), strict=True):
                    if name is not None:
                        files.setdefault(name, set()).add(key)
        return files

    def _present(self, files: Iterable[str]) -> set[str]:
        """Which of the files are there."""
        present: set[str] = set()
        for inside in {os.path.dirname(name) for name in files}:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                present |= {os.path.join(inside, name) for name in os.listdir(self.folder / inside)}
        return present

    def _forget(self, old: pa.Table, sources: set[str]) -> None:
        """Take the rows of sources out of the manifest before their files are written over."""
        import pyarrow as pa
        import pyarrow.compute as pc

        gone = pc.is_in(old["source"], pa.array(sorted(sources), pa.string()))
        if old.num_rows and pc.any(gone).as_py():
            write_atomic(self.manifest, parquet(old.filter(pc.invert(gone))))
            shutil.rmtree(self.folder / JOURNAL, ignore_errors=True)

    def _make(
        self,
        todo: list[Item],
        work: Callable[[], Callable[[Item], list[Row]]],
        mapper: Mapper,
        progress: Callable[[int, int], None] | None,
    ) -> pa.Table:
        import pyarrow as pa

        schema = arrow_schema(self.columns)
        journal = self.folder / JOURNAL
        start = len(list(journal.glob("*.parquet")))
        tables: list[pa.Table] = []
        buffer: list[Row] = []

        def flush() -> None:
            if buffer:
                table = pa.Table.from_pylist(buffer, schema=schema)
                write_atomic(journal / f"{start + len(tables):06d}.parquet", parquet(table))
                tables.append(table)
                buffer.clear()

        made, flushed = 0, time.monotonic()
        try:
            for made, rows in enumerate(mapper.map(work, todo), start=1):
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
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def _merge(
        self, schema: pa.Schema, old: pa.Table, keep: set[str], fresh: pa.Table, refused: Sequence[Row]
    ) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        told = pa.Table.from_pylist(list(refused), schema=schema)
        kept = old.filter(pc.is_in(old["fingerprint"], pa.array(sorted(keep), pa.string())))
        parts = [kept, fresh, told]
        if not self.exclusive:
            here = {source for part in parts for source in part["source"].to_pylist()}
            parts.append(old.filter(pc.invert(pc.is_in(old["source"], pa.array(sorted(here), pa.string())))))
        table = pa.concat_tables([schema.empty_table(), *parts], promote_options="default")
        order = [(name, "ascending") for name in ORDER if name in table.column_names]
        return table.take(pc.sort_indices(table, order)).combine_chunks()

    def _finish(self, old: pa.Table, table: pa.Table, files: dict[str, bytes]) -> int:
        """Write what people read, then the manifest, then remove what no row names any more."""
        import pyarrow.compute as pc

        told = table.filter(pc.not_equal(table["status"], DONE)).select(["source", "face", "status", "reason"])
        files |= {REJECTS: parquet(told), MANIFEST: parquet(table)}
        for name, data in files.items():
            path = self.folder / name
            if not path.is_file() or path.read_bytes() != data:
                write_atomic(path, data)
        shutil.rmtree(self.folder / JOURNAL, ignore_errors=True)
        named = set(self._named(table))
        if self.exclusive:
            return self._sweep(named | set(files))
        obsolete = self._named(old).keys() - named
        for name in obsolete:
            (self.folder / name).unlink(missing_ok=True)
        for inside in {os.path.dirname(name) for name in named | obsolete}:
            for path in (self.folder / inside).glob(f"{DRAFT}*"):
                if is_draft(path.name):
                    path.unlink()
        return len(obsolete)

    def _sweep(self, known: set[str]) -> int:
        """Remove every file that is not known, and empty folders."""
        removed = 0
        for base, _, names in os.walk(self.folder, topdown=False):
            for name in names:
                path = os.path.join(base, name)
                if os.path.relpath(path, self.folder) not in known:
                    os.unlink(path)
                    removed += 1
            if base != str(self.folder) and not os.listdir(base):
                os.rmdir(base)
        return removed


def is_draft(name: str) -> bool:
    """Tell whether a file name is one that :func:`write_atomic` gives to a draft."""
    return re.fullmatch(re.escape(DRAFT) + "[0-9a-f]{16}", name) is not None


def parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file, the same for the same rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written


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

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

from ops.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    Row = dict[str, Any]

MANIFEST = "manifest.parquet"
REJECTS = "rejects.parquet"
SETTLED = 2.0
"""Seconds after which another change of a file shows in its times."""

_READ: dict[str, tuple[str, str]] = {}
"""By folder, what stood for its files when it was last read, and its content."""

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
    Column("parent", "string", "fingerprint of the one row of another dataset that it is made from, or null"),
    Column("made_with", "string", "settings, and names and checksums of models, that made it: JSON; or null"),
)
LINEAGE = ("parent", "made_with")
"""Columns that :meth:`Dataset.build` fills in; what they tell is in the fingerprint already."""

FILE_COLUMNS = (
    *("output", "alpha", "sound", "crop", "panels", "mask_only", "on_black", "surface"),
    *("left_eye_alpha", "right_eye_alpha", "mouth_alpha"),
)
NO_NAME = {
    **dict.fromkeys(FILE_COLUMNS, r"(^|/)\.{0,2}(/|$)|\x00|[^/]{256}"),
    **dict.fromkeys(("source", "picture", "video", "annotation"), r"^/|(^|/)\.\.(/|$)"),
}
"""How a path looks that names no file in its folder; of columns that name files of others: that leads out of those."""


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


class BadManifest(OSError):
    """A manifest that can't be read: damaged, or of other columns than are asked for."""


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


def file_md5(path: Path | str) -> str:
    """MD5 of a file as 32 hex digits (DVC's content address, not a security measure)."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def listing(folder: Path) -> list[dict[str, str]]:
    """Return ``md5`` and ``relpath`` of every file in a folder, sorted by relative path."""
    root = os.path.join(folder, "")  # plain text: there may be a hundred thousand files
    paths = sorted(os.path.join(base, name) for base, _, names in os.walk(root) for name in names)
    return [{"md5": file_md5(path), "relpath": path[len(root) :]} for path in paths]


def directory_md5(folder: Path) -> str:
    """MD5 of a folder's content as DVC writes it in dvc.lock, ``<32 hex>.dir``: that of the listing as JSON.

    While the process lives, a folder is read again only where a file's number, size or times changed.
    """
    before = _touched(folder)
    known = _READ.get(os.fspath(folder))
    if before and known and known[0] == before:
        return known[1]
    text = json.dumps(listing(folder), sort_keys=True)
    content = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
    if before and _touched(folder) == before:
        _READ[os.fspath(folder)] = (before, content)
    return content


def _touched(folder: Path) -> str | None:
    """Return what stands for all files' numbers, sizes and times; None where one is so new that these may yet lie."""
    root, told, latest = os.path.join(folder, ""), hashlib.blake2b(digest_size=16), 0.0
    for base, _, names in os.walk(root):
        for name in names:
            path = os.path.join(base, name)
            known = os.stat(path)
            latest = max(latest, known.st_mtime, known.st_ctime)
            told.update(f"{path}\0{known.st_ino} {known.st_size} {known.st_mtime_ns} {known.st_ctime_ns}\n".encode())
    return told.hexdigest() if time.time() - latest > SETTLED else None


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
        self.made_with = made_with

    @property
    def manifest(self) -> Path:
        """The manifest's path; absent until a build has ended."""
        return self.folder / MANIFEST

    def read(self, columns: Sequence[str] | None = None, status: str | None = None) -> pd.DataFrame:
        """Return the manifest's rows, all or those of one ``status``.

        Raises:
            FileNotFoundError: the dataset has not been built.
            BadManifest: it is damaged, or has no such columns.
        """
        import pyarrow as pa

        if not self.manifest.is_file():
            raise FileNotFoundError(f"{self.folder} has no {MANIFEST}: materialize it first")
        filters = None if status is None else [("status", "=", status)]
        try:
            return _read_parquet(self.manifest, columns=columns, filters=filters).to_pandas()
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
            models: files that the work opens, with the MD5 or SHA-256 that the fingerprints were made from.
            also: further files of the dataset, made from the finished table: name to content.
            progress: called with (items made, items to make).

        Raises:
            DatasetBusy: another process is building it.
            ChangedModel: a model's file was exchanged on the way; of what was made since no row is kept.
            OSError: the disk is full or not writable; what was finished is kept for the next run.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        with self.lock():
            schema, old, notes = self._finished()
            done = self._intact(old)
            wanted = {item.fingerprint: item for item in items}
            todo = [item for key, item in wanted.items() if key not in done]
            if not self.exclusive:
                self._forget(old, {item.payload["source"] for item in todo})
            fresh = self._make(todo, work, mapper, Pinned(models if models and todo else {}), progress)
            kept = old.filter(pc.is_in(old["fingerprint"], pa.array(sorted(done & wanted.keys()), pa.string())))
            here = [self._with_lineage(part, wanted) for part in (kept, fresh)]
            table = self._merge(schema, old, here, refused)
            removed = self._finish(old, table, also(table) if also else {})
            counts: dict[str, int] = {DONE: 0, SKIPPED: 0, REJECTED: 0}
            for status in table["status"].to_pylist():
                counts[status] += 1
            unread = sum((reason or "").startswith(UNREAD) for reason in table["reason"].to_pylist())
            return Report(self.folder, len(todo), len(wanted) - len(todo), removed, counts, unread, tuple(notes))

    def _finished(self) -> tuple[pa.Schema, pa.Table, list[str]]:
        """Return schema and rows of what is there: the manifest, and the journal of an interrupted run.

        The newest rows of a fingerprint count. A table that can't be read counts as absent. In a folder that is not
        exclusive, columns that another kind of run wrote stay; in one that is, a build fills in :data:`LINEAGE` anew.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        schema, tables, notes = arrow_schema(self.columns), [], []
        own = arrow_schema([column for column in self.columns if column.name not in LINEAGE])
        journal = sorted((self.folder / JOURNAL).glob("*.parquet"), reverse=True)
        for path in [*journal, *([self.manifest] if self.manifest.is_file() else [])]:
            try:
                table = _read_parquet(path)
                if self.exclusive:
                    table = table.select(own.names).cast(own)
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
        """Which of the files are there; an empty one, as a power cut leaves it, is not."""
        present: set[str] = set()
        for inside in {os.path.dirname(name) for name in files}:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder / inside) as here:
                present |= {os.path.join(inside, entry.name) for entry in here if entry.stat().st_size}
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
        pinned: Pinned,
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
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def _with_lineage(self, table: pa.Table, wanted: Mapping[str, Item]) -> pa.Table:
        """Return rows of wanted items with the columns of :data:`LINEAGE`."""
        import pyarrow as pa

        keys = table["fingerprint"].to_pylist()
        made_with = self.made_with and json.dumps(self.made_with, sort_keys=True, ensure_ascii=False, default=list)
        told = ([wanted[key].parent if key in wanted else None for key in keys], [made_with] * len(keys))
        table = table.drop_columns([name for name in LINEAGE if name in table.column_names])
        for name, values in zip(LINEAGE, told, strict=True):
            table = table.append_column(name, pa.array(values, pa.string()))
        return table

    def _merge(self, schema: pa.Schema, old: pa.Table, here: Sequence[pa.Table], refused: Sequence[Row]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [*here, pa.Table.from_pylist(list(refused), schema=schema)]
        if not self.exclusive:
            told = {source for part in parts for source in part["source"].to_pylist()}
            parts.append(old.filter(pc.invert(pc.is_in(old["source"], pa.array(sorted(told), pa.string())))))
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
        obsolete = self._named(old).keys() - named - files.keys()
        for name in obsolete:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                (self.folder / name).unlink()
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
    """Return a table as the bytes of a Parquet file, the same for the same rows, its pages with checksums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _read_parquet(path: Path, **wishes: Any) -> pa.Table:
    """Read a table; a flipped bit in a page is an error, and not another value.

    Tables come from other machines too: one that names a file out of its reach is not believed.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True, **wishes)
    for name in NO_NAME.keys() & set(table.column_names):
        if pc.any(pc.match_substring_regex(table[name], NO_NAME[name])).as_py():
            raise BadManifest(f"a path in {name!r} names no file, or one outside of the data")
    return table


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

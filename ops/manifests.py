"""Tables on disk: the same bytes for the same rows, believed only where they are sound, and never whole in memory.

Rows lie in groups of :data:`GROUP`. A table that is larger than what anybody wants in memory is known by its narrow
columns; its rows are fetched, put in order and written a group at a time.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    Row = dict[str, Any]

GROUP = 1024
"""Rows that are written, and read, at a time."""

FILE_COLUMNS = (
    *("output", "alpha", "sound", "crop", "panels", "mask_only", "on_black", "surface"),
    *("left_eye_alpha", "right_eye_alpha", "mouth_alpha"),
)
NO_NAME = {
    **dict.fromkeys(FILE_COLUMNS, r"(^|/)\.{0,2}(/|$)|\x00|[^/]{256}"),
    **dict.fromkeys(("source", "picture", "video", "annotation"), r"^/|(^|/)\.\.(/|$)"),
}
"""How a path looks that names no file in its folder; of columns that name files of others: that leads out of those."""

PART, PLACE = "part", "place"
"""Columns of an index: which of its parts has the row, and which row of that it is."""


class BadManifest(OSError):
    """A manifest that can't be read: damaged, or of other columns than are asked for."""


def parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file, the same for the same rows, its pages with checksums."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    write(sink, table.schema, [table])
    written: bytes = sink.getvalue().to_pybytes()
    return written


def write(where: Any, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema, one after the other, into one Parquet file: a path or a sink.

    Lists of numbers hardly repeat: laid down byte by byte, without a dictionary, they compress better.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lists = {
        field.name for field in schema if pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type)
    }
    how = {
        "use_dictionary": [name for name in schema.names if name not in lists],
        "column_encoding": {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in lists},
    }
    with pq.ParquetWriter(where, schema, compression="zstd", write_page_checksum=True, **how) as file:
        for table in tables:
            file.write_table(table, row_group_size=GROUP)


def read_table(path: Path, columns: Sequence[str] | None = None, status: str | None = None) -> pa.Table:
    """Read a table, all its rows or those of a ``status``; a flipped bit in a page is an error, and no other value.

    Raises:
        OSError: it can't be read; :class:`BadManifest` where it names a file out of its reach.
        pyarrow.ArrowException: it is damaged.
    """
    import pyarrow.parquet as pq

    filters = None if status is None else [("status", "=", status)]
    columns = None if columns is None else list(columns)
    return _believed(pq.read_table(path, columns=columns, filters=filters, page_checksum_verification=True))


class Finished(NamedTuple):
    """A table that has been written."""

    path: Path

    @property
    def names(self) -> list[str]:
        """Its columns."""
        import pyarrow.parquet as pq

        names: list[str] = pq.read_schema(self.path).names
        return names

    def rows(self, columns: Sequence[str] | None = None) -> list[Row]:
        """Its rows, with these columns or all."""
        rows: list[Row] = read_table(self.path, columns).to_pylist()
        return rows


def groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a table's rows as they lie, a group at a time; errors as :func:`read_table` has them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if missing := set(columns or ()) - set(file.schema_arrow.names):
            raise BadManifest(f"it has no {', '.join(sorted(missing))}")
        for number in range(file.num_row_groups):
            yield _believed(file.read_row_group(number, columns=None if columns is None else list(columns)))


def _believed(table: pa.Table) -> pa.Table:
    """Return a table; tables come from other machines too, and one that names a file out of its reach is refused."""
    import pyarrow.compute as pc

    for name in NO_NAME.keys() & set(table.column_names):
        if pc.any(pc.match_substring_regex(table[name], NO_NAME[name])).as_py():
            raise BadManifest(f"a path in {name!r} names no file, or one outside of the data")
    return table


class Part(NamedTuple):
    """Some of the rows that a table is put together from: a file's, or a small table's.

    Attributes:
        stored: the file, or the table.
        schema: what the rows are read as; None: as they are.
    """

    stored: Path | pa.Table
    schema: pa.Schema | None = None

    def indexed(self, narrow: Sequence[str], number: int) -> tuple[pa.Schema, pa.Table]:
        """Look at all rows; return their schema, and an index: the narrow columns that there are, and the places.

        Raises:
            OSError: the file can't be read.
            pyarrow.ArrowException: it is damaged, or what it holds does not fit the schema.
            KeyError: it lacks columns of the schema, or the first of the narrow ones.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        stored = self.stored
        schema = self.schema or (pq.read_schema(stored) if isinstance(stored, Path) else stored.schema)
        if narrow[0] not in schema.names:
            raise KeyError(narrow[0])
        names = [name for name in narrow if name in schema.names]
        empty = schema.empty_table().select(names)
        tables = groups(stored) if isinstance(stored, Path) else [stored]
        table = pa.concat_tables([empty, *(self._fitting(one).select(names) for one in tables)]).combine_chunks()
        part, place = pa.array(np.full(table.num_rows, number, np.int32)), pa.array(np.arange(table.num_rows))
        return schema, table.append_column(PART, part).append_column(PLACE, place)

    def take(self, places: NDArray[np.int64]) -> pa.Table:
        """Return the rows at these places, in this order."""
        if isinstance(self.stored, Path):
            return self._fitting(rows_at(self.stored, places))
        return self._fitting(self.stored.take(places))

    def _fitting(self, table: pa.Table) -> pa.Table:
        return table.select(self.schema.names).cast(self.schema) if self.schema else table


class Stock:
    """Rows of several parts, of which only narrow columns are in memory.

    Args:
        schema: of the whole rows; it grows by what further parts have.
        narrow: the columns that are held in memory, where a part has them.

    Attributes:
        index: the rows that count, in their order: narrow columns, and where the whole rows are.
    """

    def __init__(self, schema: pa.Schema, narrow: Sequence[str]) -> None:
        self.schema = schema
        self.narrow = tuple(dict.fromkeys(narrow))
        self._parts: list[Part] = []
        self.index = self.add([])

    def add(self, parts: Sequence[Part]) -> pa.Table:
        """Take in parts, and return their index; none of their rows counts until it is in :attr:`index`.

        Raises:
            OSError: a file can't be read.
            pyarrow.ArrowException: it is damaged, or what it holds does not fit the schema.
            KeyError: it lacks columns that it is read as.
        """
        import pyarrow as pa

        schema, tables = self.schema, []
        for number, part in enumerate(parts, start=len(self._parts)):
            own, table = part.indexed(self.narrow, number)
            schema = pa.unify_schemas([schema, own])
            tables.append(table)
        names = [name for name in self.narrow if name in schema.names]
        empty = schema.empty_table().select(names)
        for name, kind in ((PART, pa.int32()), (PLACE, pa.int64())):
            empty = empty.append_column(name, pa.array([], kind))
        found = pa.concat_tables([empty, *tables], promote_options="default").combine_chunks()
        self.schema = schema
        self._parts += parts
        return found

    def tables(self) -> Iterator[pa.Table]:
        """Yield the whole rows of the index, in its order, a group at a time; columns that a part lacks are null.

        Raises:
            BadManifest: a file is not the one any more that was indexed.
        """
        import pyarrow as pa

        part, place = (self.index[name].to_numpy() for name in (PART, PLACE))
        for start in range(0, self.index.num_rows, GROUP):
            within, at = part[start : start + GROUP], place[start : start + GROUP]
            tables = [self._parts[number].take(at[within == number]) for number in np.unique(within)]
            table = pa.concat_tables([self.schema.empty_table(), *tables], promote_options="default")
            table = table.take(_back(within)).combine_chunks()
            known = self.index[self.narrow[0]].slice(start, GROUP)
            if not table[self.narrow[0]].equals(known):
                raise BadManifest("another process wrote a table while it was read: run again")
            yield table


def rows_at(path: Path, places: Sequence[int] | NDArray[np.int64]) -> pa.Table:
    """Return the rows of a file at these places, one at least, in this order; the last groups read stay in memory.

    Raises:
        BadManifest: the file has fewer rows.
        OSError, pyarrow.ArrowException: as :func:`read_table`.
    """
    import pyarrow as pa

    told = path.stat()
    stamp = (told.st_ino, told.st_size, told.st_mtime_ns)
    starts = _starts(path, stamp)
    wanted = np.asarray(places, np.int64)
    if wanted.max() >= starts[-1]:  # of another table than the one that was meant
        raise BadManifest(f"{path} has {starts[-1]} rows; there is none at {wanted.max()}")
    within = np.searchsorted(starts, wanted, side="right") - 1
    found = np.unique(within).tolist()
    tables = [_group(path, stamp, number).take(wanted[within == number] - starts[number]) for number in found]
    return pa.concat_tables(tables).take(_back(within))


def _back(within: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return what puts rows that were fetched from one place after the other back into the order asked for."""
    return np.argsort(np.argsort(within, kind="stable"))


@lru_cache(maxsize=64)
def _starts(path: Path, stamp: tuple[int, ...]) -> NDArray[np.int64]:
    """Return where each group of a file begins, and where the last one ends."""
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    return np.cumsum([0, *(about.row_group(number).num_rows for number in range(about.num_row_groups))])


@lru_cache(maxsize=2)
def _group(path: Path, stamp: tuple[int, ...], number: int) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return _believed(file.read_row_group(number))

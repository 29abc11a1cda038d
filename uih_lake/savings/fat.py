"""The opponent: fat rows in one Parquet file, in two layouts, at the best settings found for them.

Both layouts are cut into row groups by the same rule, from the lengths of the sequences alone, so
that a row group can be written by itself exactly as it stands in the whole file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake.arrays import Int64, running
from uih_lake.output import failures_told
from uih_lake.savings.population import Histories, Population

SLAB: Final = 8
"""Row groups of the smaller kind that are rebuilt at once, on disk."""
_COPIES_FOR_ONE: Final = 32
"""Copies of an event that compress to about as much as one event, where they lie side by side."""
_LARGER: Final = 5
"""How much larger row groups are where users come again within one."""
LEVEL: Final = 9
"""Level of zstd. 12 takes two to three times as long for 1 to 5% less, 15 ten to thirty times."""
PAGE: Final = 2**24
"""Bytes of a page, which is what a codec sees at once: a whole column of a row group, or nearly."""
_DICTIONARY, _PLAIN, _COMPACT, _SPLIT = "dictionary", "plain", "compact", "split"


class Layout(StrEnum):
    """Order of the rows of a fat table."""

    REQUEST_ORDER = "request_order"
    CLUSTERED = "clustered_by_user"


ROW_GROUP_BYTES: Final = 40 * 2**20
"""Weight of a row group, bytes in memory, where larger ones hardly write smaller."""
SAMPLE: Final = {Layout.REQUEST_ORDER: 6, Layout.CLUSTERED: 8}
"""Row groups of a sample. Of no more than these there is no sample: all are written."""


@dataclass(frozen=True)
class Blocks:
    """The row groups of a layout: block ``i`` is ``order[edges[i]:edges[i + 1]]``.

    ``order`` has places of the clustered order; ``size`` is about what each block takes on disk, up
    to a factor. int64. ``at_once`` is how many are rebuilt together.
    """

    order: Int64
    edges: Int64
    size: Int64
    at_once: int

    @classmethod
    def of(cls, population: Population, layout: Layout, row_group_bytes: int) -> Blocks:
        """Cut a layout whenever another ``row_group_bytes`` are full.

        Row groups are larger where one copy of everybody's newest row fits into one: there a user
        comes again within a page, and the longer the page, the fewer copies start it anew.
        """
        copies = int(population.weight[population.last].sum())
        larger = _LARGER if copies <= row_group_bytes else 1
        order = np.arange(len(population))
        if layout is Layout.REQUEST_ORDER:
            order = np.argsort(population.request_ts, kind="stable")
        total = np.cumsum(population.weight[order])
        cuts = np.flatnonzero(np.diff(total // (larger * row_group_bytes))) + 1
        edges = np.concatenate([[0], cuts, [len(order)]]).astype(np.int64)
        size = population.weight[order]
        if layout is Layout.CLUSTERED:
            size = population.fresh + population.weight // _COPIES_FOR_ONE
        ends = running(size)[edges]
        return cls(order, edges, np.diff(ends), max(1, SLAB // larger))

    def __len__(self) -> int:
        return len(self.size)

    def places(self, block: int) -> Int64:
        """The examples of one block."""
        return self.order[self.edges[block] : self.edges[block + 1]]


@dataclass(frozen=True)
class Settings:
    """How a fat table is written: zstd ``level``, ``page`` bytes, and the encoding per column."""

    level: int
    page: int
    encodings: dict[str, str]

    @classmethod
    def best(cls, trial: pa.Table) -> Settings:
        """The settings that write every column of ``trial`` smallest.

        ``trial`` is a whole row group: an index into a dictionary of 256 values is a byte, in which
        zstd finds repetition, and one into 257 is not.
        """
        columns = paths(trial.schema)
        ways = _PLAIN, _DICTIONARY, _COMPACT, _SPLIT
        tried = [cls(LEVEL, PAGE, dict.fromkeys(columns, how)) for how in ways]
        with ThreadPoolExecutor(2) as pool:
            sizes = [*pool.map(lambda settings: settings.sizes(trial), tried)]
        best = {
            path: min(zip(sizes, tried, strict=True), key=lambda x: x[0][path])[1]
            for path in columns
        }
        return cls(LEVEL, PAGE, {path: settings.encodings[path] for path, settings in best.items()})

    def sizes(self, table: pa.Table) -> dict[str, int]:
        """Compressed bytes of each column of ``table``, written as one row group."""
        file = io.BytesIO()
        with self.writer(file, table.schema) as writer:
            writer.write_table(table, max(1, table.num_rows))
        file.seek(0)
        group = pq.read_metadata(file).row_group(0)
        columns = [group.column(place) for place in range(group.num_columns)]
        return {column.path_in_schema: column.total_compressed_size for column in columns}

    def writer(self, file: Any, schema: pa.Schema) -> pq.ParquetWriter:
        """A writer with these settings."""
        found = {
            path: _encoding(kind, self.encodings[path]) for path, kind in paths(schema).items()
        }
        packed = {path: encoding for path, encoding in found.items() if encoding}
        return pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=self.level,
            data_page_size=self.page,
            use_dictionary=[p for p, how in self.encodings.items() if how == _DICTIONARY],
            column_encoding=packed or None,
            write_page_checksum=True,
        )

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {"compression": "zstd", **asdict(self)}


def paths(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Path in a Parquet schema -> type, of each column of values."""
    found = {}
    pending = [(field.name, field.type) for field in reversed(schema)]
    while pending:
        path, kind = pending.pop()
        if pa.types.is_struct(kind):
            pending += [(f"{path}.{field.name}", field.type) for field in reversed(kind.fields)]
        elif pa.types.is_list(kind):
            pending.append((f"{path}.list.element", kind.value_type))
        else:
            found[path] = kind
    return found


def _encoding(kind: pa.DataType, how: str) -> str | None:
    """The encoding of a type that packs it, or splits its bytes; None for any other way."""
    number = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
    if how == _SPLIT and (number or pa.types.is_floating(kind)):
        return "BYTE_STREAM_SPLIT"
    if how == _COMPACT and number:
        return "DELTA_BINARY_PACKED"
    return "DELTA_BYTE_ARRAY" if how == _COMPACT and pa.types.is_string(kind) else None


def tables(
    histories: Histories, population: Population, blocks: Blocks, chosen: Int64
) -> Iterator[pa.Table]:
    """The rows of the ``chosen`` blocks, a table each; few of them wait on disk."""
    for first in range(0, len(chosen), blocks.at_once):
        slab = chosen[first : first + blocks.at_once].tolist()
        for waiting in histories.rows(population, [blocks.places(block) for block in slab]):
            yield waiting.table()


def write(
    path: Path, schema: pa.Schema, row_groups: Iterable[pa.Table], settings: Settings
) -> None:
    """Write one Parquet file, a row group for each table.

    Raises :class:`OutputError` where the disk does not take it.
    """
    with failures_told(path), settings.writer(path, schema) as writer:
        for table in row_groups:
            writer.write_table(table, max(1, table.num_rows))
            del table  # before the next one is there

"""Readers of fat rows in Parquet: pyarrow in three ways, DuckDB, polars."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batch import BATCH, TRAITS, Array, Batch
from benchmarks.contestants.base import Contestant, ahead, parallel
from benchmarks.fatrows import COLUMNS, chunk_bytes

_WANTED = [*COLUMNS, *TRAITS]
_THREADS = len(os.sched_getaffinity(0))


def contestant(path: Path, label: str, reader: str) -> Contestant:
    """One of :data:`READERS` on one file."""
    stored, decoded = chunk_bytes(path)
    epoch = partial(READERS[reader], path)
    return Contestant(f"{label} {reader}", "fat", epoch, (path,), stored, decoded)


def by_groups(path: Path) -> Iterator[Batch]:
    """A thread reads row groups ahead, columns in parallel, from a memory map."""
    file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    groups = range(file.metadata.num_row_groups)
    for table in ahead(file.read_row_group(g, _WANTED, use_threads=True) for g in groups):
        yield from batches_of(table)


def by_pool(path: Path) -> Iterator[Batch]:
    """As many threads as cores, a row group each."""

    def read(group: int) -> pa.Table:
        file = pq.ParquetFile(path, memory_map=True, metadata=metadata)
        return file.read_row_group(group, _WANTED, use_threads=False)

    metadata = pq.read_metadata(path)
    jobs = (partial(read, group) for group in range(metadata.num_row_groups))
    for table in parallel(jobs, _THREADS):
        yield from batches_of(table)


def by_stream(path: Path) -> Iterator[Batch]:
    """``iter_batches`` in batches of the size asked for."""
    file = pq.ParquetFile(path, memory_map=True)
    for some in ahead(file.iter_batches(BATCH, columns=_WANTED, use_threads=True), 8):
        yield from batches_of(pa.Table.from_batches([some]))


def by_duckdb(path: Path) -> Iterator[Batch]:
    """A scan of DuckDB as a stream of Arrow batches of 4,096 rows, in the order of the file."""
    columns = ", ".join(_WANTED)
    with duckdb.connect(config={"threads": _THREADS}) as duck:
        found = duck.sql(f"SELECT {columns} FROM read_parquet('{path}')")
        for some in ahead(found.to_arrow_reader(8 * BATCH)):
            yield from batches_of(pa.Table.from_batches([some]))


def by_polars(path: Path) -> Iterator[Batch]:
    """Polars, a slice of one row group at a time."""
    import polars as pl

    rows = pq.read_metadata(path).row_group(0).num_rows
    total = pq.read_metadata(path).num_rows
    lazy = pl.scan_parquet(path, use_statistics=False).select(_WANTED)
    slices = (lazy.slice(low, rows).collect() for low in range(0, total, rows))
    for frame in ahead(slices):
        yield from batches_of(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))


def batches_of(table: pa.Table) -> Iterator[Batch]:
    """Cut rows into batches without copying a value."""
    whole = {n: table.column(n).combine_chunks() for n in ("example_id", *TRAITS)}
    ids = whole["example_id"].to_numpy()
    lists = {name: _parts(whole[name]) for name in TRAITS}
    offsets = lists["item_id"][1]
    for low in range(0, len(ids), BATCH):
        edges = offsets[low : low + BATCH + 1]
        values = {n: v[edges[0] : edges[-1]] for n, (v, _) in lists.items()}
        yield Batch(ids[low : low + BATCH], edges - edges[0], values)


def _parts(lists: pa.Array) -> tuple[Array, Array]:
    """Values and offsets of a list array, whose offsets begin at 0."""
    offsets = lists.offsets.to_numpy()
    values = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    if pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    return np.asarray(values), offsets - offsets[0]


READERS: dict[str, Callable[[Path], Iterator[Batch]]] = {
    "pyarrow groups": by_groups,
    "pyarrow pool": by_pool,
    "pyarrow stream": by_stream,
    "duckdb": by_duckdb,
    "polars": by_polars,
}
QUICK = ("pyarrow groups", "pyarrow pool", "pyarrow stream")
"""Readers to try on every file; the others have never been faster on the same one."""

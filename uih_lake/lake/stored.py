"""Stored rows of some buckets as a table, read through the checking reader alone.

SQL would decode a second time what was decoded to check it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.arrays import in_one_piece
from uih_lake.lake.integrity import Pages
from uih_lake.lake.snapshot import Chunk, Snapshot


def stored_events(snapshot: Snapshot, first: int, last: int) -> pa.Table:
    """The events of the buckets ``first`` to ``last`` (inclusive) with ``_bucket``, in one chunk.

    File after file, each as it lies. Every page is checked as it is read. Raises
    :class:`CorruptionError` and :class:`TooMuchText`.
    """
    schema = snapshot.stored.append(pa.field(names.BUCKET, pa.int32()))

    def run(path: str, bucket: int) -> pa.Table:
        rows = snapshot.pages.read(path, snapshot.stored.names)
        return conformed(rows, schema, {names.BUCKET: bucket})

    def chunk(found: Chunk) -> pa.Table:
        rows = between(snapshot.pages, found.path, snapshot.stored.names, first, last)
        return conformed(rows, schema, {names.LAKE_VERSION: found.lake_version})

    mine = [(bucket, paths) for bucket, paths in snapshot.runs.items() if first <= bucket <= last]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        read = [threads.submit(run, path, bucket) for bucket, paths in mine for path in paths]
        read += [threads.submit(chunk, found) for found in snapshot.recent]
    parts = [schema.empty_table(), *(rows.result() for rows in read)]
    return in_one_piece(pa.concat_tables(parts))


def between(pages: Pages, path: str, columns: Sequence[str], first: int, last: int) -> pa.Table:
    """The rows of some buckets in a file of ``recent`` or ``examples``, sorted by bucket.

    ``_bucket``, and those of ``columns`` that the file has. Raises :class:`CorruptionError`.
    """
    groups = holding(pages.footer(path), first, last)
    rows = pages.read(path, list(dict.fromkeys([names.BUCKET, *columns])), groups)
    buckets = rows.column(names.BUCKET).to_numpy()
    start, stop = np.searchsorted(buckets, [first, last + 1]).tolist()
    return rows.slice(start, stop - start)


def holding(footer: pq.FileMetaData, first: int, last: int) -> list[int]:
    """The row groups of a file with ``_bucket`` that can hold rows of some buckets."""
    place = footer.schema.names.index(names.BUCKET)

    def ends(group: int) -> pq.Statistics:
        return footer.row_group(group).column(place).statistics

    every = range(footer.num_row_groups)
    return [group for group in every if ends(group).min <= last and ends(group).max >= first]


def conformed(rows: pa.Table, schema: pa.Schema, constants: dict[str, int]) -> pa.Table:
    """The columns of ``schema``: those of a file, constant ones, and nulls where it has none."""

    def column(field: pa.Field) -> pa.Array | pa.ChunkedArray:
        if field.name in constants:
            return pa.repeat(pa.scalar(constants[field.name], field.type), rows.num_rows)
        if field.name in rows.column_names:
            return rows.column(field.name).cast(field.type)
        return pa.nulls(rows.num_rows, field.type)

    return pa.table([column(field) for field in schema], schema=schema)

"""How data files are written: encodings per column, row groups, checksums.

The encodings are chosen by what a column is, measured against the writer's defaults (13 against 21
bytes per event, and twice the scan speed): deltas for times, dictionaries where values repeat, byte
streams for floats, all under zstd. Row groups are the unit DuckDB can skip, so they are kept near
:data:`ROW_GROUP_ROWS` and, in the mutable tier, end at bucket boundaries.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.lake.integrity import footer_hash
from uih_lake.lake.tables import File

ROW_GROUP_ROWS = 128 * 1024
_BUCKET_ROWS = 16 * 1024  # below this, a row group spans several buckets
_SAMPLE_ROWS = 16 * 1024
_DICTIONARY_SHARE = 0.5  # at most this share of a sample may be distinct
_ZERO_NEARLY_EVERYWHERE = (names.DELAY, names.TIE)  # plain: zstd folds the zeros


def write(
    root: str, table: pa.Table, partition: dict[str, int], cuts: Sequence[int] | None = None
) -> File:
    """Write ``table`` as one Parquet file below ``root`` and return it, not yet committed.

    ``cuts`` are ascending row numbers at which a row group ends; by default one ends every
    :data:`ROW_GROUP_ROWS` rows. A file that cannot be finished is removed.
    """
    name = "-".join(f"{key.strip('_')}{value}" for key, value in partition.items())
    random = uuid.uuid4().hex
    path = Path(root, f"{name}-{random}")  # till the hash of its footer is known
    dictionary, encodings = _encodings(table)
    stops = [*(cuts or range(ROW_GROUP_ROWS, table.num_rows, ROW_GROUP_ROWS)), table.num_rows]
    try:
        with pq.ParquetWriter(
            path,
            table.schema,
            compression="zstd",
            use_dictionary=dictionary,
            column_encoding=encodings,
            write_page_checksum=True,
            store_schema=False,  # Parquet's own types tell all, and not whether strings came coded
        ) as writer:
            start = 0
            for stop in stops:
                writer.write_table(table.slice(start, stop - start), ROW_GROUP_ROWS)
                start = stop
        file = path.rename(Path(root, f"{name}-{footer_hash(path)}-{random}.parquet"))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return File(file.name, os.path.getsize(file), table.num_rows, partition)


class Writing:
    """Writes files on a thread of its own while the next one is being prepared.

    At most one table waits, so memory stays bounded. Each finished file is added to ``files``, in
    the order given; leaving the block waits for the last one and raises what went wrong.
    """

    def __init__(self, root: str, files: list[File]) -> None:
        self._root = root
        self._files = files
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="uih-write")
        self._pending: list[Future[File]] = []

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._collect(0)
        finally:
            self._thread.shutdown()

    def write(
        self, table: pa.Table, partition: dict[str, int], cuts: Sequence[int] | None = None
    ) -> None:
        """Have ``table`` written as by :func:`write`."""
        self._pending.append(self._thread.submit(write, self._root, table, partition, cuts))
        self._collect(1)

    def _collect(self, waiting: int) -> None:
        while len(self._pending) > waiting:
            self._files.append(self._pending.pop(0).result())


def bucket_cuts(table: pa.Table) -> list[int] | None:
    """Rows of a bucket-sorted table at which a row group ends: bucket boundaries far enough apart.

    None, the default cuts, where the table has no bucket column.
    """
    if names.BUCKET not in table.column_names:
        return None
    cuts, last = [], 0
    for edge in (np.flatnonzero(np.diff(table.column(names.BUCKET).to_numpy())) + 1).tolist():
        if edge - last >= _BUCKET_ROWS:
            cuts.append(edge)
            last = edge
    return cuts


def _encodings(table: pa.Table) -> tuple[list[str], dict[str, str]]:
    """Columns to write with a dictionary, and the encoding of each other column."""
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    for field in table.schema:
        kind = field.type
        if pa.types.is_boolean(kind) or pa.types.is_list(kind):
            continue
        if pa.types.is_string(kind) or pa.types.is_dictionary(kind) or _repeats(table, field):
            dictionary.append(field.name)
        elif pa.types.is_floating(kind):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
        elif field.name not in _ZERO_NEARLY_EVERYWHERE:
            encodings[field.name] = "DELTA_BINARY_PACKED"
    return dictionary, encodings


def _repeats(table: pa.Table, field: pa.Field) -> bool:
    """Whether values repeat so much that a dictionary pays."""
    if field.name in (names.USER_ID, names.LAKE_VERSION):
        return True
    if field.name.startswith("_") or pa.types.is_timestamp(field.type):
        return False
    middle = max(0, (table.num_rows - _SAMPLE_ROWS) // 2)
    sample = table.column(field.name).slice(middle, _SAMPLE_ROWS)
    return bool(pc.count_distinct(sample).as_py() < _DICTIONARY_SHARE * max(len(sample), 1))

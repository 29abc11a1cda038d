"""How data files are written: encodings per column, row groups, checksums.

The encodings are chosen by what a column is, measured against the writer's defaults (13 against 21
bytes per event, and twice the scan speed): byte streams for times, and for other numbers deltas,
byte streams or a dictionary, whichever makes a sample smaller. Numbers are compressed with LZ4,
which is read at 1.1 to 2.1 times the speed of zstd and, after these encodings, leaves hardly more
bytes; strings and flags with zstd. A column without nulls is required in its file: a reader has no
levels to look at then, and takes 0.8 of the time. Row groups are the unit DuckDB can skip, so they
are kept near :data:`ROW_GROUP_ROWS` and, in the mutable tier, end at bucket boundaries.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.lake import disk
from uih_lake.lake.integrity import footer_hash
from uih_lake.lake.tables import File

ROW_GROUP_ROWS = 128 * 1024
_BUCKET_ROWS = 16 * 1024  # below this, a row group spans several buckets
_SAMPLE_ROWS = 16 * 1024
_ZERO_NEARLY_EVERYWHERE = (names.DELAY, names.TIE)  # plain: LZ4 folds the zeros


def write(
    root: str,
    table: pa.Table,
    partition: dict[str, int],
    cuts: Sequence[int] | None = None,
    notes: Mapping[str, str] | None = None,
    named: str = "",
) -> File:
    """Write ``table`` as one Parquet file below ``root`` and return it, not yet committed.

    ``cuts`` are ascending row numbers at which a row group ends; by default one ends where a bucket
    does, far enough from the last. None is longer than :data:`ROW_GROUP_ROWS`. ``notes`` go into
    the footer. ``named`` is what :func:`unique` of this one shall begin with. The file survives a
    power cut; its name does from the commit on. One that cannot be finished is removed. Raises
    :class:`OutputError`.
    """
    name = "-".join(f"{key.strip('_')}{value}" for key, value in partition.items())
    random = named + uuid.uuid4().hex[len(named) :]
    path = Path(root, f"{name}-{random}")  # till the hash of its footer is known
    stops = [*(_bucket_cuts(table) if cuts is None else cuts), table.num_rows]
    table = _required(table)
    with disk.taking(root), _removed_unless_finished(path):
        with pq.ParquetWriter(
            path,
            table.schema,
            write_page_checksum=True,
            store_schema=False,  # Parquet's own types tell all, and not whether strings came coded
            **_forms(table),
        ) as writer:
            start = 0
            for stop in stops:
                writer.write_table(table.slice(start, stop - start), ROW_GROUP_ROWS)
                start = stop
            writer.add_key_value_metadata(dict(notes or {}))
        disk.sync(path)
        file = path.rename(Path(root, f"{name}-{footer_hash(path)}-{random}.parquet"))
    return File(file.name, os.path.getsize(file), table.num_rows, partition)


@contextmanager
def _removed_unless_finished(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def unique(path: str) -> str:
    """The random part of a file's name, in hex: no two files share it."""
    return Path(path).stem.rpartition("-")[2]


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
        self,
        table: pa.Table,
        partition: dict[str, int],
        cuts: Sequence[int] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Have ``table`` written as by :func:`write`."""
        job = self._thread.submit(write, self._root, table, partition, cuts, notes)
        self._pending.append(job)
        self._collect(1)

    def _collect(self, waiting: int) -> None:
        while len(self._pending) > waiting:
            wait(self._pending[:1])  # an interrupt leaves it to the end of the block
            self._files.append(self._pending.pop(0).result())


def _bucket_cuts(table: pa.Table) -> list[int]:
    """Rows of a bucket-sorted table at which a row group ends: bucket boundaries far enough apart.

    No row of a table without a bucket column.
    """
    if names.BUCKET not in table.column_names:
        return []
    cuts, last = [], 0
    for edge in (np.flatnonzero(np.diff(table.column(names.BUCKET).to_numpy())) + 1).tolist():
        if edge - last >= _BUCKET_ROWS:
            cuts.append(edge)
            last = edge
    return cuts


def _required(table: pa.Table) -> pa.Table:
    """The table, its columns without nulls declared so."""
    each = zip(table.schema, table.columns, strict=True)
    fields = [field.with_nullable(column.null_count > 0) for field, column in each]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _forms(table: pa.Table) -> dict[str, Any]:
    """Writer options: how each column is encoded and compressed, and which ones have statistics."""
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    codecs: dict[str, str] = {}
    described: list[str] = []
    for field in table.schema:
        name, kind = field.name, field.type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        leaf = f"{name}.list.element" if pa.types.is_list(kind) else name
        codecs[leaf] = "zstd"
        if not _has_nan(table.column(name)):
            described.append(leaf)
        if pa.types.is_timestamp(kind) or name == names.FINGERPRINT:
            encodings[name], codecs[name] = "BYTE_STREAM_SPLIT", "lz4"
        elif name == names.GAPS:
            codecs[name] = "lz4"
        elif name in (names.USER_ID, names.LAKE_VERSION) or _is_text(kind):
            dictionary.append(name)
            codecs[name] = "lz4" if number else "zstd"
        elif name in _ZERO_NEARLY_EVERYWHERE:
            encodings[name], codecs[name] = "PLAIN", "lz4"
        elif number and name.startswith("_"):
            encodings[name] = "DELTA_BINARY_PACKED"
        elif number:
            codecs[name] = "lz4"
            packed = "BYTE_STREAM_SPLIT" if pa.types.is_floating(kind) else "DELTA_BINARY_PACKED"
            if _size(table, name, {}) < _size(table, name, {name: packed}):
                dictionary.append(name)
            else:
                encodings[name] = packed
    return {
        "use_dictionary": dictionary,
        "column_encoding": encodings,
        "compression": codecs,
        "write_statistics": described,
    }


def _has_nan(column: pa.ChunkedArray) -> bool:
    """Whether a number in it is NaN: the largest to DuckDB, and left out by the writer's largest.

    By such statistics row groups would be skipped that a condition is true for.
    """
    values = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    return bool(pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))  # coded strings


def _size(table: pa.Table, name: str, encoding: dict[str, str]) -> int:
    """Bytes of a sample of a column in an encoding; in a dictionary where none is given."""
    middle = max(0, (table.num_rows - _SAMPLE_ROWS) // 2)
    sample, sink = table.select([name]).slice(middle, _SAMPLE_ROWS), pa.BufferOutputStream()
    dictionary = [] if encoding else [name]
    pq.write_table(
        sample, sink, compression="lz4", use_dictionary=dictionary, column_encoding=encoding
    )
    return int(sink.tell())

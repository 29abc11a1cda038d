"""Part files: a stream of record batches cut into files and row groups of a sensible size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FORMATS: Final = ("parquet", "arrow")
PART_BYTES: Final = 256 * 2**20
"""Bytes on disk after which the next file is begun."""
GROUP_BYTES: Final = 64 * 2**20
"""Bytes in memory of a row group, or of a record batch of an Arrow file."""
_DICTIONARY_VALUES: Final = 1024


class Parts:
    """Writes ``part-00000.parquet``, ``part-00001.parquet``, ... of one schema into a directory.

    A file ends after about ``part_bytes``. Rows are gathered into groups of about ``group_bytes``,
    so memory is bounded by that and by the largest batch. A context manager: what is pending is
    written, and synced, on leaving it.
    """

    def __init__(
        self,
        directory: Path,
        schema: pa.Schema,
        format: str,
        part_bytes: int = PART_BYTES,
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self.rows = 0
        self.names: list[str] = []
        self._directory = directory
        self._schema = schema
        self._format = format
        self._part_bytes = part_bytes
        self._group_bytes = group_bytes
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._file: Any = None
        self._writer: Any = None

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if kind is None:
            if self._pending or not self.names:
                self._flush()
            self._end()
        elif self._writer is not None:
            # The files are of no use any more, and the error on its way says why.
            with suppress(OSError, ValueError, pa.ArrowException):
                self._writer.close()
            self._file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        for piece in _pieces(batch, self._group_bytes):
            self._pending.append(piece)
            self._pending_bytes += piece.nbytes
            if self._pending_bytes >= self._group_bytes:
                self._flush()

    def _flush(self) -> None:
        """Write what is pending as one group and end the file once it is large enough."""
        table = pa.Table.from_batches(self._pending, self._schema)
        self._pending, self._pending_bytes = [], 0
        if self._writer is None:
            self._begin(table)
        if table.num_rows:
            self._writer.write_table(table.combine_chunks(), max(table.num_rows, 1))
            self.rows += table.num_rows
        if self._file.tell() >= self._part_bytes:
            self._end()

    def _begin(self, sample: pa.Table) -> None:
        name = f"part-{len(self.names):05d}.{self._format}"
        self._file = open(self._directory / name, "xb")  # noqa: SIM115  (closed by _end)
        self.names.append(name)
        if self._format == "arrow":
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_file(self._file, self._schema, options=options)
        else:
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                use_dictionary=list(_repetitive(sample)),
                write_page_checksum=True,
            )

    def _end(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._writer = self._file = None


def _pieces(batch: pa.RecordBatch, group_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batch in slices of about a group each."""
    count = min(batch.nbytes // group_bytes + 1, batch.num_rows)
    for piece in range(count):
        start = batch.num_rows * piece // count
        yield batch.slice(start, batch.num_rows * (piece + 1) // count - start)


def _repetitive(sample: pa.Table) -> Iterator[str]:
    """Parquet paths of the columns with few distinct values, for which a dictionary pays.

    All others are plain: overlapping histories repeat byte for byte, and zstd finds them where an
    encoding of bits across values would hide them.
    """
    for path, values in _leaves(sample):
        if pa.types.is_boolean(values.type):
            continue
        if pc.count_distinct(values).as_py() <= _DICTIONARY_VALUES:
            yield path


def _leaves(sample: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Each primitive column, with its path in a Parquet schema."""
    pending = [
        (field.name, column.combine_chunks())
        for field, column in zip(sample.schema, sample.columns, strict=True)
    ]
    while pending:
        path, values = pending.pop()
        if pa.types.is_struct(values.type):
            fields = [field.name for field in values.type]
            pending += zip((f"{path}.{name}" for name in fields), values.flatten(), strict=True)
        elif pa.types.is_list(values.type):
            pending.append((f"{path}.list.element", values.flatten()))
        else:
            yield path, values

"""Parquet and Arrow files, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake.errors import InputError
from uih_lake.ingest.source import plain_schema, reading

_PIECE_ROWS: Final = 2**17
_PIECE_BYTES: Final = 2**26
_READ_BUFFER: Final = 2**20

_FILE_MAGIC: Final = b"ARROW1"
_FEATHER_1_MAGIC: Final = b"FEA1"
_DAMAGED: Final = "it may be truncated or damaged: write it again"


class ParquetFile:
    """A Parquet file; column chunks are read through a small buffer, never a whole row group."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        with self._opened() as file:
            self.schema = plain_schema(file.schema_arrow)
            self._rows = file.metadata.num_rows
            self._piece_rows = _piece_rows(file.metadata)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with (
            reading(self.where, "Parquet", _DAMAGED),
            pa.OSFile(str(self._path)) as raw,
            pq.ParquetFile(
                raw,
                buffer_size=_READ_BUFFER,
                coerce_int96_timestamp_unit="us",
                page_checksum_verification=True,
            ) as file,
        ):
            yield file

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order."""
        with self._opened() as file:
            read = 0
            for batch in file.iter_batches(batch_size=self._piece_rows):
                read += batch.num_rows
                yield batch
            if read != self._rows:
                raise InputError(
                    f"{self.where}: has {read:,} rows where its footer says {self._rows:,}",
                    hint=_DAMAGED,
                )


def _piece_rows(metadata: Any) -> int:
    """How many rows to decode at a time, so that a piece stays near 64 MB for wide rows too."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    encoded = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    # Encodings hide repeated values: allow for four times the bytes, and for two words a column.
    width = max(4 * encoded, 16 * metadata.num_columns, 1)
    return max(64, min(_PIECE_ROWS, _PIECE_BYTES // int(width)))


class ArrowFile:
    """An Arrow IPC file or stream, told apart by its first bytes, read batch by batch."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        with path.open("rb") as file:
            magic = file.read(len(_FILE_MAGIC))
        self._is_file = magic == _FILE_MAGIC
        if magic.startswith(_FEATHER_1_MAGIC):
            raise InputError(
                f"{self.where}: is Feather version 1", hint="write it again as Feather version 2"
            )
        if not self._is_file:
            self._check_end(path.stat().st_size)
        with self._opened() as reader:
            self.schema = plain_schema(reader.schema)

    def _check_end(self, size: int) -> None:
        """Refuse a stream that was cut off, or goes on after its end.

        Cut between two batches it reads like a whole one: only the mark behind the last message
        tells. The bodies of messages are mapped and not read.
        """
        last = 0
        with reading(self.where, "Arrow", _DAMAGED), pa.memory_map(str(self._path)) as mapped:
            for _ in pa.ipc.MessageReader.open_stream(mapped):
                last = mapped.tell()
            end = mapped.tell()
        if end == last:
            raise InputError(f"{self.where}: is an Arrow stream without an end mark", hint=_DAMAGED)
        if end < size:
            raise InputError(f"{self.where}: goes on after its end mark", hint=_DAMAGED)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        start = pa.ipc.open_file if self._is_file else pa.ipc.open_stream
        with (
            reading(self.where, "Arrow", _DAMAGED),
            pa.OSFile(str(self._path)) as raw,
            start(raw) as reader,
        ):
            yield reader

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order."""
        with self._opened() as reader:
            if self._is_file:
                yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                yield from reader

"""Truncated and altered files are read or refused, never anything else."""

from __future__ import annotations

import gzip
import io
import json
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from uih_lake.errors import InputError, UihError
from uih_lake.ingest import EventColumns, open_events

ROWS = 40
TABLE = pa.table(
    {
        "user_id": range(ROWS),
        "event_ts": pa.array(range(ROWS), pa.timestamp("s", tz="UTC")),
        "item": [f"item{i % 7}é" for i in range(ROWS)],
        "dwell": [i / 3 if i % 5 else None for i in range(ROWS)],
        "tags": [[i, i + 1] if i % 3 else None for i in range(ROWS)],
        "surface": pa.array(["feed", "search"] * (ROWS // 2)).dictionary_encode(),
        "seen": [True, None] * (ROWS // 2),
    }
)


def parquet(**settings: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink, **settings)
    return sink.getvalue()


def ipc(*, stream: bool, compression: str | None) -> bytes:
    sink = io.BytesIO()
    start = pa.ipc.new_stream if stream else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with start(sink, TABLE.schema, options=options) as writer:
        writer.write_table(TABLE, max_chunksize=16)
    return sink.getvalue()


def delimited() -> bytes:
    sink = io.BytesIO()
    plain = TABLE.drop_columns(["tags", "surface"])
    pyarrow.csv.write_csv(plain, sink)
    return sink.getvalue()


def lines() -> bytes:
    rows = [
        {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
        for row in TABLE.to_pylist()
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


FILES = {
    "snappy.parquet": (parquet(), 150),
    "checked.parquet": (
        parquet(compression="zstd", write_page_checksum=True, row_group_size=10),
        80,
    ),
    "plain.parquet": (parquet(compression="none", use_dictionary=False), 150),
    "file.arrow": (ipc(stream=False, compression=None), 200),
    "stream.arrow": (ipc(stream=True, compression=None), 200),
    "zstd.feather": (ipc(stream=False, compression="zstd"), 100),
    "lz4.ipc": (ipc(stream=True, compression="lz4"), 100),
    "e.csv": (delimited(), 25),
    "e.csv.gz": (gzip.compress(delimited(), mtime=0), 40),
    "e.jsonl": (lines(), 15),
    "e.jsonl.gz": (gzip.compress(lines(), mtime=0), 40),
}


def rows_of(path: Path) -> int:
    return sum(batch.num_rows for batch in open_events(path, EventColumns()))


@pytest.mark.parametrize("name", FILES)
def test_altered_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    """Bits flipped, bytes overwritten or cut out: no other exception, never more or fewer rows
    than a binary format promises."""
    whole, tries = FILES[name]
    path = tmp_path / name
    path.write_bytes(whole)
    assert rows_of(path) == ROWS
    rng = random.Random(name)
    refused = 0
    for _ in range(tries):
        data = bytearray(whole)
        start = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[start : start + rng.randrange(1, 64)] = b""
            case 1:
                data[start : start + 32] = bytes(len(data[start : start + 32]))
            case _:
                for _ in range(rng.choice([1, 1, 8])):
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            rows = rows_of(path)
        except UihError as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(path) in str(error)
        else:
            assert rows == ROWS or name.startswith("e.")
    assert refused > tries // 10


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("e.csv", "e.jsonl")])
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    """Wherever the end is missing. Plain text cut at the end of a line looks whole: left out."""
    whole, _ = FILES[name]
    path = tmp_path / name
    for end in sorted({1, len(whole) - 1, *range(2, len(whole), max(1, len(whole) // 60))}):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError):
            rows_of(path)


def test_text_cut_inside_a_row_is_refused(tmp_path: Path) -> None:
    whole = lines()
    path = tmp_path / "e.jsonl"
    for end in range(whole.rindex(b"\n") + 2, len(whole), 10):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"line|object"):
            rows_of(path)


@pytest.mark.parametrize("settings", [{}, {"compression": "lz4"}, {"use_legacy_format": True}])
@pytest.mark.parametrize("last", [1, True, ""])
def test_a_stream_cut_between_batches_is_refused(
    tmp_path: Path, last: object, settings: dict[str, Any]
) -> None:
    """Whatever the last bytes of a batch look like: mostly as the end of a stream does."""
    table = TABLE.select(["user_id", "event_ts"]).append_column("last", pa.array([last] * ROWS))
    sink, options = pa.BufferOutputStream(), pa.ipc.IpcWriteOptions(**settings)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        edges = []
        for _ in range(3):
            writer.write_table(table)
            edges.append(sink.tell())
    whole, path = sink.getvalue().to_pybytes(), tmp_path / "e.arrow"
    path.write_bytes(whole)
    assert rows_of(path) == 3 * ROWS
    for edge in edges:
        path.write_bytes(whole[:edge])
        with pytest.raises(InputError, match="without an end mark"):
            rows_of(path)
    for more in (b"\0", b"\0" * 4, b"\xff" * 4 + b"\0" * 4):
        path.write_bytes(whole + more)
        with pytest.raises(InputError, match="goes on after its end mark"):
            rows_of(path)


def test_joined_streams_are_refused(tmp_path: Path) -> None:
    """The second would be lost without a word."""
    stream, _ = FILES["stream.arrow"]
    (tmp_path / "e.arrow").write_bytes(stream + stream)
    with pytest.raises(InputError, match="goes on after its end mark"):
        rows_of(tmp_path / "e.arrow")


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as who may read everything, so the reader says it for the system."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "e.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pq, "ParquetFile", denied)
    with pytest.raises(InputError, match=r"e\.parquet: permission denied; check who may read it"):
        open_events(tmp_path / "e.parquet", EventColumns())

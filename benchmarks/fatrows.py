"""Fat rows: the opponent's files, an example a row, its whole sequence in it.

They are made of the flat arrays by code that shares nothing with the lake. Nulls are 0 in them and
every column, list and element is declared to have none, so that no reader spends time on validity.
Where an epoch would be too large, users are sampled.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import visible
from benchmarks.batch import BATCH, TRAITS, Array
from benchmarks.workload import Bench
from uih_lake.arrays import Int64

LAYOUTS = ("request", "user")
"""In the order of request times, or clustered by user."""

COLUMNS = ("example_id", "user_id", "request_ts", "label")
GROUP_EVENTS = 1 << 20
"""Events per row group, about; see :func:`group_rows`."""

_FEWEST = 64
_PAGE = 4 << 20  # large pages: clustered copies of one history are then found by zstd


@dataclass(frozen=True)
class Form:
    """How fat rows are written: codec, encodings, and what a sequence is in the file."""

    codec: str
    encodings: str = "aware"
    kind: str = "parquet"

    @property
    def name(self) -> str:
        """Short name, such as ``zstd``."""
        if self.kind != "parquet":
            return self.kind
        return self.codec if self.encodings == "aware" else f"{self.codec}-{self.encodings}"


FORMS = (
    Form("zstd"),
    Form("zstd", "plain"),
    Form("zstd", "split"),
    Form("lz4"),
    Form("lz4", "split"),
    Form("lz4", "plain"),
    Form("none", "plain"),
    Form("none", "plain", "arrow"),
)
"""Parquet under three codecs with column-aware encodings or plain, and an Arrow file to map.

Aware encodings are deltas for times; split ones are byte streams for them.
"""


def sample(bench: Bench, length: int, most_events: int, layout: str = "user") -> Int64:
    """Requests (places in ``bench.requests``) of an epoch of at most ``most_events`` events.

    A sample must compress as the whole does: in the order of request times it is a stretch of time
    with all users in it, clustered by user it is all requests of some users.
    """
    _, count = bench.sequences(length)
    user = bench.requests["user"]
    if layout == "request":
        middle = len(count) // 2
        reach = np.cumsum(count[middle:]), np.cumsum(count[:middle][::-1])
        after, before = (int(np.searchsorted(r, most_events / 2, side="right")) for r in reach)
        return np.arange(middle - before, middle + after)
    per_user = np.bincount(user, weights=count)
    if per_user.sum() <= most_events:
        return np.arange(len(user))
    order = np.random.default_rng(0).permutation(len(per_user))
    taken = np.zeros(len(per_user), bool)
    taken[order[: np.searchsorted(np.cumsum(per_user[order]), most_events)]] = True
    return np.flatnonzero(taken[user])


def group_rows(mean_length: float, target: int = GROUP_EVENTS) -> int:
    """Rows per row group for about ``target`` events: whole batches, or an even part of one.

    Readers end a batch with its row group, so long histories come in smaller batches.
    """
    rows = target / max(mean_length, 1)
    if rows >= BATCH:
        return min(64, round(rows / BATCH)) * BATCH
    return max(_FEWEST, 1 << max(0, round(math.log2(rows))))


def write(
    bench: Bench,
    length: int,
    layout: str,
    form: Form,
    chosen: Int64,
    root: Path,
    group: int | None = None,
) -> Path:
    """Write the fat rows of ``chosen`` requests into ``root``, once; returns the file."""
    ending = "arrow" if form.kind == "arrow" else "parquet"
    shown = "" if group is None else f"-{group}"
    path = root / f"fat-{length}-{layout}-{form.name}-{len(chosen)}{shown}.{ending}"
    if path.exists():
        return path
    order = chosen
    if layout == "user":
        order = chosen[np.argsort(bench.requests["user"][chosen], kind="stable")]
    start, count = bench.sequences(length, order)
    rows = group or group_rows(float(count.mean()) if len(count) else 1.0)
    partial = path.with_suffix(".partial")
    root.mkdir(parents=True, exist_ok=True)
    writing = _write_arrow if form.kind == "arrow" else _write_parquet
    writing(partial, form, _tables(bench, order, start, count, rows))
    shutil.move(partial, path)
    return path


def _tables(
    bench: Bench, order: Int64, start: Int64, count: Int64, rows: int
) -> Iterator[pa.RecordBatch]:
    """The fat rows, ``rows`` at a time."""
    asked, flat = bench.requests, bench.flat
    for low in range(0, len(order), rows):
        some = slice(low, low + rows)
        chosen, lengths = order[some], count[some]
        picked = visible.rows(
            start[some],
            asked["stop"][chosen],
            asked["request_ts"][chosen],
            flat["arrival_ts"],
            int(lengths.sum()),
        )
        offsets = np.zeros(len(chosen) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        columns = _columns(asked, flat, chosen, offsets, picked)
        fields = [pa.field(n, column.type, nullable=False) for n, column in columns.items()]
        yield pa.record_batch(list(columns.values()), schema=pa.schema(fields))


def _columns(
    asked: dict[str, Array], flat: dict[str, Array], chosen: Int64, offsets: Array, picked: Int64
) -> dict[str, pa.Array]:
    columns = {name: pa.array(asked[name][chosen]) for name in COLUMNS}
    for name in TRAITS:
        values = pa.array(flat[name][picked])
        kind = pa.list_(pa.field("element", values.type, nullable=False))
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)
    return columns


def _write_parquet(path: Path, form: Form, tables: Iterator[pa.RecordBatch]) -> None:
    options: dict[str, object] = {"use_dictionary": False, "column_encoding": None}
    split = form.encodings == "split"
    if form.encodings != "plain":
        leaf = "{}.list.element".format
        options = {
            "use_dictionary": [leaf("item_id"), leaf("category"), "user_id"],
            "column_encoding": {
                leaf("event_ts"): "BYTE_STREAM_SPLIT" if split else "DELTA_BINARY_PACKED",
                leaf("dwell"): "BYTE_STREAM_SPLIT",
            },
        }
    _stream(
        tables,
        lambda schema: pq.ParquetWriter(
            path,
            schema,
            compression=form.codec,
            data_page_size=_PAGE,
            dictionary_pagesize_limit=_PAGE,
            write_statistics=False,
            **options,
        ),
    )


def _write_arrow(path: Path, form: Form, tables: Iterator[pa.RecordBatch]) -> None:
    _stream(tables, lambda schema: pa.ipc.new_file(str(path), schema))


def _stream(tables: Iterator[pa.RecordBatch], opened: Callable[[pa.Schema], object]) -> None:
    writer: object | None = None
    for table in tables:
        writer = opened(table.schema) if writer is None else writer
        writer.write_batch(table)  # type: ignore[attr-defined]
    assert writer is not None, "no fat rows to write"
    writer.close()  # type: ignore[attr-defined]


def chunk_bytes(path: Path) -> tuple[int, int]:
    """Bytes of the column chunks of a Parquet file: compressed, as they are read, and decoded."""
    meta = pq.ParquetFile(path).metadata
    stored = decoded = 0
    for group in range(meta.num_row_groups):
        for column in range(meta.num_columns):
            chunk = meta.row_group(group).column(column)
            stored += chunk.total_compressed_size
            decoded += chunk.total_uncompressed_size
    return stored, decoded

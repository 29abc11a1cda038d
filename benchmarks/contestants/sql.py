"""History looked up in the query: ``max_by`` in DuckDB, as-of joins of polars and pandas.

What they look in is the same normalised log, sorted by user, in Parquet (DuckDB) or already in
memory (the frames). They are given few examples, because they need long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batch import BATCH, TRAITS, Array, Batch
from benchmarks.contestants.base import Contestant
from benchmarks.contestants.fat import batches_of
from benchmarks.contestants.flat import slices
from benchmarks.workload import Bench
from uih_lake.arrays import Int64

_GROUP = 1 << 17


@dataclass(frozen=True)
class Asked:
    """The requests that are looked up, and the newest how many events."""

    bench: Bench
    length: int
    chosen: tuple[int, ...]

    def requests(self) -> dict[str, Array]:
        """Their columns."""
        places = np.array(self.chosen, np.int64)
        return {name: values[places] for name, values in self.bench.requests.items()}


def contestants(bench: Bench, length: int, chosen: Int64) -> list[Contestant]:
    """All that look history up in the query."""
    asked = Asked(bench, length, tuple(chosen.tolist()))
    log = normalised(bench)
    return [
        Contestant("duckdb max_by", "sql", partial(max_by, asked, log), (log,)),
        Contestant("polars join_asof", "asof", partial(by_polars, asked), exact=False),
        Contestant("pandas merge_asof", "asof", partial(by_pandas, asked), exact=False),
    ]


def normalised(bench: Bench) -> Path:
    """The log as one Parquet file, written once: user, row, times, the traits."""
    path = bench.root / "flat" / "log.parquet"
    if path.exists():
        return path
    owner = _owners(bench)
    partial_path = path.with_suffix(".partial")
    names = (*TRAITS, "arrival_ts")
    writer = None
    for low in range(0, len(owner), _GROUP):
        some = slice(low, low + _GROUP)
        columns = {"user": owner[some], "row": np.arange(low, low + len(owner[some]))}
        columns |= {name: bench.flat[name][some] for name in names}
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(partial_path, table.schema, compression="lz4")
        writer.write_table(table)
    assert writer is not None
    writer.close()
    partial_path.rename(path)
    return path


def _owners(bench: Bench) -> Int64:
    """The user of each row of the flat columns, as a number in their order."""
    ids = np.load(bench.root / "flat" / "user_id.npy", mmap_mode="r")
    return np.cumsum(np.diff(ids, prepend=ids[0]) != 0)


def max_by(asked: Asked, log: Path) -> Iterator[Batch]:
    """One grouped join; the newest come first and are turned round."""
    found = asked.requests()
    requests = pa.table({n: found[n] for n in ("example_id", "user", "request_ts")})
    lists = ", ".join(
        f"list_reverse(max_by(e.{name}, e.row, {asked.length})) AS {name}" for name in TRAITS
    )
    with duckdb.connect() as duck:
        duck.register("requests", requests)
        result = duck.sql(
            f"SELECT r.example_id, {lists} FROM requests r JOIN read_parquet('{log}') e "
            "ON e.user = r.user AND e.event_ts < r.request_ts AND e.arrival_ts <= r.request_ts "
            "GROUP BY r.example_id"
        )
        yield from batches_of(result.to_arrow_table())


def by_polars(asked: Asked) -> Iterator[Batch]:
    """The last event before each request, then slices of what lies before it."""
    import polars as pl

    log = _polars_log(asked.bench)
    found = asked.requests()
    wanted = pl.DataFrame({"user": found["user"], "at": found["request_ts"]})
    joined = (
        wanted.with_row_index("place")
        .sort("at")
        .join_asof(
            log,
            left_on="at",
            right_on="event_ts",
            by="user",
            allow_exact_matches=False,
            check_sortedness=False,
        )
    )
    rows = joined.sort("place")["row"].fill_null(-1).to_numpy()
    yield from _sliced(asked, found, rows)


def by_pandas(asked: Asked) -> Iterator[Batch]:
    """The same with pandas."""
    import pandas as pd

    log = _pandas_log(asked.bench)
    found = asked.requests()
    wanted = pd.DataFrame({"user": found["user"], "at": found["request_ts"]})
    wanted["place"] = np.arange(len(wanted))
    joined = pd.merge_asof(
        wanted.sort_values("at"),
        log,
        left_on="at",
        right_on="event_ts",
        by="user",
        allow_exact_matches=False,
    )
    rows = joined.sort_values("place")["row"].fillna(-1).to_numpy().astype(np.int64)
    yield from _sliced(asked, found, rows)


@cache
def _polars_log(bench: Bench) -> Any:
    import polars as pl

    columns = {"user": _owners(bench), "event_ts": np.asarray(bench.flat["event_ts"])}
    frame = pl.DataFrame(columns).with_row_index("row")
    return frame.with_columns(pl.col("row").cast(pl.Int64)).sort("event_ts", maintain_order=True)


@cache
def _pandas_log(bench: Bench) -> Any:
    import pandas as pd

    frame = pd.DataFrame({"user": _owners(bench), "event_ts": np.asarray(bench.flat["event_ts"])})
    frame["row"] = np.arange(len(frame))
    return frame.sort_values("event_ts", kind="stable")


def _sliced(asked: Asked, found: dict[str, Array], rows: Int64) -> Iterator[Batch]:
    stop = np.where(rows < 0, found["first"], rows + 1)
    start = np.maximum(found["first"], stop - asked.length)
    flat = {name: np.asarray(asked.bench.flat[name]) for name in TRAITS}
    for low in range(0, len(stop), BATCH):
        some = slice(low, low + BATCH)
        offsets = np.zeros(len(stop[some]) + 1, np.int64)
        np.cumsum(stop[some] - start[some], out=offsets[1:])
        out = {n: np.empty(int(offsets[-1]), kind) for n, kind in TRAITS.items()}
        for name, values in flat.items():
            slices(values, start[some], stop[some], out[name])
        yield Batch(found["example_id"][some], offsets, out)

"""The join as of the request by a feature store: Feast on DuckDB, where it is installed.

It joins one value, the last before each request, and not a sequence; so it is set beside the
resolving of pointers and not beside the loaders.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batch import Array
from benchmarks.contestants.extras import why_not
from benchmarks.workload import Bench
from uih_lake.schema import TIME

EVENTS = 2_500_000
"""Feast is given the first users with so many events: of 25 M it spills more than 20 GB to disk."""

_LAST = "last_ts"


def figures(bench: Bench) -> dict[str, float]:
    """Requests per second, the better of two joins; nothing where Feast is not installed.

    Raises:
        SystemExit: it finds another event than the last one before each request.
    """
    if why_not("feast.infra.offline_stores.duckdb"):
        return {}
    root = bench.root / "feast"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    some = bench.requests["stop"] <= EVENTS
    requests = {name: column[some] for name, column in bench.requests.items()}
    # Feast takes what happened at the very time of the request, too: ask for just before it.
    when = pa.array(requests["request_ts"] - 1).view(TIME)
    asked = pa.table({"user_id": requests["user_id"], "event_timestamp": when}).to_pandas()
    store = _store(root, _events(bench, root))
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        found = store.get_historical_features(asked, [f"events:{_LAST}"]).to_arrow()
        seconds.append(time.perf_counter() - begin)
    if _sum(found.column(_LAST)) != _expected(bench, requests):
        raise SystemExit("feast: joins another event than the last one before the request")
    shutil.rmtree(root)
    return {"feast_requests_per_s": len(asked) / min(seconds)}


def _events(bench: Bench, root: Path) -> Path:
    """Key, time, and the time once more as the value to join; clustered by user."""
    path = root / "events.parquet"
    users = np.load(bench.root / "flat" / "user_id.npy", mmap_mode="r")[:EVENTS]
    when = bench.flat["event_ts"][:EVENTS]
    table = {"user_id": users, "event_ts": pa.array(when).view(TIME), _LAST: when}
    pq.write_table(pa.table(table), path, compression="lz4")
    return path


def _store(root: Path, events: Path) -> Any:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Int64

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(root / "registry.db"),
        offline_store={"type": "duckdb"},
        online_store={"type": "sqlite", "path": str(root / "online.db")},
        entity_key_serialization_version=3,
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="events",
        entities=[user],
        schema=[Field(name=_LAST, dtype=Int64), Field(name="user_id", dtype=Int64)],
        source=FileSource(path=str(events), timestamp_field="event_ts"),
        online=False,
    )
    store = FeatureStore(config=config)
    store.apply([user, view])
    return store


def _expected(bench: Bench, requests: dict[str, Array]) -> int:
    first, stop = requests["first"], requests["stop"]
    return int(bench.flat["event_ts"][stop[stop > first] - 1].sum())


def _sum(column: pa.ChunkedArray) -> int:
    return int(column.drop_null().cast(pa.int64()).to_numpy().sum())

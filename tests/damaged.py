"""A lake to damage, its files and log entries, and what it gives back."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from uih_lake import Group, Lake, Tenant

TIME = pa.timestamp("us", "UTC")
TABLES = ("recent", "uih", "examples", "forgotten")
TRAITS = ("item", "dwell", "action", "tags", "event_ts", "arrival_ts", "lake_version")
TENANT = Tenant("t", {"all": Group(TRAITS)}, ["label", "surface"])
SOAK = os.environ.get("UIH_SOAK") == "1"


def events(rows: int, draw: random.Random) -> pa.Table:
    times = [draw.randrange(10**6) for _ in range(rows)]
    return pa.table(
        {
            "user_id": pa.array([draw.randrange(8) for _ in range(rows)]),
            "event_ts": pa.array(times, TIME),
            "arrival_ts": pa.array([t + draw.choice([0, 0, 5]) for t in times], TIME),
            "item": pa.array([draw.randrange(50) for _ in range(rows)]),
            "dwell": pa.array([draw.random() for _ in range(rows)], pa.float32()),
            "action": pa.array([draw.choice(["click", "like", None]) for _ in range(rows)]),
            "tags": pa.array([draw.choice([[1, 2], [], None]) for _ in range(rows)]),
        }
    )


def requests(rows: int, draw: random.Random) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([draw.randrange(7) for _ in range(rows)]),
            "request_ts": pa.array([draw.randrange(10**6) for _ in range(rows)], TIME),
            "label": pa.array(range(rows)),
            "surface": pa.array([draw.choice(["feed", "search"]) for _ in range(rows)]),
        }
    )


def sound_lake(path: Path) -> Path:
    """A lake with events in both tiers, examples and a tombstone, every table some commits old."""
    draw = random.Random(3)
    lake = Lake.create(path, buckets=2)
    for _ in range(3):
        lake.append(events(80, draw))
        lake.log(requests(15, draw))
    lake.seal()
    lake.append(events(40, draw))
    lake.seal()
    lake.compact()
    lake.append(events(40, draw))
    lake.log(requests(15, draw), live=True)
    lake.forget([7])
    lake.append(events(40, draw))
    lake.log(requests(15, draw), live=True)
    assert lake.verify().passed
    return path


def rebuilt(path: Path) -> str:
    table = Lake.open(path).materialize(TENANT).read_all()
    return repr({name: table[name].to_pylist() for name in table.column_names})


def data_files(path: Path, table: str) -> list[Path]:
    """The files in use."""
    return [Path(uri) for uri in sorted(DeltaTable(path / table).file_uris())]


def entries(path: Path, table: str) -> list[Path]:
    return sorted((path / table / "_delta_log").glob("*.json"))


def flips(raw: bytes, draw: random.Random) -> Iterator[int]:
    """Places to flip a bit: all of them, or some, the footer as often as the pages."""
    if SOAK:
        yield from range(len(raw))
        return
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    for _ in range(20):
        yield draw.randrange(footer)
        yield draw.randrange(footer, len(raw))

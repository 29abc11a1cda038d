"""The workload, built once into a cache: a lake, flat arrays, and requests with their positions.

Everything is made of the same made-up log. What it cost to build the lake is kept beside it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import uih_lake as uih
from benchmarks import visible
from benchmarks.batch import TRAITS, Array
from uih_lake.arrays import Int64
from uih_lake.workload import Workload

_MEAN_EVENTS = 2_514
_REQUESTS_PER_USER = 20
_APPENDS = 6
_FORMAT = 11

Say = Callable[[str], None]


@dataclass(frozen=True)
class Scale:
    """How large the workload is: 25 M events are 10,000 users and 200,000 requests."""

    events: int = 2_514_000
    seed: int = 0

    @property
    def users(self) -> int:
        """Number of users."""
        return max(20, round(self.events / _MEAN_EVENTS))

    @property
    def buckets(self) -> int:
        """Buckets of the lake: 16 at 25 M events, more where a bucket would be larger."""
        return max(16, round(self.events / 1_571_250))

    @property
    def workload(self) -> Workload:
        """The made-up log."""
        mean = max(1, self.events // self.users)
        return Workload(
            users=self.users,
            mean_events=mean,
            max_events=max(65_536, mean),
            requests=self.users * _REQUESTS_PER_USER,
            seed=self.seed,
        )


class Bench:
    """A built workload in ``root``; opened by :func:`build`.

    ``where`` is the condition of its tenant, if there is one.
    """

    where: str | None = None

    def __init__(self, root: Path, scale: Scale) -> None:
        self.root = root
        self.scale = scale

    def __reduce__(self) -> tuple[Any, ...]:
        return Bench, (self.root, self.scale)

    def __hash__(self) -> int:
        return hash((self.root, self.scale))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bench) and (self.root, self.scale) == (other.root, other.scale)

    @cached_property
    def built(self) -> dict[str, Any]:
        """What building cost: seconds and bytes by step."""
        return dict(json.loads((self.root / "built.json").read_text()))

    @cached_property
    def flat(self) -> dict[str, Array]:
        """Columns of all events by user, time and arrival, mapped into memory."""
        names = (*TRAITS, "arrival_ts")
        return {n: np.load(self.root / "flat" / f"{n}.npy", mmap_mode="r") for n in names}

    @cached_property
    def requests(self) -> dict[str, Array]:
        """Per request, by request time: ``example_id, user, request_ts, label, first, stop``.

        ``user`` is a number per user, in the order of the flat columns; ``first`` is the user's
        first row and ``stop`` the row behind the last event before the request.
        """
        with np.load(self.root / "flat" / "requests.npz") as stored:
            return dict(stored)

    @property
    def lake_path(self) -> Path:
        """Directory of the lake."""
        return self.root / "lake"

    def lake(self) -> uih.Lake:
        """The lake, opened."""
        return uih.Lake.open(self.lake_path)

    def sequences(self, length: int, chosen: Int64 | None = None) -> tuple[Int64, Int64]:
        """First row and number of visible events, of all requests or those ``chosen``."""
        asked = self.requests
        pick = slice(None) if chosen is None else chosen
        return visible.newest(
            asked["first"][pick],
            asked["stop"][pick],
            asked["request_ts"][pick],
            self.flat["arrival_ts"],
            length,
        )


def tenant(length: int, where: str | None = None) -> uih.Tenant:
    """The tenant that wants the newest ``length`` events, or of those that meet a condition."""
    group = uih.Group(traits=tuple(TRAITS), max_len=length, where=where)
    return uih.Tenant("bench", {"history": group}, context=("label",))


def build(cache: Path, scale: Scale, say: Say = lambda _: None) -> Bench:
    """The workload in ``cache``, built where it is not there yet."""
    root = cache / f"events-{scale.users * scale.workload.mean_events}-{scale.seed}-v{_FORMAT}"
    if not (root / "built.json").exists():
        shutil.rmtree(root, ignore_errors=True)
        (root / "flat").mkdir(parents=True)
        say(f"building a workload of {scale.events:,} events in {root}")
        _flatten(root, scale.workload)
        built = _fill(root, scale)
        (root / "built.json").write_text(json.dumps(built, indent=1))
    return Bench(root, scale)


def _fill(root: Path, scale: Scale) -> dict[str, Any]:
    """Build the lake; seconds of every step, without those of making the data up."""
    lake = uih.Lake.create(root / "lake", buckets=scale.buckets)
    steps: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> None:
        begin = time.perf_counter()
        call()
        steps[name] = steps.get(name, 0.0) + time.perf_counter() - begin

    made = scale.workload.appends(_APPENDS if scale.events <= 30_000_000 else 10 * _APPENDS)
    for number, reader in enumerate(made):
        table = reader.read_all()
        timed("append_s", lambda table=table: lake.append(table))  # type: ignore[misc]
        if number == _APPENDS // 2:
            timed("seal_s", lake.seal)
    timed("seal_s", lake.seal)
    before_compact = size_of(root / "lake")
    timed("compact_s", lake.compact)
    requests = scale.workload.requests_table(example_id=True)
    before_log = size_of(root / "lake")
    timed("log_s", lambda: lake.log(requests))
    written = {
        "ingest_bytes": before_compact,
        "compact_bytes": before_log - before_compact,
        "log_bytes": size_of(root / "lake") - before_log,
    }
    lake.vacuum(retain_hours=0)
    events = scale.users * scale.workload.mean_events
    return {"events": events, "requests": requests.num_rows, **steps, **written}


def size_of(path: Path) -> int:
    """Bytes of all files below a directory, or of a file."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _flatten(root: Path, workload: Workload) -> None:
    """Write the flat columns and the requests with their positions."""
    total = workload.total_events
    columns = {
        name: np.lib.format.open_memmap(
            root / "flat" / f"{name}.npy", mode="w+", dtype=kind, shape=(total,)
        )
        for name, kind in {**TRAITS, "arrival_ts": "int64", "user_id": "int64"}.items()
    }
    done = 0
    for batch in workload.events(1 << 30):  # a batch is a block of users
        order = _order(batch)
        for name, out in columns.items():
            out[done : done + len(order)] = _plain(batch.column(name))[order]
        done += len(order)
    heads = np.flatnonzero(np.diff(columns["user_id"], prepend=-1))
    ends = np.append(heads[1:], total)
    asked = workload.requests_table(example_id=True).sort_by("request_ts")
    user_id = asked.column("user_id").to_numpy()
    by_id = np.argsort(columns["user_id"][heads], kind="stable")
    user = by_id[np.searchsorted(columns["user_id"][heads][by_id], user_id)]
    request_ts = _plain(asked.column("request_ts").combine_chunks())
    stop = np.empty(len(user), np.int64)
    visible.stops(heads[user], ends[user], request_ts, columns["event_ts"], stop)
    np.savez(
        root / "flat" / "requests.npz",
        example_id=asked.column("example_id").to_numpy(),
        user=user,
        user_id=user_id,
        request_ts=request_ts,
        label=asked.column("label").to_numpy(),
        first=heads[user],
        stop=stop,
    )


def in_flat_order(workload: Workload, column: str) -> Iterator[pa.Array]:
    """A column of all events in the order of :attr:`Bench.flat`, block by block."""
    for batch in workload.events(1 << 30):
        yield batch.column(column).take(pa.array(_order(batch)))


def _order(batch: pa.RecordBatch) -> Int64:
    """Rows by user (in order of appearance in the log's blocks), time and order given."""
    return np.lexsort((_plain(batch.column("event_ts")), batch.column("user_id").to_numpy()))


def _plain(column: pa.Array) -> Array:
    """Numbers as numpy: times as int64 microseconds, 0 for a null."""
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    return np.asarray(pc.fill_null(column, pa.scalar(0, column.type)))

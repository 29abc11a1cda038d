"""The loader on lakes as they are while they are used: with events that are not sealed yet, or
sealed and not compacted, or compacted after the requests were logged; with logs of few requests.

Each is a copy of the workload's lake with a little more in it: what is measured is the state and
not the addition.
"""

from __future__ import annotations

import gc
import os
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import uih_lake as uih
from benchmarks.batch import BATCH, Array
from benchmarks.workload import Bench, tenant
from uih_lake.loader import Loader
from uih_lake.schema import TIME

LENGTHS = (256, 4096)
_UNSEALED, _SEALED = 25_000, 250  # one in so many events: 1,000 and 100,000 of 25 M
_REQUESTS = 500
_LOGS, _FEW = 200, 10
_SECOND = 1_000_000  # microseconds


def figures(bench: Bench, rounds: int) -> dict[str, dict[str, Any]]:
    """Per state and length, what :func:`_epochs` gives."""
    root, found = bench.root / "in-use", {}
    for name, change in _STATES.items():
        shutil.rmtree(root, ignore_errors=True)
        # By links: the files of a lake are replaced, never changed.
        shutil.copytree(bench.lake_path, root, copy_function=os.link)
        change(bench, uih.Lake.open(root))
        found[name] = _epochs(bench.lake_path, root, rounds)
    shutil.rmtree(root)
    return found


def _epochs(plain: Path, lake: Path, rounds: int) -> dict[str, Any]:
    """By length, of the ``first`` and the ``second`` epoch: median seconds, and median ratio to
    those of the ``plain`` lake right before it. One round does not count.
    """
    found = {}
    for length in LENGTHS:
        pairs = [(_twice(plain, length), _twice(lake, length)) for _ in range(rounds + 1)][1:]
        found[str(length)] = {
            which: {
                "seconds": median(mine[place] for _, mine in pairs),
                "ratio": median(mine[place] / other[place] for other, mine in pairs),
            }
            for place, which in enumerate(("first", "second"))
        }
    return found


def _twice(lake: Path, length: int) -> tuple[float, float]:
    """Seconds of the first two epochs of a new loader, opening included."""
    gc.collect()
    begin = time.perf_counter()
    loader = Loader(uih.Lake.open(lake), tenant(length), BATCH, device="cpu", seed=1)
    for _ in loader:
        pass
    first = time.perf_counter()
    for _ in loader:
        pass
    return first - begin, time.perf_counter() - first


def _append(bench: Bench, lake: uih.Lake, share: int) -> pa.Table:
    """Append events like those there are, a second apart, after the last of them; and give them."""
    count = max(1, bench.built["events"] // share)
    some = lake.sql(f"SELECT * EXCLUDE (lake_version, seq, arrival_ts) FROM events LIMIT {count}")
    after = int(bench.flat["event_ts"].max()) + _SECOND * np.arange(1, count + 1)
    made = {"user_id": np.resize(_users(bench), count), "event_ts": pa.array(after).view(TIME)}
    events = some.to_arrow_table()
    traits = {name: events.column(name) for name in events.column_names if name not in made}
    lake.append(pa.table(made | traits))
    return pa.table(made)


def _users(bench: Bench) -> Array:
    return np.unique(bench.requests["user_id"])


def _unsealed(bench: Bench, lake: uih.Lake) -> None:
    _append(bench, lake, _UNSEALED)


def _seen(bench: Bench, lake: uih.Lake) -> None:
    events = _append(bench, lake, _UNSEALED)
    now = pc.max(events.column("event_ts").cast(pa.int64())).as_py()
    lake.log(_requests(bench, _users(bench)[:_REQUESTS], now), live=True)


def _requests(bench: Bench, users: Array, now: int, first: int = 0) -> pa.Table:
    """Requests of some users at one time, in microseconds; the ``first`` further ones are taken."""
    requests = {
        "example_id": len(bench.requests["example_id"]) + first + np.arange(len(users)),
        "user_id": users,
        "request_ts": pa.array(np.full(len(users), now)).view(TIME),
        "label": np.zeros(len(users), np.float32),
        "surface": pa.nulls(len(users)),
        "candidates": pa.nulls(len(users)),
    }
    return pa.table(requests)


def _sealed(bench: Bench, lake: uih.Lake) -> None:
    _append(bench, lake, _SEALED)
    lake.seal()


def _compacted(bench: Bench, lake: uih.Lake) -> None:
    _sealed(bench, lake)
    lake.compact()


def _logged(bench: Bench, lake: uih.Lake) -> None:
    users, now = _users(bench), int(bench.requests["request_ts"].max())
    for number in range(_LOGS):
        some = np.take(users, range(number * _FEW, (number + 1) * _FEW), mode="wrap")
        lake.log(_requests(bench, some, now, number * _FEW), live=True)


def _merged(bench: Bench, lake: uih.Lake) -> None:
    _logged(bench, lake)
    lake.compact()


_STATES = {
    "a few events not sealed": _unsealed,
    "and requests that see them": _seen,
    "sealed again, not compacted": _sealed,
    "sealed again and compacted": _compacted,
    "200 more logs of ten requests": _logged,
    "the same, compacted": _merged,
}

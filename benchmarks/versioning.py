"""What versions cost: bytes per event, the time to verify, and the latency of serving.

    python -m benchmarks versioning [--events 2.5M] [--length 4096] [--json FILE] [--dir DIR]

Bytes are those of the immutable tier after seal and compact, from the footers of its files. Verify
and materialize each run on a lake opened anew, in turn, and the median counts. Serving is measured
with everything sealed, and with a last small append that is not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import uih_lake as uih
from benchmarks.stages import number
from benchmarks.tables import grid
from benchmarks.workload import Bench, Scale, build, tenant

VERSIONING = ("_delay", "lake_version", "_tie", "_fingerprint")
"""Columns that are there for the sake of versions and proofs alone."""
MOST_BYTES = 3.0
"""Per event, for all of them together."""
USERS = (1, 100)

Figures = dict[str, Any]


def column_bytes(lake: uih.Lake) -> dict[str, float]:
    """Compressed bytes per event of each column of the immutable tier, the largest first."""
    (tier,) = (table for table in lake.info().tables if table.name == "uih")
    return {column.name: column.bytes / tier.rows for column in tier.columns}


def proof_times(bench: Bench, length: int, rounds: int) -> Figures:
    """Seconds to verify all pointers, and to rebuild the examples they belong to."""
    taken: dict[str, list[float]] = {"verify_s": [], "materialize_s": []}
    for _ in range(rounds):
        taken["materialize_s"].append(timed(lambda: _rebuild(bench.lake(), length)))
        taken["verify_s"].append(timed(lambda: _verify(bench.lake())))
    return {name: median(each) for name, each in taken.items()}


def _rebuild(lake: uih.Lake, length: int) -> None:
    for _ in lake.materialize(tenant(length)):
        pass


def _verify(lake: uih.Lake) -> None:
    report = lake.verify()
    if not report.passed:
        raise SystemExit(f"verify failed: {report.as_dict()}")


def latencies(lake: uih.Lake, users: Sequence[int], length: int, rounds: int) -> Figures:
    """Milliseconds of one look for some users, drawn anew each time; median and 95th percentile."""
    draw, found = random.Random(0), {}
    moment = _end(lake)
    for count in USERS:
        chosen = [draw.sample(users, min(count, len(users))) for _ in range(rounds + 1)]
        lake.snapshot(chosen.pop(), moment, tenant(length))
        each = [timed(lambda c=c: lake.snapshot(c, moment, tenant(length))) for c in chosen]
        found[str(count)] = {
            "median_ms": 1e3 * median(each),
            "p95_ms": 1e3 * sorted(each)[int(0.95 * len(each))],
        }
    return found


def with_tail(lake: uih.Lake, users: Sequence[int]) -> uih.Lake:
    """The lake after one more append, of an event for each of the users."""
    types = lake.event_schema
    columns = {
        "user_id": pa.array(users),
        "event_ts": pa.array([_end(lake)] * len(users), types.field("event_ts").type),
    }
    for field in types:
        if field.name not in (*columns, "arrival_ts", "lake_version", "seq"):
            columns[field.name] = pa.nulls(len(users), field.type)
    lake.append(pa.table(columns))
    return lake


def _end(lake: uih.Lake) -> datetime:
    """A moment after everything."""
    last = lake.info().last_event or datetime.now(UTC)
    return last + timedelta(seconds=1)


def timed(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(bench: Bench, length: int, rounds: int) -> Figures:
    """All figures."""
    lake = bench.lake()
    users = pc.unique(pa.array(bench.requests["user_id"])).to_pylist()
    figures: Figures = {
        "events": lake.info().events,
        "examples": lake.info().examples,
        "length": length,
        "bytes_per_event": column_bytes(lake),
        **proof_times(bench, length, rounds),
        "snapshot_sealed": latencies(lake, users, length, 10 * rounds),
    }
    with tempfile.TemporaryDirectory(dir=bench.root) as folder:
        copy = shutil.copytree(bench.lake_path, Path(folder, "lake"))
        tailed = with_tail(uih.Lake.open(copy), users)
        figures["snapshot_with_tail"] = latencies(tailed, users, length, 10 * rounds)
    return figures


def lines(figures: Figures) -> Iterator[str]:
    """The figures as tables."""
    per_event = figures["bytes_per_event"]
    versioning = sum(per_event.get(name, 0.0) for name in VERSIONING)
    yield f"{figures['events']:,} events, {figures['examples']:,} examples"
    yield ""
    rows = [(name, f"{size:.3f}", "*" * (name in VERSIONING)) for name, size in per_event.items()]
    rows.append(("all", f"{sum(per_event.values()):.3f}", ""))
    rows.append((f"versioning (at most {MOST_BYTES:g})", f"{versioning:.3f}", "*"))
    yield from grid(("column after compaction", "bytes per event", "versioning"), rows)
    yield ""
    times = [
        (f"materialize, newest {figures['length']:,}", f"{figures['materialize_s']:.2f}"),
        ("verify, all pointers", f"{figures['verify_s']:.2f}"),
        ("verify / materialize", f"{figures['verify_s'] / figures['materialize_s']:.2f}"),
    ]
    yield from grid(("whole lake", "seconds"), times)
    yield ""
    served = [
        (f"{count} users, {state}", f"{each['median_ms']:.1f}", f"{each['p95_ms']:.1f}")
        for state in ("sealed", "with_tail")
        for count, each in figures[f"snapshot_{state}"].items()
    ]
    yield from grid(("snapshot for serving", "median ms", "95th percentile"), served)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        "benchmarks versioning", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--events", type=number, default=2_514_000)
    parser.add_argument("--length", type=int, default=4_096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir(), "uih-bench-cache"))
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = arguments()
    bench = build(given.dir, Scale(given.events), print)
    figures = measure(bench, given.length, given.rounds)
    figures["cores"] = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {figures['cores']} cores, Python {platform.python_version()}")
    print("\n".join(lines(figures)))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

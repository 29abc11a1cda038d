"""How long each stage takes and how much memory it needs, with fat rows beside it.

    python -m benchmarks.stages [--events 2.5M [10M ...]] [--bucket-events 1.6M]
                                [--lengths 4096 256] [--json FILE] [--folder DIR]

Every stage runs in a process of its own, so that its peak memory is its own. With several sizes
the buckets grow in number and not in size: memory that stays the same is bounded by the bucket.
The opponent reads fat rows of the same examples with its best settings found: pyarrow, memory
mapped, LZ4, an encoding per column, clustered by user.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LAKE_STAGES = ("generate", "append", "seal", "log")
READ_STAGES = ("materialize", "resolve", "gather", "fat_write", "fat_read")
_COLUMNS = (
    ("stage", 14),
    ("events", 11),
    ("buckets", 8),
    ("length", 7),
    ("seconds", 9),
    ("rate", 22),
    ("peak MB", 8),
    ("MB left", 9),
)

Row = dict[str, Any]


def run(stage: str, folder: Path, sizes: dict[str, int]) -> Row:
    """One stage in a process of its own; its figures with the sizes it ran at."""
    command = [sys.executable, "-m", "benchmarks.work", stage, str(folder), json.dumps(sizes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"stage {stage} failed\n{done.stderr}")
    return {"stage": stage, **sizes, **json.loads(done.stdout)}


def measured(
    folder: Path, events: int, bucket_events: int, lengths: Sequence[int]
) -> Iterator[Row]:
    """The figures of every stage for a lake of one size."""
    sizes = {"events": events, "buckets": max(1, round(events / bucket_events))}
    for stage in LAKE_STAGES:
        yield run(stage, folder, sizes)
    for length in lengths:
        for stage in READ_STAGES:
            yield run(stage, folder, {**sizes, "length": length})


def line(row: Row) -> str:
    """One stage as a line of the table."""
    left = f"{row['bytes'] / 1e6:,.1f}" if "bytes" in row else ""
    rate = row["rows"] / row["seconds"]
    pace = f"{rate / 1e6:.1f} M" if rate >= 1e6 else f"{rate:,.0f}"
    cells = (
        row["stage"],
        f"{row['events']:,}",
        row["buckets"],
        row.get("length", ""),
        f"{row['seconds']:.2f}",
        f"{pace} {row['unit']}/s",
        f"{row['peak_mb']:.0f}",
        left,
    )
    return "".join(f"{cell!s:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """What the lake reads against fat rows, and how memory grew with the lake."""
    for row in rows:
        if row["stage"] == "fat_read":
            same = [
                r for r in rows if (r["events"], r.get("length")) == (row["events"], row["length"])
            ]
            lake = next(r for r in same if r["stage"] == "materialize")
            faster = row["seconds"] / lake["seconds"]
            yield (
                f"length {row['length']:,} at {row['events']:,} events: {lake['examples']:,} "
                f"examples, materialize reads at {faster:.2f}x the speed of the fat rows"
            )
    first, last = rows[0]["events"], rows[-1]["events"]
    if first != last:
        for stage in (*LAKE_STAGES, *READ_STAGES):
            peaks = [
                max(r["peak_mb"] for r in rows if (r["stage"], r["events"]) == (stage, n))
                for n in (first, last)
            ]
            yield (
                f"{stage}: {peaks[0]:,.0f} MB at {first:,} events, {peaks[1]:,.0f} MB at {last:,}"
            )


def number(text: str) -> int:
    """``2.5M``, ``300K`` or a plain number, from 1 on."""
    scale = {"K": 10**3, "M": 10**6, "G": 10**9}.get(text[-1:].upper(), 1)
    found = int(float(text[:-1] if scale > 1 else text) * scale)
    if found < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 1 on")
    return found


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        "benchmarks.stages", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--events", type=number, nargs="+", default=[2_500_000])
    parser.add_argument("--bucket-events", type=number, default=1_570_000)
    parser.add_argument("--lengths", type=int, nargs="*", default=[4096, 256])
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--folder", type=Path, help="work here, on the disk that is to be measured")
    return parser.parse_args()


def main() -> None:
    """Measure, print a line as each stage is done, then what follows from them."""
    given = arguments()
    cores = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}")
    print("".join(f"{name:>{width}}" for name, width in _COLUMNS))
    rows: list[Row] = []
    for events in given.events:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            for row in measured(Path(folder), events, given.bucket_events, given.lengths):
                rows.append(row)
                print(line(row), flush=True)
    print("\n".join(verdicts(rows)))
    if given.json:
        given.json.write_text(json.dumps({"cores": cores, "stages": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

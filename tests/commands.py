"""What the tests of the command line share: running it, in this process or as one, and lakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from uih_lake.cli import app

TIME = pa.timestamp("us", "UTC")
DAY = 86_400_000_000
START = 20_000 * DAY  # 2024-10-04
TENANT = """\
name = "ranker"
context = ["label"]

[groups.clicks]
traits  = ["item_id", "event_ts"]
where   = "action = 'click'"
max_len = 3
"""

ENDLESS = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b"
"""A query of which each task takes for ever: nobody looks for signals in between."""


def run(*words: str | Path, given: str | None = None) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], input=given)


def done(*words: str | Path, given: str | None = None) -> str:
    """Standard output of a command line that must succeed and have no message."""
    result = run(*words, given=given)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def told(*words: str | Path) -> Any:
    """The JSON report of a command line that must succeed."""
    return json.loads(done(*words, "--json"))


def process(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
    """A command line as a process of its own, its output in pipes unless ``options`` say else."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    code = "from uih_lake.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, text=True, **{**pipes, "preexec_fn": heeding, **options})


def heeding() -> None:
    """Heed signals as a command in the foreground does: ``nohup`` and ``&`` hand down none."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def works_for(child: subprocess.Popen[str], seconds: float) -> None:
    """Wait until a child has taken so much more of the processor, or has ended."""
    stop = _worked(child) + seconds
    while child.poll() is None and _worked(child) < stop:
        time.sleep(0.01)


def _worked(child: subprocess.Popen[str]) -> float:
    taken = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[11]
    return int(taken) / os.sysconf("SC_CLK_TCK")


def environment(**changes: str) -> dict[str, str]:
    """The environment of a plain terminal of 80 columns, whatever the one of the tests."""
    known = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "TTY_COMPATIBLE", "TERM")
    kept = {name: value for name, value in os.environ.items() if name not in known}
    return {**kept, "TERM": "xterm-256color", "COLUMNS": "80", **changes}


def events(first: int = 0, rows: int = 12) -> pa.Table:
    """Events of three users, a day apart, clicks and views in turn."""
    numbers = range(first, first + rows)
    return pa.table(
        {
            "user_id": pa.array([n % 3 for n in numbers], pa.int64()),
            "event_ts": pa.array([START + n * DAY for n in numbers], TIME),
            "item_id": pa.array([n * 10 for n in numbers], pa.int64()),
            "action": ["click" if n % 2 else "view" for n in numbers],
        }
    )


def requests(rows: int = 6) -> pa.Table:
    """Requests on the days after, and one of a user nobody knows."""
    users = [n % 3 for n in range(rows - 1)] + [99]
    times = [START + (20 + n) * DAY for n in range(rows)]
    return pa.table(
        {
            "user_id": pa.array(users, pa.int64()),
            "request_ts": pa.array(times, TIME),
            "label": pa.array([n % 2 for n in range(rows)], pa.float32()),
        }
    )


def make_lake(place: Path) -> Path:
    """A lake of two lake versions, the first of them sealed, with examples; and its files."""
    lake = place / "lake"
    pq.write_table(events(), place / "one.parquet")
    pq.write_table(events(12, 5), place / "two.parquet")
    pq.write_table(requests(), place / "requests.parquet")
    (place / "ranker.toml").write_text(TENANT)
    done("create", lake, "--buckets", "2")
    done("append", lake, place / "one.parquet")
    done("seal", lake)
    done("append", lake, place / "two.parquet")
    done("log", lake, place / "requests.parquet")
    return lake


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tables(lake: Path) -> set[str]:
    """Every commit and every data file of a lake."""
    return {
        str(path.relative_to(lake))
        for path in lake.rglob("*")
        if path.suffix in (".json", ".parquet")
    }

"""The command line as a process: exit codes, pipes, terminals and signals."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ENDLESS, environment, make_lake, process, tables, told, works_for
from house import ROOT

MANY = "SELECT range AS n, repeat('x', 100) AS text FROM range(3000000)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(tmp_path_factory.mktemp("lake"))


def test_data_goes_to_stdout_and_messages_to_stderr(lake: Path) -> None:
    child = process("sql", lake, "SELECT count(*) AS n FROM events")
    assert child.communicate() == ("n\n17\n", "")
    assert child.returncode == 0
    child = process("sql", lake, "FROM nothing")
    said, message = child.communicate()
    assert (child.returncode, said) == (1, "")
    assert message.startswith("error: ") and message.count("\n") == 1
    child = process("sql")
    said, message = child.communicate()
    assert (child.returncode, said) == (2, "")
    assert "Usage: uihlake sql" in message


def test_a_script_ends_without_a_word(tmp_path: Path) -> None:
    """Engines are kept for the life of a process; what is kept must be let go in time."""
    script = """
import sys, uih_lake as uih
from uih_lake.workload import Workload
log = Workload(users=20, mean_events=30, max_events=100, requests=40)
lake = uih.Lake.create(sys.argv[1], buckets=4)
for delivery in log.appends(1):
    lake.append(delivery)
lake.seal()
lake.log(log.requests_table())
tenant = uih.Tenant("t", {"g": uih.Group(("item_id",), 4)})
print(sum(batch.num_rows for batch in lake.materialize(tenant)))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("40\n", "")


def test_a_reader_that_goes_away_is_no_error(lake: Path) -> None:
    child = process("sql", lake, MANY)
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline() == "n,text\n"
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() == 128 + signal.SIGPIPE
    child.stderr.close()


def test_a_reader_that_never_listens_is_no_error(lake: Path) -> None:
    """So little is written that it fails only when it is flushed."""
    ours, theirs = os.pipe()
    os.close(ours)
    for words in (("info", lake, "--json"), ("info", lake), ("--help",), ("append", "--help")):
        child = process(*words, stdout=theirs)
        _, message = child.communicate()
        assert (child.returncode, message) == (128 + signal.SIGPIPE, ""), words
    os.close(theirs)


UNTOLD = "error: the report could not be written to stdout: No space left on device"


def test_a_report_that_cannot_be_written_is_no_failure_of_the_work(tmp_path: Path) -> None:
    """Told as a failure it would be repeated, and its events be there twice."""
    lake = make_lake(tmp_path)
    before = len(tables(lake))
    append, seal = ("append", lake, tmp_path / "two.parquet"), ("seal", lake, "--json")
    for words in (append, seal, ("verify", lake), ("verify", lake, "--json")):
        with open("/dev/full", "w") as full:
            child = process(*words, stdout=full)
        _, message = child.communicate()
        assert (child.returncode, message) == (3, f"{UNTOLD}; the work is done\n")
    assert len(tables(lake)) > before
    assert told("info", lake)["lake_version"] == 2
    assert "| 3 | stdout could not be written" in (ROOT / "docs/cli.md").read_text("utf-8")


def test_a_warning_that_cannot_be_written_is_no_failure_of_the_work(tmp_path: Path) -> None:
    lake, old = make_lake(tmp_path), tmp_path / "old.csv"
    old.write_text("user_id,event_ts,item_id,action\n1,1980-01-01,1,click\n")
    with open("/dev/full", "w") as full:
        child = process("append", lake, old, stderr=full)
    said, _ = child.communicate()
    assert (child.returncode, said[:15]) == (0, "lake version 2:")


def test_an_answer_that_cannot_be_written_is_told_so_whatever_its_size(lake: Path) -> None:
    asked = [("sql", lake, *words) for words in ((MANY,), ("SELECT 1",), ("--script",))]
    for words in (*asked, ("info", lake), ("demo",), ("--help",)):
        with open("/dev/full", "w") as full:
            child = process(*words, stdout=full)
        _, message = child.communicate()
        assert (child.returncode, message) == (3, f"{UNTOLD}\n")
    with open("/dev/full", "w") as full:
        child = process("sql", lake, "FROM nothing", stdout=full)
    _, message = child.communicate()
    assert child.returncode == 1, "what failed has failed"
    assert "nothing" in message and "stdout" not in message


def closed(*numbers: int) -> Callable[[], None]:
    """What closes streams of a child before it begins."""
    return lambda: [os.close(number) for number in numbers] and None


def test_streams_that_are_closed_are_as_good_as_empty_ones(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    two = tmp_path / "two.parquet"
    for words, numbers in (
        (("append", lake, two), [1]),
        (("append", lake, two), [2]),
        (("append", lake, two), [0, 1, 2]),
        (("info", lake), [1]),
        (("sql", lake, "FROM events"), [1]),
        (("sql", lake, "FROM events"), [0]),
    ):
        child = process(*words, preexec_fn=closed(*numbers))
        said, message = child.communicate()
        assert (child.returncode, message) == (0, "")
        assert (said == "") == (1 in numbers)
    assert told("info", lake)["lake_version"] == 1 + 3
    child = process("sql", lake, "-", preexec_fn=closed(0))
    _, message = child.communicate()
    assert child.returncode == 1
    assert message.startswith("error: the text holds no statement")


def test_an_interrupt_ends_it_without_a_traceback(lake: Path, tmp_path: Path) -> None:
    child = process("sql", lake, MANY)
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline() == "n,text\n"  # it is at work, and soon waits for us to read on
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    message = child.stderr.read()
    assert child.wait() == 128 + signal.SIGINT
    assert "Traceback" not in message
    child.stdout.close()
    child.stderr.close()


@pytest.mark.parametrize("there", [False, True])
def test_a_demo_that_is_interrupted_can_be_run_again(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "demo").mkdir()
    child = process("demo", tmp_path / "demo", "--users", "300")
    assert child.stdout is not None and child.stderr is not None
    while not child.stdout.readline().startswith("$ uihlake append"):
        assert child.poll() is None
    assert (tmp_path / "demo" / "lake").is_dir()
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    assert child.wait() == 128 + signal.SIGINT
    assert [*tmp_path.rglob("*")] == ([tmp_path / "demo"] if there else [])
    child.stdout.close()
    child.stderr.close()


ENDING = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])


@ENDING
def test_a_signal_to_end_leaves_no_partial_file(
    lake: Path, tmp_path: Path, number: signal.Signals
) -> None:
    endless = "SELECT range AS n FROM range(1000000000000)"
    child = process("sql", lake, endless, "-o", tmp_path / "rows.csv")
    while child.poll() is None and not any(f.stat().st_size for f in tmp_path.glob("*.partial")):
        time.sleep(0.01)
    child.send_signal(number)
    assert child.communicate() == ("", "")
    assert child.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_midst_of_a_query_ends_it_without_a_traceback(
    lake: Path, tmp_path: Path, number: signal.Signals
) -> None:
    child = process("sql", lake, ENDLESS, "-o", tmp_path / "rows.csv")
    works_for(child, 4.0)
    assert [*tmp_path.glob("*.partial")], "it is well in it"
    child.send_signal(number)
    assert "Traceback" not in child.communicate()[1]
    assert child.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


@ENDING
def test_a_signal_to_end_does_not_wait_for_a_reader(lake: Path, number: signal.Signals) -> None:
    child = process("sql", lake, MANY)
    assert child.stdout is not None
    assert child.stdout.readline() == "n,text\n"  # and nobody reads on
    child.send_signal(number)
    assert child.wait(60) == 128 + number
    child.communicate()


def ignoring_hangups() -> None:
    """What ``nohup`` does before a child begins."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_a_signal_that_is_ignored_stays_so(lake: Path) -> None:
    child = process("sql", lake, MANY + " LIMIT 20000", preexec_fn=ignoring_hangups)
    assert child.stdout is not None
    assert child.stdout.readline() == "n,text\n"  # far more is to come than a pipe holds
    child.send_signal(signal.SIGHUP)
    said = child.stdout.read()  # communicate would leave out what came with the first line
    child.communicate()
    assert (child.returncode, said.count("x\n")) == (0, 20_000)


MEASURING = """
import os, sys
import uih_lake.savings
def measuring(*given, **named):
    print(*os.listdir(os.environ["TMPDIR"]), flush=True)
    sys.stdin.read()
uih_lake.savings.savings = measuring
from uih_lake.cli import main
main()
"""


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, "KeyboardInterrupt()"), (signal.SIGTERM, "SystemExit(143)")],
)
def test_a_signal_in_a_callback_of_a_library_is_not_lost(
    number: signal.Signals, raised: str
) -> None:
    """As while a kernel is compiled: nothing that is raised there reaches the code that called."""
    script = """
import ctypes, signal, sys, threading
from uih_lake.cli import signals

@ctypes.CFUNCTYPE(None)
def callback():
    signal.raise_signal(int(sys.argv[1]))

@ctypes.CFUNCTYPE(None)
def failing():
    raise ValueError("of its own")

with signals.prepared_signals():
    try:
        with signals.heeded():
            failing()
            callback()
            while True:
                pass
    except BaseException as error:
        sys.stdout.write(repr(error))
assert threading.active_count() == 1
"""
    command = [sys.executable, "-c", script, str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # After SIGTERM nothing more is said on stdout, where nobody may be reading any more.
    assert ended.stdout == (raised if number == signal.SIGINT else "")
    assert ended.returncode == 0
    assert ended.stderr.count("Traceback") == 1 and "of its own" in ended.stderr


def test_a_signal_to_end_leaves_no_copy_of_a_raw_log(lake: Path, tmp_path: Path) -> None:
    given = [lake.parent / name for name in ("one.parquet", "requests.parquet", "ranker.toml")]
    files = zip(("--events", "--requests", "--tenant"), map(str, given), strict=True)
    words = ["savings", *(word for pair in files for word in pair)]
    child = subprocess.Popen(
        [sys.executable, "-c", MEASURING, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith("uihlake-savings-"), "the copy is made"
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 128 + signal.SIGTERM
    child.communicate()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_before_anything_is_loaded_ends_it_as_well() -> None:
    code = """
import builtins
load = builtins.__import__
def interrupted(name, *rest):
    if name == "typer":
        raise KeyboardInterrupt
    return load(name, *rest)
builtins.__import__ = interrupted
from uih_lake.cli import main
main()
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (128 + signal.SIGINT, "")


def on_terminal(*words: str | Path, stream: str, **changes: str) -> str:
    """What a command writes to a terminal that is its ``stream``; the other goes to a pipe."""
    ours, theirs = pty.openpty()
    child = process(*words, env=environment(**changes), **{stream: theirs})
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    child.communicate()
    assert child.returncode == 0
    return shown.decode()


def test_progress_is_drawn_on_a_terminal_only(lake: Path, tmp_path: Path) -> None:
    words = ("materialize", lake, "--tenant", lake.parent / "ranker.toml", "--overwrite")
    out = ("--out", tmp_path / "out")
    assert "materializing" in on_terminal(*words, *out, stream="stderr")
    assert on_terminal(*words, *out, "--no-progress", stream="stderr") == ""
    child = process(*words, *out, env=environment())
    said, message = child.communicate()
    assert said.startswith(str(tmp_path)) and message == ""


def test_a_table_is_for_terminals_and_csv_for_pipes(lake: Path) -> None:
    query = "SELECT user_id, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    shown = on_terminal("sql", lake, query, stream="stdout")
    assert "───" in shown and "," not in shown
    said, _ = process("sql", lake, query, env=environment()).communicate()
    assert said == "user_id,n\n0,6\n1,6\n2,5\n"


def test_colours_are_for_terminals_that_want_them() -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colour.search(on_terminal("--help", stream="stdout"))
    assert not colour.search(on_terminal("--help", stream="stdout", NO_COLOR="1"))
    said, _ = process("--help", env=environment()).communicate()
    assert "\x1b" not in said

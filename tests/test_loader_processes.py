"""A training script that ends, is interrupted or killed leaves no process and no memory behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import heeding
from loader_lakes import build

from uih_lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own, to be damaged or to grow."""
    return build(tmp_path / "lake")


TESTS = str(Path(__file__).parent)
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from loader_lakes import SHORT
from uih_lake import Lake
from uih_lake.loader import Loader
loader = Loader(Lake.open({lake!r}), SHORT, 1, prefetch=2)
iterator = iter(loader)
next(iterator)
print("ready", flush=True)
{then}
"""


def script(lake: Lake, then: str) -> subprocess.Popen[str]:
    """A training script that has begun to iterate."""
    started = start(["-c", SCRIPT.format(tests=TESTS, lake=lake.path, then=then)])
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_script_that_ends_in_the_middle_of_an_epoch_ends(lake: Lake) -> None:
    started = script(lake, "sys.exit(3)")
    _, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (3, "")


ENDLESS = """
for _ in iter(int, 1):
    for batch in loader:
        pass
"""


def test_ctrl_c_in_the_middle_of_training_leaves_nothing(lake: Lake) -> None:
    started = script(lake, ENDLESS)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert started.returncode == -signal.SIGINT
    assert shared_memory_of(started.pid) == []


WORKERS = """
import sys
sys.path.insert(0, {tests!r})
from loader_lakes import SHORT
from torch.utils.data import DataLoader
from uih_lake import Lake
from uih_lake.loader import Loader
if __name__ == "__main__":
    loader = Loader(Lake.open({lake!r}), SHORT, 1)
    spawned = DataLoader(loader, None, num_workers=2, multiprocessing_context="spawn")
    iterator = iter(spawned)
    next(iterator)
    print(*(worker.pid for worker in iterator._workers), flush=True)
    sys.stdin.read()
"""


def test_a_killed_trainer_takes_its_worker_processes_along(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(WORKERS.format(tests=TESTS, lake=lake.path))
    started = start([str(file)])
    assert started.stdout is not None
    workers = [int(pid) for pid in started.stdout.readline().split()]
    assert len(workers) == 2
    started.kill()
    # Its output ends when the last process that could write to it has ended.
    _, errors = started.communicate(timeout=120)
    assert "Traceback" not in errors
    assert [name for pid in (started.pid, *workers) for name in shared_memory_of(pid)] == []


def shared_memory_of(pid: int) -> list[str]:
    """Files of a process that outlived it; torch and Python name them by the process."""
    return [name for name in os.listdir("/dev/shm") if str(pid) in name]


def test_ctrl_c_interrupts_the_wait_for_a_batch(lake: Lake) -> None:
    waiting = "for batch in Loader(Lake.open({!r}), SHORT, follow=True, poll_s=60): pass"
    started = script(lake, waiting.format(lake.path))
    deadline = time.monotonic() + 60
    while started.poll() is None and time.monotonic() < deadline:
        started.send_signal(signal.SIGINT)
        try:
            started.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
    _, errors = started.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert started.returncode not in (None, 0)

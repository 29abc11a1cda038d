"""How a contestant is measured: alternating with the others, or alone in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.batch import Batch, Tally, tally
from benchmarks.contestants.base import Contestant

_LOOK_S = 0.01


@dataclass(frozen=True)
class Reading:
    """One epoch: wall and CPU seconds, seconds to the first batch, what was delivered."""

    seconds: float
    cpu_s: float
    first_s: float
    tally: Tally


@dataclass
class Series:
    """The rounds of one contestant."""

    contestant: Contestant
    readings: list[Reading] = field(default_factory=list)

    @property
    def events_per_s(self) -> list[float]:
        """Events per second of each round."""
        return [r.tally.events / r.seconds for r in self.readings]

    def middle(self, name: str) -> float:
        """Median of a number of the readings."""
        return median(getattr(reading, name) for reading in self.readings)


def read(contestant: Contestant, check: bool = False) -> Reading:
    """One epoch, timed."""
    begin, cpu = time.perf_counter(), time.process_time()
    first = 0.0

    def watched() -> Iterator[Batch]:
        nonlocal first
        for batch in contestant.epoch():
            first = first or time.perf_counter() - begin
            yield batch

    delivered = tally(watched(), check)
    seconds = time.perf_counter() - begin
    return Reading(seconds, time.process_time() - cpu, first, delivered)


def alternate(contestants: Sequence[Contestant], rounds: int) -> list[Series]:
    """All contestants in turn, ``rounds`` times, after one round that does not count.

    Each finds its files in the page cache, whatever the one before it has pushed out, and no
    garbage of others: Python looks for it whenever it likes, and takes 150 ms in this process.
    """
    series = [Series(contestant) for contestant in contestants]
    for number in range(rounds + 1):
        for one in series:
            warm(one.contestant.files)
            gc.collect()
            reading = read(one.contestant)
            if number:
                one.readings.append(reading)
    return series


def ratios(one: Series, other: Series) -> tuple[float, float, float]:
    """Events per second of ``one`` over those of ``other``, round by round: median, least, most."""
    pairs = zip(one.events_per_s, other.events_per_s, strict=True)
    found = sorted(a / b for a, b in pairs)
    return median(found), found[0], found[-1]


@dataclass(frozen=True)
class Alone:
    """A contestant in a fresh process whose files are not in the page cache.

    Bytes of memory: ``peak_rss`` all of the process, ``peak_anonymous`` without pages of files,
    ``before`` what the process had before the epoch. ``kernel_bytes`` came from the disk,
    ``asked_bytes`` were asked for by reads (a memory map asks for nothing); ``cold_s`` is the whole
    epoch.
    """

    cold_s: float
    cpu_s: float
    peak_rss: int
    peak_anonymous: int
    before: int
    kernel_bytes: int
    asked_bytes: int


def alone(contestant: Contestant) -> Alone:
    """Measure in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".pickle") as file:
        pickle.dump(contestant, file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks", "alone", file.name]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=_environment()
        )
    return Alone(**json.loads(done.stdout.splitlines()[-1]))


def _environment() -> dict[str, str]:
    """The child finds this package from wherever the parent was started."""
    here = str(Path(__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}


def in_child(path: str) -> None:
    """What the child does: one epoch, and the figures as JSON on stdout."""
    with open(path, "rb") as file:
        contestant: Contestant = pickle.load(file)
    forget(contestant.files)
    with _Watch() as watch:
        reading = read(contestant)
    found = Alone(reading.seconds, reading.cpu_s, *watch.memory(), *watch.bytes())
    print(json.dumps(asdict(found)))


def forget(files: Iterable[Path]) -> None:
    """Drop the pages of these files from the page cache; only their own are touched."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def warm(files: Iterable[Path]) -> None:
    """Bring files into the page cache."""
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.read(8 << 20):
                pass


class _Watch:
    """Follows memory on a thread and counts bytes read, of this process, while the block runs."""

    def __enter__(self) -> _Watch:
        self._stop = threading.Event()
        self._before, self._anonymous = _status("VmRSS"), 0
        self._io = _io()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._read = {name: count - self._io[name] for name, count in _io().items()}

    def _look(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self._anonymous = max(self._anonymous, _status("RssAnon"))

    def memory(self) -> tuple[int, int, int]:
        """Peak, peak without files, before."""
        return _status("VmHWM"), self._anonymous, self._before

    def bytes(self) -> tuple[int, int]:
        """From the disk, and asked for."""
        return self._read["read_bytes"], self._read["rchar"]


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _io() -> dict[str, int]:
    lines = Path("/proc/self/io").read_text().splitlines()
    return {name: int(count) for name, _, count in (line.partition(": ") for line in lines)}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    import platform
    from importlib.metadata import version

    packages = ("duckdb", "pyarrow", "polars", "deltalake", "numba", "numpy", "torch")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "packages": {name: version(name) for name in packages},
    }

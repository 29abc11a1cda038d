"""The limits: the bytes of an epoch copied from warm memory to warm memory, and nothing else; and
the row groups the lake's loader reads decoded, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from threading import Thread

import numpy as np

from benchmarks.batch import BATCH, EVENT_BYTES, TRAITS, Array, Batch
from benchmarks.contestants import lake
from benchmarks.contestants.base import Contestant, parallel
from benchmarks.workload import Bench
from uih_lake import names
from uih_lake.lake.integrity import Pages

DECODING = "decoding alone"
_SOURCE_BYTES = 64 << 20
"""About what one open bucket holds, and far more than the caches."""


def contestants(bench: Bench, length: int) -> list[Contestant]:
    """Copying by one thread and by as many as there are cores; decoding by as many."""
    cores = len(os.sched_getaffinity(0))
    found = [
        Contestant(f"memcpy, {threads} thread{'s' * (threads > 1)}", "limit", made)
        for threads in sorted({1, cores})
        for made in [partial(memcpy, bench, length, threads)]
    ]
    history = lake.files(bench, names.UIH)
    return [*found, Contestant(DECODING, "limit", partial(decoding, bench, length), history)]


def memcpy(bench: Bench, length: int, threads: int) -> Iterator[Batch]:
    """Batches of the mean size; their values mean nothing."""
    examples, events = _counted(bench, length)
    batches = -(-examples // BATCH)
    size = events * EVENT_BYTES // batches
    source, out = _warm(max(_SOURCE_BYTES, size), size)
    starts = cycle(range(0, len(source) - size + 1, max(size, 1 << 20)))
    shares = np.linspace(0, size, threads + 1).astype(int)
    for number in range(batches):
        begin = next(starts)
        _copy(source[begin : begin + size], out, shares)
        low, high = number * BATCH, min(examples, (number + 1) * BATCH)
        yield Batch(np.arange(low, high), np.array([0, events // batches]), {})


def decoding(bench: Bench, length: int) -> Iterator[Batch]:
    """One batch, of no values, once every row group that has to be has been decoded."""
    examples, events = _counted(bench, length)
    groups, pages = lake.needed(bench, length), Pages()

    def decoded(path: Path) -> int:
        return int(pages.read(str(path), list(TRAITS), groups[path]).num_rows)

    for _ in parallel((partial(decoded, path) for path in groups), len(os.sched_getaffinity(0))):
        pass
    yield Batch(np.arange(examples), np.array([0, events]), {})


@cache
def _counted(bench: Bench, length: int) -> tuple[int, int]:
    """Examples and events of an epoch; found in the round that does not count."""
    _, count = bench.sequences(length)
    return len(count), int(count.sum())


@cache
def _warm(*sizes: int) -> tuple[Array, ...]:
    """Memory that was written to; not part of what is timed."""
    return tuple(np.ones(size, np.uint8) for size in sizes)


def _copy(source: Array, out: Array, shares: Array) -> None:
    parts = list(zip(shares[:-1].tolist(), shares[1:].tolist(), strict=True))
    helpers = [Thread(target=np.copyto, args=(out[a:b], source[a:b])) for a, b in parts[1:]]
    for helper in helpers:
        helper.start()
    np.copyto(out[: parts[0][1]], source[: parts[0][1]])
    for helper in helpers:
        helper.join()

"""Flat arrays mapped into memory, in the style of the MLPerf DLRMv4 reference loader.

Row positions are resolved beforehand and an example is a slice per column. It has no notion of
events that arrived late: what happened before the request is delivered, even where it was not known
yet. It goes through all examples and not a sample, because an epoch is so short that making its
buffers would weigh; user by user, which is its best order, or as the lake's loader shuffles them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache, partial

import numba
import numpy as np

from benchmarks.batch import BATCH, TRAITS, Array, Batch
from benchmarks.contestants.base import Contestant, ahead, parallel
from benchmarks.contestants.warm import Warm
from benchmarks.workload import Bench, tenant
from uih_lake.arrays import Int64
from uih_lake.gather.moves import Moves, address, copy
from uih_lake.loader import Loader

SLICES = ("mmap slices", "mmap slices, warm")
"""As the reference does it: in fresh memory, or in memory that is used again."""
COMPILED = "mmap compiled slices"
KERNEL = "mmap kernel"
SHUFFLED = "mmap kernel, lake's order"


def contestants(bench: Bench, length: int) -> list[Contestant]:
    """As the reference does it, and as it would be at its best."""
    files = tuple(bench.root / "flat" / f"{name}.npy" for name in TRAITS)
    ways: dict[str, Callable[[Bench, int], Iterator[Batch]]] = {
        **dict(zip(SLICES, (concatenated, into_warm), strict=True)),
        COMPILED: compiled,
        KERNEL: streamed,
        SHUFFLED: partial(streamed, shuffle=True),
    }
    size = sum(file.stat().st_size for file in files)
    return [
        Contestant(name, "mmap", partial(way, bench, length), files, size, 0, exact=False)
        for name, way in ways.items()
    ]


@cache
def _by_user(bench: Bench) -> Int64:
    return np.argsort(bench.requests["user"], kind="stable")


@cache
def _as_the_lake(bench: Bench) -> Int64:
    """The requests in the order in which the lake's loader comes to their examples."""
    loader = Loader(bench.lake(), tenant(1), BATCH, "cpu", seed=1)
    ids = np.concatenate([batch.example_id.numpy() for batch in loader])
    place = np.argsort(bench.requests["example_id"])
    found: Int64 = place[np.searchsorted(bench.requests["example_id"], ids, sorter=place)]
    return found


def _orders(bench: Bench, length: int, order: Int64) -> Iterator[tuple[Int64, Int64, Int64, Int64]]:
    """Per batch: example ids, first and last rows, offsets."""
    ids, first, stop = (bench.requests[n][order] for n in ("example_id", "first", "stop"))
    start = np.maximum(first, stop - length)
    for low in range(0, len(order), BATCH):
        some = slice(low, low + BATCH)
        offsets = np.zeros(len(ids[some]) + 1, np.int64)
        np.cumsum(stop[some] - start[some], out=offsets[1:])
        yield ids[some], start[some], stop[some], offsets


@cache
def _largest(bench: Bench, length: int, shuffle: bool = False) -> int:
    """Events of the largest batch; found in the round that does not count."""
    order = _as_the_lake(bench) if shuffle else _by_user(bench)
    return max(int(offsets[-1]) for *_, offsets in _orders(bench, length, order))


def concatenated(bench: Bench, length: int) -> Iterator[Batch]:
    """A list of slices per column and batch, joined in fresh memory; a thread works ahead."""

    def batches() -> Iterator[Batch]:
        flat = {name: np.asarray(bench.flat[name]) for name in TRAITS}
        for ids, start, stop, offsets in _orders(bench, length, _by_user(bench)):
            bounds = list(zip(start.tolist(), stop.tolist(), strict=True))
            values = {n: np.concatenate([v[a:b] for a, b in bounds]) for n, v in flat.items()}
            yield Batch(ids, offsets, values)

    return ahead(batches())


def into_warm(bench: Bench, length: int) -> Iterator[Batch]:
    """The same, joined in memory that is used again."""

    def batches() -> Iterator[Batch]:
        warm = Warm(events=_largest(bench, length))
        flat = {name: np.asarray(bench.flat[name]) for name in TRAITS}
        for ids, start, stop, offsets in _orders(bench, length, _by_user(bench)):
            out = warm.arrays(int(offsets[-1]))
            bounds = list(zip(start.tolist(), stop.tolist(), strict=True))
            for name, values in flat.items():
                np.concatenate([values[a:b] for a, b in bounds], out=out[name])
            yield Batch(ids, offsets, out)

    return ahead(batches(), Warm.AHEAD)


def compiled(bench: Bench, length: int) -> Iterator[Batch]:
    """The same with a compiled loop, one column per call: better than any reference has it."""

    def batches() -> Iterator[Batch]:
        warm = Warm(events=_largest(bench, length))
        flat = {name: np.asarray(bench.flat[name]) for name in TRAITS}
        for ids, start, stop, offsets in _orders(bench, length, _by_user(bench)):
            out = warm.arrays(int(offsets[-1]))
            for name, values in flat.items():
                slices(values, start, stop, out[name])
            yield Batch(ids, offsets, out)

    return ahead(batches(), Warm.AHEAD)


def streamed(bench: Bench, length: int, shuffle: bool = False) -> Iterator[Batch]:
    """The same with the kernel the lake's own loader has, on every core."""
    order = _as_the_lake(bench) if shuffle else _by_user(bench)
    threads = len(os.sched_getaffinity(0))
    warm = Warm(threads, _largest(bench, length, shuffle))
    flat = [np.asarray(bench.flat[name]) for name in TRAITS]
    sources = np.array([[address(values)] for values in flat])
    widths = np.array([values.itemsize for values in flat])

    def filled(
        ids: Int64, start: Int64, stop: Int64, offsets: Int64, out: dict[str, Array]
    ) -> Batch:
        moves = Moves.of(np.zeros(len(ids), np.int64), start, stop)
        copy(sources, widths, moves, 0, len(moves), np.array([address(out[n]) for n in TRAITS]))
        return Batch(ids, offsets, out)

    jobs = (
        partial(filled, *each, warm.arrays(int(each[3][-1])))
        for each in _orders(bench, length, order)
    )
    return parallel(jobs, threads)


@numba.njit(cache=True, nogil=True)
def slices(values, starts, stops, out):  # type: ignore[no-untyped-def]
    """Copy the rows ``starts`` to ``stops`` of ``values`` into ``out``, one after the other."""
    place = 0
    for i in range(len(starts)):
        count = stops[i] - starts[i]
        out[place : place + count] = values[starts[i] : stops[i]]
        place += count

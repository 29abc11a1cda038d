"""Flat arrays mapped into memory, in the style of the MLPerf DLRMv4 reference loader.

Row positions are resolved beforehand and an example is a slice per column. It has no notion of
events that arrived late: what happened before the request is delivered, even where it was not known
yet. Examples come user by user, which is its best order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numba
import numpy as np

from benchmarks.batch import BATCH, TRAITS, Batch, Int64
from benchmarks.contestants.base import Contestant, ahead
from benchmarks.contestants.warm import Warm
from benchmarks.workload import Bench
from uih_lake.gather.moves import Moves, address, copy


def contestants(bench: Bench, length: int, chosen: Int64) -> list[Contestant]:
    """As the reference does it, and as it would be at its best."""
    files = tuple(bench.root / "flat" / f"{name}.npy" for name in TRAITS)
    ways: dict[str, Callable[[Bench, int, Int64], Iterator[Batch]]] = {
        "slices, concatenated": concatenated,
        "slices, warm memory": into_warm,
        "slices, numba": compiled,
        "slices, streamed": streamed,
    }
    size = sum(file.stat().st_size for file in files)
    return [
        Contestant(f"mmap {name}", "mmap", epoch, files, size, 0, exact=False)
        for name, way in ways.items()
        for epoch in [partial(way, bench, length, chosen)]
    ]


def _orders(
    bench: Bench, length: int, chosen: Int64
) -> Iterator[tuple[Int64, Int64, Int64, Int64]]:
    """Per batch: example ids, first and last rows, offsets."""
    asked = bench.requests
    order = chosen[np.argsort(asked["user"][chosen], kind="stable")]
    ids, first, stop = (asked[n][order] for n in ("example_id", "first", "stop"))
    start = np.maximum(first, stop - length)
    for low in range(0, len(order), BATCH):
        some = slice(low, low + BATCH)
        offsets = np.zeros(len(ids[some]) + 1, np.int64)
        np.cumsum(stop[some] - start[some], out=offsets[1:])
        yield ids[some], start[some], stop[some], offsets


def concatenated(bench: Bench, length: int, chosen: Int64) -> Iterator[Batch]:
    """A list of slices per column and batch, joined in fresh memory; a thread works ahead."""

    def batches() -> Iterator[Batch]:
        flat = {name: np.asarray(bench.flat[name]) for name in TRAITS}
        for ids, start, stop, offsets in _orders(bench, length, chosen):
            bounds = list(zip(start.tolist(), stop.tolist(), strict=True))
            values = {n: np.concatenate([v[a:b] for a, b in bounds]) for n, v in flat.items()}
            yield Batch(ids, offsets, values)

    return ahead(batches())


def into_warm(bench: Bench, length: int, chosen: Int64) -> Iterator[Batch]:
    """The same, joined in memory that is used again."""

    def batches() -> Iterator[Batch]:
        warm = Warm()
        flat = {name: np.asarray(bench.flat[name]) for name in TRAITS}
        for ids, start, stop, offsets in _orders(bench, length, chosen):
            out = warm.arrays(int(offsets[-1]))
            bounds = list(zip(start.tolist(), stop.tolist(), strict=True))
            for name, values in flat.items():
                np.concatenate([values[a:b] for a, b in bounds], out=out[name])
            yield Batch(ids, offsets, out)

    return ahead(batches(), Warm.AHEAD)


def compiled(bench: Bench, length: int, chosen: Int64) -> Iterator[Batch]:
    """The same with a compiled loop, one column per call: better than any reference has it."""

    def batches() -> Iterator[Batch]:
        warm = Warm()
        flat = {name: np.asarray(bench.flat[name]) for name in TRAITS}
        for ids, start, stop, offsets in _orders(bench, length, chosen):
            out = warm.arrays(int(offsets[-1]))
            for name, values in flat.items():
                slices(values, start, stop, out[name])
            yield Batch(ids, offsets, out)

    return ahead(batches(), Warm.AHEAD)


def streamed(bench: Bench, length: int, chosen: Int64) -> Iterator[Batch]:
    """The same with the kernel the lake's own loader has."""

    def batches() -> Iterator[Batch]:
        warm = Warm()
        flat = [np.asarray(bench.flat[name]) for name in TRAITS]
        sources = np.array([[address(values)] for values in flat])
        widths = np.array([values.itemsize for values in flat])
        for ids, start, stop, offsets in _orders(bench, length, chosen):
            out = warm.arrays(int(offsets[-1]))
            moves = Moves.of(np.zeros(len(ids), np.int64), start, stop)
            places = np.array([address(out[name]) for name in TRAITS])
            copy(sources, widths, moves, 0, len(moves), places)
            yield Batch(ids, offsets, out)

    return ahead(batches(), Warm.AHEAD)


@numba.njit(cache=True, nogil=True)
def slices(values, starts, stops, out):  # type: ignore[no-untyped-def]
    """Copy the rows ``starts`` to ``stops`` of ``values`` into ``out``, one after the other."""
    place = 0
    for i in range(len(starts)):
        count = stops[i] - starts[i]
        out[place : place + count] = values[starts[i] : stops[i]]
        place += count

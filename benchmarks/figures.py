"""Figures of single stages: appending and sealing, resolving, gathering, memory, one hot user."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle, pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

import uih_lake as uih
from benchmarks.batch import BATCH, EVENT_BYTES, TRAITS, Array, bits
from benchmarks.contestants import lake
from benchmarks.contestants.base import Contestant
from benchmarks.measure import alone
from benchmarks.workload import Bench, build, size_of, tenant
from uih_lake.gather.moves import Moves, address, copy
from uih_lake.gather.pieces import pick
from uih_lake.lake.store import Store
from uih_lake.resolve.ahead import ahead, together
from uih_lake.resolve.keyed import Keyed
from uih_lake.resolve.placed import placed, standing
from uih_lake.resolve.plan import scans
from uih_lake.resolve.prefixed import Prefixed
from uih_lake.resolve.rows import Rows
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.taken import reach
from uih_lake.resolve.visible import Asked
from uih_lake.schema import TIME
from uih_lake.selection import Selection
from uih_lake.session import cursor

Figures = dict[str, float]

HOT_EVENTS = 1_000_000
_OTHERS = 1_000
_OTHER_EVENTS = 200
_HOT_REQUESTS = 2_000
_MEMORY_LENGTH = 4_096
_RING = 6  # buffers: as many as the loader keeps with its default of four batches ahead


def of_stages(bench: Bench, lengths: Sequence[int], rounds: int) -> dict[str, Any]:
    """What each stage does per second, and the bytes it leaves."""
    built = bench.built
    return {
        "append_seal_events_per_s": built["events"] / (built["append_s"] + built["seal_s"]),
        "append_events_per_s": built["events"] / built["append_s"],
        "seal_events_per_s": built["events"] / built["seal_s"],
        "log_pointers_per_s": built["requests"] / built["log_s"],
        "lake_bytes": size_of(bench.lake_path / "uih"),
        "pointer_bytes": size_of(bench.lake_path / "examples"),
        "pointer_read_bytes": lake.column_bytes(lake.files(bench, "examples"), lake.ASKED),
        "traits_bytes": lake.column_bytes(lake.files(bench, "uih"), set(TRAITS)),
        **_apart(resolving, bench, rounds),
        "gather": {str(n): gathering(bench, n, rounds) for n in lengths if n >= 1024},
    }


def _apart(measured: Callable[[Bench, int], Figures], bench: Bench, rounds: int) -> Figures:
    """Figures of a process of its own: memory that other contestants gave back is dear to have."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measured, bench, rounds).result()


def of_processes(bench: Bench, cache: Path) -> dict[str, Any]:
    """Peak memory at two sizes, and a lake with one hot user."""
    return {"memory": memory(bench, cache), "hot_user": hot_user(cache)}


def resolving(bench: Bench, rounds: int) -> Figures:
    """Pointers resolved per second, everything sealed.

    By the ASOF join, every digest checked against what the footers say of older events and what the
    newest are, read anew; that reading alone; the join against every event, as where one pointer of
    a bucket does not see all older events of its user; and by their place, which rests on the
    checksums of the pages.
    """
    selection = Selection.of(Store.open(str(bench.lake_path)))
    snapshot, judge = selection.snapshot, selection.judge
    plan = scans(tenant(_MEMORY_LENGTH), bench.lake().event_schema)
    with cursor() as duck:
        asked = [selection.asked(duck, bucket) for bucket in range(snapshot.buckets)]

        def proven(some: list[Asked]) -> list[pa.Table]:
            with cursor(threads=1) as mine:
                located = Resolver(snapshot, mine).locate(plan, some)
                return [each.proof for each in located if each is not None]

        def from_keys(some: list[Asked]) -> list[pa.Table]:
            with cursor(threads=1) as mine:
                read = ((Keyed.read(snapshot, bucket), pointers) for bucket, pointers in some)
                found = ((each, Rows.of(mine, each.events, pointers)) for each, pointers in read)
                return [each.whole(rows.whole()).proof.table for each, rows in found]

        def join(way: Callable[[list[Asked]], list[pa.Table]]) -> None:
            groups = list(together(each for each in enumerate(asked) if each[1].num_rows))
            for some, proofs in zip(groups, ahead(partial(way, g) for g in groups), strict=True):
                for (_, pointers), proof in zip(some, proofs, strict=True):
                    assert judge.passed(pointers, proof).all()

        def read_keys() -> None:
            def read(bucket: int, some: pa.Table) -> Prefixed | Keyed:
                return Prefixed.read(snapshot, some, bucket) or Keyed.read(snapshot, bucket)

            for _ in ahead(partial(read, *each) for each in enumerate(asked) if each[1].num_rows):
                pass

        def look_up() -> None:
            for bucket, some in enumerate(asked):
                if some.num_rows:
                    begins = standing(snapshot, some, bucket)
                    assert (begins >= 0).all()
                    placed(some, begins, reach(plan))

        pointers = sum(some.num_rows for some in asked)
        return {
            "asof_pointers_per_s": pointers / _seconds(partial(join, proven), rounds),
            "keyed_pointers_per_s": pointers / _seconds(partial(join, from_keys), rounds),
            "keys_read_pointers_per_s": pointers / _seconds(read_keys, rounds),
            "placed_pointers_per_s": pointers / _seconds(look_up, rounds),
        }


def gathering(bench: Bench, length: int, rounds: int) -> dict[str, float]:
    """Bytes per second of the gather kernel and of memcpy, alternating; both on all cores.

    The batches are those of the fullest bucket, random examples each. Both copy into warm memory:
    into one buffer, part of which is in the cache whenever it is used again, and (``ring_``) into
    as many in turn as the loader has.
    """
    columns, moves = _bucket(bench, length)
    size = max(int(cut.places[-1]) for cut in moves) * EVENT_BYTES
    ring = [np.ones(size, np.uint8) for _ in range(_RING)]
    source = np.ones(max(size, _held(columns)), np.uint8)
    total = sum(int(cut.places[-1]) for cut in moves) * EVENT_BYTES
    threads = len(os.sched_getaffinity(0))
    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for which, outs in (("", ring[:1]), ("ring_", ring)):
            gather = partial(_gather, columns, moves, outs, threads, pool)
            plain = partial(_memcpy, source, moves, outs, threads, pool)
            pairs = [(_seconds(gather, 1), _seconds(plain, 1)) for _ in range(rounds + 1)][1:]
            found |= {
                f"{which}gather_bytes_per_s": total / median(a for a, _ in pairs),
                f"{which}memcpy_bytes_per_s": total / median(b for _, b in pairs),
                f"{which}ratio": median(b / a for a, b in pairs),
            }
    return found


def _bucket(bench: Bench, length: int) -> tuple[list[Array], list[Moves]]:
    """Columns of the bucket with most examples, and the moves of its batches."""
    selection = Selection.of(Store.open(str(bench.lake_path)))
    snapshot = selection.snapshot
    plan = scans(tenant(length), bench.lake().event_schema)
    with cursor() as duck:
        asked = max(
            ((selection.asked(duck, b), b) for b in range(snapshot.buckets)),
            key=lambda pair: int(pair[0].num_rows),
        )
        found = Resolver(snapshot, duck).resolve(plan, *asked).cuts[0]
    ranges = found.ranges["history"]
    order = np.random.default_rng(0).permutation(len(ranges))
    columns = [bits(found.column(name)) for name in TRAITS]
    batches = [order[low : low + BATCH] for low in range(0, len(order), BATCH)]
    return columns, [pick([ranges], b).moves for b in batches]


def _held(columns: list[Array]) -> int:
    return sum(column.nbytes for column in columns)


def _gather(
    columns: list[Array],
    moves: list[Moves],
    outs: list[Array],
    threads: int,
    pool: ThreadPoolExecutor,
) -> None:
    addresses = np.array([[address(column)] for column in columns], np.int64)
    widths = np.array([column.itemsize for column in columns], np.int64)
    for cut, out in zip(moves, cycle(outs), strict=False):
        rows = int(cut.places[-1])
        begins = address(out) + np.concatenate([[0], np.cumsum(widths * rows)])[:-1]
        edges = np.searchsorted(cut.places, rows * np.arange(threads + 1) // threads)
        jobs = [
            pool.submit(
                copy, addresses, widths, cut, int(a), int(b), begins + cut.places[a] * widths
            )
            for a, b in pairwise(edges)
        ]
        for job in jobs:
            job.result()


def _memcpy(
    source: Array, moves: list[Moves], outs: list[Array], threads: int, pool: ThreadPoolExecutor
) -> None:
    start = 0
    for cut, out in zip(moves, cycle(outs), strict=False):
        size = int(cut.places[-1]) * EVENT_BYTES
        start = 0 if start + size > len(source) else start
        edges = [size * part // threads for part in range(threads + 1)]
        jobs = [
            pool.submit(np.copyto, out[a:b], source[start + a : start + b])
            for a, b in pairwise(edges)
        ]
        for job in jobs:
            job.result()
        start += size


def memory(bench: Bench, cache: Path) -> dict[str, int]:
    """Peak resident bytes of the loader in a process of its own, by events; here and at a tenth."""
    small = build(cache, replace(bench.scale, events=bench.scale.events // 10))
    return {str(b.built["events"]): _peak(b) for b in (small, bench)}


def _peak(bench: Bench) -> int:
    epoch = partial(lake.copying, bench, _MEMORY_LENGTH)
    return alone(Contestant("uih loader", "uih", epoch)).peak_rss


def hot_user(cache: Path) -> dict[str, float]:
    """A lake in which one user has a million events and a thousand others have 200 each."""
    root = cache / "hot"
    shutil.rmtree(root, ignore_errors=True)
    made, requests = _hot_log()
    store = uih.Lake.create(root / "lake", buckets=16)
    begin = time.perf_counter()
    store.append(made)
    store.seal()
    ingest_s = time.perf_counter() - begin
    begin = time.perf_counter()
    store.log(requests)
    log_s = time.perf_counter() - begin
    begin, events = time.perf_counter(), 0
    for batch in uih.Loader(store, tenant(_MEMORY_LENGTH), batch_size=BATCH, device="cpu"):
        events += batch.events
    seconds = time.perf_counter() - begin
    shutil.rmtree(root)
    return {
        "append_seal_events_per_s": made.num_rows / ingest_s,
        "log_pointers_per_s": requests.num_rows / log_s,
        "loader_events_per_s": events / seconds,
    }


def _hot_log() -> tuple[pa.Table, pa.Table]:
    random = np.random.default_rng(0)
    total = HOT_EVENTS + _OTHERS * _OTHER_EVENTS
    user = np.where(np.arange(total) < HOT_EVENTS, 0, 1 + np.arange(total) % _OTHERS)
    times = np.sort(random.integers(0, 10**13, total))
    made = {"user_id": random.permutation(user), "event_ts": pa.array(times).view(TIME)}
    made |= {
        "item_id": random.integers(0, 10**6, total),
        "dwell": random.random(total, np.float32),
        "category": random.integers(0, 32, total).astype(np.int32),
    }
    asked = 2 * _HOT_REQUESTS
    who = np.where(np.arange(asked) < _HOT_REQUESTS, 0, 1 + np.arange(asked) % _OTHERS)
    when = pa.array(random.integers(9 * 10**12, 10**13, asked)).view(TIME)
    label = random.random(asked, np.float32)
    return pa.table(made), pa.table({"user_id": who, "request_ts": when, "label": label})


def _seconds(work: Callable[[], Any], rounds: int) -> float:
    """Median seconds of ``rounds`` calls, after one that does not count where there are several."""
    spent = []
    for _ in range(rounds + (rounds > 1)):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return median(spent[rounds > 1 :])

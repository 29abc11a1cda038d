"""Whether the loader keeps a trainer busy, what it moves, what text and groups cost, its shuffles.

    python -m benchmarks loader [--events 2.5M] [--lengths 256,4096] [--steps-ms 0,5,20]
                                [--device cuda] [--dir CACHE] [--json FILE]

The consumer sleeps as a trainer does that waits for an accelerator: its step costs no CPU time.
Waiting and idling are told by the loader's own meters.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import uih_lake as uih
from benchmarks.batch import BATCH, TRAITS
from benchmarks.measure import machine
from benchmarks.stages import number
from benchmarks.tables import grid
from benchmarks.workload import Bench, Scale, build, tenant
from uih_lake.arrays import Int64
from uih_lake.loader import Loader, Shared
from uih_lake.loader.order import Order

FORMS: tuple[tuple[bool, Order], ...] = (
    (False, "affinity"),
    (True, "affinity"),
    (True, "user"),
    (True, "time"),
)
"""Whether history in common is shared, and the order, of what is compared in bytes."""

ORDERS: tuple[Order, ...] = ("affinity", "user", "time")

KINDS: dict[str, dict[str, Any]] = {
    "numbers": {"traits": ("item_id", "category")},
    "text": {"traits": ("action", "surface")},
}
"""Traits of eight and four bytes, and two of text."""

TAKEN: dict[str, dict[str, Any]] = {
    "all events": {"traits": tuple(TRAITS)},
    "window 90d": {"traits": tuple(TRAITS), "window": "90d"},
    "lag 1h": {"traits": tuple(TRAITS), "lag": "1h"},
    "where clicked": {"traits": tuple(TRAITS), "where": "action = 'click'"},
}
"""Groups that take all events, or some; a fifth of them are clicks."""

ROUNDS = 3

Row = dict[str, Any]
Say = Callable[[str], None]


def run(
    bench: Bench,
    lengths: Sequence[int],
    steps_ms: Sequence[float],
    device: str = "cpu",
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """All figures, as one JSON-able object."""
    found: dict[str, Any] = {
        "machine": machine(),
        "device": device,
        "scale": {"events": bench.built["events"], "requests": bench.built["requests"]},
    }
    for _ in loader(bench, lengths[0], device=device):
        pass  # code that is loaded on first use
    say("who waits for whom")
    found["waiting"] = [
        row for length in lengths for ms in steps_ms for row in waiting(bench, length, ms, device)
    ]
    say("bytes of both forms")
    found["bytes"] = [
        moved(bench, length, share, order, device) for length in lengths for share, order in FORMS
    ]
    say("text and numbers")
    found["text"] = [row for length in lengths for row in epochs(bench, length, device, KINDS)]
    say("windows, lags and conditions")
    found["taken"] = [row for length in lengths for row in epochs(bench, length, device, TAKEN)]
    say("shuffles")
    found["shuffle"] = shuffles(bench)
    return found


def loader(bench: Bench, length: int, **options: Any) -> Loader:
    """A loader of batches of 512."""
    return Loader(bench.lake(), tenant(length), BATCH, seed=1, **options)


# Who waits for whom


def waiting(
    bench: Bench, length: int, step_ms: float, device: str, rounds: int = ROUNDS
) -> Iterator[Row]:
    """The first and the second epoch for a consumer that takes ``step_ms`` per batch.

    Of several rounds, each with a loader of its own, the one in the middle.
    """
    made = [loader(bench, length, device=device) for _ in range(rounds)]
    for epoch in (1, 2):
        readings = sorted((_epoch(one, step_ms / 1e3) for one in made), key=lambda r: r["seconds"])
        yield {"length": length, "step_ms": step_ms, "epoch": epoch, **readings[rounds // 2]}


def _epoch(made: Loader, step_s: float) -> Row:
    """One epoch: shares of its time, of the consumer and of all producers together."""
    before, begin = made.meters.as_dict(), time.perf_counter()
    first = 0.0
    for _ in made:
        first = first or time.perf_counter() - begin
        if step_s:
            time.sleep(step_s)
    seconds = time.perf_counter() - begin
    after = made.meters.as_dict()
    spent = {name: after[name] - before[name] for name in after}
    return {
        "batches": spent["batches"],
        "seconds": seconds,
        "first_s": first,
        "starved": spent["waited_s"] / seconds,
        # What an epoch of any length has: the wait for its first batch is paid once.
        "starved_later": max(0.0, spent["waited_s"] - first) / max(seconds - first, 1e-9),
        "wasted": spent["idle_s"] / (seconds * made.meters.threads),
        "events_per_s": spent["events"] / seconds,
        "bytes_read": spent["bytes_read"],
    }


# What is moved


def moved(bench: Bench, length: int, share: bool, order: Order, device: str) -> Row:
    """Bytes of an epoch: copied by the gather, carried to the device, and there written out."""
    made = loader(bench, length, share=share, order=order, device=device)
    carried = expanded = events = 0
    for batch in made:
        carried += batch.nbytes
        events += batch.events
        for group in batch.groups.values():
            expanded += group.expand().nbytes if isinstance(group, Shared) else 0
    return {
        "length": length,
        "share": share,
        "order": order,
        "events": events,
        "gathered": made.meters.bytes_moved,
        "carried": carried,
        "expanded": expanded,
    }


# What text costs, and what a group that takes some events


def epochs(
    bench: Bench, length: int, device: str, groups: Mapping[str, Row], rounds: int = ROUNDS
) -> Iterator[Row]:
    """Seconds to make a loader of each of ``groups``, of its first epoch and of a later one.

    In turn, of several rounds the medians; the first round of each does not count.
    """
    lake, spent = bench.lake(), {name: list[list[float]]() for name in groups}
    for _ in range(rounds + 1):
        for name, said in groups.items():
            group = uih.Group(**said, max_len=length)
            times = [time.perf_counter()]
            made = Loader(lake, uih.Tenant("t", {"history": group}), BATCH, seed=1, device=device)
            times.append(time.perf_counter())
            for _ in range(2):
                for _ in made:
                    pass
                times.append(time.perf_counter())
            spent[name].append(np.diff(times).tolist())
    for name, seconds in spent.items():
        made_s, first_s, later_s = np.median(seconds[1:], axis=0).tolist()
        yield {
            "length": length,
            "group": name,
            "made_s": made_s,
            "first_s": first_s,
            "later_s": later_s,
        }


# How well it shuffles


def shuffles(bench: Bench, epochs: int = 4) -> list[Row]:
    """How examples move from epoch to epoch in every order, and in a shuffle of all of them."""
    asked = bench.requests
    by_time = np.argsort(asked["request_ts"], kind="stable")
    example_id, user = asked["example_id"][by_time], asked["user"][by_time]
    random = np.random.default_rng(0)
    every = [random.permutation(len(by_time)) for _ in range(epochs)]
    rows = [{"order": "global shuffle", **quality(every, user)}]
    place = np.argsort(example_id)
    for order in ORDERS:
        made = loader(bench, 1, order=order)
        seen = [_ids(made) for _ in range(epochs)]
        taken = [place[np.searchsorted(example_id[place], ids)] for ids in seen]
        rows.append({"order": order, **quality(taken, user)})
    return rows


def _ids(batches: Iterable[Any]) -> Int64:
    return np.concatenate([batch.example_id.numpy() for batch in batches])


def quality(epochs: Sequence[Int64], user: Int64, size: int = BATCH) -> Row:
    """What a shuffle did: ``epochs`` are examples in the order they came, ``user`` is of each.

    Examples are numbered in the order they were logged. Distances are means, as shares of an epoch;
    a shuffle of everything gives 1/3 of each. ``from_log`` is how far an example is from where it
    was logged, ``between_epochs`` from where it was an epoch before, and ``neighbours`` how far
    examples that came one after the other are from each other an epoch later. ``users`` is the
    number of users in a batch of ``size``.
    """
    count = len(user)
    places = [np.argsort(epoch) for epoch in epochs]
    logged = np.arange(count)
    pairs = list(pairwise(zip(epochs, places, strict=True)))
    batches = [epoch[at : at + size] for epoch in epochs for at in range(0, count - size + 1, size)]
    return {
        "from_log": _mean(np.abs(place - logged) for place in places) / count,
        "between_epochs": _mean(np.abs(a - b) for (_, a), (_, b) in pairs) / count,
        "neighbours": _mean(np.abs(np.diff(later[one])) for (one, _), (_, later) in pairs) / count,
        "users": float(np.mean([len(np.unique(user[batch])) for batch in batches or epochs])),
    }


def _mean(distances: Iterable[Int64]) -> float:
    return float(np.mean([distance.mean() for distance in distances]))


# Shown


def view(found: dict[str, Any]) -> Iterator[str]:
    """Every table, at most 80 columns wide."""
    scale, computer = found["scale"], found["machine"]
    yield f"{scale['events']:,} events, {scale['requests']:,} examples, batches of {BATCH}"
    yield (
        f"{computer['cores']} cores, load before the run {computer['load_before']:.1f}, "
        f"batches to {found['device']}"
    )
    yield ""
    yield "starved: share of time the consumer waited for a batch (later: after the first)"
    yield "wasted: share of time the producer threads had nothing to do"
    yield from grid(
        ("L", "step ms", "epoch", "first s", "starved", "later", "wasted", "M ev/s"),
        map(_waiting_cells, found["waiting"]),
    )
    yield ""
    yield "MB of an epoch: copied by the gather, carried to the device, written out there"
    yield from grid(
        ("L", "form", "order", "gathered", "carried", "expanded", "of plain"),
        _bytes_cells(found["bytes"]),
    )
    yield ""
    yield "seconds to make a loader of two traits, of its first epoch, and of a later one"
    yield from grid(("L", "traits", "made", "first", "later"), map(_epoch_cells, found["text"]))
    yield ""
    yield "the same of four traits, by what the group takes"
    yield from grid(("L", "takes", "made", "first", "later"), map(_epoch_cells, found["taken"]))
    yield ""
    yield "distances as shares of an epoch, and users in a batch"
    yield from grid(
        ("order", "from log", "epoch to epoch", "neighbours", "users"),
        map(_shuffle_cells, found["shuffle"]),
    )


def _waiting_cells(row: Row) -> tuple[str, ...]:
    shares = (f"{row[name]:.1%}" for name in ("starved", "starved_later", "wasted"))
    return (
        f"{row['length']:,}",
        f"{row['step_ms']:g}",
        f"{row['epoch']}",
        f"{row['first_s']:.2f}",
        *shares,
        f"{row['events_per_s'] / 1e6:,.1f}",
    )


def _bytes_cells(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    plain = {row["length"]: row["carried"] for row in rows if not row["share"]}
    for row in rows:
        yield (
            f"{row['length']:,}",
            "share" if row["share"] else "plain",
            row["order"],
            *(f"{row[name] / 1e6:,.1f}" for name in ("gathered", "carried", "expanded")),
            f"{row['carried'] / plain[row['length']]:.1%}",
        )


def _epoch_cells(row: Row) -> tuple[str, ...]:
    seconds = (f"{row[name]:.3f}" for name in ("made_s", "first_s", "later_s"))
    return f"{row['length']:,}", row["group"], *seconds


def _shuffle_cells(row: Row) -> tuple[str, ...]:
    distances = ("from_log", "between_epochs", "neighbours")
    return row["order"], *(f"{row[name]:.1%}" for name in distances), f"{row['users']:,.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser("benchmarks loader", description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=number, default=2_514_000)
    parser.add_argument("--lengths", type=_numbers, default=[256, 4_096])
    parser.add_argument("--steps-ms", type=_numbers, default=[0, 5, 20])
    parser.add_argument("--device", default="cpu", help="where batches go: cpu or cuda")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir(), "uih-bench-cache"))
    parser.add_argument("--json", type=Path, help="where to write the results")
    given = parser.parse_args()
    bench = build(given.dir, Scale(given.events), _say)
    found = run(bench, given.lengths, given.steps_ms, given.device, _say)
    for line in view(found):
        print(line)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()

"""One run of the suite: every length, every contestant, and the figures of the stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import figures, inuse, pointintime
from benchmarks.clicks import MOST_LENGTH, Clicks
from benchmarks.contestants import extras
from benchmarks.contestants.base import Contestant
from benchmarks.contestants.flat import KERNEL
from benchmarks.field import Field, Limits, against_fat, draw_up
from benchmarks.measure import Alone, Series, alone, alternate, machine, ratios, read
from benchmarks.workload import Scale, build

Say = Callable[[str], None]

DISK = 200_000_000
"""Bytes per second of the storage that is simulated by counting bytes."""

_SLOW = ("sql", "asof")
_ALONE = ("uih", "uih share")


def run(
    cache: Path,
    scale: Scale,
    lengths: Sequence[int],
    rounds: int,
    bounds: Limits,
    say: Say,
    *,
    check: bool = True,
    with_alone: bool = True,
    with_extras: bool = True,
    save: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:
    """Everything, as one JSON-able object; ``save`` is called with what there is so far."""
    begin = time.perf_counter()
    bench = build(cache, scale, say)
    found: dict[str, Any] = {
        "format": 1,
        "machine": machine(),
        "scale": {"events": bench.built["events"], "users": scale.users, "buckets": scale.buckets},
        "built": bench.built,
        "lengths": {},
    }
    found["figures"] = figures.of_stages(bench, lengths, rounds)
    found["in_use"] = inuse.figures(bench, rounds)
    for length in lengths:
        field = draw_up(bench, length, bounds, say, with_extras)
        found["lengths"][str(length)] = one_length(
            field, rounds, say, check=check, with_alone=with_alone
        )
        save(found)
    for length in (length for length in lengths if length <= MOST_LENGTH):
        of_clicks = against_fat(Clicks(bench), length, bounds, say)
        row = one_length(of_clicks, rounds, say, check=check, with_alone=False)
        found.setdefault("clicks", {})[str(length)] = row
    if with_alone:
        found["figures"] |= figures.of_processes(bench, cache)
    save(found)
    if with_extras:
        found["figures"] |= pointintime.figures(bench)
    found["seconds"] = time.perf_counter() - begin
    save(found)
    return found


def one_length(
    field: Field, rounds: int, say: Say, *, check: bool, with_alone: bool
) -> dict[str, Any]:
    """Measure the field of one length.

    Those that are installed as extras run apart, each in turn with the best fat rows: Ray keeps
    processes of its own, which slow down whoever runs beside them.
    """
    checked = _checked(field) if check else {}
    extras.close()
    apart = [c for c in field.contestants if c.family == "extra"]
    slow = [c for c in field.contestants if c.family in _SLOW]
    quick = [c for c in field.contestants if c not in (*apart, *slow)]
    series = alternate(quick, rounds)
    best = max((s for s in series if s.contestant.family == "fat"), key=_speed)
    rows = {s.contestant.name: _row(s, best, field) for s in series}
    for contestant in apart:
        beside, one = alternate([best.contestant, contestant], rounds)
        rows[contestant.name] = _row(one, beside, field)
        extras.close()
    for one in alternate(slow, 1):
        rows[one.contestant.name] = _row(one, Series(best.contestant, best.readings[:1]), field)
    if with_alone:
        for contestant in quick:
            chosen = contestant.family in _ALONE or contestant.name == KERNEL
            if chosen or contestant is best.contestant:
                row = rows[contestant.name]
                row["alone"] = _scaled(alone(contestant), contestant, field, row["events"])
    for name, equal in checked.items():
        rows[name]["same_content"] = equal
    say(f"  L={field.length}: {rounds} rounds of {len(quick)} contestants done")
    return {**field.summary(), "best_fat": best.contestant.name, "contestants": rows}


def _speed(series: Series) -> float:
    return median(series.events_per_s)


def _whole(contestant: Contestant) -> bool:
    """Whether it goes through all examples, and not a sample."""
    return contestant.family.startswith("uih") or contestant.family in ("limit", "mmap")


def _row(series: Series, best: Series, field: Field) -> dict[str, Any]:
    contestant, speed = series.contestant, _speed(series)
    middle, least, most = ratios(series, best)
    delivered = series.readings[0].tally
    share = 1.0 if _whole(contestant) else field.events / max(delivered.events, 1)
    row: dict[str, Any] = {
        "family": contestant.family,
        "exact": contestant.exact,
        "events": delivered.events,
        "seconds": series.middle("seconds"),
        "rounds": [reading.seconds for reading in series.readings],
        "events_per_s": speed,
        "examples_per_s": speed / field.mean,
        "ratio": [middle, least, most],
        "cpu_s_per_m_events": series.middle("cpu_s") / max(delivered.events, 1) * 1e6,
        "first_batch_s": series.middle("first_s"),
    }
    if contestant.read_bytes is not None:
        row["read_bytes"] = round(contestant.read_bytes * share)
        row["decoded_bytes"] = round((contestant.decoded_bytes or 0) * share)
        seconds = field.events / speed
        row["disk_examples_per_s"] = field.examples / max(seconds, row["read_bytes"] / DISK)
    return row


def _scaled(found: Alone, contestant: Contestant, field: Field, events: int) -> dict[str, Any]:
    """Figures of a process of its own; bytes as if it had gone through all examples."""
    share = 1.0 if _whole(contestant) else field.events / max(events, 1)
    return {
        **vars(found),
        "kernel_bytes": round(found.kernel_bytes * share),
        "asked_bytes": round(found.asked_bytes * share),
        "cold_s": found.cold_s * share,
        "cpu_s": found.cpu_s * share,
    }


def _checked(field: Field) -> dict[str, bool]:
    """Whether contestants deliver the same: all values of every example.

    Those are compared that went through equally many examples and events: where an epoch is larger
    than the opponents are given, each sample is compared within itself.
    """
    expected: dict[tuple[int, int], int] = {}
    found: dict[str, bool] = {}
    for contestant in field.contestants:
        if contestant.exact and contestant.family not in ("limit", *_SLOW):
            tally = read(contestant, check=True).tally
            sums = expected.setdefault((tally.examples, tally.events), tally.checksum)
            found[contestant.name] = tally.checksum == sums
    counts = {key[0] for key in expected}
    if len(counts) < len(expected):
        raise SystemExit(f"L={field.length}: as many examples, but not as many events")
    wrong = [name for name, equal in found.items() if not equal]
    if wrong:
        raise SystemExit(f"L={field.length}: {', '.join(wrong)} deliver something else")
    return found

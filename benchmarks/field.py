"""The field of one length: who runs, after every opponent was given its best settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks import fatrows
from benchmarks.batch import EVENT_BYTES
from benchmarks.contestants import arrow, extras, fat, flat, lake, limits, sql
from benchmarks.contestants.base import Contestant
from benchmarks.fatrows import FORMS, LAYOUTS, Form
from benchmarks.measure import read, warm
from benchmarks.workload import Bench
from uih_lake.arrays import Int64

Say = Callable[[str], None]

_FINALISTS = 2
_GROUP_SHARES = (0.25, 4.0)
_ARROW = next(form for form in FORMS if form.kind == "arrow")


@dataclass(frozen=True)
class Limits:
    """How much work the opponents are given, in events of an epoch."""

    fat: int = 40_000_000
    screened: int = 4_000_000
    sql: int = 1_000_000


@dataclass(frozen=True)
class Choice:
    """A fat file and the reader that goes with it; ``group`` are the rows of its row groups."""

    layout: str
    form: Form
    reader: str
    group: int | None

    @property
    def label(self) -> str:
        """Short name of the file."""
        return f"fat {self.layout} {self.form.name}"


@dataclass
class Field:
    """The contestants of one length, and what is known of the fat files by layout and form.

    ``examples`` and ``events`` are those of a whole epoch, ``sampled_events`` of the opponents';
    ``distinct_events`` are the events of the lake that some sequence holds.
    ``bytes_per_event`` are those of column chunks, by ``layout form``.
    """

    length: int
    examples: int
    events: int
    sampled_events: int
    distinct_events: int
    contestants: list[Contestant]
    bytes_per_event: dict[str, float]
    screened: dict[str, float]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Events per example."""
        return self.events / max(self.examples, 1)

    def fat_bytes(self, layout: str) -> tuple[str, float]:
        """The smallest form of a layout, and its bytes for a whole epoch."""
        found = {k: v for k, v in self.bytes_per_event.items() if k.startswith(f"{layout} ")}
        best = min(found, key=lambda name: found[name])
        return best, found[best] * self.events

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "examples": self.examples,
            "events": self.events,
            "delivered_bytes": self.events * EVENT_BYTES,
            "opponents_events": self.sampled_events,
            "distinct_events": self.distinct_events,
            "fat_bytes": {k: round(v * self.events) for k, v in self.bytes_per_event.items()},
            "screened_events_per_s": self.screened,
            "skipped": self.skipped,
        }


def draw_up(bench: Bench, length: int, bounds: Limits, say: Say, with_extras: bool) -> Field:
    """Choose the best of every family at this length."""
    _, count = bench.sequences(length)
    chosen = fatrows.sample(bench, length, bounds.fat)
    sampled = int(count[chosen].sum())
    sizes, screened, finalists = _screen(bench, length, bounds, say)
    contestants = lake.contestants(bench, length)
    contestants += [_final(bench, length, bounds, choice) for choice in finalists]
    mapped = fatrows.write(bench, length, "user", _ARROW, chosen, bench.root / "fat")
    contestants += arrow.contestants(mapped, "fat user arrow")
    arrays = {contestant.name: contestant for contestant in flat.contestants(bench, length)}
    contestants.append(_fastest([arrays.pop(name) for name in flat.SLICES], screened))
    contestants += arrays.values()
    contestants += limits.contestants(bench, length)
    few = fatrows.sample(bench, length, bounds.sql)
    few = few if len(few) else np.argsort(count)[:64]
    contestants += sql.contestants(bench, length, few)
    skipped: dict[str, str] = {}
    if with_extras:
        more, skipped = extras.contestants(bench, length, chosen)
        contestants += more
    return Field(
        length,
        len(count),
        int(count.sum()),
        sampled,
        _distinct_events(bench, length),
        contestants,
        sizes,
        screened,
        skipped,
    )


def against_fat(bench: Bench, length: int, bounds: Limits, say: Say) -> Field:
    """The loader and the best fat rows alone."""
    _, count = bench.sequences(length)
    sizes, screened, finalists = _screen(bench, length, bounds, say)
    contestants = lake.written(bench, length)
    contestants += [_final(bench, length, bounds, choice) for choice in finalists]
    sampled = int(count[fatrows.sample(bench, length, bounds.fat)].sum())
    distinct = _distinct_events(bench, length)
    total = int(count.sum())
    return Field(length, len(count), total, sampled, distinct, contestants, sizes, screened)


def _distinct_events(bench: Bench, length: int) -> int:
    """Events that lie in some sequence, or between two events of one."""
    first, count = bench.sequences(length)
    some = count > 0
    steps = np.zeros(len(bench.flat["event_ts"]) + 1, np.int64)
    np.add.at(steps, first[some], 1)
    np.add.at(steps, bench.requests["stop"][some], -1)
    return int(np.count_nonzero(np.cumsum(steps)))


def _screen(
    bench: Bench, length: int, bounds: Limits, say: Say
) -> tuple[dict[str, float], dict[str, float], list[Choice]]:
    """Bytes per event of every fat file, events/s of its readers, and the best few.

    The readers that are always slower are tried on the files that came out best, and the winner
    with other sizes of row groups.
    """
    root = bench.root / "screen"
    sizes: dict[str, float] = {}
    speeds: dict[Choice, float] = {}
    drawn = {layout: fatrows.sample(bench, length, bounds.screened, layout) for layout in LAYOUTS}
    for layout, chosen in drawn.items():
        events = int(bench.sequences(length, chosen)[1].sum())
        for form in FORMS:
            path = fatrows.write(bench, length, layout, form, chosen, root)
            if form.kind == "arrow":
                continue
            stored, _ = fatrows.chunk_bytes(path)
            sizes[f"{layout} {form.name}"] = stored / max(events, 1)
            for reader in fat.QUICK:
                choice = Choice(layout, form, reader, None)
                speeds[choice] = _speed(fat.contestant(path, choice.label, reader))
    for choice in _best(speeds):
        chosen = drawn[choice.layout]
        path = fatrows.write(bench, length, choice.layout, choice.form, chosen, root)
        for reader in set(fat.READERS) - set(fat.QUICK):
            other = replace(choice, reader=reader)
            speeds[other] = _speed(fat.contestant(path, other.label, reader))
    best = _best(speeds)[0]
    speeds |= _tuned(bench, length, drawn[best.layout], best)
    best = _best(speeds)
    say(f"  L={length}: of {len(speeds)} fat-row loaders, {_named(best[0])} is the fastest")
    return sizes, {_named(c): round(s) for c, s in speeds.items()}, best


def _best(speeds: dict[Choice, float]) -> list[Choice]:
    """The fastest choices, no two of the same file."""
    found: list[Choice] = []
    for choice in sorted(speeds, key=lambda c: -speeds[c]):
        if (choice.layout, choice.form) not in [(c.layout, c.form) for c in found]:
            found.append(choice)
    return found[:_FINALISTS]


def _tuned(bench: Bench, length: int, chosen: Int64, choice: Choice) -> dict[Choice, float]:
    """The same file with other row groups."""
    mean = float(bench.sequences(length, chosen)[1].mean())
    plain = fatrows.group_rows(mean)
    found = {}
    for share in _GROUP_SHARES:
        group = fatrows.group_rows(mean, round(fatrows.GROUP_EVENTS * share))
        if group != plain:
            tried = replace(choice, group=group)
            path = fatrows.write(
                bench, length, choice.layout, choice.form, chosen, bench.root / "screen", group
            )
            found[tried] = _speed(fat.contestant(path, tried.label, tried.reader))
    return found


def _named(choice: Choice) -> str:
    shown = "" if choice.group is None else f" groups of {choice.group}"
    return f"{choice.label} {choice.reader}{shown}"


def _final(bench: Bench, length: int, bounds: Limits, choice: Choice) -> Contestant:
    chosen = fatrows.sample(bench, length, bounds.fat, choice.layout)
    path = fatrows.write(
        bench, length, choice.layout, choice.form, chosen, bench.root / "fat", choice.group
    )
    return fat.contestant(path, choice.label, choice.reader)


def _speed(contestant: Contestant) -> float:
    """Events per second, the better of two epochs."""
    warm(contestant.files)
    readings = [read(contestant) for _ in range(2)]
    return max(reading.tally.events / reading.seconds for reading in readings)


def _fastest(contestants: Sequence[Contestant], screened: dict[str, float]) -> Contestant:
    speeds = {contestant.name: _speed(contestant) for contestant in contestants}
    screened.update({name: round(speed) for name, speed in speeds.items()})
    return max(contestants, key=lambda contestant: speeds[contestant.name])

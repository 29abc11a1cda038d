"""The schedule of a loader's threads, tried in orders that threads would rarely take.

Hands do what threads do, but one at a time, and whose turn it is is drawn. So every order of
locking can come, each can be repeated, and a state in which nobody can go on is seen at once.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loader_lakes import NUMBERS, SHORT, TENANT, build, frozen, ids

from uih_lake import Lake
from uih_lake.loader import Loader
from uih_lake.loader.loader import Turn
from uih_lake.loader.order import Window
from uih_lake.loader.planner import Worker
from uih_lake.loader.schedule import WINDOWS_OPEN, Begin, Copy, LayOut, Read, Schedule
from uih_lake.loader.shelf import Shelf
from uih_lake.loader.work import Work
from uih_lake.session import cursor

TENANTS = {"numbers": NUMBERS, "several groups": TENANT, "a condition": SHORT}
PLENTY = 1 << 30
EXAMPLES = 140
"""That the lake has."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One whose buckets are each in a window of its own, or together."""
    return build(tmp_path_factory.mktemp("schedule") / "lake")


@pytest.fixture(scope="module", autouse=True)
def many_parts() -> Iterator[None]:
    """A batch is copied in parts, however small it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uih_lake.loader.assemble.PART_BYTES", 400)
        yield


Steps = Generator[bool, None, None]


@dataclass
class Crew:
    """Hands that work through an epoch, and who takes the batches, ``held`` of which it keeps."""

    schedule: Schedule
    work: Work
    prefetch: int
    session: duckdb.DuckDBPyConnection
    reading: list[int] = field(default_factory=list)
    taken: list[Any] = field(default_factory=list)
    begun: int = 0

    def hand(self) -> Steps:
        """What one thread does, up to where it lets go of the lock; False where it must wait."""
        schedule, work = self.schedule, self.work
        while True:
            task = schedule.next()
            if task is None:
                if schedule.is_done:
                    return
                yield False
                continue
            match task:
                case Read():
                    assert task.bucket not in self.reading, "read twice at once"
                    self.reading.append(task.bucket)
                    yield True
                    opened = work.read(task, self.session)
                    yield True
                    self.reading.remove(task.bucket)
                    schedule.read(task, opened)
                case LayOut():
                    yield True
                    jobs = work.lay_out(task)
                    yield True
                    schedule.laid_out(jobs)
                case Begin():
                    self.begun += len(task.jobs)
                    assert self.begun - len(self.taken) <= self.prefetch, "too far ahead"
                    yield True
                    copy = work.begin(task)
                    nothing = not copy.undone
                    yield True
                    schedule.begun(copy)
                    yield from self.finish(copy) if nothing else self.copy(copy)
                case Copy():
                    yield from self.copy(task)
            yield True

    def copy(self, copy: Copy) -> Steps:
        """Copy parts, the last of which finishes the batches."""
        while (part := copy.take()) is not None:
            yield True
            part.run()
            if copy.done():
                yield from self.finish(copy)
                return
            yield True

    def finish(self, copy: Copy) -> Steps:
        """Hand batches over."""
        made = self.work.finish(copy)
        yield True
        self.schedule.made(copy, made)

    def consumer(self, held: int) -> Steps:
        """Take batches, look at them later, and let them go."""
        kept: deque[Any] = deque()
        while not (self.schedule.is_done and self.schedule.depth == 0):
            made = self.schedule.take()
            if made is None:
                yield False
                continue
            (arrival,) = made.arrivals
            kept.append(arrival.received())
            self.taken.append(None)
            if len(kept) > held:
                self.taken[-1 - held] = frozen(kept.popleft())
            yield True
        for place, batch in enumerate(kept, len(self.taken) - len(kept)):
            self.taken[place] = frozen(batch)

    def run(self, hands: int, held: int, rng: random.Random) -> None:
        """Whoever is drawn goes on, until all are through."""
        left = [self.hand() for _ in range(hands)] + [self.consumer(held)]
        waiting: list[Steps] = []
        while left:
            able = [each for each in left if each not in waiting]
            assert able, "nobody can go on"
            one = rng.choice(able)
            try:
                went_on = next(one)
            except StopIteration:
                left.remove(one)
                went_on = True
            waiting = [] if went_on else [*waiting, one]


def crew(loader: Loader, hands: int, prefetch: int, budget: int, session: Any) -> Crew:
    """A crew for an epoch of a loader."""
    engine = loader._engine
    source, ring, device = engine._source, engine.ring, engine._device
    assert source is not None
    shelf = Shelf(budget, 1000, ring)
    planner, windows = (
        loader._planner(Turn(1, 0, 0, Worker())),
        loader._scope.windows(loader._options, 0, 0),
    )
    schedule = Schedule(windows, True, shelf, hands, prefetch)
    return Crew(schedule, Work(source, planner, shelf, ring, device), prefetch, session)


@cache
def expected(lake: Lake, tenant: str, options: tuple[tuple[str, Any], ...]) -> list[Any]:
    """The epoch, by one thread that does one thing after the other."""
    batches = list(Loader(lake, TENANTS[tenant], threads=1, **dict(options)))
    examples = [each for batch in batches for each in ids(batch)]
    assert sorted(examples) == list(range(EXAMPLES))
    return [frozen(batch) for batch in batches]


@settings(max_examples=40, deadline=None)
@given(
    tenant=st.sampled_from(sorted(TENANTS)),
    order=st.sampled_from(["affinity", "time", "log"]),
    open_buckets=st.integers(1, 3),
    batch_size=st.sampled_from([5, 16, 200]),
    hands=st.integers(1, 4),
    prefetch=st.integers(1, 5),
    budget=st.sampled_from([1, 30_000, PLENTY]),
    held=st.integers(0, 3),
    drawn=st.integers(0, 2**32),
)
def test_every_order_of_work_gives_the_same_batches(
    lake: Lake,
    tenant: str,
    order: str,
    open_buckets: int,
    batch_size: int,
    hands: int,
    prefetch: int,
    budget: int,
    held: int,
    drawn: int,
) -> None:
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "order": order,
        "open_buckets": open_buckets,
    }
    if order == "time":
        options["time_window"] = "5d"
    loader = Loader(lake, TENANTS[tenant], **options)
    with cursor(threads=1) as session:
        mine = crew(loader, hands, prefetch, budget, session)
        mine.run(hands, held, random.Random(drawn))
    assert mine.taken == expected(lake, tenant, tuple(options.items()))


def test_hands_that_do_not_tell_what_they_did_are_seen_to_be_stuck(lake: Lake) -> None:
    """The crew can fail: a bucket that is never told to be read holds up everybody."""
    loader = Loader(lake, NUMBERS, open_buckets=1)
    with cursor(threads=1) as session:
        mine = crew(loader, 2, 2, PLENTY, session)
        first = mine.schedule.next()
        assert isinstance(first, Read)
        with pytest.raises(AssertionError, match="nobody can go on"):
            mine.run(2, 0, random.Random(0))
        assert len(mine.schedule._stages) <= WINDOWS_OPEN


def test_a_window_of_many_buckets_that_are_all_in_memory(lake: Lake) -> None:
    """Taking up one after the other must not take a frame of the stack for each."""
    loader = Loader(lake, NUMBERS)
    engine, many = loader._engine, range(3 * sys.getrecursionlimit())
    assert engine._source is not None
    with cursor(threads=1) as session:
        opened = engine._source.open(session, 0)
    shelf = Shelf(PLENTY, 1, engine.ring)
    for bucket in many:
        copy = replace(opened, resolved=replace(opened.resolved, bucket=bucket))
        for _ in range(2):  # from the second time on it stays
            shelf.put(copy)
    schedule = Schedule([Window(0, 0, tuple(many), 0, len(many))], True, shelf, 1, 1)
    task = schedule.next()
    assert isinstance(task, LayOut) and task.stage is not None
    assert list(task.stage.opened) == list(many)

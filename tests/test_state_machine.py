"""Random lives of a lake against a plain model: whatever happens, every pointer keeps its promise.

Two handles on one lake take turns, as two processes would: what one does, the other must notice.
After each step all that is stored is compared with the model: the events themselves, every
sequence of every example, its proof, and what is at fault and why.
"""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pytest
from durability.checks import STEP, compare, data_files, live_files, proofs, tenant
from durability.model import Model
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from uih_lake import Lake, Tenant
from uih_lake.errors import LakeError, PointerError, SchemaError
from uih_lake.pointers.policy import Counts
from uih_lake.resolve import run

TIME = pa.timestamp("us", "UTC")
START = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = int(START.timestamp()) * 1_000_000
GRID = 12
"""Instants in use: three days in all, so that a window of days cuts through them."""
USERS = {"int64": (1, 2, -7, 2**62, 5), "string": ("a", "A", "ü🙂", "it's", "z")}
ADDED = {"dwell": pa.float32(), "tags": pa.list_(pa.string()), "surface": pa.string()}
"""Traits that an append can bring later, in this order."""
SAMPLES: dict[str, tuple[Any, ...]] = {
    "dwell": (None, 0.5, 2.0),
    "tags": (None, [], ["x", None]),
    "surface": (None, "feed", ""),
}
Row = tuple[int, int, int, int | None, str | None, int]
row = st.tuples(
    st.integers(0, 4),
    st.integers(0, GRID),
    st.sampled_from([0, 0, 0, 1, STEP, 3 * STEP, -STEP]),
    st.none() | st.integers(0, 9),
    st.sampled_from(["click", "click", "like", None]),
    st.integers(0, 2),
)
"""User, instant, delay, item, action, and which sample of each added trait."""
rows = st.lists(row, max_size=9)
Request = tuple[int, int, int, int | None]
request = st.tuples(
    st.integers(0, 4),
    st.integers(0, GRID + 1),
    st.sampled_from([0, 0, 1, -1]),
    st.none() | st.integers(0, GRID + 2),
)
"""User, instant, microseconds beside it, and an as-of instant of its own."""
requests = st.lists(request, min_size=1, max_size=6)
which = st.integers(0, 1)
"""Of the two handles."""

steps: Counter[str] = Counter()
"""Steps taken in all sequences of this process, by name."""


class Life(RuleBasedStateMachine):
    """One lake, two handles on it, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = mkdtemp()
        self.model = Model()
        self.dirty = True

    @initialize(buckets=st.integers(1, 3), kind=st.sampled_from(sorted(USERS)))
    def create(self, buckets: int, kind: str) -> None:
        self.kind = kind
        self.path = Path(self.folder, "lake")
        self.lakes = [Lake.create(self.path, buckets=buckets), Lake.open(self.path)]

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def count(self, step: str) -> None:
        steps[step] += 1
        self.dirty = True

    # What adds to the lake.

    @rule(rows=rows, cut=st.integers(0, 9), hand=which)
    def append(self, rows: list[Row], cut: int, hand: int) -> None:
        self.add("append", rows, cut, None, hand)

    @rule(rows=rows, key=st.sampled_from(["k1", "k2", "k3"]), hand=which)
    def append_with_key(self, rows: list[Row], key: str, hand: int) -> None:
        self.add("append repeated" if key in self.model.keys else "append", rows, 0, key, hand)

    @rule(rows=rows, hand=which)
    def append_in_order(self, rows: list[Row], hand: int) -> None:
        self.add("append", sorted(rows, key=lambda r: r[1]), 0, None, hand)

    def add(self, step: str, rows: list[Row], cut: int, key: str | None, hand: int) -> None:
        self.count(step)
        table, plainly = self.events(rows, self.model.traits, cut)
        assert self.lakes[hand].append(table, key=key) == self.model.append(plainly, key)

    @precondition(lambda self: len(self.model.traits) < len(ADDED))
    @rule(rows=rows, hand=which)
    def append_with_another_trait(self, rows: list[Row], hand: int) -> None:
        self.count("schema change")
        wider = list(ADDED)[: len(self.model.traits) + 1]
        table, plainly = self.events(rows, wider)
        if self.model.version >= 0:
            with pytest.raises(SchemaError, match=wider[-1]):
                self.lakes[hand].append(table)
        assert self.lakes[hand].append(table, add_columns=True) == self.model.append(plainly)
        self.model.add_trait(wider[-1])

    @rule(requests=requests, hand=which)
    def log_live(self, requests: list[Request], hand: int) -> None:
        self.log(requests, True, hand)

    @rule(requests=requests, hand=which)
    def log_backfilled(self, requests: list[Request], hand: int) -> None:
        self.log(requests, False, hand)

    def log(self, requests: list[Request], live: bool, hand: int) -> None:
        self.count("log live" if live else "log")
        asked = [
            (self.user(u), ORIGIN + t * STEP + off, None if a is None else ORIGIN + a * STEP)
            for u, t, off, a in requests
        ]
        table = self.requests(asked, self.model.next_id)
        if live:
            table = table.drop_columns("as_of_ts")
        found = self.lakes[hand].log(table, live=live)
        assert proofs(found) == self.model.log(asked, live)
        assert set(found["lake_version"].to_pylist()) == {self.model.version}

    # What moves things about.

    @rule(hand=which)
    def seal(self, hand: int) -> None:
        self.count("seal")
        self.lakes[hand].seal()

    @rule(how=st.sampled_from(["compact", "vacuum", "reopen"]), hand=which)
    def tidy(self, how: str, hand: int) -> None:
        self.count(how)
        if how == "reopen":
            self.lakes[hand] = Lake.open(self.path)
        elif how == "compact":
            self.lakes[hand].compact()
        else:
            self.lakes[hand].vacuum(retain_hours=0)
            assert data_files(self.path) == live_files(self.path)

    # What takes things away.

    @rule(users=st.sets(st.integers(0, 5), min_size=1, max_size=2), hand=which)
    def forget(self, users: set[int], hand: int) -> None:
        if self.model.version < 0 and not self.model.examples:
            return  # the type of users is not known yet
        self.count("forget")
        gone = {self.user(number) for number in users}
        erased = self.lakes[hand].forget(sorted(gone))
        events, examples = self.model.forget(gone)
        assert (erased["recent"] + erased["uih"], erased["examples"]) == (events, examples)

    @rule(place=st.integers(-1, GRID // 2), hand=which)
    def retain(self, place: int, hand: int) -> None:
        self.count("retain")
        cutoff = START + timedelta(microseconds=place * STEP)
        erased = self.lakes[hand].retain(days=1, now=cutoff + timedelta(days=1))
        assert sum(erased.values()) == self.model.retain(ORIGIN + place * STEP)

    # What is read.

    @rule(version=st.integers(0, 12))
    def the_lake_as_it_stood(self, version: int) -> None:
        if version > self.model.version:
            with pytest.raises(LakeError, match=f"no lake version {version}"):
                Lake.open(self.path, version=version)
            return
        steps["older version"] += 1
        lake = Lake.open(self.path, version=version)
        assert lake.version == version
        with pytest.raises(LakeError, match="opened at lake version"):
            lake.seal()
        history = self.model.visible.at(version)
        compare(lake, self.model, history, self.model.at(version))
        for asked, events in ((lake, history.events), (self.lakes[0], self.model.visible.events)):
            assert asked.sql("SELECT count(*) FROM events").fetchall() == [(len(events),)]

    @precondition(lambda self: self.model.version >= 0)
    @rule(hand=which)
    def policies(self, hand: int) -> None:
        steps["policies"] += 1
        lake, counts = self.lakes[hand], Counts()
        faults = self.model.faults(self.model.examples)
        dropped = lake.materialize(self.tenant(), on_mismatch="drop", counts=counts).read_all()
        left = self.model.examples.keys() - faults.keys()
        assert sorted(dropped["example_id"].to_pylist()) == sorted(left)
        assert counts.as_dict() == self.model.counts(self.model.examples)
        if not faults:
            lake.materialize(self.tenant()).read_all()
            return
        steps["policies with faults"] += 1
        with pytest.raises(PointerError, match="expired"):
            lake.materialize(self.tenant()).read_all()

    @invariant()
    def the_lake_is_what_the_model_says(self) -> None:
        if not self.dirty:
            return
        self.dirty = False
        for lake in self.lakes:
            assert lake.version == self.model.version
        compare(self.lakes[0], self.model, self.model.visible, self.model.examples)

    # Making tables.

    def user(self, number: int) -> int | str:
        return (*USERS[self.kind], 99 if self.kind == "int64" else "99")[number]

    def tenant(self) -> Tenant:
        return tenant(self.model)

    def events(
        self, rows: list[Row], traits: list[str], cut: int = 0
    ) -> tuple[pa.Table, list[dict[str, Any]]]:
        plainly = [
            {
                "user_id": self.user(user),
                "event_ts": ORIGIN + place * STEP,
                "arrival_ts": ORIGIN + place * STEP + delay,
                "item": item,
                "action": action,
            }
            | {name: SAMPLES[name][sample] for name in traits}
            for user, place, delay, item, action, sample in rows
        ]
        kinds = {"user_id": pa.type_for_alias(self.kind), "event_ts": TIME, "arrival_ts": TIME}
        kinds |= {"item": pa.int64(), "action": pa.string()} | {n: ADDED[n] for n in traits}
        table = pa.table({n: pa.array([r[n] for r in plainly], k) for n, k in kinds.items()})
        return pa.concat_tables([table.slice(0, cut), table.slice(cut)]), plainly

    def requests(self, asked: list[tuple[Any, int, int | None]], first: int) -> pa.Table:
        users, times, as_of = zip(*asked, strict=True)
        return pa.table(
            {
                "user_id": pa.array(users, pa.type_for_alias(self.kind)),
                "request_ts": pa.array(times, TIME),
                "as_of_ts": pa.array(as_of, TIME),
                "label": pa.array(range(first, first + len(users))),
            }
        )


def live(sequences: int, number: int | None = None) -> None:
    """Run this many sequences of 30 steps; those of a ``number`` are the same every time."""
    machine = Life if number is None else seed(number)(type("SameLife", (Life,), {}))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine, settings=settings(max_examples=sequences, stateful_step_count=30)
    )


@pytest.mark.parametrize("part", range(5))
def test_every_pointer_survives_whatever_happens(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_FEW_USERS", part % 2 * 16)  # by keys, by scans, by keys ...
    steps.clear()
    live(20)
    print(f"part {part}: {dict(steps)}")


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_every_pointer_survives_whatever_happens_for_long(part: int) -> None:
    live(100)


def test_the_lives_reach_the_hard_cases() -> None:
    """A machine that takes easy steps proves little: count what it does in some sequences.

    Hypothesis leaves some steps out of each sequence, so few of them may have none of a kind.
    """
    steps.clear()
    hard = ("append", "log", "seal", "retain", "forget")
    for number in range(8):
        live(4, number)
        if min(steps[name] for name in hard) >= 3:
            return
    pytest.fail(f"32 sequences reach {dict(steps)}")

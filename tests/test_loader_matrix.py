"""Every way to iterate against the plain rule: one helper checks start, middle, end, second epoch.

A configuration is an order, a form, a bound on tokens, a number of ranks and of threads. Each is
checked over three lakes: one with a tail, late events and conditions, whose pointers are resolved
by the join; the same for a tenant whose rows are found by keys, in several files; and one whose
pointers know their place in the file they were cut from.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from loader_lakes import TENANT, Rows, events, filled, frozen, ids, reference, requests, rows
from oracle import GroupSpec, History, Pointer, micros, values
from test_pushdown import wreck

from uih_lake import CorruptionError, Group, Lake, Tenant
from uih_lake.loader import Loader
from uih_lake.loader.columns import columns
from uih_lake.resolve import run

PLAIN = Tenant(
    "plain",
    {
        "recent": Group(["tags", "flag", "item", "small", "vector", "price", "seen"], max_len=20),
        "all": Group(["action", "event_ts", "arrival_ts", "dwell"]),
    },
    context=["label", "surface", "candidates", "asked"],
)
STORED = Tenant(
    "stored",
    {
        "recent": Group(["tags", "flag", "item", "small", "vector", "price", "seen"], max_len=20),
        "all": Group(["action", "event_ts", "lake_version", "dwell"]),
    },
    context=["label", "surface", "candidates", "asked"],
)
"""Nothing that follows from other columns."""
IN_SQL = replace(
    TENANT,
    groups={
        **TENANT.groups,
        "clicks": replace(TENANT.groups["clicks"], where="action = 'click' AND seq >= 0"),
    },
)
"""Columns that are not stored, in both scans."""
EXAMPLES = 70


class Story:
    """A lake and the model of it, told side by side."""

    def __init__(self, path: Path) -> None:
        self.rng = random.Random(7)
        self.users = list(range(12))
        self.lake = Lake.create(path, buckets=3)
        self.history = History()
        self.pointers: dict[int, tuple[Pointer, dict[str, Any]]] = {}

    def append(self, count: int) -> None:
        table = events(self.rng, self.users, count)
        self.lake.append(table)
        self.history.append(table.to_pylist())

    def log(self, count: int, *, live: bool) -> None:
        table = requests(self.rng, self.users, count, len(self.pointers))
        self.lake.log(table, live=live)
        for row in table.to_pylist():
            pointer = self.history.pointer(row["user_id"], row["request_ts"], live=live)
            self.pointers[row["example_id"]] = pointer, row

    def truth(self, tenant: Tenant) -> Rows:
        """The examples with their sequences, as `rows` makes them of batches."""
        found: Rows = {}
        for example, (pointer, row) in self.pointers.items():
            found[example] = {name: told(value) for name, value in row.items()}
            for name, group in tenant.groups.items():
                seen = self.history.sequence(pointer, spec(group))
                listed = {trait: values(seen, trait) for trait in group.traits}
                found[example][name] = {
                    trait: [told(value, trait) for value in some] for trait, some in listed.items()
                }
        return found


@dataclass(frozen=True)
class Made:
    """A lake, and a tenant of it."""

    story: Story
    tenant: Tenant

    @property
    def lake(self) -> Lake:
        return self.story.lake

    @cached_property
    def truth(self) -> Rows:
        """What the plain rule says of each example."""
        return self.story.truth(self.tenant)


def spec(group: Group) -> GroupSpec:
    """A group in the words of the oracle; the one condition there is picks clicks."""
    where = None if group.where is None else lambda event: event.traits["action"] == "click"
    return GroupSpec(group.traits, group.max_len, where, group.window_us, group.lag_us)


def told(value: Any, trait: str = "") -> Any:
    """A value as a batch gives it: times as integers, NaN as text, nulls in numbers' lists as 0."""
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, list) and trait != "tags":
        return [0 if inner is None else inner for inner in value]
    return "nan" if isinstance(value, float) and value != value else value


def with_tail(path: Path) -> Made:
    """Two sealed runs and a tail; pointers from before, in between and after."""
    story = Story(path)
    story.append(300)
    story.log(20, live=False)
    story.lake.seal()
    story.append(200)
    story.lake.seal()
    story.append(60)
    story.log(30, live=True)
    story.log(20, live=False)
    return Made(story, IN_SQL)


def on_condition(path: Path) -> Made:
    """The same for a tenant with a condition on what is stored, and a trait that is not."""
    return replace(with_tail(path), tenant=TENANT)


def scattered(path: Path) -> Made:
    """The same for a tenant whose columns are all stored."""
    return replace(with_tail(path), tenant=STORED)


def placed(path: Path) -> Made:
    """One file per bucket, from which all pointers were cut."""
    story = Story(path)
    for count in (300, 200, 60):
        story.append(count)
    story.lake.seal()
    story.lake.compact()
    story.log(30, live=True)
    story.log(40, live=False)
    return Made(story, PLAIN)


def under_a_tail(path: Path) -> Made:
    """The same, and an append since that is newer than every pointer."""
    story = Story(path)
    story.append(500)
    story.lake.seal()
    story.log(30, live=True)
    story.log(40, live=False)
    story.append(60)
    return Made(story, PLAIN)


@pytest.fixture(
    scope="module",
    params=[with_tail, on_condition, scattered, placed],
    ids=["with a tail", "on condition", "scattered", "placed"],
)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_FEW_USERS", 0)
        yield request.param(tmp_path_factory.mktemp("matrix") / "lake")


def test_the_lakes_are_read_in_the_two_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_FEW_USERS", 0)
    none, all_ = [False, False], [True]
    ways = {with_tail: none, on_condition: [True, False], scattered: all_, under_a_tail: all_}
    for build, in_place in (ways | {placed: all_}).items():
        found = build(tmp_path / build.__name__)
        loader = Loader(found.lake, found.tenant, 16)
        list(loader), list(loader)  # what is read a second time stays where it can be looked at
        opened = list(loader._engine.buckets)
        assert len(opened) == 3
        for bucket in opened:  # what is read in SQL is a tuple
            assert [not isinstance(read, tuple) for read in bucket.resolved.reads] == in_place


def test_a_tail_that_no_pointer_sees_is_not_opened(tmp_path: Path) -> None:
    made = under_a_tail(tmp_path / "lake")
    for path in Path(made.lake.path, "recent").glob("*.parquet"):
        wreck(path, "item", [0])
    made.story.lake = Lake.open(made.lake.path)
    for threads in (1, 2):
        check(made, 1, threads, {"order": "affinity", "batch_size": 7, "open_buckets": 2})
    assert filled(reference(made.lake, PLAIN)) == made.truth
    made.lake.log(requests(random.Random(1), [0, 1, 2], 9, EXAMPLES), live=True)  # the control
    with pytest.raises(CorruptionError, match=r"recent.* is altered"):
        list(Loader(made.lake, PLAIN, 16))
    with pytest.raises(CorruptionError, match=r"recent.* is altered"):
        made.lake.materialize(PLAIN).read_all()


def test_a_column_of_a_file_is_copied_only_where_it_is_packed_to_bits() -> None:
    times = pa.timestamp("us", "UTC")
    kinds = {"item": pa.int64(), "price": pa.float64(), "seen": times, "flag": pa.bool_()}
    loaded = columns(list(kinds), pa.schema(kinds.items()), {}, False, {})
    for column in loaded:
        for listed in ([1, 2, 3], [1, None, 3]):
            values = pa.array(listed).cast(kinds[column.name])
            address = column.loaded(pa.chunked_array([values])).values.ctypes.data
            assert (address != values.buffers()[1].address) == (column.name == "flag")


@pytest.mark.parametrize(
    ("ranks", "threads", "options"),
    [
        (1, 2, {"order": "affinity", "budget": 1, "prefetch": 1}),
        (2, 1, {"order": "affinity", "share": True, "max_tokens": 90}),
        (3, 3, {"order": "affinity", "pad_last": True, "open_buckets": 1}),
        (3, 2, {"order": "user", "share": True}),
        (1, 3, {"order": "user", "max_tokens": 60}),
        (2, 3, {"order": "time", "time_window": "2d"}),
        (3, 1, {"order": "time", "time_window": "4d", "share": True, "drop_last": True}),
        (2, 2, {"order": "log", "max_tokens": 60, "pad_last": True}),
        (1, 1, {"order": "log", "share": True}),
    ],
    ids=str,
)
def test_every_configuration_holds_what_the_rule_says_and_resumes_anywhere(
    made: Made, ranks: int, threads: int, options: dict[str, Any]
) -> None:
    check(made, ranks, threads, {"batch_size": 7, "open_buckets": 2, **options})


def check(made: Made, ranks: int, threads: int, options: dict[str, Any]) -> None:
    """Whole epochs against the rule, then resumes on other threads and on other ranks."""

    def loader(rank: int, of: int, more: int = 0) -> Loader:
        own = {"rank": rank, "num_ranks": of, "threads": (threads + more - 1) % 3 + 1}
        return Loader(made.lake, made.tenant, masks=True, seed=3, **own, **options)

    whole = [loader(rank, ranks) for rank in range(ranks)]
    epochs = []
    for _ in range(2):
        batches = [list(one) for one in whole]
        found = rows(batch for mine in batches for batch in mine)  # no example twice
        assert found.items() <= made.truth.items()
        assert options.get("drop_last") or len(found) == EXAMPLES
        epochs.append([frozen(batch) for batch in batches[-1]])
    assert epochs[0] != epochs[1]
    check_resumes(lambda more: loader(ranks - 1, ranks, more), epochs)
    if not options.get("drop_last"):
        check_other_ranks(loader, ranks, ranks % 3 + 1)


def check_resumes(make: Any, epochs: list[list[Any]]) -> None:
    """Stop at the start, in the middle, at the end and in the second epoch; go on in a new one."""
    stopped = make(1)
    for epoch, part in ((0, 0.0), (0, 0.5), (0, 1.0), (1, 0.5)):
        stop = int(part * len(epochs[epoch]))
        resumed = make(2)
        stopped.set_epoch(epoch)
        assert first(stopped, stop)[0] == epochs[epoch][:stop]
        resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
        resumed.set_epoch(epoch)  # as a training script does, whether it resumes or not
        assert [frozen(batch) for batch in resumed] == epochs[epoch][stop:]
        if stop == len(epochs[0]):
            assert [frozen(batch) for batch in resumed] == epochs[1]


def check_other_ranks(loader: Any, before: int, after: int) -> None:
    """Ranks stop after two steps; as many others go on: nothing is lost, nothing comes twice."""
    seen: list[Any] = []
    for rank in range(before):
        stopped = loader(rank, before)
        seen += first(stopped, 2)[1]
    state = stopped.state_dict()
    for rank in range(after):
        resumed = loader(rank, after, rank)
        resumed.load_state_dict(state)
        seen += [example for batch in resumed for example in ids(batch)]
    assert sorted(seen) == list(range(EXAMPLES))


def first(loader: Loader, count: int) -> tuple[list[Any], list[Any]]:
    """The first batches of an epoch, and their examples; then the iteration is given up."""
    iterator = iter(loader)
    batches = [next(iterator) for _ in range(count)]
    iterator.close()  # type: ignore[attr-defined]
    return [frozen(b) for b in batches], [example for b in batches for example in ids(b)]


def test_tenants_of_one_pass_get_what_each_gets_alone(made: Made) -> None:
    """Bit for bit; history in common lies as the tenants read it together, so there by its rows."""
    short = Tenant("short", {"few": Group(["item", "seen"], max_len=3)}, ["label"])
    for told_as, options in (
        (frozen, {}),
        (lambda batch: rows([batch]), {"share": True, "order": "user"}),
    ):
        one, other = (
            [told_as(batch) for batch in Loader(made.lake, tenant, 16, masks=True, **options)]
            for tenant in (made.tenant, short)
        )
        both = list(Loader(made.lake, [made.tenant, short], 16, masks=True, **options))
        assert [told_as(batch[made.tenant.name]) for batch in both] == one
        assert [told_as(batch["short"]) for batch in both] == other


def test_tenants_of_one_pass_read_as_one_that_wants_it_all(tmp_path: Path) -> None:
    lake = with_tail(tmp_path / "lake").lake

    def read(*wanted: tuple[str, list[str]]) -> int:
        tenants = [Tenant(name, {"g": Group(traits, max_len=9)}) for name, traits in wanted]
        loader = Loader(lake, tenants, 16, threads=1)
        list(loader)
        return loader.meters.bytes_read

    one, other = ["item", "price", "vector"], ["item", "price", "tags"]
    read(("a", one))  # code that is loaded on first use is read as well
    everything = read(("a", [*one, "tags"]))
    assert read(("a", one), ("b", other)) <= 1.02 * everything
    assert read(("a", one)) + read(("b", other)) > 1.5 * everything


def test_no_array_of_the_story_is_empty(made: Made) -> None:
    """The truth has what the tests are about: nulls, lists, long and empty histories."""
    sequences = [row[name] for row in made.truth.values() for name in made.tenant.groups]
    lengths = [len(next(iter(sequence.values()))) for sequence in sequences]
    assert min(lengths) == 0 and max(lengths) > 15
    flat = [value for sequence in sequences for some in sequence.values() for value in some]
    assert None in flat and "nan" in flat
    assert any(isinstance(value, list) and len(value) > 1 for value in flat)

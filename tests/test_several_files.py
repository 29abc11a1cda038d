"""Buckets of several files: what pointers see of them, and which of the files are read for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pushdown import wreck

from uih_lake import CorruptionError, Group, Lake, Loader, Tenant, names
from uih_lake.gather.lists import take
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.resolve import rows
from uih_lake.resolve.placed import NOWHERE, standing
from uih_lake.resolve.plan import scans
from uih_lake.resolve.prefixed import Prefixed
from uih_lake.resolve.ranges import Ranges
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.visible import seen_by
from uih_lake.selection import Selection
from uih_lake.session import connect
from uih_lake.workload import Workload

BUCKETS = 2
DELIVERIES = 6
LOG = Workload(users=50, mean_events=200, max_events=1000, requests=300, late_share=0.3)
TENANT = Tenant("t", {"short": Group(("item_id",), 5), "long": Group(("item_id", "price"))})
TIME = pa.timestamp("us", "UTC")


pytestmark = pytest.mark.usefixtures("narrow")


@dataclass
class Growing:
    """A lake that is appended to, asked and sealed as it goes; its requests are live."""

    lake: Lake
    deliveries: list[pa.Table]
    asked: int = 0

    @classmethod
    def at(cls, path: Path) -> Growing:
        made = [delivery.read_all() for delivery in LOG.appends(DELIVERIES)]
        return cls(Lake.create(path, buckets=BUCKETS), made)

    def append(self) -> None:
        self.lake.append(self.deliveries.pop(0))

    def log(self, users: int = LOG.users) -> None:
        """A request of each of some users, later than every event so far."""
        (last,) = self.lake.sql("SELECT max(arrival_ts) FROM events").fetchall()[0]
        who = self.lake.sql("SELECT DISTINCT user_id FROM events ORDER BY user_id").to_arrow_table()
        mine = who.column("user_id").slice(0, users)
        ids = pa.array(np.arange(self.asked, self.asked + len(mine)))
        when = pa.array([last] * len(mine), TIME)
        self.lake.log(pa.table({"example_id": ids, "user_id": mine, "request_ts": when}), live=True)
        self.asked += len(mine)

    def resealed(self) -> None:
        """One run with prefixes, and all the places that pointers get in it; then another run."""
        for _ in range(4):
            self.append()
        self.lake.seal()
        self.lake.compact()
        self.log()
        self.append()
        self.lake.seal()

    def selected(self) -> Iterator[tuple[Selection, Snapshot, int, pa.Table]]:
        """Bucket by bucket what is asked, and the files it sees."""
        selection = Selection.of(Store.open(self.lake.path))
        with connect() as duck:
            for bucket, asked in selection.by_bucket(duck):
                yield selection, seen_by(selection.snapshot, [(bucket, asked)]), bucket, asked


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing.at(tmp_path / "lake")


def check(growing: Growing) -> tuple[list[int], list[bool], list[int]]:
    """Per bucket how many files are read, whether prefixes serve, and how many places stand.

    What is located and recalled must be what scans of all files in SQL find.
    """
    plan = scans(TENANT, growing.lake.event_schema)
    files, served, stood = [], [], []
    for selection, snapshot, bucket, asked in growing.selected():
        files.append(len(snapshot.paths(bucket, bucket)))
        served.append(Prefixed.read(snapshot, asked, bucket) is not None)
        stood.append(int(np.count_nonzero(standing(snapshot, asked, bucket) != NOWHERE)))
        with connect() as duck:
            everything = Resolver(selection.snapshot, duck)
            proof = everything.prove(asked, bucket)
            (cut,) = everything.cuts(plan, asked, bucket)
            resolver = Resolver(snapshot, duck)
            (located,) = resolver.locate(plan, [(bucket, asked)])
            recalled = resolver.recall(plan, asked, bucket)
        whole = Bucket(snapshot, bucket).rows(plan[0].traits).combine_chunks()
        for found in (located, recalled):
            assert found is not None
            for name in (names.START_TS, names.LENGTH, names.DIGEST):
                assert found.proof.column(name).equals(proof.column(name)), name
            for name, group in TENANT.groups.items():
                assert found.ranges[name].lengths.tolist() == cut.ranges[name].lengths.tolist()
                for trait in group.traits:
                    plain = take(cut.column(trait), cut.ranges[name])
                    assert take(whole.column(trait).chunk(0), found.ranges[name]).equals(plain)
    return files, served, stood


def counts(growing: Growing) -> list[int]:
    return [asked.num_rows for _, _, _, asked in growing.selected()]


def test_after_a_seal_the_places_of_what_was_logged_before_stand(growing: Growing) -> None:
    growing.resealed()
    assert [len(paths) for paths in growing.lake._snapshot().runs.values()] == [2] * BUCKETS
    assert check(growing) == ([1] * BUCKETS, [True] * BUCKETS, counts(growing))


@pytest.mark.parametrize("many", [1, 10**9], ids=["of few users", "of all users"])
@pytest.mark.parametrize("sealed", [False, True], ids=["tail", "run"])
@pytest.mark.parametrize("users", [LOG.users, 20], ids=["all ask", "some ask"])
def test_what_sees_several_files_is_proven_by_the_prefixes_of_one(
    growing: Growing, monkeypatch: pytest.MonkeyPatch, many: int, sealed: bool, users: int
) -> None:
    monkeypatch.setattr(rows, "MANY_EVENTS", many)
    monkeypatch.setattr("uih_lake.resolve.run._FEW_USERS", 0)
    growing.resealed()
    before = counts(growing)
    if not sealed:
        growing.append()
    growing.log(users)
    files, served, stood = check(growing)
    assert files == [2 + (not sealed)] * BUCKETS
    assert served == [True] * BUCKETS
    assert stood == before and stood != counts(growing)


@pytest.mark.parametrize("sealed", [False, True], ids=["tail", "run"])
def test_a_place_does_not_stand_where_its_pointer_would_see_more(
    growing: Growing, sealed: bool
) -> None:
    """As it would where a table was restored from an older copy, and lake versions came twice."""
    growing.resealed()
    if not sealed:
        growing.lake.compact()
        growing.log()
        growing.append()
    for selection, _, bucket, asked in growing.selected():
        snapshot = selection.snapshot
        mine = asked.filter(pc.not_equal(asked.column(names.RUN), NOWHERE))
        mine = mine.filter(pc.greater(mine.column(names.LENGTH), 0))
        mine = mine if sealed else mine.filter(pc.equal(mine.column(names.LAKE_VERSION), 4))
        assert mine.num_rows and (standing(snapshot, mine, bucket) != NOWHERE).all()
        start = pc.max(mine.column(names.START_TS)).cast(pa.int64()).as_py()
        passed_over = replace(snapshot, retained_from=start + 1)
        assert (standing(passed_over, mine, bucket) == NOWHERE).all()
        place = mine.schema.get_field_index(names.LAKE_VERSION)
        newer = pa.array([snapshot.lake_version] * mine.num_rows)
        more = mine.set_column(place, names.LAKE_VERSION, newer)
        assert (standing(snapshot, more, bucket) == NOWHERE).all()


def test_an_event_that_came_too_late_for_the_newest_band_takes_all_keys(growing: Growing) -> None:
    growing.resealed()
    (first, user) = growing.lake.sql(
        "SELECT min(event_ts), arg_min(user_id, event_ts) FROM events"
    ).fetchall()[0]
    late = growing.deliveries[0].slice(0, 1)
    for name, value in ((names.USER_ID, user), (names.EVENT_TS, first)):
        place = late.schema.get_field_index(name)
        late = late.set_column(place, name, pa.array([value], late.schema.field(name).type))
    growing.lake.append(late)
    growing.lake.seal()
    growing.log()
    _, served, _ = check(growing)
    assert sorted(served) == [False, True]


def test_a_window_that_was_passed_over_hides_events_of_every_file(growing: Growing) -> None:
    growing.resealed()
    (last,) = growing.lake.sql("SELECT max(event_ts) FROM events").fetchall()[0]
    growing.lake.retain(days=30, now=last)
    growing.append()
    lake, fresh = growing.lake, f"example_id >= {growing.asked}"
    growing.log()
    expected = longs(lake.materialize(TENANT, where=fresh))
    assert len(expected) > 40 and loaded(lake, fresh) == expected


def longs(batches: Iterable[pa.RecordBatch]) -> dict[int, list[int]]:
    """The longest sequence of items by example."""
    every = (row for batch in batches for row in batch.to_pylist())
    return {row["example_id"]: row["long"]["item_id"] for row in every}


def loaded(lake: Lake, where: str | None = None) -> dict[int, list[int]]:
    """The same out of the loader."""
    found = {}
    for batch in Loader(lake, TENANT, 64, where=where):
        edges, items = batch["long"].offsets.tolist(), batch["long"].values["item_id"].tolist()
        for place, example in enumerate(batch.example_id.tolist()):
            found[example] = items[edges[place] : edges[place + 1]]
    return found


@pytest.mark.parametrize("asked_since", [False, True])
def test_a_file_is_not_read_unless_a_pointer_sees_it(growing: Growing, asked_since: bool) -> None:
    growing.resealed()
    if asked_since:
        growing.log()
    snapshot = growing.lake._snapshot()
    for paths in snapshot.runs.values():
        newest = Path(max(paths, key=snapshot.oldest))
        groups = range(pq.read_metadata(newest).num_row_groups)
        for column in ("item_id", names.EVENT_TS, names.USER_ID):
            wreck(newest, column, groups)
    lake = Lake.open(growing.lake.path)
    if asked_since:
        with pytest.raises(CorruptionError, match="is altered"):
            loaded(lake)
        return
    expected = longs(lake.materialize(TENANT))
    assert len(expected) > 40 and loaded(lake) == expected


ranges = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=4), max_size=8)


def made(examples: list[list[tuple[int, int]]]) -> Ranges:
    """Examples as gaps and sizes of their fragments."""
    offsets = np.cumsum([0, *map(len, examples)])
    starts, stops = [], []
    for example in examples:
        end = 0
        for gap, size in example:
            starts.append(end + gap)
            end = end + gap + size
            stops.append(end)
    lengths = [sum(size for _, size in example) for example in examples]
    return Ranges(offsets, *(np.array(each, np.int64) for each in (starts, stops, lengths)))


def listed(found: Ranges) -> list[list[int]]:
    edges = found.offsets.tolist()
    each = [
        [r for f in range(low, high) for r in range(found.starts[f], found.stops[f])]
        for low, high in pairwise(edges)
    ]
    assert [len(rows) for rows in each] == found.lengths.tolist()
    return each


@given(ranges, st.integers(0, 12))
def test_the_newest_rows_are_the_last(examples: list[list[tuple[int, int]]], count: int) -> None:
    found = made(examples)
    assert listed(found.newest(count)) == [
        rows[max(0, len(rows) - count) :] for rows in listed(found)
    ]


@settings(max_examples=50)
@given(ranges, st.data())
def test_ranges_are_mixed_in_any_order(
    examples: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    which = np.array(data.draw(st.lists(st.booleans(), min_size=len(examples))), bool)
    which = which[: len(examples)]
    some = [example for example, mine in zip(examples, which, strict=True) if mine]
    rest = [example for example, mine in zip(examples, which, strict=True) if not mine]
    assert listed(Ranges.mixed(which, made(some), made(rest))) == listed(made(examples))

"""Placed pointers give the rows that the ASOF join gives, or say that they must be resolved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from places import by_place

from uih_lake import Group, Lake, Loader, Tenant, schema
from uih_lake.gather.lists import take
from uih_lake.lake.snapshot import Snapshot, identity
from uih_lake.lake.store import Store
from uih_lake.pointers.examples import Examples
from uih_lake.resolve import placed
from uih_lake.resolve.plan import Scan, scans
from uih_lake.resolve.run import Resolver
from uih_lake.selection import Selection
from uih_lake.session import connect
from uih_lake.workload import Workload

GROUPS = {
    "short": Group(traits=("item_id",), max_len=7),
    "long": Group(traits=("item_id", "price"), max_len=300),
    "all": Group(traits=("action",)),
}
BUCKETS = 4
LATE = Workload(users=60, mean_events=300, max_events=2000, requests=600, late_share=0.4)


def filled(path: Path) -> Lake:
    lake = Lake.create(path, buckets=BUCKETS)
    for delivery in LATE.appends(3):
        lake.append(delivery)
    return lake


def compare(path: Path, groups: dict[str, Group] = GROUPS) -> list[bool]:
    """Per bucket, whether its pointers had a place; the rows must then be the same."""
    selection = Selection.of(Store.open(str(path)), policy="keep")
    snapshot = selection.snapshot
    plan = scans(Tenant("t", groups), schema.public_events(snapshot.stored))
    found = []
    with connect() as duck:
        resolver = Resolver(snapshot, duck)
        for bucket in range(BUCKETS):
            asked = selection.asked(duck, bucket)
            ranges = by_place(snapshot, plan, asked, bucket) if asked.num_rows else None
            found.append(ranges is not None)
            if ranges is not None:
                resolved = resolver.cuts(plan, asked, bucket)
                same_rows(snapshot, duck, plan, resolved, ranges, bucket)
    return found


def same_rows(snapshot, duck, plan: list[Scan], cuts, ranges, bucket: int) -> None:  # type: ignore[no-untyped-def]
    for scan, cut in zip(plan, cuts, strict=True):
        whole = snapshot.whole(duck, bucket, scan.traits).combine_chunks()
        for name, group in scan.groups:
            assert ranges[name].lengths.tolist() == cut.ranges[name].lengths.tolist()
            for trait in group.traits:
                mine = take(whole.column(trait).chunk(0), ranges[name])
                assert mine.equals(take(cut.column(trait), cut.ranges[name])), (name, trait)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return filled(tmp_path / "lake")


def test_pointers_cut_from_a_sealed_lake_know_their_place(lake: Lake) -> None:
    lake.seal()
    lake.compact()
    lake.log(LATE.requests_table())
    assert compare(Path(lake.path)) == [True] * BUCKETS


def test_gaps_are_kept_where_late_events_lie_inside(lake: Lake) -> None:
    lake.seal()
    lake.log(LATE.requests_table())
    store = Store.open(lake.path)
    with connect() as duck:
        stored = duck.sql(Examples.of(store).sql).to_arrow_table()
    gaps = [len(some) // 16 for some in stored.column("_gaps").to_pylist()]
    assert sum(count > 0 for count in gaps) > 20
    assert compare(Path(lake.path)) == [True] * BUCKETS


def test_a_pointer_of_many_gaps_stays_light(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no place and is resolved, beside those that keep theirs: sequences are the same."""
    bounded = filled(tmp_path / "bounded")
    found = []
    for each, most in ((lake, placed.MOST_GAPS), (bounded, 1)):
        monkeypatch.setattr(placed, "MOST_GAPS", most)
        each.seal()
        each.compact()
        each.log(LATE.requests_table())
        batches = list(Loader(each, Tenant("t", GROUPS), 600, seed=1))
        (long,) = [batch.groups["long"] for batch in batches]
        found.append((batches[0].example_id, long.offsets, long.values["item_id"]))
    assert all(map(torch.equal, *found))
    with connect() as duck:
        stored = duck.sql(Examples.of(Store.open(bounded.path)).sql).to_arrow_table()
    assert {len(some) // 16 for some in stored.column("_gaps").to_pylist()} == {0, 1}
    away = [end < 0 for end in stored.column("_end").to_pylist()]
    assert 0 < sum(away) < len(away)
    assert compare(Path(bounded.path)) == [False] * BUCKETS


def test_an_unsealed_tail_a_new_file_or_another_group_is_resolved(lake: Lake) -> None:
    lake.log(LATE.requests_table().slice(0, 300))
    assert compare(Path(lake.path)) == [False] * BUCKETS
    lake.seal()
    assert compare(Path(lake.path)) == [False] * BUCKETS  # logged before there was a file
    condition = {"clicks": Group(traits=("item_id",), where="action = 'click'")}
    assert compare(Path(lake.path), condition) == [False] * BUCKETS


def test_a_compaction_places_pointers_anew(tmp_path: Path) -> None:
    """Those logged before there was a file, in a bucket of several, or in a file that is gone."""
    lake = Lake.create(tmp_path / "lake", buckets=BUCKETS)
    asked = LATE.requests_table()
    for number, delivery in enumerate(LATE.appends(3)):
        lake.append(delivery)
        lake.log(asked.slice(number * 150, 150), live=number == 1)
        lake.seal()
    lake.log(asked.slice(450), live=True)
    tenant = Tenant("t", GROUPS)
    before = lake.materialize(tenant).read_all()
    state = Loader(lake, tenant, 64).state_dict()
    assert compare(Path(lake.path)) == [False] * BUCKETS
    lake.compact()
    assert compare(Path(lake.path)) == [True] * BUCKETS
    assert lake.materialize(tenant).read_all().equals(before)
    assert lake.verify().passed
    Loader(lake, tenant, 64).load_state_dict(state)  # they are the examples they were
    versions = [table.version for table in Store.open(lake.path).tables]
    lake.compact()
    assert [table.version for table in Store.open(lake.path).tables] == versions


def test_a_compaction_leaves_pointers_alone_that_cannot_be_placed(lake: Lake) -> None:
    """Those at fault, and those of a bucket with events that are not sealed."""
    lake.seal()
    requests = LATE.requests_table()
    starts = lake.log(requests.slice(0, 300)).column("start_ts").drop_null().sort()
    lake.retain(days=1, now=starts[len(starts) // 2].as_py() + timedelta(days=1))
    tenant = Tenant("t", GROUPS)
    lake.compact()
    before = Loader(lake, tenant, 300, on_mismatch="drop")
    examples = torch.cat([batch.example_id for batch in before])
    assert len(examples) + before.pointers.expired == 300
    assert 0 < before.pointers.expired < 300
    there = sealed_runs(lake)
    assert sum(run in there for run, _ in placed_of(lake)) == len(examples)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    users = requests.column("user_id")[:5]
    events = lake.sql("SELECT * EXCLUDE (lake_version, seq) FROM events LIMIT 5").to_arrow_table()
    when = pa.array([now] * 5, schema.TIME)
    made = {"user_id": users, "event_ts": when, "arrival_ts": when}
    traits = {name: events[name] for name in events.column_names if name not in made}
    lake.append(pa.table(made | traits))
    context = {name: pa.nulls(5) for name in requests.column_names}
    asked = {"user_id": users, "request_ts": [now + timedelta(days=1)] * 5}
    later = pa.table({**context, **asked})
    lake.log(later, live=True)
    lake.compact()
    assert [end for _, end in placed_of(lake)[300:]] == [-1] * 5


def placed_of(lake: Lake) -> list[tuple[int, int]]:
    """The places of all pointers: in which file, and the row after the last event."""
    with connect() as duck:
        rows = duck.sql(Examples.of(Store.open(lake.path)).sql)
        return rows.order("log_version, example_id").select("_run, _end").fetchall()


def sealed_runs(lake: Lake) -> set[int]:
    snapshot = Snapshot.of(Store.open(lake.path))
    return {identity(path) for paths in snapshot.runs.values() for path in paths}


def test_a_rewritten_bucket_and_a_retained_window_are_resolved(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    lake = filled(path)
    lake.seal()
    pointers = lake.log(LATE.requests_table())
    lake.forget([pointers.column("user_id")[0].as_py()])
    assert compare(path).count(False) == 1
    newest = max(pointers.column("request_ts").to_pylist())
    lake.retain(days=20, now=newest)
    assert True not in compare(path)


def test_no_event_visible_is_a_place_too(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=BUCKETS)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    lake.append(pa.table({"user_id": [1, 1], "event_ts": [now, now], "item_id": [5, 6]}))
    lake.seal()
    times = [now - timedelta(days=1), now, now + timedelta(days=1)]
    lake.log(pa.table({"user_id": [1, 1, 1], "request_ts": times}))
    group = {"all": Group(traits=("item_id",), max_len=1)}
    assert compare(tmp_path / "lake", group).count(True) == 1


MIXED = {
    "newest": Group(traits=("item_id",), max_len=7),
    "clicks": Group(traits=("item_id", "price"), where="action = 'click'", max_len=20),
    "month": Group(traits=("item_id",), where="action <> 'click'", window="30d"),
}


@pytest.mark.parametrize("again", [False, True], ids=["placed", "placed anew"])
def test_placed_groups_go_with_groups_that_are_not(lake: Lake, again: bool) -> None:
    """Rows are counted by the file for the one and by a scan for the other."""
    requests = LATE.requests_table()
    if again:
        lake.log(requests)
        lake.seal()
    else:
        lake.seal()
        lake.log(requests)
    tenant = Tenant("t", MIXED)
    expected = {row["example_id"]: row for row in lake.materialize(tenant).read_all().to_pylist()}
    rows = 0
    for batch in Loader(lake, tenant, batch_size=64, device="cpu"):
        for name, trait in (("newest", "item_id"), ("clicks", "item_id"), ("month", "item_id")):
            offsets, values = batch[name].offsets.tolist(), batch[name].values[trait].tolist()
            for place, example in enumerate(batch.example_id.tolist()):
                mine = values[offsets[place] : offsets[place + 1]]
                assert mine == expected[example][name][trait]
        rows += len(batch)
    assert rows == requests.num_rows
    selection = Selection.of(Store.open(lake.path), policy="keep")
    snapshot = selection.snapshot
    plan = scans(tenant, schema.public_events(snapshot.stored))
    with connect() as duck:
        for bucket in range(BUCKETS):
            asked = selection.asked(duck, bucket)
            resolver = Resolver(snapshot, duck)
            one, other = resolver.cuts(plan, asked, bucket), resolver.resolve(plan, asked, bucket)
            for mine, theirs in zip(one, other.cuts, strict=True):
                for name in mine.ranges:
                    for trait in MIXED[name].traits:
                        plain = take(mine.column(trait), mine.ranges[name])
                        assert take(theirs.column(trait), theirs.ranges[name]).equals(plain)

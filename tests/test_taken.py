"""What groups take by condition, window and lag: rows that are located, and what a join finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_lakes import ids
from small_lakes import events, requests

from uih_lake import Group, Lake, Loader, SqlRefused, Tenant, schema
from uih_lake.arrays import running
from uih_lake.gather.lists import take
from uih_lake.lake import parquet
from uih_lake.lake.parquet import ROW_GROUP_ROWS
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.pointers.examples import Examples
from uih_lake.resolve import placed
from uih_lake.resolve.marked import Marked
from uih_lake.resolve.placed import RowGroups, rows_of
from uih_lake.resolve.plan import Scan, scans
from uih_lake.resolve.ranges import Ranges
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.visible import seen_by
from uih_lake.selection import Selection
from uih_lake.session import connect
from uih_lake.workload import Workload

BUCKETS = 4
LATE = Workload(users=240, mean_events=100, max_events=2000, requests=600, late_share=0.4)
TRAITS = ("item_id", "action", "event_ts", "price")
GROUPS = {
    "short": Group(traits=TRAITS, max_len=7),
    "week": Group(traits=TRAITS, window="7d"),
    "short_week": Group(traits=TRAITS, window="7d", max_len=20),
    "instant": Group(traits=TRAITS, window="1us"),
    "lagged": Group(traits=TRAITS, lag="1d", max_len=20),
    "ages_ago": Group(traits=TRAITS, lag="100d"),
    "between": Group(traits=TRAITS, window="30d", lag="2d", max_len=50),
    "clicks": Group(traits=TRAITS, where="action = 'click'"),
    "new_clicks": Group(traits=TRAITS, where="action = 'click'", max_len=5),
    "week_of_clicks": Group(traits=TRAITS, where="action = 'click'", window="7d"),
    "clicks_between": Group(traits=TRAITS, where="action = 'click'", window="60d", lag="1d"),
    "unknown": Group(traits=TRAITS, where="surface IS NULL", max_len=20),
    "some": Group(traits=TRAITS, where="length(surface) % 2 = 0 OR surface IS NULL", lag="1h"),
    "dear": Group(traits=TRAITS, where="price > 20 AND event_ts > '2020-01-01'", max_len=30),
    "none": Group(traits=TRAITS, where="action = 'nothing'"),
    "all": Group(traits=TRAITS, where="true", max_len=30),
    "of_one": Group(traits=TRAITS, where="user_id % 7 = 0", lag="1h"),
    "in_order": Group(traits=TRAITS, where="seq % 2 = 0", max_len=10),
    "on_time": Group(traits=TRAITS, where="arrival_ts = event_ts", max_len=10),
}


def sealed(lake: Lake) -> None:
    for delivery in LATE.appends(3):
        lake.append(delivery)
    lake.seal()
    lake.log(LATE.requests_table())


def compacted(lake: Lake) -> None:
    for delivery in LATE.appends(3):
        lake.append(delivery)
        lake.seal()
    lake.log(LATE.requests_table())
    lake.compact()


def in_several_files(lake: Lake) -> None:
    asked = LATE.requests_table()
    for number, delivery in enumerate(LATE.appends(3)):
        lake.append(delivery)
        if number < 2:
            lake.seal()
        lake.log(asked.slice(number * 200, 200), live=number == 1)


def unsealed(lake: Lake) -> None:
    for delivery in LATE.appends(3):
        lake.append(delivery)
    lake.log(LATE.requests_table())


MADE = {
    "sealed": (sealed, ROW_GROUP_ROWS),
    "compacted": (compacted, ROW_GROUP_ROWS),
    "several files": (in_several_files, ROW_GROUP_ROWS),
    "unsealed": (unsealed, ROW_GROUP_ROWS),
    "many row groups": (sealed, 200),
    "several files of many": (in_several_files, 200),
}


@pytest.mark.parametrize("made", MADE)
def test_what_is_located_is_what_a_join_finds(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill, row_group_rows = MADE[made]
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", row_group_rows)
    monkeypatch.setattr(placed, "TAKEN_OF", 3 * row_group_rows + 1)
    lake = Lake.create(tmp_path / "lake", buckets=BUCKETS)
    fill(lake)
    if row_group_rows != ROW_GROUP_ROWS:
        (path, *_) = Path(lake.path, "uih").rglob("*.parquet")
        assert pq.read_metadata(path).num_row_groups > 4
    selection = Selection.of(Store.open(lake.path), policy="keep")
    plan = scans(Tenant("t", GROUPS), schema.public_events(selection.snapshot.stored))
    read = 0
    with connect() as duck:
        for bucket in range(BUCKETS):
            asked = selection.asked(duck, bucket)
            snapshot = seen_by(selection.snapshot, [(bucket, asked)])
            resolver = Resolver(snapshot, duck)
            expected = resolver.cuts(plan, asked, bucket)
            located = resolver.recall(plan, asked, bucket)
            assert located is not None
            for scan, cut in zip(plan, expected, strict=True):
                found = resolver.read(scan, asked, located, bucket)
                if found is not None:
                    read += 1
                    same(duck, scan, cut, *found)
            rebuilt = resolver.resolve(plan, asked, bucket)
            for scan, cut, mine in zip(plan, expected, rebuilt.cuts, strict=True):
                for name, group in scan.groups:
                    for trait in group.traits:
                        one = take(cut.column(trait), cut.ranges[name])
                        assert take(mine.column(trait), mine.ranges[name]).equals(one), name
    assert read == BUCKETS * (len(plan) - 2), "all but conditions on what is not stored"


def same(duck, scan: Scan, cut, groups: RowGroups, ranges: dict[str, Ranges]) -> None:  # type: ignore[no-untyped-def]
    rows = rows_of(duck, scan, groups).combine_chunks()
    if groups.few is not None:
        assert (np.diff(groups.few.rows) > 0).all()
        reached = np.zeros(rows.num_rows, bool)
        for mine in ranges.values():
            for start, stop in zip(mine.starts, mine.stops, strict=True):
                reached[start:stop] = True
        assert reached.all(), "no row is kept that no sequence needs"
    for name, group in scan.groups:
        assert ranges[name].lengths.tolist() == cut.ranges[name].lengths.tolist(), name
        for trait in group.traits:
            column = rows.column(trait)
            array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
            if pa.types.is_dictionary(array.type):
                array = array.cast(pa.string())
            assert take(array, ranges[name]).equals(take(cut.column(trait), cut.ranges[name])), name


def test_no_key_is_read_for_pointers_that_have_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a window nor for a condition; the control is one on what is not stored."""
    lake = Lake.create(tmp_path / "lake", buckets=BUCKETS)
    sealed(lake)
    runs: list[Scan] = []
    run = Resolver._run

    def counted(self, scan, *rest):  # type: ignore[no-untyped-def]
        runs.append(scan)
        return run(self, scan, *rest)

    monkeypatch.setattr(Resolver, "_run", counted)
    for name, group in GROUPS.items():
        runs.clear()
        list(Loader(lake, Tenant("t", {name: group}), 100))
        assert bool(runs) == (name in ("in_order", "on_time")), name


def test_row_groups_without_a_row_that_is_needed_are_not_read(tmp_path: Path) -> None:
    """The control: without a condition, all of them hold rows of such long sequences."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    count = 300_000
    made = {"item": np.arange(count), "kind": (np.arange(count) < 1000).astype(np.int8)}
    lake.append(events([1] * count, list(range(count)), **made))
    lake.seal()
    lake.log(requests([1], [count]))
    snapshot = Snapshot.of(Store.open(lake.path))
    numbers = {}
    for where in (None, "kind = 1", "kind = 7"):
        tenant = Tenant("t", {"g": Group(["item"], where=where)})
        (scan,) = scans(tenant, schema.public_events(snapshot.stored))
        with connect() as duck:
            resolver = Resolver(snapshot, duck)
            asked = Selection.of(Store.open(lake.path)).asked(duck, 0)
            located = resolver.recall([scan], asked, 0)
            assert located is not None
            groups, ranges = resolver.read(scan, asked, located, 0) or pytest.fail("in SQL")
        numbers[where] = len(groups.numbers or [])
        assert ranges["g"].lengths.tolist() == [{None: count, "kind = 1": 1000}.get(where, 0)]
    assert numbers[None] > 2
    assert (numbers["kind = 1"], numbers["kind = 7"]) == (1, 0)


def test_a_condition_is_asked_of_nothing_that_no_pointer_sees(tmp_path: Path) -> None:
    """Of an event that came later it may make no sense."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events([1, 1, 1], [1, 2, 3], n=[1, 2, 1]))
    lake.log(requests([1], [9]))
    lake.append(events([1, 2], [4, 4], n=[200, 300]))
    lake.seal()
    lake.compact()
    tenant = Tenant("t", {"g": Group(["event_ts"], where="CAST(n AS TINYINT) = 1")})
    (batch,) = Loader(lake, tenant, 8)
    assert batch["g"].lengths.tolist() == [2]
    lake.log(requests([2], [9]))
    with pytest.raises(SqlRefused, match="300"):
        list(Loader(lake, tenant, 8))


def test_rows_that_are_kept_count_as_memory(tmp_path: Path) -> None:
    """What a loader keeps of resolved buckets is bounded by it."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    sealed(lake)
    found = {}
    for name in ("clicks", "none"):
        loader = Loader(lake, Tenant("t", {"g": GROUPS[name]}), 100)
        list(loader), list(loader)
        (opened,) = loader._engine.buckets
        (read,) = opened.resolved.reads
        assert isinstance(read, RowGroups) and read.few is not None
        ranges = sum(
            r.offsets.nbytes + 2 * r.starts.nbytes for r in opened.resolved.ranges.values()
        )
        found[name] = len(read.few.rows), opened.resolved.nbytes - ranges
    assert found["clicks"][0] > 1000 > found["none"][0] == 0
    assert found["clicks"][1] - found["none"][1] == 4 * found["clicks"][0]


def test_later_epochs_read_what_the_first_one_found(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=BUCKETS)
    sealed(lake)
    loader = Loader(lake, Tenant("t", GROUPS), 100, seed=3, masks=True)
    epochs = []
    for _ in range(2):
        found = {}
        for batch in loader:
            for name in GROUPS:
                values = batch[name].values["item_id"].split(batch[name].lengths.tolist())
                for example, items in zip(ids(batch), values, strict=True):
                    found[name, example] = items.tolist()
        epochs.append(found)
    assert epochs[0] == epochs[1]
    asked = Examples.of(Store.open(lake.path)).rows
    assert len(epochs[0]) == len(GROUPS) * asked


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 9), st.data())
def test_marked_rows_are_counted(marks: list[bool], offset: int, data: st.DataObject) -> None:
    some = data.draw(st.lists(st.booleans(), min_size=len(marks), max_size=len(marks)))
    array = pa.array(
        [None] * offset + [m if known else None for m, known in zip(marks, some, strict=True)],
        pa.bool_(),
    )
    marked = Marked.of(array.slice(offset))
    is_marked = np.array(marks, bool) & np.array(some, bool)
    before = running(is_marked)
    rows = np.arange(len(marks) + 1)
    assert marked.before(rows).tolist() == before.tolist()
    assert marked.count == before[-1]
    assert marked.array.to_pylist() == is_marked.tolist()
    picked = np.array(
        data.draw(st.lists(st.booleans(), min_size=marked.count, max_size=marked.count)), bool
    )
    assert (
        marked.only(Marked.of(pa.array(picked))).tolist()
        == np.flatnonzero(is_marked)[picked].tolist()
    )


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 40)), max_size=12))
def test_ranges_cover_rows_and_are_counted_among_them(found: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in found], np.int64)
    stops = starts + np.array([size for _, size in found], np.int64)
    ranges = Ranges(np.arange(len(found) + 1), starts, stops, stops - starts)
    marked = Marked.covered([ranges], 140)
    covers = np.zeros(140, bool)
    for start, stop in zip(starts, stops, strict=True):
        covers[start:stop] = True
    assert marked.array.to_pylist() == covers.tolist()
    mine = marked.among(ranges)
    assert mine.lengths.tolist() == ranges.lengths.tolist()
    rows = np.flatnonzero(covers)
    for example in range(len(found)):
        low, high = mine.offsets[example], mine.offsets[example + 1]
        assert high - low == (stops[example] > starts[example])
        if low < high:
            assert rows[mine.starts[low] : mine.stops[low]].tolist() == list(
                range(starts[example], stops[example])
            )


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.lists(st.integers(-1, 4), max_size=40), st.integers(0, 9)),
        max_size=5,
    ),
    st.data(),
)
def test_rows_are_marked_by_what_is_said_of_their_kinds(
    chunks: list[tuple[int, list[int], int]], data: st.DataObject
) -> None:
    """Chunks of so many kinds, codes (-1 is a null) of which the first few are sliced away."""
    some, wanted, answers = [], list[bool](), list[bool]()
    for kinds, numbers, cut in chunks:
        codes = [None if code < 0 or not kinds else code % kinds for code in numbers]
        said = data.draw(st.lists(st.booleans(), min_size=kinds + 1, max_size=kinds + 1))
        words = pa.array([f"k{kind}" for kind in range(kinds)], pa.string())
        coded = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), words)
        some.append(coded.slice(cut))
        wanted += [said[kinds if code is None else code] for code in codes[cut:]]
        answers += said
    asked = data.draw(st.lists(st.booleans(), min_size=len(wanted), max_size=len(wanted)))
    column = pa.chunked_array(some, pa.dictionary(pa.int32(), pa.string()))
    marked = Marked.of(pa.array(asked, pa.bool_())).of_kinds(column, np.array(answers, bool))
    assert marked.array.to_pylist() == [a and w for a, w in zip(asked, wanted, strict=True)]


def test_a_condition_need_not_make_sense_of_a_text_that_no_pointer_reaches(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events([1, 1, 2, 1], [1, 2, 3, 4], code=["a", "bcd", "x" * 200, None]))
    lake.seal()
    tenant = Tenant("t", {"g": Group(["code"], where="CAST(length(code) AS TINYINT) < 2")})
    lake.log(requests([1], [9]))
    assert [b["g"].lengths.tolist() for b in Loader(lake, tenant, 4)] == [[1]]
    lake.log(requests([2], [9]))
    with pytest.raises(SqlRefused, match="200"):
        list(Loader(lake, tenant, 4))

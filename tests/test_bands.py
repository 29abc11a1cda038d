"""Bands: files keep the newest apart, nothing else changes, and short tenants read less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uih_lake import Group, Lake, Loader, Tenant, schema
from uih_lake.lake import bands
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.loader.meters import Meters
from uih_lake.loader.plan import Plan
from uih_lake.loader.source import Source
from uih_lake.resolve.ranges import Ranges, carried, packed, touched
from uih_lake.selection import Selection
from uih_lake.session import connect
from uih_lake.workload import Workload

SHAPE = Workload(users=80, mean_events=400, max_events=4000, requests=400, late_share=0.2)
TENANT = Tenant("t", {"short": Group(("item_id",), 5), "long": Group(("item_id", "price"), 900)})


def sorted_log(counts: list[int], times: list[int]) -> pa.Table:
    users = np.repeat(np.arange(len(counts)), counts)
    when = np.resize(np.array(times or [0]), len(users))
    order = np.lexsort((when, users))
    stamps = pa.array(when[order]).view(pa.timestamp("us", "UTC"))
    return pa.table({"user_id": users, "event_ts": stamps})


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.lists(st.integers(0, 50)))
@example([1, 1], [5, 0])  # a band each
def test_bands_are_what_their_definition_says(counts: list[int], times: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "LEAST_ROWS", 0)
        patch.setattr(bands, "NEAR", 1)
        patch.setattr(bands, "RANKS", (4, 16))
        log = sorted_log(counts, times)
        layout = bands.bands(log)
    order, cuts = layout.order, layout.cuts
    times_of = log["event_ts"].cast("int64").to_pylist()
    rows = list(zip(log["user_id"].to_pylist(), times_of, strict=True))
    since = sorted(when for _, when in rows)[int(len(rows) * 0.75)]

    def band(row: int) -> int:
        user, when = rows[row]
        if when >= since:
            return 0
        newer = sum(u == user and t < since for u, t in rows[row + 1 :])
        return 1 if newer < 4 else 2 if newer < 16 else 3

    expected = sorted(range(len(rows)), key=lambda row: (-band(row), row))
    assert order.tolist() == expected
    found = [band(row) for row in expected]
    assert layout.newest == sum(map(bool, found))
    edges = [place for place in range(1, len(found)) if found[place] != found[place - 1]]
    assert set(cuts) <= {0, *edges, len(found)} and set(edges) <= set(cuts)
    back = bands.by_user(log["user_id"].combine_chunks().take(pa.array(order)))
    in_order = order if back is None else order[back]
    assert in_order.tolist() == list(range(len(rows)))


@given(st.data())
def test_ranges_are_carried_to_other_rows(data: st.DataObject) -> None:
    rows = np.array(data.draw(st.permutations(range(data.draw(st.integers(1, 30))))), np.int64)
    pairs = data.draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(1, 9))))
    starts = np.array([start for start, _ in pairs], np.int64)
    stops = np.array([min(start + size, len(rows)) for start, size in pairs], np.int64)
    ranges = Ranges(np.arange(len(pairs) + 1), starts, stops, stops - starts)
    found = carried(ranges, rows)
    for place in range(len(pairs)):
        pieces = range(found.offsets[place], found.offsets[place + 1])
        events = [r for p in pieces for r in range(found.starts[p], found.stops[p])]
        assert events == rows[starts[place] : stops[place]].tolist()
    edges = np.unique([*data.draw(st.lists(st.integers(1, len(rows)))), len(rows)])
    blocks = touched([ranges], edges)
    block_of = np.searchsorted(edges, np.arange(len(rows)), "right")
    assert blocks.tolist() == sorted(
        {block_of[r] for s, e in zip(starts, stops, strict=True) for r in range(s, e)}
    )
    left = np.flatnonzero(np.isin(block_of, blocks))
    few = packed(ranges, edges, blocks)
    for place in range(len(pairs)):
        events = left[few.starts[place] : few.stops[place]]
        assert events.tolist() == list(range(starts[place], stops[place]))


def filled(path: Path, *, compacted: bool) -> Lake:
    lake = Lake.create(path, buckets=3)
    for delivery in SHAPE.appends(3):
        lake.append(delivery)
        if compacted:
            lake.seal()
    lake.seal()
    if compacted:
        lake.compact()
    return lake


def rebuilt(lake: Lake) -> pa.Table:
    return lake.materialize(TENANT).read_all()


def items_of(lake: Lake) -> list[list[tuple[object, ...]]]:
    snapshot = Snapshot.of(Store.open(lake.path))
    columns = ["item_id", "event_ts", "_tie"]
    files = [snapshot.pages.read(path, columns) for (path,) in snapshot.runs.values()]
    return [list(zip(*(c.to_pylist() for c in file.columns), strict=True)) for file in files]


def users_of(lake: Lake) -> Iterator[pa.Array]:
    snapshot = Snapshot.of(Store.open(lake.path))
    for (path,) in snapshot.runs.values():
        yield snapshot.pages.read(path, ["user_id"]).column(0).combine_chunks()


@pytest.mark.parametrize("compacted", [False, True])
def test_a_banded_lake_gives_what_one_without_bands_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, narrow: None, compacted: bool
) -> None:
    banded = filled(tmp_path / "banded", compacted=compacted)
    assert all(bands.by_user(users) is not None for users in users_of(banded))
    monkeypatch.setattr(bands, "LEAST_ROWS", 1 << 40)
    plain = filled(tmp_path / "plain", compacted=compacted)
    assert all(bands.by_user(users) is None for users in users_of(plain))
    pointers = [lake.log(SHAPE.requests_table()) for lake in (banded, plain)]
    proof = ["start_ts", "end_ts", "length", "digest"]
    assert pointers[0].select(proof).equals(pointers[1].select(proof))
    assert rebuilt(banded).equals(rebuilt(plain))
    assert banded.verify().passed and plain.verify().passed
    batches = [list(Loader(lake, TENANT, batch_size=64, device="cpu")) for lake in (banded, plain)]
    for mine, other in zip(*batches, strict=True):
        assert mine.example_id.equal(other.example_id)
        for name in ("short", "long"):
            assert mine[name].offsets.equal(other[name].offsets)
            assert mine[name].values["item_id"].equal(other[name].values["item_id"])
    users = pc.unique(pointers[0].column("user_id"))[:5].to_pylist()
    when = max(pointers[0].column("request_ts").to_pylist())
    served = [lake.snapshot(users, when, TENANT).rows for lake in (banded, plain)]
    assert served[0].equals(served[1])


def test_a_short_tenant_opens_the_newest_rows_and_a_long_one_everything(
    tmp_path: Path, narrow: None
) -> None:
    lake = filled(tmp_path / "lake", compacted=True)
    requests = SHAPE.requests_table()
    newest, total = lake.sql("SELECT max(event_ts), count(*) FROM events").fetchall()[0]
    when = pa.array([newest] * requests.num_rows, requests.schema.field("request_ts").type)
    place = requests.schema.get_field_index("request_ts")
    lake.log(requests.set_column(place, "request_ts", when))
    selection = Selection.of(Store.open(lake.path))
    events, examples = schema.public_events(selection.snapshot.stored), selection.examples.public

    def rows_read(longest: int) -> int:
        tenant = Tenant("t", {"g": Group(("item_id",), longest)})
        plan = Plan.of([tenant], events, examples, {}, False, {"events": {}, "context": {}})
        source = Source(selection, plan, Meters())
        with connect() as duck:
            opened = [source.open(duck, bucket) for bucket in range(3)]
        return sum(len(one.columns[0][0].values) for one in opened)

    assert rows_read(5) < 0.5 * total
    assert rows_read(10_000) == total


def test_meters_tell_of_what_is_mapped(tmp_path: Path, narrow: None) -> None:
    lake = filled(tmp_path / "lake", compacted=True)
    lake.log(SHAPE.requests_table())

    def read(longest: int, *traits: str) -> int:
        loader = Loader(lake, Tenant("t", {"g": Group(traits, longest)}), 64, threads=1)
        list(loader)
        before = loader.meters.bytes_read
        list(loader)  # pointers are resolved: nothing is read but columns, which are mapped
        return loader.meters.bytes_read - before

    stored = lake.sql(
        "SELECT sum(bytes) FROM column_chunks WHERE tier = 'uih' AND column_name = 'item_id'"
    ).fetchall()[0][0]
    assert 0 <= read(10_000, "item_id") - stored < 50_000
    assert read(5, "item_id") < read(10_000, "item_id")


def test_what_an_erasure_leaves_is_in_bands_of_its_own(tmp_path: Path, narrow: None) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=3)
    without = Lake.create(tmp_path / "without", buckets=3)
    for delivery in SHAPE.appends(1):
        table = delivery.read_all()
        gone = pc.unique(table.column("user_id"))[:20]
        lake.append(table)
        without.append(table.filter(pc.invert(pc.is_in(table.column("user_id"), gone))))
    for one in (lake, without):
        one.seal()
    lake.forget(gone.to_pylist())
    assert items_of(lake) == items_of(without)
    assert lake.verify().passed

"""What a reader sees while others write: a snapshot put together in between is still one state."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from places import by_place

from uih_lake import Group, Lake, Tenant, schema
from uih_lake.gather.lists import lists
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.resolve.plan import scans
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect

TIME = pa.timestamp("us", "UTC")


def events(times: list[int]) -> pa.Table:
    return pa.table({"user_id": [1] * len(times), "event_ts": pa.array(times, TIME), "item": times})


@pytest.fixture
def overtaken(tmp_path: Path) -> Snapshot:
    """One that saw the mutable tier before, and the immutable one after an append and its seal."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events([1, 3, 5]))
    store = Store.open(lake.path)
    lake.append(events([2, 4]))
    lake.seal()
    store.uih.refresh()
    snapshot = Snapshot.of(store)
    assert (snapshot.lake_version, snapshot.sealed) == (0, 1)
    return snapshot


def asked(*versions: int) -> pa.Table:
    return pa.table(
        {
            "user_id": [1] * len(versions),
            "request_ts": pa.array([9] * len(versions), TIME),
            "as_of_ts": pa.nulls(len(versions), TIME),
            "lake_version": list(versions),
        }
    )


def beside(bounds: pa.Table, pointed: pa.Table) -> pa.Table:
    columns = dict(zip(pointed.column_names, pointed.columns, strict=True))
    return pa.table(dict(zip(bounds.column_names, bounds.columns, strict=True)) | columns)


def test_a_seal_that_overtakes_adds_nothing_and_hides_nothing(overtaken: Snapshot) -> None:
    plan = scans(Tenant("t", {"g": Group(["item"])}), schema.public_events(overtaken.stored))
    with connect() as duck:
        (cut,) = Resolver(overtaken, duck).resolve(plan, asked(0), 0).cuts
        assert lists(cut.column("item"), cut.ranges["g"]).to_pylist() == [[1, 3, 5]]


def test_a_pointer_cut_from_it_finds_the_same_rows_later(
    overtaken: Snapshot, tmp_path: Path
) -> None:
    """It has no place in the file, which has newer events in between, and is resolved."""
    now = Snapshot.of(Store.open(str(tmp_path / "lake")))
    plan = scans(Tenant("t", {"g": Group(["item"])}), schema.public_events(now.stored))
    with connect() as duck:
        (pointers,) = Resolver(overtaken, duck).point([(0, asked(0))])
        assert by_place(now, plan, beside(asked(0), pointers), 0) is None
        (cut,) = Resolver(now, duck).resolve(plan, beside(asked(0), pointers), 0).cuts
        assert lists(cut.column("item"), cut.ranges["g"]).to_pylist() == [[1, 3, 5]]


def test_a_snapshot_that_is_not_overtaken_gives_places(overtaken: Snapshot, tmp_path: Path) -> None:
    """The control: the same rows, cut from the state they are in."""
    now = Snapshot.of(Store.open(str(tmp_path / "lake")))
    plan = scans(Tenant("t", {"g": Group(["item"])}), schema.public_events(now.stored))
    with connect() as duck:
        (pointers,) = Resolver(now, duck).point([(0, asked(1, 0))])
        ranges = by_place(now, plan, beside(asked(1, 0), pointers), 0)
        assert ranges is not None
        rows = now.whole(duck, 0, ["item"]).column("item").combine_chunks()
        assert lists(rows, ranges["g"]).to_pylist() == [[1, 2, 3, 4, 5], [1, 3, 5]]

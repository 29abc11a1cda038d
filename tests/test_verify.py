"""Verify: each check fails for what it is there to find, in files that are sound as files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damaged import TIME, events

from uih_lake import Group, Lake, PointerError, Tenant, names
from uih_lake.lake import parquet
from uih_lake.lake.store import Store


def swapped(events: pa.Table) -> pa.Table:
    """The first two rows in the other order."""
    return events.take([1, 0, *range(2, events.num_rows)])


def repeated(events: pa.Table) -> pa.Table:
    return events.take([0, 0, *range(2, events.num_rows)])


def changed(column: str, by: int) -> Callable[[pa.Table], pa.Table]:
    """The last row with another value in a column."""

    def alter(events: pa.Table) -> pa.Table:
        place, kind = events.schema.get_field_index(column), events.schema.field(column).type
        values = events.column(column).cast(pa.int64()).to_pylist()
        values[-1] += by
        return events.set_column(place, column, pa.array(values).cast(kind))

    return alter


@pytest.mark.parametrize(
    ("alter", "bucket", "check"),
    [
        (swapped, 0, "order"),
        (repeated, 0, "order"),
        (changed("item", 1), 0, "contents"),
        (changed("lake_version", 100), 0, "versions"),
        (changed("event_ts", 1), 0, "pointers"),
        (changed("_delay", 1), 0, "pointers"),
        (changed("_fingerprint", 1), 0, "pointers"),
        (lambda events: events, 1, "buckets"),
    ],
)
def test_verify_finds_what_somebody_else_wrote(
    tmp_path: Path, alter: Callable[[pa.Table], pa.Table], bucket: int, check: str
) -> None:
    """Sound files, soundly committed, of events that are not those that were appended."""
    draw = random.Random(0)
    lake = Lake.create(tmp_path / "lake", buckets=2)
    lake.append(events(60, draw))
    lake.seal()
    end = pa.table({"user_id": list(range(8)), "request_ts": pa.array([2 * 10**6] * 8, TIME)})
    lake.log(end, live=True)
    assert lake.verify().passed
    store = Store.open(lake.path)
    (file,) = (f for f in store.uih.files() if f.partition[names.BUCKET] == 0)
    written = alter(pq.read_table(store.uih.path(file)))
    new = parquet.write(store.uih.root, written, {names.BUCKET: bucket})
    store.uih.commit([new], [file])
    report = Lake.open(lake.path).verify()
    assert check in {each.name for each in report.checks if each.failed}
    tenant = Tenant("t", {"all": Group(["item"])})
    if check == "pointers":
        with pytest.raises(PointerError, match="mismatch"):
            Lake.open(lake.path).materialize(tenant).read_all()


@pytest.mark.parametrize(
    ("alter", "checks"),
    [
        (changed("_end", -1), {"places"}),
        (changed("_end", 1000), {"places"}),
        (changed("length", 1000), {"places", "pointers"}),
        (changed("_bucket", -1), {"buckets", "order"}),
        (changed("lake_version", 1), {"future"}),
        (lambda examples: examples.take([0, 1, 2, 3, 4, 5, 7, 6]), {"order"}),
    ],
)
def test_verify_finds_examples_that_somebody_else_wrote(
    tmp_path: Path, alter: Callable[[pa.Table], pa.Table], checks: set[str]
) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    lake.append(events(60, random.Random(0)))
    lake.seal()
    end = pa.table({"user_id": list(range(8)), "request_ts": pa.array([2 * 10**6] * 8, TIME)})
    lake.log(end, live=True)
    store = Store.open(lake.path)
    (file,) = store.examples.files()
    written = alter(pq.read_table(store.examples.path(file)))
    new = parquet.write(store.examples.root, written, dict(file.partition))
    store.examples.commit([new], [file])
    assert {each.name for each in lake.verify().checks if each.failed} == checks


def test_verify_finds_events_that_are_there_twice(tmp_path: Path) -> None:
    draw = random.Random(0)
    lake = Lake.create(tmp_path / "lake", buckets=1)
    for _ in range(2):
        lake.append(events(60, draw))
        lake.seal()
    store = Store.open(lake.path)
    one, other = store.uih.files()
    copy = parquet.write(store.uih.root, pq.read_table(store.uih.path(one)), dict(other.partition))
    store.uih.commit([copy], [other])
    failed = {each.name: each.failed for each in lake.verify().checks if each.failed}
    assert failed == {"keys": 60}

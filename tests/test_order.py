"""The order of events in a file: by bucket, user, time and arrival, however they come."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.hashing import bucket_of
from uih_lake.lake.order import moved, places_of

SMALL = st.integers(-3, 3)
INTEGERS = st.sampled_from([-(2**63), -1, 0, 1, 7, 2**63 - 1])
STRINGS = st.sampled_from(["", "B", "b", "ä", "a\0", "ab", "🙂"])


@st.composite
def events(draw: st.DrawFn) -> pa.Table:
    ids, kind = draw(st.sampled_from([(INTEGERS, pa.int64()), (STRINGS, pa.string())]))
    rows = draw(st.lists(st.tuples(ids, SMALL, SMALL, SMALL), max_size=60))
    return table(rows, kind, draw(st.integers(1, 5)))


def table(rows: list[Any], users: pa.DataType, buckets: int) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[]] * 4
    ids = pa.array(columns[0], users)
    named = {
        "_bucket": bucket_of(ids, buckets),
        "user_id": ids,
        "event_ts": pa.array(columns[1], pa.int64()).view(pa.timestamp("us", "UTC")),
        "lake_version": pa.array(columns[2], pa.int64()),
        "_tie": pa.array(columns[3], pa.int64()),
        "row": pa.array(range(len(rows))),
    }
    return pa.table(named)


@given(events())
def test_it_is_the_order_of_a_database(given: pa.Table) -> None:
    with duckdb.connect() as session:
        session.register("given", given)
        order = "_bucket, user_id, event_ts, lake_version, _tie, row"
        expected = session.sql(f"SELECT row FROM given ORDER BY {order}").fetchall()
    found = places_of(given)
    assert found.tolist() == [row for (row,) in expected]
    assert moved(given, found).column("row").to_pylist() == found.tolist()


@pytest.mark.parametrize("step", [-1, 1, 7])
def test_any_number_of_pieces_is_merged(step: int) -> None:
    """Falling times are a piece an event, rising ones a single one; 1009 is a prime."""
    times = [row * step % 1009 for row in range(1009)]
    log = table([(5, when, 0, 0) for when in times], pa.int64(), 1)
    assert [times[row] for row in places_of(log)] == sorted(times)


def test_a_table_of_several_chunks_is_one_table() -> None:
    log = table([(1, 3, 0, 0), (0, 2, 0, 0), (1, 1, 0, 0)], pa.int64(), 1)
    pieces = pa.concat_tables([log.slice(0, 2), log.slice(2)])
    assert places_of(pieces).tolist() == [1, 2, 0]

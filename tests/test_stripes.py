"""The index the ASOF join probes: one row per stripe of consecutive events of a user."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake import schema
from uih_lake.resolve.ends import STRIPE, stripes


def run(users: list[int | str], kind: pa.DataType) -> pa.Table:
    rows = range(len(users))
    return pa.table(
        {
            "user_id": pa.array(users, kind),
            "event_ts": pa.array([1000 + row for row in rows], schema.TIME),
            "lake_version": pa.array([row % 5 for row in rows], pa.int64()),
            "_tie": pa.array([row % 3 for row in rows], pa.int64()),
        }
    )


def expected(users: list[int | str]) -> list[tuple[object, int, int, int, int, int]]:
    """Plain Python: a new stripe at each user's first event and every STRIPE events after it."""
    found = []
    for row, user in enumerate(users):
        first = users.index(user)
        if (row - first) % STRIPE == 0:
            stop = min(row + STRIPE, first + users.count(user))
            found.append((user, 1000 + row, (row % 5) * 2**36 + row % 3, first, row, stop))
    return found


def found(users: list[int | str], kind: pa.DataType) -> list[tuple[object, ...]]:
    table = stripes(run(users, kind))
    times = table.column("event_ts").cast(pa.int64())
    index = table.set_column(table.column_names.index("event_ts"), "event_ts", times)
    return [tuple(row.values()) for row in index.to_pylist()]


@pytest.mark.parametrize("count", [1, STRIPE - 1, STRIPE, STRIPE + 1, 3 * STRIPE])
def test_a_user_is_cut_every_block_from_its_first_event(count: int) -> None:
    users = [1] * 7 + [2] * count + [3]
    assert found(users, pa.int64()) == expected(users)


def test_users_are_strings_too_and_a_run_may_be_empty() -> None:
    users = ["a"] * 3 + ["b"] * (STRIPE + 2)
    assert found(users, pa.string()) == expected(users)
    assert found([], pa.int64()) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 700)), max_size=5))
def test_any_run_is_cut_as_plain_python_cuts_it(parts: list[tuple[int, int]]) -> None:
    counts = {user: count for user, count in parts}
    users = [user for user in sorted(counts) for _ in range(counts[user])]
    assert found(users, pa.int64()) == expected(users)

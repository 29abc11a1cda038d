"""The index the ASOF join probes: one row per stripe of consecutive events of a user."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.lake.stretches import Stretches
from uih_lake.resolve.ends import STRIPE, stripes


def plainly(users: list[Any], times: list[int]) -> list[tuple[Any, ...]]:
    """Plain Python: a new stripe at each user's first event and every STRIPE events after it.

    Of stripes of one user that begin at one time only the last.
    """
    found: dict[tuple[Any, int], tuple[Any, ...]] = {}
    for row, user in enumerate(users):
        first = users.index(user)
        if (row - first) % STRIPE == 0:
            stop = min(row + STRIPE, first + users.count(user))
            found[user, times[row]] = (user, times[row], first, row, stop)
    return list(found.values())


def found(users: list[Any], times: list[int], kind: pa.DataType) -> list[tuple[Any, ...]]:
    index = stripes(Stretches.of(pa.array(users, kind)), np.array(times, np.int64))
    assert index.column_names == ["user_id", "event_ts", "first", "start", "stop"]
    index = index.set_column(1, "event_ts", index.column("event_ts").cast(pa.int64()))
    return [tuple(row.values()) for row in index.to_pylist()]


@pytest.mark.parametrize("count", [1, STRIPE - 1, STRIPE, STRIPE + 1, 3 * STRIPE])
def test_a_user_is_cut_every_block_from_its_first_event(count: int) -> None:
    users = [1] * 7 + [2] * count + [3]
    times = list(range(len(users)))
    assert found(users, times, pa.int64()) == plainly(users, times)


def test_users_are_strings_too_and_a_run_may_be_empty() -> None:
    users = ["a"] * 3 + ["b"] * (STRIPE + 2)
    times = list(range(len(users)))
    assert found(users, times, pa.string()) == plainly(users, times)
    assert found([], [], pa.int64()) == []


def test_of_stripes_that_begin_at_one_time_the_last_is_left() -> None:
    """So no two rows have one ASOF key; a user who begins at that time too keeps a stripe."""
    users = [1] * (4 * STRIPE) + [2] * 5
    times = [3] * STRIPE + [8] * (2 * STRIPE) + [9] * STRIPE + [9] * 5
    assert found(users, times, pa.int64()) == [
        (1, 3, 0, 0, STRIPE),
        (1, 8, 0, 2 * STRIPE, 3 * STRIPE),
        (1, 9, 0, 3 * STRIPE, 4 * STRIPE),
        (2, 9, 4 * STRIPE, 4 * STRIPE, 4 * STRIPE + 5),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3 * STRIPE)), max_size=5),
    st.sampled_from([1, STRIPE - 1, STRIPE, 3 * STRIPE]),
)
def test_any_run_is_cut_as_plain_python_cuts_it(parts: list[tuple[int, int]], same: int) -> None:
    """``same`` events of a user in a row are of one time."""
    counts = {user: count for user, count in parts}
    users = [user for user in sorted(counts) for _ in range(counts[user])]
    times = [number // same for user in sorted(counts) for number in range(counts[user])]
    assert found(users, times, pa.int64()) == plainly(users, times)

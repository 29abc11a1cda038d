"""The index the ASOF join probes: one row per stripe of consecutive events of a user."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake import schema
from uih_lake.lake.stretches import Stretches
from uih_lake.resolve.ends import STRIPE, Stripes, ends
from uih_lake.session import connect

Run = tuple[list[Any], list[int]]
"""User and time of each row, in order."""


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
    mine = Stretches.of(pa.array(users, kind))
    index = Stripes.of(mine, np.array(times, np.int64))
    named = mine.users.take(pa.array(index.user)).to_pylist()
    rows = (index.event_ts, index.first, index.start, index.stop)
    return list(zip(named, *(each.tolist() for each in rows), strict=True))


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


TIMES = st.sampled_from([schema.MIN_TIME, schema.MIN_TIME + 1, -1, 0, 1, 7, schema.MAX_TIME])
KINDS = {"numbers": (pa.int64(), int), "strings": (pa.string(), str)}


def last_before(runs: list[Run], asked: list[list[tuple[int, int]]]) -> list[list[Any]]:
    """Plain Python: of each request the user's first row and the rows of the last stripe before."""
    found: list[list[Any]] = []
    for (users, times), mine in zip(runs, asked, strict=True):
        index = plainly(users, times)
        found.append([])
        for user, time in mine:
            begun = [row[2:] for row in index if row[0] == user and row[1] < time]
            found[-1].append(begun[-1] if begun else (-1, -1, -1))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threshold", [0, 64])
@given(
    st.lists(
        st.dictionaries(st.integers(0, 3), st.lists(TIMES, min_size=1)), min_size=1, max_size=3
    ),
    st.lists(st.lists(st.tuples(st.integers(0, 4), TIMES)), min_size=3, max_size=3),
)
def test_pointers_end_in_the_last_stripe_of_their_own_user(
    kind: str,
    threshold: int,
    histories: list[dict[int, list[int]]],
    asked: list[list[tuple[int, int]]],
) -> None:
    """Also where another user of the run, or of the run before, has one at that very time."""
    arrow, plain = KINDS[kind]
    runs: list[Run] = []
    for number, found in enumerate(histories):  # no user is in two runs
        rows = [
            (plain(10 * number + user), t) for user in sorted(found) for t in sorted(found[user])
        ]
        runs.append(([user for user, _ in rows], [time for _, time in rows]))
    wanted = [[(plain(10 * n + u), t) for u, t in a] for n, a in enumerate(asked[: len(runs)])]
    with connect() as duck:
        duck.execute(f"SET asof_loop_join_threshold = {threshold}")
        cut = ends(
            duck,
            [(Stretches.of(pa.array(u, arrow)), np.array(t, np.int64)) for u, t in runs],
            [
                pa.table(
                    {
                        "user_id": pa.array([user for user, _ in mine], arrow),
                        "request_ts": pa.array([time for _, time in mine], schema.TIME),
                    }
                )
                for mine in wanted
            ],
        )
    rows = [
        list(zip(e.first.tolist(), e.start.tolist(), e.stop.tolist(), strict=True)) for e in cut
    ]
    assert rows == last_before(runs, wanted)

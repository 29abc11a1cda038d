"""Which rows a pointer sees: the compiled walk over blocks against a look at every row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.arrays import Int64
from uih_lake.resolve.cut import BLOCK, Ends, Keys, cut
from uih_lake.resolve.ranges import Ranges

EVER = 2**62


def seen(
    times: Int64, delays: Int64, versions: Int64, first: int, stop: int, pointer: dict[str, int]
) -> list[int]:
    """Plain Python: the newest rows of one user that a pointer sees, in order."""
    rows = [
        row
        for row in range(first, stop)
        if pointer["since"] <= times[row] < pointer["before"]
        and times[row] + delays[row] <= pointer["as_of"]
        and versions[row] <= pointer["pinned"]
    ]
    return rows[max(len(rows) - pointer["max_len"], 0) :]


def rows_of(found: Ranges, place: int) -> list[int]:
    fragments = range(found.offsets[place], found.offsets[place + 1])
    return [row for f in fragments for row in range(found.starts[f], found.stops[f])]


def history(sizes: list[int], seed: int, late: float) -> tuple[Int64, Int64, Int64, Int64]:
    """A run of users with so many events: times, delays, versions, and where each user ends."""
    chance = np.random.default_rng(seed)
    times = [np.sort(chance.integers(0, 40 * size, size)) for size in sizes]
    run = np.concatenate([*times, np.zeros(0, np.int64)]).astype(np.int64)
    is_late = chance.random(len(run)) < late
    delays = np.where(is_late, chance.integers(0, 4000, len(run)), chance.integers(0, 3, len(run)))
    versions = np.where(chance.random(len(run)) < late, 7, run // 2000)
    return run, delays, versions, np.cumsum(sizes, dtype=np.int64)


def asked(times: Int64, number: int, chance: np.random.Generator) -> dict[str, int]:
    last = int(times[-1]) if len(times) else 0
    before = int(chance.integers(0, last + 3))
    return {
        "before": before - int(chance.integers(0, 2)) * int(chance.integers(0, 50)),
        "since": before - (EVER if number % 3 else int(chance.integers(0, 3000))),
        "as_of": EVER if number % 4 == 0 else before + int(chance.integers(-5, 600)),
        "pinned": int(chance.integers(0, 9)),
        "max_len": [EVER, 1, BLOCK, 3 * BLOCK + 1][int(chance.integers(0, 4))],
        "request": before,
    }


@given(
    st.lists(st.integers(1, 6 * BLOCK), max_size=6),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.002, 0.05, 0.6]),
)
def test_the_rows_are_those_a_look_at_each_one_finds(
    sizes: list[int], seed: int, late: float
) -> None:
    times, delays, versions, stops = history(sizes, seed, late)
    keys = Keys.of(times, delays, versions, stops)
    chance = np.random.default_rng(seed)
    for number, stop in enumerate(stops.tolist()):
        first = stop - sizes[number]
        pointers = [asked(times[first:stop], n, chance) for n in range(12)]
        for pointer in pointers:  # each alone: max_len is one number per call
            # As the join would: a stripe that begins before the request, here all of the user.
            none = times[first] >= pointer["request"]
            begun = Ends(*(np.array([-1 if none else row]) for row in (first, first, stop)))
            bounds = (np.array([pointer[n]]) for n in ("before", "since", "as_of", "pinned"))
            found = cut(keys, begun, *bounds, pointer["max_len"])
            wanted = [] if none else seen(times, delays, versions, first, stop, pointer)
            assert rows_of(found, 0) == wanted, pointer
            assert found.lengths.tolist() == [len(wanted)]


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_maxima_so_far_are_of_one_user_and_those_of_a_block_of_all(size: int) -> None:
    """A late event of the user before is in the block, but not in what this user's come to."""
    sizes = [size, 5 * BLOCK]
    times = np.concatenate([np.arange(size) for size in sizes])
    delays = np.zeros(len(times), np.int64)
    delays[size - 1] = 10**6
    keys = Keys.of(times, delays, np.zeros(len(times), np.int64), np.cumsum(sizes, dtype=np.int64))
    block, next_one = (size - 1) // BLOCK, size // BLOCK + 1
    assert keys.arrivals[0, block] == size - 1 + 10**6
    assert keys.arrivals[1, next_one] == times[(next_one + 1) * BLOCK - 1]

"""Stretches: rows of one user in a row."""

from __future__ import annotations

from itertools import groupby

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.lake.stretches import Stretches

USERS = {
    "int64": (pa.int64(), [-(2**63), -1, 0, 7, 2**63 - 1]),
    "string": (pa.string(), ["", "a", "aa", "b", "\N{GREEK SMALL LETTER ALPHA}"]),
}


@pytest.mark.parametrize("kind", USERS)
@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 5))
def test_they_are_what_groupby_says(kind: str, places: list[int], skip: int) -> None:
    """Also of a slice, whose memory does not begin where its rows do."""
    arrow, known = USERS[kind]
    users = [known[place] for place in places]
    row, plain = 0, []
    for user, rows in groupby(users[skip:]):
        count = len(list(rows))
        plain.append((user, row, row + count))
        row += count
    found = Stretches.of(pa.array(users, arrow)[skip:])
    together = zip(found.users.to_pylist(), found.starts, found.stops, strict=True)
    assert (list(together), len(found)) == (plain, len(plain))
    assert (found.users.type, found.starts.dtype, found.stops.dtype) == (arrow, "int64", "int64")

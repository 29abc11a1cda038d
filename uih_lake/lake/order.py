"""What is in order, and how events get there: keys are sorted, every column is then moved once.

Events come nearly in order: by time as they are appended, file after file as they are sealed. So
they are dealt out to their users first, each of whom has few pieces that are each in order, and the
pieces of a user are merged. A sixth of the work of a general sort; half of it on random input.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names
from uih_lake.arrays import Int64, ints, whole

_WITHIN = (names.EVENT_TS, names.LAKE_VERSION, names.TIE)
_kernel = numba.njit(cache=True, nogil=True)


def places_of(events: pa.Table) -> Int64:
    """The rows of ``events`` by ``_bucket``, ``user_id``, then (event_ts, lake_version, _tie).

    What is equal in all of them stays in the order given.
    """
    users = whole(events.column(names.USER_ID)).dictionary_encode()
    place = _ranks(users, whole(events.column(names.BUCKET)))[users.indices.to_numpy()]
    rows: Int64
    rows, stops = _dealt(place, len(users.dictionary))
    _sort_each(rows, stops, *(ints(events, n) for n in _WITHIN))
    return rows


def places_in_bucket(events: pa.Table) -> Int64:
    """The rows of ``events``, which are of one bucket and in one chunk, as :func:`places_of`."""
    one = pa.repeat(pa.scalar(0, pa.int32()), events.num_rows)
    return places_of(events.append_column(names.BUCKET, one))


def moved(events: pa.Table, places: Int64) -> pa.Table:
    """The rows ``places`` of a table of one chunk, in one chunk; there has to be each of them."""
    return pc.take(events, pa.array(places), boundscheck=False)


def _ranks(users: pa.DictionaryArray, buckets: pa.Array) -> Int64:
    """Place of each distinct user in the order of (bucket, user)."""
    of = np.empty(len(users.dictionary), np.int32)
    of[users.indices.to_numpy()] = buckets.to_numpy()
    distinct = pa.table({"bucket": of, "user": users.dictionary})
    order = pc.sort_indices(distinct, [("bucket", "ascending"), ("user", "ascending")])
    ranks: Int64 = np.empty(len(of), np.int64)
    ranks[order.to_numpy()] = np.arange(len(of))
    return ranks


@_kernel
def _dealt(place: Any, users: int) -> Any:
    """Rows by the place of their user, else as they come; and the row behind each user's last."""
    stops = np.zeros(users, np.int64)
    for row in range(len(place)):
        stops[place[row]] += 1
    end = 0
    for user in range(users):
        end, stops[user] = end + stops[user], end
    rows = np.empty(len(place), np.int64)
    for row in range(len(place)):
        user = place[row]
        rows[stops[user]] = row
        stops[user] += 1
    return rows, stops


@_kernel
def _sort_each(rows: Any, stops: Any, event_ts: Any, version: Any, tie: Any) -> None:
    """Sort the rows of every user in place; a stable merge sort of the pieces that are in order."""
    start = 0
    for stop in stops:
        mine = rows[start:stop]
        if _piece(mine, 0, event_ts, version, tie) < len(mine):
            one, other = mine, np.empty_like(mine)
            while _merge_pairs(one, other, event_ts, version, tie) > 1:
                one, other = other, one
            mine[:] = other
        start = stop


@_kernel
def _after(a: int, b: int, event_ts: Any, version: Any, tie: Any) -> bool:
    if event_ts[a] != event_ts[b]:
        return event_ts[a] > event_ts[b]  # type: ignore[no-any-return]
    if version[a] != version[b]:
        return version[a] > version[b]  # type: ignore[no-any-return]
    return tie[a] > tie[b]  # type: ignore[no-any-return]


@_kernel
def _piece(rows: Any, start: int, event_ts: Any, version: Any, tie: Any) -> int:
    """Behind the piece in order that begins at ``start``."""
    stop = start + 1
    while stop < len(rows) and not _after(rows[stop - 1], rows[stop], event_ts, version, tie):
        stop += 1
    return stop


@_kernel
def _merge_pairs(rows: Any, out: Any, event_ts: Any, version: Any, tie: Any) -> int:
    """Merge each piece of ``rows`` with the next one into ``out``; returns the pieces there."""
    pieces = start = 0
    while start < len(rows):
        a, middle = start, _piece(rows, start, event_ts, version, tie)
        b, stop = middle, middle
        if middle < len(rows):
            stop = _piece(rows, middle, event_ts, version, tie)
        for place in range(start, stop):
            if b == stop or (a < middle and not _after(rows[a], rows[b], event_ts, version, tie)):
                out[place] = rows[a]
                a += 1
            else:
                out[place] = rows[b]
                b += 1
        pieces, start = pieces + 1, stop
    return pieces


def unordered(columns: Iterable[pa.Array], ties: bool = False) -> int:
    """Rows that do not come after the row before them, by these columns in turn.

    With ``ties``, rows that are equal in all of them may come in any order.
    """
    after: npt.NDArray[np.bool_] = np.zeros(1, bool)
    tied: npt.NDArray[np.bool_] = np.ones(1, bool)
    for column in columns:
        greater, equal = _against_last(column)
        after = after | (tied & greater)
        tied = tied & equal
    return int(np.count_nonzero(~(after | tied if ties else after)))


def falls(column: pa.Array) -> int:
    """Rows that come before the row before them."""
    greater, equal = _against_last(column)
    return int(np.count_nonzero(~(greater | equal)))


def _against_last(column: pa.Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each row but the first is greater than the row before it, and whether it is equal."""
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    if pa.types.is_integer(column.type) and not column.null_count:  # a third of Arrow's time
        values = column.to_numpy()
        return values[1:] > values[:-1], values[1:] == values[:-1]
    this, last = column[1:], column[:-1]
    return _bools(pc.greater(this, last)), _bools(pc.equal(this, last))


def _bools(values: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return found

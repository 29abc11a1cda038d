"""Which events an example sees, worked out anew from flat arrays: independent of the lake.

It serves to write fat rows and to check every contestant against.
"""

from __future__ import annotations

import numba
import numpy as np

from benchmarks.batch import Array
from uih_lake.arrays import Int64

_kernel = numba.njit(cache=True, nogil=True)


@_kernel
def stops(first, last, request_ts, event_ts, out):  # type: ignore[no-untyped-def]
    """Row behind the last event before each request; ``[first, last)`` are the user's rows."""
    for i in range(len(first)):
        low, high = first[i], last[i]
        while low < high:
            middle = (low + high) >> 1
            if event_ts[middle] < request_ts[i]:
                low = middle + 1
            else:
                high = middle
        out[i] = low


@_kernel
def _starts(first, stop, as_of, arrival_ts, longest, start, count):  # type: ignore[no-untyped-def]
    for i in range(len(first)):
        row, found = stop[i], 0
        while row > first[i] and found < longest:
            row -= 1
            found += arrival_ts[row] <= as_of[i]
        start[i], count[i] = row, found


@_kernel
def _pick(start, stop, as_of, arrival_ts, rows):  # type: ignore[no-untyped-def]
    place = 0
    for i in range(len(start)):
        for row in range(start[i], stop[i]):
            if arrival_ts[row] <= as_of[i]:
                rows[place] = row
                place += 1


def newest(
    first: Int64, stop: Int64, as_of: Int64, arrival_ts: Array, longest: int
) -> tuple[Int64, Int64]:
    """First row and number of the newest ``longest`` visible events of each example."""
    start, count = np.empty_like(stop), np.empty_like(stop)
    _starts(first, stop, as_of, arrival_ts, longest, start, count)
    return start, count


def rows(start: Int64, stop: Int64, as_of: Int64, arrival_ts: Array, total: int) -> Int64:
    """The rows of all examples, one after the other; ``total`` of them."""
    out = np.empty(total, np.int64)
    _pick(start, stop, as_of, arrival_ts, out)
    return out

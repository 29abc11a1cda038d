"""Compiled kernels: from the stripe a pointer ends in to the exact rows that are visible to it.

A window is contiguous unless an invisible event lies inside: one that arrived after the pointer's
``as_of_ts`` or under a later lake version. The largest arrival time and lake version of a user's
events up to the end of a block of :data:`BLOCK` rows, of the block alone and of its rows before the
request tell where there is one; only such a block is looked at event by event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from uih_lake.arrays import Int64
from uih_lake.resolve.ranges import Ranges, first_not_before

BLOCK = 32
"""Rows per block of the visibility maxima; the last block of a history holds what came later."""

_NONE = np.iinfo(np.int64).min

_kernel = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True)
class Keys:
    """Key columns of a run in order, int64 each; times in microseconds.

    ``arrivals`` and ``versions`` have two rows and a column per block: the largest arrival time and
    lake version in the block, and of all events up to its end of the user its last row is of.
    """

    event_ts: Int64
    delay: Int64
    lake_version: Int64
    arrivals: Int64
    versions: Int64

    @classmethod
    def of(cls, event_ts: Int64, delay: Int64, lake_version: Int64, stops: Int64) -> Keys:
        """Keys with the maxima per block; a user's events end before each of the rows ``stops``."""
        maxima = np.empty((2, 2, -(-len(event_ts) // BLOCK)), np.int64)
        _maxima(event_ts, delay, lake_version, stops, *maxima)
        return cls(event_ts, delay, lake_version, *maxima)


@dataclass(frozen=True)
class Ends:
    """Where pointers end in a run, int64 each: the user's first row, and the last stripe's rows.

    -1 where nothing of the user lies before the request.
    """

    first: Int64
    start: Int64
    stop: Int64


def cut(
    keys: Keys,
    ends: Ends,
    before: Int64,
    since: Int64,
    as_of: Int64,
    pinned: Int64,
    max_len: int,
) -> Ranges:
    """The newest ``max_len`` visible events with ``since <= event_ts < before`` of each pointer."""
    fragments = np.zeros(len(before) + 1, np.int64)
    lengths = np.zeros(len(before), np.int64)
    starts, stops = _walk(
        keys.event_ts,
        keys.delay,
        keys.lake_version,
        keys.arrivals,
        keys.versions,
        ends.first,
        ends.start,
        ends.stop,
        before,
        since,
        as_of,
        pinned,
        max_len,
        fragments,
        lengths,
    )
    return Ranges(fragments, starts, stops, lengths)


@_kernel
def _maxima(times, delays, row_versions, stops, arrivals, versions):  # type: ignore[no-untyped-def]
    """Fill in the maxima of each block, and those so far of the user its last row is of."""
    arrivals[0], versions[0] = _NONE, _NONE
    row = 0
    for stop in stops:
        newest, version = _NONE, _NONE
        while row < stop:
            block = row // BLOCK
            edge = min((block + 1) * BLOCK, stop)
            latest, highest = _largest(times[row:edge], delays[row:edge], row_versions[row:edge])
            row = edge
            newest, version = max(newest, latest), max(version, highest)
            arrivals[0, block] = max(arrivals[0, block], latest)
            versions[0, block] = max(versions[0, block], highest)
            arrivals[1, block], versions[1, block] = newest, version


@_kernel
def _largest(times, delays, row_versions):  # type: ignore[no-untyped-def]
    """The largest arrival time and lake version of some rows; whole slices run on vectors."""
    newest, version = _NONE, _NONE
    for row in range(len(times)):
        newest = max(newest, times[row] + delays[row])
        version = max(version, row_versions[row])
    return newest, version


@_kernel
def _walk(  # type: ignore[no-untyped-def]
    times, delays, row_versions, arrivals, versions,
    first, start, stop, before, since, as_of, pinned, max_len,
    fragments, lengths,
):  # fmt: skip
    """Walk each pointer from its end backwards; starts and stops of its fragments, in order."""
    starts = np.empty(len(before) + BLOCK, np.int64)
    stops = np.empty(len(starts), np.int64)
    slot = 0
    for i in range(len(before)):
        fragments[i + 1] = slot
        if start[i] < 0:
            continue
        # A lag can move the end to an earlier stripe than the one the request falls into.
        known = start[i] if times[start[i]] < before[i] else first[i]
        place = first_not_before(times, known, stop[i], before[i])
        low = first[i]
        if times[low] < since[i]:
            low = first_not_before(times, low, place, since[i])
        left = max_len
        open_start = -1  # start of the fragment being extended backwards
        while place > low and left > 0:
            if slot + BLOCK > len(starts):  # a block has at most as many fragments as rows
                starts, stops = _grown(starts), _grown(stops)
            block = (place - 1) // BLOCK
            edge = max(block * BLOCK, low)
            whole = place == (block + 1) * BLOCK  # then its maxima so far are of this user
            if whole and arrivals[1, block] <= as_of[i] and versions[1, block] <= pinned[i]:
                take = min(place - low, left)
            else:
                latest, highest = arrivals[0, block], versions[0, block]
                if latest > as_of[i] or highest > pinned[i]:  # perhaps by rows behind the place
                    latest, highest = _largest(
                        times[edge:place], delays[edge:place], row_versions[edge:place]
                    )
                seen = latest <= as_of[i] and highest <= pinned[i]
                take = min(place - edge, left) if seen else 0
            if take > 0:
                if open_start != place:
                    stops[slot] = place
                    slot += 1
                place -= take
                left -= take
                open_start = place
                starts[slot - 1] = place
            else:
                while place > edge and left > 0:
                    place -= 1
                    arrival = times[place] + delays[place]
                    if arrival <= as_of[i] and row_versions[place] <= pinned[i]:
                        if open_start != place + 1:
                            stops[slot] = place + 1
                            slot += 1
                        open_start = place
                        left -= 1
                        starts[slot - 1] = place
        low, high = fragments[i + 1], slot - 1
        while low < high:  # they came backwards
            starts[low], starts[high] = starts[high], starts[low]
            stops[low], stops[high] = stops[high], stops[low]
            low, high = low + 1, high - 1
        fragments[i + 1] = slot
        lengths[i] = max_len - left
    return starts[:slot].copy(), stops[:slot].copy()


@_kernel
def _grown(values):  # type: ignore[no-untyped-def]
    more = np.empty(2 * len(values), np.int64)
    more[: len(values)] = values
    return more

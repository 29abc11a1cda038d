"""Compiled kernels: from the stripe a pointer ends in to the exact rows that are visible to it.

A window is contiguous unless an invisible event lies inside: one that arrived after the pointer's
``as_of_ts`` or under a later lake version. The largest arrival time and lake version of each block
of :data:`BLOCK` rows tell which blocks can hold one; only those are looked at event by event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from uih_lake.resolve.ranges import Int64, Ranges

BLOCK = 256
"""Rows per block of the visibility maxima, and events per stripe of the ASOF index."""

UInt64 = npt.NDArray[np.uint64]

_kernel = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True)
class Keys:
    """Key columns of a run in order, int64 each; times in microseconds."""

    event_ts: Int64
    arrival_ts: Int64
    lake_version: Int64
    newest_arrival: Int64
    newest_version: Int64

    @classmethod
    def of(cls, event_ts: Int64, delay: Int64, lake_version: Int64) -> Keys:
        """Keys with the maxima per block."""
        arrival = event_ts + delay
        return cls(event_ts, arrival, lake_version, _maxima(arrival), _maxima(lake_version))


@dataclass(frozen=True)
class Ends:
    """Where pointers end in a run, int64 each: the user's first row, and the last stripe's rows."""

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
    nowhere = np.zeros(0, np.int64)
    args = (
        keys.event_ts,
        keys.arrival_ts,
        keys.lake_version,
        keys.newest_arrival,
        keys.newest_version,
        ends.first,
        ends.start,
        ends.stop,
        before,
        since,
        as_of,
        pinned,
        max_len,
    )
    _walk(*args, False, fragments, lengths, nowhere, nowhere)
    np.cumsum(fragments, out=fragments)
    starts = np.empty(fragments[-1], np.int64)
    stops = np.empty(fragments[-1], np.int64)
    _walk(*args, True, fragments, lengths, starts, stops)
    return Ranges(fragments, starts, stops, lengths)


@dataclass(frozen=True)
class Proofs:
    """What a pointer says of its history, one element per pointer, int64 each.

    ``length`` visible events, the rows ``head`` and ``tail`` of the first and last (-1 where there
    is none), and the sum ``digest`` of their event digests as a signed integer.
    """

    length: Int64
    head: Int64
    tail: Int64
    digest: Int64


def prove(
    keys: Keys, ends: Ends, totals: UInt64, before: Int64, as_of: Int64, pinned: Int64
) -> Proofs:
    """Length, ends and digest of everything visible to each pointer.

    ``totals`` is the running digest of the run, one element more than events.
    """
    rows = len(before)
    proofs = Proofs(
        np.zeros(rows, np.int64),
        np.full(rows, -1, np.int64),
        np.full(rows, -1, np.int64),
        np.zeros(rows, np.int64),
    )
    _sum(
        keys.event_ts,
        keys.arrival_ts,
        keys.lake_version,
        keys.newest_arrival,
        keys.newest_version,
        ends.first,
        ends.start,
        ends.stop,
        before,
        as_of,
        pinned,
        totals,
        proofs.length,
        proofs.head,
        proofs.tail,
        proofs.digest.view(np.uint64),
    )
    return proofs


def _maxima(values: Int64) -> Int64:
    """The largest value of each block."""
    if len(values) == 0:
        return values
    return np.maximum.reduceat(values, np.arange(0, len(values), BLOCK))


@_kernel
def _place(times, low, high, time):  # type: ignore[no-untyped-def]
    """First row in [low, high) whose time is not below ``time``."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


@_kernel
def _walk(  # type: ignore[no-untyped-def]
    times, arrivals, versions, newest_arrival, newest_version,
    first, start, stop, before, since, as_of, pinned, max_len,
    fill, fragments, lengths, starts, stops,
):  # fmt: skip
    """Walk each pointer from its end backwards; count fragments, or fill them in."""
    for i in range(len(before)):
        if start[i] < 0:
            continue
        # A lag can move the end to an earlier stripe than the one the request falls into.
        known = start[i] if times[start[i]] < before[i] else first[i]
        place = _place(times, known, stop[i], before[i])
        low = _place(times, first[i], place, since[i])
        left = max_len
        slot = fragments[i + 1] if fill else 0
        count = 0
        open_start = -1  # start of the fragment being extended backwards
        while place > low and left > 0:
            block = (place - 1) // BLOCK
            edge = max(block * BLOCK, low)
            if newest_arrival[block] <= as_of[i] and newest_version[block] <= pinned[i]:
                take = min(place - edge, left)
                if open_start != place:
                    count += 1
                    if fill:
                        stops[slot - count] = place
                place -= take
                left -= take
                open_start = place
                if fill:
                    starts[slot - count] = place
            else:
                while place > edge and left > 0:
                    place -= 1
                    if arrivals[place] <= as_of[i] and versions[place] <= pinned[i]:
                        if open_start != place + 1:
                            count += 1
                            if fill:
                                stops[slot - count] = place + 1
                        open_start = place
                        left -= 1
                        if fill:
                            starts[slot - count] = place
        if not fill:
            fragments[i + 1] = count
            lengths[i] = max_len - left


@_kernel
def _sum(  # type: ignore[no-untyped-def]
    times, arrivals, versions, newest_arrival, newest_version,
    first, start, stop, before, as_of, pinned, totals,
    length, head, tail, digest,
):  # fmt: skip
    """Add up everything visible to each pointer."""
    for i in range(len(before)):
        if start[i] < 0:
            continue
        end = _place(times, start[i], stop[i], before[i])
        place = first[i]
        while place < end:
            block = place // BLOCK
            edge = min((block + 1) * BLOCK, end)
            if newest_arrival[block] <= as_of[i] and newest_version[block] <= pinned[i]:
                digest[i] += totals[edge] - totals[place]
                length[i] += edge - place
                if head[i] < 0:
                    head[i] = place
                tail[i] = edge - 1
            else:
                for row in range(place, edge):
                    if arrivals[row] <= as_of[i] and versions[row] <= pinned[i]:
                        digest[i] += totals[row + 1] - totals[row]
                        length[i] += 1
                        if head[i] < 0:
                            head[i] = row
                        tail[i] = row
            place = edge

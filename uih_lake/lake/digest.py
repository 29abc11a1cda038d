"""The digest of an event, compiled: the sum over a history is the pointer's ``digest``."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from uih_lake.arrays import Int64, UInt64
from uih_lake.hashing import mix

_BLOCK = 512  # rows whose digests stay in the nearest cache

_kernel = numba.njit(cache=True, nogil=True)


def running_digest(
    event_ts: Int64,
    delay: Int64,
    lake_version: Int64,
    tie: Int64,
    fingerprint: npt.NDArray[np.int32],
) -> UInt64:
    """Running sum of the event digests of a run, uint64 modulo 2^64, one element more than events.

    The digest of an event is ``mix`` of :mod:`uih_lake.hashing` over its identity, one column after
    the other: ``d = mix(event_ts)``, then ``d = mix(d + column)`` for delay, lake version, tie and
    fingerprint.
    """
    totals = np.empty(len(event_ts) + 1, np.uint64)
    totals[0] = 0
    _sum(event_ts, delay, lake_version, tie, fingerprint, totals)
    return totals


@_kernel
def _sum(event_ts, delay, lake_version, tie, fingerprint, totals):  # type: ignore[no-untyped-def]
    # Column by column: in a loop over all five each link of the chain waits for the one before.
    total = np.uint64(0)
    for start in range(0, len(event_ts), _BLOCK):
        rows = slice(start, start + _BLOCK)
        digests = totals[1:][rows]
        digests[:] = 0
        _link(digests, event_ts[rows])
        _link(digests, delay[rows])
        _link(digests, lake_version[rows])
        _link(digests, tie[rows])
        _link(digests, fingerprint[rows])
        for row in range(len(digests)):
            total += digests[row]
            digests[row] = total


@_kernel
def _link(digests, column):  # type: ignore[no-untyped-def]
    for row in range(len(digests)):
        digests[row] = mix(digests[row] + np.uint64(column[row]))

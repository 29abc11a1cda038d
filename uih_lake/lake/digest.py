"""The digest of an event, compiled: the sum over a history is the pointer's ``digest``."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from uih_lake.arrays import Int64, UInt64
from uih_lake.hashing import mix

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
    totals = np.zeros(len(event_ts) + 1, np.uint64)
    _sum(event_ts, delay, lake_version, tie, fingerprint, totals)
    return totals


@_kernel
def _sum(event_ts, delay, lake_version, tie, fingerprint, totals):  # type: ignore[no-untyped-def]
    for row in range(len(event_ts)):
        digest = mix(np.uint64(event_ts[row]))
        digest = mix(digest + np.uint64(delay[row]))
        digest = mix(digest + np.uint64(lake_version[row]))
        digest = mix(digest + np.uint64(tie[row]))
        totals[row + 1] = mix(digest + np.uint64(fingerprint[row]))
    for row in range(len(event_ts)):  # apart, so that the first loop runs on vectors
        totals[row + 1] += totals[row]

"""The digest of an event, compiled: the sum over a history is the pointer's ``digest``."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

_kernel = numba.njit(cache=True, nogil=True)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)


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
def _mix(x):  # type: ignore[no-untyped-def]
    x += _GAMMA
    x = (x ^ (x >> _30)) * _A
    x = (x ^ (x >> _27)) * _B
    return x ^ (x >> _31)


@_kernel
def _sum(event_ts, delay, lake_version, tie, fingerprint, totals):  # type: ignore[no-untyped-def]
    for row in range(len(event_ts)):
        digest = _mix(np.uint64(event_ts[row]))
        digest = _mix(digest + np.uint64(delay[row]))
        digest = _mix(digest + np.uint64(lake_version[row]))
        digest = _mix(digest + np.uint64(tie[row]))
        totals[row + 1] = totals[row] + _mix(digest + np.uint64(fingerprint[row]))

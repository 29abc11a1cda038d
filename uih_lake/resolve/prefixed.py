"""Pointers into one file, where a prefix is known by its sums and only the newest band is read."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.prefixes import Prefixes
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.plan import Bounds
from uih_lake.resolve.ranges import Int64, Ranges, running
from uih_lake.resolve.rows import PROVEN, Proof, Whole


@dataclass(frozen=True)
class Prefixed:
    """The newest band of a bucket that is one file, and what its footer says of the older ones.

    ``events`` are the keys of the band; ``whose`` the place of each pointer's user among those that
    have a prefix, -1 where there is none.
    """

    events: pa.Table
    prefixes: Prefixes
    whose: Int64

    @classmethod
    def read(cls, snapshot: Snapshot, pointers: pa.Table, bucket: int) -> Prefixed | None:
        """What ``pointers`` take to be proven.

        None where the file has no prefixes, or one of the pointers does not see all of its user's:
        it is of a time before the newest band, or an event came late or under a later lake version.
        """
        prefixes = snapshot.prefixes(bucket)
        if prefixes is None or prefixes.start_ts.min() < snapshot.retained_from:
            return None
        whose = _whose(prefixes, pointers)
        if not _seen(prefixes, whose, Bounds.of(pointers)).all():
            return None
        return cls(_newest(snapshot, bucket, prefixes), prefixes, whose)

    def whole(self, newest: Whole) -> Whole:
        """What each pointer sees of the file, in its rows, by what it sees of the ``events``."""
        proof = _added(self.prefixes, self.whose, newest.proof)
        return Whole(proof, _joined(self.prefixes, self.whose, newest.ranges))


def _whose(prefixes: Prefixes, pointers: pa.Table) -> Int64:
    """The place of each pointer's user among those with a prefix; -1 where there is none."""
    found = pc.index_in(pointers.column(names.USER_ID), value_set=prefixes.users)
    whose: Int64 = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return whose


def _seen(prefixes: Prefixes, whose: Int64, bounds: Bounds) -> npt.NDArray[np.bool_]:
    """Whether each pointer sees all of its user's prefix."""
    return (whose < 0) | (bounds.request_ts >= prefixes.since) & (
        bounds.as_of_ts >= prefixes.last_arrival[whose]
    ) & (bounds.lake_version >= prefixes.last_version[whose])


def _newest(snapshot: Snapshot, bucket: int, prefixes: Prefixes) -> pa.Table:
    """The keys of the newest band, by user and time as it is."""
    file = Bucket(snapshot, bucket)
    stops = [stop for stop, _ in file.row_groups(PROVEN) or ()]
    groups = [number for number, stop in enumerate(stops) if stop > prefixes.newest]
    begin = stops[groups[0] - 1] if groups[0] else 0
    rows = file.rows(PROVEN, groups).slice(prefixes.newest - begin)
    return rows.combine_chunks()


def _added(prefixes: Prefixes, whose: Int64, newest: Proof) -> Proof:
    """The proofs of prefix and newest band together."""
    has = whose >= 0
    return Proof(
        newest.length + np.where(has, prefixes.length[whose], 0),
        newest.digest + np.where(has, prefixes.digest[whose], 0),
        np.where(has, prefixes.start_ts[whose], newest.start_ts),
        np.where(newest.length > 0, newest.end_ts, prefixes.end_ts[whose]),
    )


def _joined(prefixes: Prefixes, whose: Int64, newest: Ranges) -> Ranges:
    """The ranges of prefix and newest band together, in rows of the file."""
    has = whose >= 0
    pieces = np.where(has, np.diff(prefixes.offsets)[whose] // 2, 0)
    offsets = running(pieces + np.diff(newest.offsets))
    starts, stops = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    first = np.where(has, prefixes.offsets[whose], 0)
    _join(
        first, pieces, prefixes.rows, newest.offsets, newest.starts, newest.stops,
        prefixes.newest, offsets, starts, stops,
    )  # fmt: skip
    lengths = newest.lengths + np.where(has, prefixes.length[whose], 0)
    return Ranges(offsets, starts, stops, lengths)


@numba.njit(cache=True, nogil=True)
def _join(  # type: ignore[no-untyped-def]
    first, pieces, rows, edges, newest_starts, newest_stops, shift, offsets, starts, stops
):
    for i in range(len(first)):
        slot = offsets[i]
        for piece in range(pieces[i]):
            starts[slot] = rows[first[i] + 2 * piece]
            stops[slot] = rows[first[i] + 2 * piece + 1]
            slot += 1
        for fragment in range(edges[i], edges[i + 1]):
            starts[slot] = newest_starts[fragment] + shift
            stops[slot] = newest_stops[fragment] + shift
            slot += 1

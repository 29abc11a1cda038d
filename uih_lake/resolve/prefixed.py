"""Pointers proven by sums over prefixes: only what comes after those is read."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import names
from uih_lake.arrays import Int64, ints, places, running
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.order import places_in_bucket
from uih_lake.lake.prefixes import Prefixes
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.plan import Bounds
from uih_lake.resolve.ranges import Ranges, carried
from uih_lake.resolve.rows import PROVEN, Proof, Whole, are_few, of_users


@dataclass(frozen=True)
class Prefixed:
    """The keys of a bucket but for those in the prefixes of one of its runs, of which it has sums.

    ``events`` are by user and time, ``rows`` their rows in the bucket, as
    :class:`uih_lake.lake.bucket.Bucket` counts them; an int is that of the first of rows that are
    consecutive. The run begins at row ``begin``. ``whose`` is the place of each pointer's user
    among those that have a prefix, -1 where there is none.
    """

    events: pa.Table
    rows: Int64 | int
    begin: int
    prefixes: Prefixes
    whose: Int64

    @classmethod
    def read(cls, snapshot: Snapshot, pointers: pa.Table, bucket: int) -> Prefixed | None:
        """What ``pointers`` take to be proven: the run's newest band, and all of the other files.

        None where no run has prefixes, or one of the pointers does not see all of its user's: it is
        of a time before the newest band, or an event came late or under a later lake version. None
        as well where another file has an event of a time before the newest band.
        """
        files = Bucket(snapshot, bucket)
        found = files.prefixes()
        if found is None:
            return None
        begin, prefixes = found
        whose = places(pointers.column(names.USER_ID), prefixes.users)
        seen = _seen(prefixes, whose, Bounds.of(pointers)).all()
        if not seen or prefixes.start_ts.min() < snapshot.retained_from:
            return None
        events, rows = _outside(files, begin, begin + prefixes.newest, pointers)
        if events.num_rows and ints(events, names.EVENT_TS).min() < prefixes.since:
            return None
        return cls(events, rows, begin, prefixes, whose)

    def whole(self, newest: Whole) -> Whole:
        """What each pointer sees of the bucket, in its rows, by what it sees of the ``events``."""
        proof, found = _added(self.prefixes, self.whose, newest.proof), newest.ranges
        if isinstance(self.rows, int):
            starts, stops = found.starts + self.rows, found.stops + self.rows
            found = Ranges(found.offsets, starts, stops, found.lengths)
        else:
            found = carried(found, self.rows)
        return Whole(proof, _joined(self.prefixes, self.begin, self.whose, found))


def _seen(prefixes: Prefixes, whose: Int64, bounds: Bounds) -> npt.NDArray[np.bool_]:
    """Whether each pointer sees all of its user's prefix."""
    return (whose < 0) | (bounds.request_ts >= prefixes.since) & (
        bounds.as_of_ts >= prefixes.last_arrival[whose]
    ) & (bounds.lake_version >= prefixes.last_version[whose])


def _outside(
    files: Bucket, begin: int, stop: int, pointers: pa.Table
) -> tuple[pa.Table, Int64 | int]:
    """The keys of a bucket's rows outside of ``begin`` to ``stop``; and which rows they are.

    By user and time, which what is left of a single run is as it comes. Of many rows for each of
    the ``pointers``, those of their users.
    """
    stops = files.edges.tolist()
    starts = [0, *stops[:-1]]
    groups = [g for g in range(len(stops)) if starts[g] < begin or stops[g] > stop]
    events = files.rows(PROVEN, groups)
    one_run, few = files.snapshot.is_one_run(files.number), are_few(pointers, events)
    if one_run and not few:
        return events.slice(stop - starts[groups[0]]).combine_chunks(), stop
    rows = np.concatenate([np.arange(starts[g], stops[g]) for g in groups])
    kept = (rows < begin) | (rows >= stop)
    if few:
        kept &= of_users(pointers, events)
    events, rows = events.filter(pa.array(kept)).combine_chunks(), rows[kept]
    if one_run:
        return events, rows
    order = places_in_bucket(events)
    return events.take(pa.array(order)).combine_chunks(), rows[order]


def _added(prefixes: Prefixes, whose: Int64, newest: Proof) -> Proof:
    """The proofs of prefix and what comes after it together."""
    has = whose >= 0
    return Proof(
        newest.length + np.where(has, prefixes.length[whose], 0),
        newest.digest + np.where(has, prefixes.digest[whose], 0),
        np.where(has, prefixes.start_ts[whose], newest.start_ts),
        np.where(newest.length > 0, newest.end_ts, prefixes.end_ts[whose]),
    )


def _joined(prefixes: Prefixes, begin: int, whose: Int64, newest: Ranges) -> Ranges:
    """The ranges of prefix and what comes after it together, in rows of the bucket."""
    has = whose >= 0
    pieces = np.where(has, np.diff(prefixes.offsets)[whose] // 2, 0)
    offsets = running(pieces + np.diff(newest.offsets))
    starts, stops = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    first = np.where(has, prefixes.offsets[whose], 0)
    _join(
        first, pieces, prefixes.rows + begin, newest.offsets, newest.starts, newest.stops,
        offsets, starts, stops,
    )  # fmt: skip
    lengths = newest.lengths + np.where(has, prefixes.length[whose], 0)
    return Ranges(offsets, starts, stops, lengths)


@numba.njit(cache=True, nogil=True)
def _join(  # type: ignore[no-untyped-def]
    first, pieces, rows, edges, newest_starts, newest_stops, offsets, starts, stops
):
    for i in range(len(first)):
        slot = offsets[i]
        for piece in range(pieces[i]):
            starts[slot] = rows[first[i] + 2 * piece]
            stops[slot] = rows[first[i] + 2 * piece + 1]
            slot += 1
        for fragment in range(edges[i], edges[i + 1]):
            starts[slot] = newest_starts[fragment]
            stops[slot] = newest_stops[fragment]
            slot += 1

"""Rows by user and time, and where pointers end in them: their ranges and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, schema
from uih_lake.arrays import Int64, ints, whole
from uih_lake.lake.digest import running_digest
from uih_lake.lake.stretches import Stretches
from uih_lake.resolve import cut
from uih_lake.resolve.cut import Ends, Keys
from uih_lake.resolve.ends import ends
from uih_lake.resolve.plan import Bounds
from uih_lake.resolve.ranges import Ranges
from uih_lake.schema import UNBOUNDED
from uih_lake.tenant import Group

KEYS = (names.USER_ID, names.EVENT_TS, names.DELAY, names.LAKE_VERSION, names.TIE)
"""Columns that order events and say who sees them."""
PROVEN = (*KEYS, names.FINGERPRINT)
"""Columns that a proof is made of."""
MANY_EVENTS = 256
"""Events per pointer; more than so many are not all put in order for a few users."""
UNLIMITED = Group(traits=(names.EVENT_TS,))
"""The group whose sequence is everything that is visible."""


@dataclass(frozen=True)
class Proof:
    """What a pointer says of its history, int64, an element per pointer; times in microseconds.

    ``length`` visible events, the sum ``digest`` of their digests as a signed integer, and the
    times of the first and last, which mean nothing where there is none.
    """

    length: Int64
    digest: Int64
    start_ts: Int64
    end_ts: Int64

    @classmethod
    def of(cls, ranges: Ranges, events: pa.Table) -> Proof:
        """Of rows of ``events``, which has :data:`PROVEN`, one chunk per column."""
        event_ts, delay, version, tie = (ints(events, name) for name in PROVEN[1:-1])
        prints = events.column(names.FINGERPRINT).to_numpy()
        totals = running_digest(event_ts, delay, version, tie, prints)
        digest, *times = np.zeros((3, len(ranges)), np.int64)
        _prove(
            ranges.offsets, ranges.starts, ranges.stops, event_ts, totals, digest.view(np.uint64),
            *times,
        )  # fmt: skip
        return cls(ranges.lengths, digest, *times)

    @property
    def table(self) -> pa.Table:
        """Columns ``start_ts``, ``end_ts`` (null where nothing is visible), ``length, digest``."""
        none = self.length == 0

        def times(values: Int64) -> pa.Array:
            return pa.array(values, mask=none).view(schema.TIME)

        return pa.table(
            {
                names.START_TS: times(self.start_ts),
                names.END_TS: times(self.end_ts),
                names.LENGTH: self.length,
                names.DIGEST: self.digest,
            }
        )


@dataclass(frozen=True)
class Whole:
    """Everything visible to each pointer: its proof, and its rows."""

    proof: Proof
    ranges: Ranges


@dataclass(frozen=True)
class Rows:
    """Events by user and time, one chunk per column, and the pointers that end in them.

    ``events`` has :data:`KEYS`, and ``_fingerprint`` where pointers are to be proven.
    """

    events: pa.Table
    bounds: Bounds
    keys: Keys
    ends: Ends

    @classmethod
    def of(cls, duck: duckdb.DuckDBPyConnection, events: pa.Table, pointers: pa.Table) -> Rows:
        """Join ``pointers`` (``user_id, request_ts, as_of_ts, lake_version``) to ``events``."""
        return cls.each(duck, [(events, pointers)])[0]

    @classmethod
    def each(
        cls, duck: duckdb.DuckDBPyConnection, runs: Sequence[tuple[pa.Table, pa.Table]]
    ) -> list[Rows]:
        """Join several runs, each with pointers of its own, at once; no user is in two of them."""
        if not runs:
            return []
        users = [Stretches.of(whole(events.column(names.USER_ID))) for events, _ in runs]
        times = [ints(events, names.EVENT_TS) for events, _ in runs]
        keys = [
            Keys.of(time, ints(events, names.DELAY), ints(events, names.LAKE_VERSION), mine.stops)
            for (events, _), mine, time in zip(runs, users, times, strict=True)
        ]
        found = ends(duck, list(zip(users, times, strict=True)), [asked for _, asked in runs])
        return [
            cls(events, Bounds.of(pointers), mine, end)
            for (events, pointers), mine, end in zip(runs, keys, found, strict=True)
        ]

    def ranges(self, group: Group) -> Ranges:
        """The rows of one group, per pointer."""
        bounds, longest = self.bounds, group.max_len or UNBOUNDED
        since, before = bounds.span(group)
        return cut.cut(
            self.keys, self.ends, before, since, bounds.as_of_ts, bounds.lake_version, longest
        )

    def whole(self) -> Whole:
        """Everything visible to each pointer."""
        ranges = self.ranges(UNLIMITED)
        return Whole(Proof.of(ranges, self.events), ranges)


def are_few(pointers: pa.Table, events: pa.Table) -> bool:
    """Whether the pointers are so few that it pays to leave out other users' events."""
    return bool(pointers.num_rows * MANY_EVENTS < events.num_rows)


def of_users(pointers: pa.Table, events: pa.Table) -> npt.NDArray[np.bool_]:
    """Which events are of a user that one of the pointers is of."""
    users = pc.unique(pointers.column(names.USER_ID))
    found: npt.NDArray[np.bool_] = pc.is_in(events.column(names.USER_ID), users).to_numpy()
    return found


@numba.njit(cache=True, nogil=True)
def _prove(offsets, starts, stops, times, totals, digest, first, last):  # type: ignore[no-untyped-def]
    for i in range(len(digest)):
        low, high = offsets[i], offsets[i + 1]
        if low < high:
            first[i], last[i] = times[starts[low]], times[stops[high - 1] - 1]
        for fragment in range(low, high):
            digest[i] += totals[stops[fragment]] - totals[starts[fragment]]

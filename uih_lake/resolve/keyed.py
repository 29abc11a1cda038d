"""Pointers proven event by event: all keys of their bucket are read, whatever files it is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from uih_lake import names, schema
from uih_lake.arrays import Int64, ints, whole
from uih_lake.lake import bands
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.order import places_in_bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.ranges import carried
from uih_lake.resolve.rows import PROVEN, Whole


@dataclass(frozen=True)
class Keyed:
    """The keys of a bucket, whatever its footers say of prefixes.

    ``events`` are by user and time; ``order`` are their rows in the bucket, as
    :class:`uih_lake.lake.bucket.Bucket` counts them (None: as they are).
    """

    events: pa.Table
    order: Int64 | None

    @classmethod
    def read(cls, snapshot: Snapshot, bucket: int) -> Keyed:
        """All keys of the bucket. Raises :class:`CorruptionError`."""
        events = Bucket(snapshot, bucket).rows(PROVEN).combine_chunks()
        order = _in_order(events, snapshot, bucket)
        if order is not None:
            events = events.take(pa.array(order)).combine_chunks()
        return cls(events, order)

    def whole(self, found: Whole) -> Whole:
        """What each pointer sees, in rows of the bucket, by what it sees of the ``events``."""
        ranges = found.ranges if self.order is None else carried(found.ranges, self.order)
        return Whole(found.proof, ranges)


def _in_order(events: pa.Table, snapshot: Snapshot, bucket: int) -> Int64 | None:
    """The rows the retention window has left, by user and time; None where that is all as it is."""
    order: Int64 | None
    if snapshot.is_one_run(bucket):
        order = bands.by_user(whole(events.column(names.USER_ID)))
    else:
        order = places_in_bucket(events)
    if snapshot.retained_from == schema.MIN_TIME:
        return order
    order = np.arange(events.num_rows) if order is None else order
    return order[ints(events, names.EVENT_TS)[order] >= snapshot.retained_from]

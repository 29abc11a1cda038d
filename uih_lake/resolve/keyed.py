"""Pointers into one file, proven event by event: all keys of the file are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from uih_lake import names, schema
from uih_lake.lake import bands
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.ranges import Int64, carried
from uih_lake.resolve.rows import PROVEN, Whole, ints


@dataclass(frozen=True)
class Keyed:
    """The keys of a bucket that is one file, whatever its footer says of prefixes.

    ``events`` are by user and time; ``order`` are their rows in the file (None: as they are).
    """

    events: pa.Table
    order: Int64 | None

    @classmethod
    def read(cls, snapshot: Snapshot, bucket: int) -> Keyed:
        """All keys of the file. Raises :class:`CorruptionError`."""
        events = snapshot.rows_of(bucket, PROVEN).combine_chunks()
        order = _in_order(events, snapshot.retained_from)
        if order is not None:
            events = events.take(pa.array(order)).combine_chunks()
        return cls(events, order)

    def whole(self, found: Whole) -> Whole:
        """What each pointer sees of the file, in its rows, by what it sees of the ``events``."""
        if self.order is None:
            return found
        return Whole(found.proof, carried(found.ranges, self.order))


def _in_order(events: pa.Table, retained_from: int) -> Int64 | None:
    """The rows the retention window has left, by user and time; None where that is all as it is."""
    order = bands.by_user(events.column(names.USER_ID).combine_chunks())
    if retained_from == schema.MIN_TIME:
        return order
    order = np.arange(events.num_rows) if order is None else order
    return order[ints(events, names.EVENT_TS)[order] >= retained_from]

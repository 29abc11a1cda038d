"""Pointers into one file, proven event by event: all keys of the file are read."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, schema
from uih_lake.lake import bands
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.ranges import Int64, carried
from uih_lake.resolve.rows import PROVEN, Rows, Whole, ints


def keyed(
    snapshot: Snapshot, duck: duckdb.DuckDBPyConnection, pointers: pa.Table, bucket: int
) -> Whole:
    """What each pointer sees of a bucket that is one file, whatever it says of prefixes.

    Ranges are rows of the file. Raises :class:`CorruptionError`.
    """
    events = snapshot.rows_of(bucket, PROVEN).combine_chunks()
    order = _in_order(events, snapshot.retained_from)
    if order is None:
        return Rows.of(duck, events, pointers).whole()
    found = Rows.of(duck, events.take(pa.array(order)).combine_chunks(), pointers).whole()
    return Whole(found.proof, carried(found.ranges, order))


def _in_order(events: pa.Table, retained_from: int) -> Int64 | None:
    """The rows the retention window has left, by user and time; None where that is all as it is."""
    order = bands.by_user(events.column(names.USER_ID).combine_chunks())
    if retained_from == schema.MIN_TIME:
        return order
    order = np.arange(events.num_rows) if order is None else order
    return order[ints(events, names.EVENT_TS)[order] >= retained_from]

"""Sorting events for a file: the keys are sorted in SQL, every column is then moved once.

Half the work of sorting whole rows, measured on a chunk of 2^20 events with eight traits.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, sqlfile
from uih_lake.session import fetch

_KEYS = (names.BUCKET, names.USER_ID, names.EVENT_TS, names.LAKE_VERSION, names.TIE)
_ROW = "_row"


def places_of(duck: duckdb.DuckDBPyConnection, events: pa.Table) -> pa.Array:
    """The rows of ``events`` by ``_bucket``, ``user_id``, then (event_ts, lake_version, _tie)."""
    rows = pa.array(np.arange(events.num_rows, dtype=np.int32))
    duck.register("keys", events.select(_KEYS).append_column(_ROW, rows))
    places = fetch(duck, sqlfile.statement("lake/order")).column(_ROW)
    duck.unregister("keys")
    return places.combine_chunks()


def in_order(duck: duckdb.DuckDBPyConnection, events: pa.Table) -> pa.Table:
    """``events`` in the order of :func:`places_of`; one chunk."""
    return events.combine_chunks().take(places_of(duck, events)).combine_chunks()

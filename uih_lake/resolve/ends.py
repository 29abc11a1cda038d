"""Where each pointer's history ends: the ASOF join against an index of stripes.

A stripe is up to :data:`STRIPE` consecutive events of one user. The join
probes a row per stripe, thousands where the run has millions, and the exact row inside the stripe
is a binary search in what is read anyway.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, sqlfile
from uih_lake.resolve.cut import Ends
from uih_lake.session import fetch

STRIPE = 256
"""Events per stripe, at most."""

_POINTER = "_pointer"
_TIE_BITS = 36  # of seq, as in sql/lake/events.sql


def ends(duck: duckdb.DuckDBPyConnection, rows: pa.Table, pointers: pa.Table) -> Ends:
    """The last stripe of ``rows`` that begins before each pointer's ``request_ts``.

    ``rows`` is a run in order, one chunk per column, with the key columns; ``pointers`` has
    ``user_id`` and ``request_ts``.
    """
    place = pa.array(np.arange(pointers.num_rows))
    asked = pointers.select([names.USER_ID, names.REQUEST_TS]).append_column(_POINTER, place)
    duck.register("stripes", stripes(rows))
    duck.register("pointers", asked)
    found = fetch(duck, sqlfile.statement("resolve/asof"))
    return Ends(*(pc.fill_null(found.column(n), -1).to_numpy() for n in found.column_names))


def stripes(rows: pa.Table) -> pa.Table:
    """The index of a run: one row per stripe.

    ``user_id``; ``event_ts`` and ``seq`` of the stripe's first event; ``first``, the row of the
    user's first event; ``start`` and ``stop``, the rows of the stripe (stop exclusive).
    """
    users = pc.run_end_encode(rows.column(names.USER_ID).combine_chunks(), run_end_type=pa.int64())
    last = users.run_ends.to_numpy()
    first = np.concatenate([np.zeros(1, np.int64), last[:-1]]) if len(last) else last
    counts = -((first - last) // STRIPE)  # rounded up
    user = np.repeat(np.arange(len(last)), counts)
    number = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = first[user] + number * STRIPE
    begin = rows.select([names.EVENT_TS, names.LAKE_VERSION, names.TIE]).take(pa.array(start))
    seq = pc.bit_wise_or(
        pc.shift_left(begin.column(names.LAKE_VERSION), _TIE_BITS), begin.column(names.TIE)
    )
    return pa.table(
        {
            names.USER_ID: users.values.take(pa.array(user)),
            names.EVENT_TS: begin.column(names.EVENT_TS),
            names.SEQ: seq,
            "first": first[user],
            "start": start,
            "stop": np.minimum(start + STRIPE, last[user]),
        }
    )

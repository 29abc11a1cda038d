"""Where each pointer's history ends: the ASOF join against an index of stripes.

A stripe is up to :data:`STRIPE` consecutive events of one user. The join probes a row per stripe,
thousands where the run has millions, and the exact row inside the stripe is a binary search in what
is read anyway.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, schema, sqlfile
from uih_lake.resolve.cut import Ends
from uih_lake.resolve.ranges import Int64
from uih_lake.session import fetch

STRIPE = 512
"""Events per stripe, at most."""

_POINTER = "_pointer"


def ends(
    duck: duckdb.DuckDBPyConnection,
    users: pa.RunEndEncodedArray,
    event_ts: Int64,
    pointers: pa.Table,
) -> Ends:
    """The last stripe of a run that begins before each pointer's ``request_ts``.

    ``users`` and ``event_ts`` are the columns of the run, in order; ``pointers`` has ``user_id``
    and ``request_ts``.
    """
    count = pointers.num_rows
    place = pa.array(np.arange(count))
    asked = pointers.select([names.USER_ID, names.REQUEST_TS]).append_column(_POINTER, place)
    duck.register("stripes", stripes(users, event_ts))
    duck.register("pointers", asked)
    found = fetch(duck, sqlfile.statement("resolve/asof"))
    which = found.column(_POINTER).to_numpy()
    begun = np.full((3, count), -1)
    for row, name in zip(begun, ("first", "start", "stop"), strict=True):
        row[which] = found.column(name).to_numpy()
    return Ends(*begun)


def stripes(users: pa.RunEndEncodedArray, event_ts: Int64) -> pa.Table:
    """The index of a run: one row per stripe, of those of a user that begin at one time the last.

    ``user_id``; ``event_ts`` of the stripe's first event; ``first``, the row of the user's first
    event; ``start`` and ``stop``, the rows of the stripe (stop exclusive). No two rows have the
    same ``user_id`` and ``event_ts``.
    """
    last = users.run_ends.to_numpy()
    first = np.concatenate([np.zeros(1, np.int64), last[:-1]]) if len(last) else last
    counts = -((first - last) // STRIPE)  # rounded up
    user = np.repeat(np.arange(len(last)), counts)
    number = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = first[user] + number * STRIPE
    times = event_ts[start]
    kept = np.ones(len(start), bool)
    kept[:-1] = (user[1:] != user[:-1]) | (times[1:] != times[:-1])
    user, start = user[kept], start[kept]
    return pa.table(
        {
            names.USER_ID: users.values.take(pa.array(user)),
            names.EVENT_TS: pa.array(times[kept]).view(schema.TIME),
            "first": first[user],
            "start": start,
            "stop": np.minimum(start + STRIPE, last[user]),
        }
    )

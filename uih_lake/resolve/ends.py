"""Where each pointer's history ends: the ASOF join against an index of stripes.

A stripe is up to :data:`STRIPE` consecutive events of one user. The join probes a row per stripe,
thousands where the run has millions, and the exact row inside the stripe is a binary search in what
is read anyway. Pointers into several runs are joined at once: a join takes a fifth of its time
before it has looked at the first of 12,000 pointers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, schema, sqlfile
from uih_lake.arrays import Int64, running
from uih_lake.lake.stretches import Stretches
from uih_lake.resolve.cut import Ends
from uih_lake.session import fetch

STRIPE = 512
"""Events per stripe, at most."""

_POINTER = "_pointer"
_ASKED = [names.USER_ID, names.REQUEST_TS]


def ends(
    duck: duckdb.DuckDBPyConnection,
    runs: Sequence[tuple[Stretches, Int64]],
    pointers: Sequence[pa.Table],
) -> list[Ends]:
    """The last stripe that begins before each pointer's ``request_ts``, run by run.

    A run is its users in order and the ``event_ts`` of its rows; the ``pointers`` into it have
    ``user_id`` and ``request_ts``. No user is in two runs.
    """
    edges = running(np.array([table.num_rows for table in pointers], np.int64))
    asked = pa.concat_tables(table.select(_ASKED) for table in pointers)
    place = pa.array(np.arange(asked.num_rows))
    duck.register("stripes", pa.concat_tables(stripes(*run) for run in runs))
    duck.register("pointers", asked.append_column(_POINTER, place))
    found = fetch(duck, sqlfile.statement("resolve/asof"))
    which = found.column(_POINTER).to_numpy()
    begun = np.full((3, asked.num_rows), -1)
    for row, name in zip(begun, ("first", "start", "stop"), strict=True):
        row[which] = found.column(name).to_numpy()
    return [Ends(*begun[:, start:stop]) for start, stop in pairwise(edges.tolist())]


def stripes(users: Stretches, event_ts: Int64) -> pa.Table:
    """The index of a run: one row per stripe, of those of a user that begin at one time the last.

    ``user_id``; ``event_ts`` of the stripe's first event; ``first``, the row of the user's first
    event; ``start`` and ``stop``, the rows of the stripe (stop exclusive). No two rows have the
    same ``user_id`` and ``event_ts``.
    """
    first, last = users.starts, users.stops
    counts = -((first - last) // STRIPE)  # rounded up
    user = np.repeat(np.arange(len(users)), counts)
    number = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = first[user] + number * STRIPE
    times = event_ts[start]
    kept = np.ones(len(start), bool)
    kept[:-1] = (user[1:] != user[:-1]) | (times[1:] != times[:-1])
    user, start = user[kept], start[kept]
    return pa.table(
        {
            names.USER_ID: users.users.take(pa.array(user)),
            names.EVENT_TS: pa.array(times[kept]).view(schema.TIME),
            "first": first[user],
            "start": start,
            "stop": np.minimum(start + STRIPE, last[user]),
        }
    )

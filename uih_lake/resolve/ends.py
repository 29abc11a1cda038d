"""Where each pointer's history ends: the ASOF join against an index of stripes.

A stripe is up to :data:`STRIPE` consecutive events of one user. The join probes a row per stripe,
thousands where the run has millions, and the exact row inside the stripe is a binary search in what
is read anyway. It goes by one number, made of user and time: by two columns it takes twice as long.
Pointers into several runs are joined at once: a join takes a fifth of its time before it has looked
at the first of 12,000 pointers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, sqlfile
from uih_lake.arrays import Int64, ints, places, running
from uih_lake.lake.stretches import Stretches
from uih_lake.resolve.cut import Ends
from uih_lake.session import fetch

STRIPE = 512
"""Events per stripe, at most."""

_MOMENT = pa.decimal128(38)
_SIGN = np.int64(-(2**63))
_ROWS = "event_ts", "first", "start", "stop"
_ASKED = [names.USER_ID, names.REQUEST_TS]


@dataclass(frozen=True)
class Stripes:
    """The index of a run: stripes in order, int64 each; no two have the same user and time.

    Of stripes of a user that begin at one time the last. ``user``, the user's place among those of
    the run; ``event_ts`` of the first event; ``first``, the row of the user's first event;
    ``start`` and ``stop``, the rows of the stripe (stop exclusive).
    """

    user: Int64
    event_ts: Int64
    first: Int64
    start: Int64
    stop: Int64

    @classmethod
    def of(cls, users: Stretches, event_ts: Int64) -> Stripes:
        """Those of a run: its users in order, and the ``event_ts`` of its rows."""
        first, last = users.starts, users.stops
        counts = -((first - last) // STRIPE)  # rounded up
        user = np.repeat(np.arange(len(users)), counts)
        number = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
        start = first[user] + number * STRIPE
        times = event_ts[start]
        kept = np.ones(len(start), bool)
        kept[:-1] = (user[1:] != user[:-1]) | (times[1:] != times[:-1])
        user, start = user[kept], start[kept]
        return cls(user, times[kept], first[user], start, np.minimum(start + STRIPE, last[user]))

    @classmethod
    def through(cls, runs: Sequence[tuple[Stretches, Int64]]) -> Stripes:
        """Those of one run after the other; users are counted through all of them."""
        index = [cls.of(*run) for run in runs]
        before = running(np.array([len(users) for users, _ in runs]))[:-1]
        users = [each.user + base for each, base in zip(index, before, strict=True)]
        rest = ([getattr(each, name) for each in index] for name in _ROWS)
        return cls(*map(np.concatenate, (users, *rest)))

    def of_users(self, users: Int64) -> Stripes:
        """Those of some users, by their places; -1 is nobody."""
        wanted = np.zeros(max(self.user.max(initial=-1), users.max(initial=-1)) + 2, bool)
        wanted[users] = True  # nobody's place is the last
        kept = wanted[self.user]
        return Stripes(*(getattr(self, name)[kept] for name in ("user", *_ROWS)))


def ends(
    duck: duckdb.DuckDBPyConnection,
    runs: Sequence[tuple[Stretches, Int64]],
    pointers: Sequence[pa.Table],
) -> list[Ends]:
    """The last stripe that begins before each pointer's ``request_ts``, run by run.

    A run is its users in order and the ``event_ts`` of its rows; the ``pointers`` into it have
    ``user_id`` and ``request_ts``. No user is in two runs.
    """
    users = pa.concat_arrays([users.users for users, _ in runs])
    asked = pa.concat_tables(table.select(_ASKED) for table in pointers)
    user = places(asked.column(names.USER_ID), users)
    # Of few pointers DuckDB goes through all stripes before each: those of other users cost much.
    stripes = Stripes.through(runs).of_users(user)
    duck.register("stripes", _moments("_stripe", stripes.user, stripes.event_ts))
    duck.register("pointers", _moments("_pointer", user, ints(asked, names.REQUEST_TS)))
    found = fetch(duck, sqlfile.statement("resolve/asof"))
    which, stripe = (found.column(name).to_numpy() for name in ("_pointer", "_stripe"))
    ended = np.full((3, len(user)), -1)
    for row, rows in zip(ended, (stripes.first, stripes.start, stripes.stop), strict=True):
        row[which] = rows[stripe]
    edges = running(np.array([table.num_rows for table in pointers]))
    return [Ends(*ended[:, start:stop]) for start, stop in pairwise(edges.tolist())]


def _moments(place: str, user: Int64, times: Int64) -> pa.Table:
    """``place``, from 0 on; ``_user``; and ``_moment``, both in one number, in their order.

    That is ``_user`` times 2^64 and the time counted from the least of int64, of decimal's 128 bits
    the upper and the lower half.
    """
    halves = np.empty((len(user), 2), "<i8")
    halves[:, 0], halves[:, 1] = times ^ _SIGN, user
    moment = pa.Array.from_buffers(_MOMENT, len(user), [None, pa.py_buffer(halves)])
    return pa.table({place: np.arange(len(user)), "_user": user, "_moment": moment})

"""Prefixes: what a sealed file says of each user's events before its newest band.

Proving a pointer takes a digest over its whole history. Files never change, so what the older bands
contribute is added up once, when the file is written, and kept in its footer: per user the number
of events and the sum of their digests, their first and last time, the latest arrival and lake
version among them, and the rows they are in. A pointer that sees all of a prefix takes these sums,
and only the newest band is read event by event. The footer's hash is in the file's name, so the
sums are as safe as the pages; :mod:`uih_lake.verify` adds them up again.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.arrays import Int64, ints, whole
from uih_lake.lake.digest import running_digest
from uih_lake.lake.stretches import Stretches

KEY = "uih_lake.prefixes"
"""Key of the footer's metadata: an Arrow IPC stream (zstd) in base64."""
MOST_BYTES = 16 << 20
"""Longer ones, of some 300,000 users, are left out: a reader takes a footer of 100 MB for damage,
and where so many users share a bucket their histories are short."""
_ROWS = "rows"
_SINCE, _NEWEST = "since", "newest"
_FIELDS = (
    "length",
    "digest",
    names.START_TS,
    names.END_TS,
    "last_arrival",
    "last_version",
)


@dataclass(frozen=True, eq=False)
class Prefixes:
    """The prefixes of a file; times in microseconds since the epoch.

    Every event before ``since`` lies before row ``newest`` of the file, every other one behind it.
    ``users`` are those with an event before; the arrays are int64, an element per user: ``length``
    of the prefix, ``digest`` (the sum as a signed integer), ``start_ts`` and ``end_ts``, the
    ``last_arrival`` and ``last_version`` of an event in it. ``rows`` are its pieces in order, first
    row and row behind the last, one after the other; ``offsets`` cuts them by user.
    """

    since: int
    newest: int
    users: pa.Array
    length: Int64
    digest: Int64
    start_ts: Int64
    end_ts: Int64
    last_arrival: Int64
    last_version: Int64
    offsets: Int64
    rows: Int64

    @classmethod
    def of(cls, events: pa.Table, newest: int) -> Prefixes:
        """The prefixes of a file's stored ``events``; from row ``newest`` on is the newest band."""
        event_ts, delay = ints(events, names.EVENT_TS), ints(events, names.DELAY)[:newest]
        version, tie = (ints(events, n)[:newest] for n in (names.LAKE_VERSION, names.TIE))
        prints = events.column(names.FINGERPRINT).to_numpy()[:newest]
        users = whole(events.column(names.USER_ID))[:newest]
        pieces = _Pieces.of(users)
        totals = running_digest(event_ts[:newest], delay, version, tie, prints)
        digests = totals[pieces.stops] - totals[pieces.starts]
        return cls(
            since=int(event_ts[newest:].min()),
            newest=newest,
            users=pieces.users,
            length=np.add.reduceat(pieces.stops - pieces.starts, pieces.firsts),
            digest=np.add.reduceat(digests, pieces.firsts).view(np.int64),
            start_ts=event_ts[pieces.starts[pieces.firsts]],
            end_ts=event_ts[pieces.stops[pieces.lasts] - 1],
            last_arrival=pieces.largest(event_ts[:newest] + delay),
            last_version=pieces.largest(version),
            offsets=2 * np.append(pieces.firsts, len(pieces.starts)),
            rows=np.stack([pieces.starts, pieces.stops], axis=1).ravel(),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prefixes):
            return NotImplemented
        mine, others = vars(self), vars(other)
        return self.users.equals(other.users) and all(
            np.array_equal(mine[name], others[name]) for name in mine if name != "users"
        )

    def encoded(self) -> str:
        """As text for a footer."""
        columns = [pa.array(getattr(self, name)) for name in _FIELDS]
        rows = pa.ListArray.from_arrays(pa.array(self.offsets.astype(np.int32)), self.rows)
        batch = pa.record_batch(
            [self.users, *columns, rows], names=[names.USER_ID, *_FIELDS, _ROWS]
        ).replace_schema_metadata({_SINCE: str(self.since), _NEWEST: str(self.newest)})
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
            stream.write_batch(batch)
        return base64.b64encode(sink.getvalue()).decode()

    @classmethod
    def noted(cls, footer: pq.FileMetaData) -> Prefixes | None:
        """Those in the footer of a file; None where it has none."""
        found = (footer.metadata or {}).get(KEY.encode())
        return None if found is None else cls.decoded(found)

    @classmethod
    def decoded(cls, text: bytes) -> Prefixes:
        """From what :meth:`encoded` gave."""
        alone = pa.ipc.IpcReadOptions(use_threads=False)  # a pool of threads takes longer
        batch = pa.ipc.open_stream(base64.b64decode(text), options=alone).read_next_batch()
        rows, known = batch.column(_ROWS), batch.schema.metadata
        return cls(
            since=int(known[_SINCE.encode()]),
            newest=int(known[_NEWEST.encode()]),
            users=batch.column(names.USER_ID),
            offsets=rows.offsets.to_numpy().astype(np.int64),
            rows=rows.values.to_numpy(),
            **{name: batch.column(name).to_numpy() for name in _FIELDS},
        )


@dataclass(frozen=True)
class _Pieces:
    """Rows of one user in a row, by user and then as in the file.

    ``firsts`` and ``lasts`` are the first and last piece of each of the ``users``; ``sort`` brings
    the pieces of the file into this order.
    """

    users: pa.Array
    starts: Int64
    stops: Int64
    firsts: Int64
    lasts: Int64
    sort: Int64

    @classmethod
    def of(cls, users: pa.Array) -> _Pieces:
        found = Stretches.of(users)
        sort = pc.sort_indices(found.users).to_numpy()  # stable: older pieces stay first
        mine = Stretches.of(found.users.take(pa.array(sort)))
        starts, stops = found.starts[sort], found.stops[sort]
        return cls(mine.users, starts, stops, mine.starts, mine.stops - 1, sort)

    def largest(self, values: Int64) -> Int64:
        """The largest of the file's ``values`` in any piece of each user."""
        in_file = np.sort(self.starts)
        return np.maximum.reduceat(np.maximum.reduceat(values, in_file)[self.sort], self.firsts)

"""Run a plan: scan a bucket once per condition, join pointers to it in SQL, cut the ranges.

The ASOF join is ``sql/resolve/asof.sql`` and nowhere else. It probes an index of stripes; the exact
row inside the stripe, and the holes that invisible events make, come from :mod:`.cut`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, sqlfile
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve import cut
from uih_lake.resolve.cut import Ends, Keys, Proofs, Ranges
from uih_lake.resolve.plan import Bounds, Scan
from uih_lake.schema import UNBOUNDED
from uih_lake.session import fetch

_FEW_USERS = 256
_ROW = "_row"
_POINTER = "_pointer"
_KEYS = (names.USER_ID, names.EVENT_TS, names.DELAY, names.LAKE_VERSION, names.TIE)

EVERYTHING = Scan(None, (), ())
"""The scan that proves a pointer: every event, no trait."""


@dataclass(frozen=True)
class Cut:
    """One scan of a bucket resolved: its rows, and per group the rows of each pointer."""

    rows: pa.Table
    ranges: dict[str, Ranges]

    def column(self, name: str) -> pa.Array:
        """A column of the rows, in one piece."""
        column = self.rows.column(name)
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)


class Resolver:
    """Resolves pointers of one bucket at a time against a snapshot, in one DuckDB session."""

    def __init__(self, snapshot: Snapshot, duck: duckdb.DuckDBPyConnection) -> None:
        self._snapshot = snapshot
        self._duck = duck

    def cut(self, scan: Scan, pointers: pa.Table, bucket: int) -> Cut:
        """Rows and ranges of ``scan`` for ``pointers``, all of whose users are in ``bucket``.

        ``pointers`` has the columns ``user_id, request_ts, as_of_ts, lake_version``; ranges come in
        its order.
        """
        bounds = Bounds.of(pointers)
        rows = self._scan(scan, pointers, bounds, bucket, scan.traits)
        keys, ends = _keys(rows), self._ends(rows, pointers)
        ranges = {}
        for name, group in scan.groups:
            window = bounds.request_ts - (group.window_us or UNBOUNDED)
            before = bounds.request_ts - group.lag_us
            longest = group.max_len or UNBOUNDED
            ranges[name] = cut.cut(
                keys, ends, before, window, bounds.as_of_ts, bounds.lake_version, longest
            )
        return Cut(rows, ranges)

    def prove(self, pointers: pa.Table, bucket: int) -> pa.Table:
        """``start_ts, end_ts, length, digest`` of everything visible to each pointer, in order."""
        bounds = Bounds.of(pointers)
        rows = self._scan(EVERYTHING, pointers, bounds, bucket, (names.FINGERPRINT,))
        keys = _keys(rows)
        digests = hashing.event_digest(
            keys.event_ts,
            keys.arrival_ts - keys.event_ts,
            keys.lake_version,
            _ints(rows, names.TIE),
            rows.column(names.FINGERPRINT).to_numpy(),
        )
        proofs = cut.prove(
            keys,
            self._ends(rows, pointers),
            digests,
            bounds.request_ts,
            bounds.as_of_ts,
            bounds.lake_version,
        )
        return _proof_columns(rows, proofs)

    def _scan(
        self, scan: Scan, pointers: pa.Table, bounds: Bounds, bucket: int, traits: Sequence[str]
    ) -> pa.Table:
        """The rows of ``scan``: key columns, then ``traits``; one chunk per column."""
        since, until = bounds.reach(scan)
        parameters = {"since": since, "until": until, "newest": int(bounds.lake_version.max())}
        statement = self.statement(scan, traits, pointers.column(names.USER_ID), bucket)
        self._snapshot.check(bucket, bucket, self._read(scan, traits))
        return fetch(self._duck, statement, parameters).combine_chunks()

    def _read(self, scan: Scan, traits: Sequence[str]) -> list[str]:
        """Stored columns a scan reads: keys, traits, and whatever its condition may speak of."""
        stored = self._snapshot.stored.names
        asked = {*_KEYS, *traits}
        return [n for n in stored if n in asked or (scan.where and n.lower() in scan.where.lower())]

    def statement(
        self, scan: Scan, traits: Sequence[str], users: pa.ChunkedArray, bucket: int
    ) -> str:
        """The SQL of one scan of one bucket."""
        hidden = (names.DELAY, names.TIE, names.FINGERPRINT)
        columns = dict.fromkeys([*_KEYS, *traits])
        return sqlfile.fill(
            "resolve/scan",
            events=self._snapshot.events(bucket, bucket, hidden),
            columns=sqlfile.columns(columns),
            where=scan.where or "true",
            users=_users_condition(users),
            order="" if self._snapshot.is_one_run(bucket) else sqlfile.statement("resolve/order"),
        )

    def _ends(self, rows: pa.Table, pointers: pa.Table) -> Ends:
        """Where each pointer's history ends in ``rows``."""
        place = pa.array(np.arange(rows.num_rows))
        run = rows.select(_KEYS).append_column(_ROW, place)
        asked = pointers.select([names.USER_ID, names.REQUEST_TS]).append_column(
            _POINTER, pa.array(np.arange(pointers.num_rows))
        )
        self._duck.register("run", run)
        stripes = self._duck.sql(
            sqlfile.statement("resolve/stripes"), params={"stripe": cut.BLOCK}
        ).to_arrow_table()
        self._duck.register("stripes", stripes)
        self._duck.register("pointers", asked)
        ends = self._duck.sql(sqlfile.statement("resolve/asof")).to_arrow_table()
        return Ends(*(pc.fill_null(ends.column(n), -1).to_numpy() for n in ends.column_names))


def _users_condition(users: pa.ChunkedArray) -> str:
    """Restrict the scan to few users where there are few; their row groups are then skipped."""
    distinct = pc.unique(users)
    if len(distinct) > _FEW_USERS:
        return "true"
    wanted = ", ".join(sqlfile.literal(user) for user in distinct.to_pylist())
    return f"user_id IN ({wanted})"


def _keys(rows: pa.Table) -> Keys:
    return Keys.of(
        _ints(rows, names.EVENT_TS), _ints(rows, names.DELAY), _ints(rows, names.LAKE_VERSION)
    )


def _ints(rows: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """An int64 or timestamp column as numpy, without a copy."""
    column = rows.column(name)
    if column.num_chunks == 0:
        return np.zeros(0, np.int64)
    return column.chunk(0).view(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def _proof_columns(rows: pa.Table, proofs: Proofs) -> pa.Table:
    times = rows.column(names.EVENT_TS)

    def times_at(places: npt.NDArray[np.int64]) -> pa.ChunkedArray:
        return times.take(pa.array(places, mask=places < 0))

    return pa.table(
        {
            names.START_TS: times_at(proofs.head),
            names.END_TS: times_at(proofs.tail),
            names.LENGTH: proofs.length,
            names.DIGEST: proofs.digest,
        }
    )

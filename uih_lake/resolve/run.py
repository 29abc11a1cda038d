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

from uih_lake import names, sqlfile
from uih_lake.lake import bands
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve import cut
from uih_lake.resolve.cut import Ends, Keys, Proofs
from uih_lake.resolve.digest import running_digest
from uih_lake.resolve.ends import ends
from uih_lake.resolve.placed import nowhere, place
from uih_lake.resolve.plan import Bounds, Scan
from uih_lake.resolve.ranges import Ranges, carried
from uih_lake.schema import UNBOUNDED
from uih_lake.session import fetch
from uih_lake.tenant import Group

_FEW_USERS = 16  # each is one comparison per row, which more of them cost more than they save
_KEYS = (names.USER_ID, names.EVENT_TS, names.DELAY, names.LAKE_VERSION, names.TIE)

_HIDDEN = (names.DELAY, names.TIE, names.FINGERPRINT, names.FILE_ROW)

EVERYTHING = Scan(None, (), ())
"""The scan that proves a pointer: every event, no trait."""
_UNLIMITED = Group(traits=(names.EVENT_TS,))


@dataclass(frozen=True)
class Cut:
    """One scan of a bucket resolved: its rows, and per group the rows of each pointer."""

    rows: pa.Table
    ranges: dict[str, Ranges]

    def only(self, kept: npt.NDArray[np.bool_]) -> Cut:
        """The ranges of the examples that are ``kept``, one bool each, over the same rows."""
        return Cut(self.rows, {name: ranges.only(kept) for name, ranges in self.ranges.items()})

    def column(self, name: str) -> pa.Array:
        """A column of the rows, in one piece."""
        column = self.rows.column(name)
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)


@dataclass(frozen=True)
class Resolution:
    """Pointers of a bucket resolved: their proof, and each scan of the plan cut."""

    proof: pa.Table
    cuts: list[Cut]


class Resolver:
    """Resolves pointers against a snapshot, in one DuckDB session.

    Pointers have the columns ``user_id, request_ts, as_of_ts, lake_version``; results come in their
    order. All their users are in ``bucket``, or in the buckets from it to ``last``.
    """

    def __init__(self, snapshot: Snapshot, duck: duckdb.DuckDBPyConnection) -> None:
        self._snapshot = snapshot
        self._duck = duck

    def resolve(
        self, plan: Sequence[Scan], pointers: pa.Table, bucket: int, last: int | None = None
    ) -> Resolution:
        """Cut every scan of ``plan`` and prove the pointers.

        Where one of the scans sees every event, the proof comes out of it; else it takes a scan of
        its own.
        """
        whole = next((scan for scan in plan if scan.sees_everything), EVERYTHING)
        cuts, proof = [], None
        for scan in plan:
            more = (names.FINGERPRINT,) if scan is whole else ()
            run = self._run(scan, pointers, bucket, last, more)
            if scan is whole:
                proof = run.proof()
            cuts.append(run.cut(scan))
        return Resolution(self.prove(pointers, bucket, last) if proof is None else proof, cuts)

    def cuts(self, plan: Sequence[Scan], pointers: pa.Table, bucket: int) -> list[Cut]:
        """Every scan of ``plan`` cut and nothing proven, which halves what is read."""
        return [self._run(scan, pointers, bucket, None, ()).cut(scan) for scan in plan]

    def prove(self, pointers: pa.Table, bucket: int, last: int | None = None) -> pa.Table:
        """``start_ts, end_ts, length, digest`` of everything visible to each pointer."""
        return self._run(EVERYTHING, pointers, bucket, last, (names.FINGERPRINT,)).proof()

    def point(self, pointers: pa.Table, bucket: int) -> pa.Table:
        """What :meth:`prove` gives, and each pointer's place: ``_run, _end, _gaps``."""
        snapshot = self._snapshot
        # A seal that came after this snapshot may have put newer events between those it sees; the
        # scan leaves them out, so its rows would not tell which rows of the file to leave out.
        file = None if snapshot.sealed > snapshot.lake_version else snapshot.run(bucket)
        if file is None:
            proof, places = self.prove(pointers, bucket), pa.table(nowhere(pointers.num_rows))
        else:
            more = (names.FINGERPRINT, names.FILE_ROW)
            run = self._run(EVERYTHING, pointers, bucket, None, more)
            whole = carried(run.ranges(_UNLIMITED), _ints(run.by_user, names.FILE_ROW))
            proof, places = run.proof(), place(whole, file)
        columns = [*proof.columns, *places.columns]
        return pa.Table.from_arrays(columns, names=[*proof.column_names, *places.column_names])

    def _run(
        self, scan: Scan, pointers: pa.Table, bucket: int, last: int | None, more: Sequence[str]
    ) -> _Run:
        """The rows of ``scan``: key columns, its traits, and ``more``; one chunk per column.

        They come as the file has them, in bands, or in order where there is more than one file.
        """
        bounds, traits = Bounds.of(pointers), [*scan.traits, *more]
        since, until = bounds.reach(scan)
        parameters = {"since": since, "until": until, "newest": int(bounds.lake_version.max())}
        statement = self.statement(scan, traits, pointers.column(names.USER_ID), bucket, last)
        self._snapshot.check(bucket, bucket if last is None else last, self._read(scan, traits))
        rows = fetch(self._duck, statement, parameters).combine_chunks()
        order = bands.by_user(rows.column(names.USER_ID).combine_chunks())
        by_user = rows.select([*_KEYS, *more])
        if order is not None:
            by_user = by_user.take(pa.array(order)).combine_chunks()
        return _Run(
            rows, order, by_user, bounds, _keys(by_user), ends(self._duck, by_user, pointers)
        )

    def _read(self, scan: Scan, traits: Sequence[str]) -> list[str]:
        """Stored columns a scan reads: keys, traits, and whatever its condition may speak of."""
        stored = self._snapshot.stored.names
        asked = {*_KEYS, *traits}
        return [n for n in stored if n in asked or (scan.where and n.lower() in scan.where.lower())]

    def statement(
        self,
        scan: Scan,
        traits: Sequence[str],
        users: pa.ChunkedArray,
        bucket: int,
        last: int | None = None,
    ) -> str:
        """The SQL of one scan."""
        in_order = last is None and self._snapshot.is_one_run(bucket)
        hidden = _HIDDEN if names.FILE_ROW in traits else _HIDDEN[:-1]
        columns = dict.fromkeys([*_KEYS, *traits])
        return sqlfile.fill(
            "resolve/scan",
            events=self._snapshot.events(bucket, bucket if last is None else last, hidden),
            columns=sqlfile.columns(columns),
            where=scan.where or "true",
            users=_users_condition(users),
            order="" if in_order else sqlfile.statement("resolve/order"),
        )


@dataclass(frozen=True)
class _Run:
    """The rows of a scan, and where pointers end in them.

    ``rows`` are as scanned; ``by_user`` has their keys by user and time, and its row ``i`` is row
    ``order[i]`` of them (None: row ``i``).
    """

    rows: pa.Table
    order: npt.NDArray[np.int64] | None
    by_user: pa.Table
    bounds: Bounds
    keys: Keys
    ends: Ends

    def cut(self, scan: Scan) -> Cut:
        """The ranges of every group of ``scan`` in its rows."""
        ranges = {name: self.ranges(group) for name, group in scan.groups}
        if self.order is not None:
            ranges = {name: carried(found, self.order) for name, found in ranges.items()}
        return Cut(self.rows, ranges)

    def ranges(self, group: Group) -> Ranges:
        """The ranges of one group, by user and time."""
        bounds = self.bounds
        since = bounds.request_ts - (group.window_us or UNBOUNDED)
        before = bounds.request_ts - group.lag_us
        longest = group.max_len or UNBOUNDED
        return cut.cut(
            self.keys, self.ends, before, since, bounds.as_of_ts, bounds.lake_version, longest
        )

    def proof(self) -> pa.Table:
        """Length, ends and digest of everything visible to each pointer."""
        keys, bounds = self.keys, self.bounds
        totals = running_digest(
            keys.event_ts,
            keys.arrival_ts - keys.event_ts,
            keys.lake_version,
            _ints(self.by_user, names.TIE),
            self.by_user.column(names.FINGERPRINT).to_numpy(),
        )
        proofs = cut.prove(
            keys, self.ends, totals, bounds.request_ts, bounds.as_of_ts, bounds.lake_version
        )
        return _proof_columns(self.by_user, proofs)


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

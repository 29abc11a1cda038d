"""Run a plan: find the rows that pointers see, and what each group takes of them.

Pointers are located first, by their place or by their keys, and scans then read the row groups that
are needed (:mod:`.placed`, :mod:`.taken`, :mod:`.matching`). Where that does not serve a bucket is
scanned in SQL, once per condition, and pointers are joined to its rows. Either way the ASOF join is
``sql/resolve/asof.sql`` and nowhere else: it probes an index of stripes; the exact row inside the
stripe, and the holes that invisible events make, come from :mod:`.cut`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, sqlfile
from uih_lake.arrays import Int64, whole
from uih_lake.lake import bands
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.pointers.policy import PROOF
from uih_lake.resolve.matching import matching, tells
from uih_lake.resolve.placed import (
    NOWHERE,
    RowGroups,
    needed,
    nowhere,
    place,
    placed,
    rows_of,
    standing,
)
from uih_lake.resolve.plan import Bounds, Scan
from uih_lake.resolve.ranges import Ranges, carried
from uih_lake.resolve.rows import KEYS, Rows, Whole
from uih_lake.resolve.taken import freely, reach
from uih_lake.resolve.visible import Asked, wholes
from uih_lake.session import fetch
from uih_lake.tenant import evaluating, spoken_of

_FEW_USERS = 16  # each is one comparison per row, which more of them cost more than they save
_HIDDEN = (names.DELAY, names.TIE, names.FINGERPRINT)

_EVERYTHING = Scan(None, (), ())
"""The scan that proves a pointer: every event, no trait."""
_PROVING = (names.FINGERPRINT,)
"""Columns that a scan reads for a proof, beside those of any."""


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
        return whole(self.rows.column(name))


@dataclass(frozen=True)
class Resolution:
    """Pointers of a bucket resolved: their proof, and each scan of the plan cut."""

    proof: pa.Table
    cuts: list[Cut]


@dataclass(frozen=True)
class Located:
    """Pointers in the files of their bucket: their proof, and the rows of each per group.

    The latter of groups without a condition; what others take is up to :meth:`Resolver.read`, by
    the rows that are ``visible``.
    """

    proof: pa.Table
    ranges: dict[str, Ranges]
    visible: Ranges

    def has(self, scan: Scan) -> bool:
        """Whether the ranges of a scan are among them."""
        return all(name in self.ranges for name, _ in scan.groups)

    def mixed(self, which: npt.NDArray[np.bool_], others: Located) -> Located:
        """In the order of ``which``: these pointers where it is true, else the ``others``."""
        order = np.where(which, np.cumsum(which), np.cumsum(~which) + np.count_nonzero(which)) - 1
        tables = [proof.select(PROOF) for proof in (self.proof, others.proof)]
        ranges = {
            name: Ranges.mixed(which, self.ranges[name], found)
            for name, found in others.ranges.items()
        }
        visible = Ranges.mixed(which, self.visible, others.visible)
        return Located(pa.concat_tables(tables).take(pa.array(order)), ranges, visible)


def passes(plan: Sequence[Scan]) -> list[tuple[Scan, tuple[str, ...]]]:
    """The scans to run for ``plan`` and a proof, with the columns to read beside their traits.

    Those are columns of one scan, which the proof comes out of: one that sees every event, or where
    there is none in ``plan``, another before all of them.
    """
    whole = next((scan for scan in plan if scan.sees_everything), _EVERYTHING)
    scans = [whole, *plan] if whole is _EVERYTHING else plan
    return [(scan, _PROVING if scan is whole else ()) for scan in scans]


def columns_read(scan: Scan, more: Sequence[str], stored: Sequence[str]) -> list[str]:
    """Those ``stored`` that a scan reads: keys, traits, ``more``, what its condition speaks of."""
    asked = {*KEYS, *scan.traits, *more, *spoken_of(scan.where, stored)}
    return [name for name in stored if name in asked]


class Resolver:
    """Resolves pointers against a snapshot, in one DuckDB session.

    Pointers have the columns ``user_id, request_ts, as_of_ts, lake_version``; results come in their
    order. All their users are in ``bucket``, or in the buckets from it to ``last``.
    """

    def __init__(self, snapshot: Snapshot, duck: duckdb.DuckDBPyConnection) -> None:
        self._snapshot = snapshot
        self._duck = duck

    def resolve(
        self,
        plan: Sequence[Scan],
        pointers: pa.Table,
        bucket: int,
        last: int | None = None,
        located: Located | None = None,
    ) -> Resolution:
        """Cut every scan of ``plan`` and prove the pointers.

        They are located first: a scan then reads the row groups that hold what its groups take, and
        is run only where :meth:`read` finds none; ``located`` is what :meth:`locate` found, where
        it was asked before. Where it finds nothing, and one of the scans sees every event, the
        proof comes out of it; or it takes a scan of its own.
        """
        if located is None and last is None:
            (located,) = self.locate(plan, [(bucket, pointers)])
        if located is not None:
            cuts = [self._cut(scan, pointers, located, bucket) for scan in plan]
            return Resolution(located.proof, cuts)
        cuts = []
        for scan, more in passes(plan):
            run = self._run(scan, pointers, bucket, last, more)
            if more:
                proof = run.by_user.whole().proof.table
            if scan is not _EVERYTHING:
                cuts.append(run.cut(scan))
        return Resolution(proof, cuts)

    def cuts(self, plan: Sequence[Scan], pointers: pa.Table, bucket: int) -> list[Cut]:
        """Every scan of ``plan`` cut and nothing proven, which halves what is read."""
        return [self._run(scan, pointers, bucket, None, ()).cut(scan) for scan in plan]

    def prove(self, pointers: pa.Table, bucket: int) -> pa.Table:
        """``start_ts, end_ts, length, digest`` of everything visible to each pointer.

        Event by event, whatever is known of prefixes.
        """
        run = self._run(_EVERYTHING, pointers, bucket, None, _PROVING)
        return run.by_user.whole().proof.table

    def point(self, asked: Sequence[Asked]) -> list[pa.Table]:
        """What :meth:`prove` gives, and each pointer's place: ``_run, _end, _gaps``."""
        found, pointed = self._wholes(asked), []
        for bucket, pointers in asked:
            whole, file = found.get(bucket), self._snapshot.run(bucket)
            if whole is None or file is None:
                places = pa.table(nowhere(pointers.num_rows))
            else:
                places = place(whole.ranges, file)
            proof = self.prove(pointers, bucket) if whole is None else whole.proof.table
            pointed.append(_beside(proof, places))
        return pointed

    def locate(self, plan: Sequence[Scan], asked: Sequence[Asked]) -> list[Located | None]:
        """Prove pointers, and find the rows of those scans of ``plan`` that have no condition.

        None for a bucket where a scan in SQL does better, or nothing else does.
        """
        found = self._wholes(asked)
        return [
            self._located(plan, found[bucket], bucket, pointers) if bucket in found else None
            for bucket, pointers in asked
        ]

    def recall(self, plan: Sequence[Scan], pointers: pa.Table, bucket: int) -> Located | None:
        """As :meth:`locate`, but pointers whose place stands are taken at their word.

        The pages of a file that never changes are proof enough. ``pointers`` have their proof and
        place as they were logged, too.
        """
        begins = standing(self._snapshot, pointers, bucket)
        stand = begins != NOWHERE
        if stand.all():
            return self._placed(plan, pointers, begins, bucket)
        if self._overtaken or not stand.any():
            return self.locate(plan, [(bucket, pointers)])[0]
        mine, rest = pointers.filter(pa.array(stand)), pointers.filter(pa.array(~stand))
        (whole,) = wholes(self._snapshot, self._duck, [(bucket, rest)]).values()
        known = self._placed(plan, mine, begins[stand], bucket)
        return known.mixed(stand, self._located(plan, whole, bucket, rest))

    def _placed(
        self, plan: Sequence[Scan], pointers: pa.Table, begins: Int64, bucket: int
    ) -> Located:
        scans = self._located_of(plan, bucket)
        visible = placed(pointers, begins, reach(plan))
        return Located(pointers, freely(self._files(bucket), scans, visible, pointers), visible)

    def _located(
        self, plan: Sequence[Scan], whole: Whole, bucket: int, pointers: pa.Table
    ) -> Located:
        scans = self._located_of(plan, bucket)
        ranges = freely(self._files(bucket), scans, whole.ranges, pointers)
        return Located(whole.proof.table, ranges, whole.ranges)

    def _files(self, bucket: int) -> Bucket:
        return Bucket(self._snapshot, bucket)

    def _located_of(self, plan: Sequence[Scan], bucket: int) -> list[Scan]:
        """The scans that rows of the bucket's files do for.

        Of several files not those with traits that are not stored, but follow from others.
        """
        stored, one_file = set(self._snapshot.stored.names), self._snapshot.run(bucket) is not None
        free = [scan for scan in plan if scan.where is None]
        return [scan for scan in free if one_file or stored.issuperset(scan.traits)]

    def _wholes(self, asked: Sequence[Asked]) -> dict[int, Whole]:
        """Everything visible to the pointers into those buckets whose keys are worth reading.

        They are not where the pointers are of few users, whose row groups a scan finds; nor where a
        seal that came after this snapshot may have put newer events into its files: a scan leaves
        those out, so that its rows would not tell which rows of the files to leave out.
        """
        if self._overtaken:
            return {}
        here = [each for each in asked if self._is_worth_it(*each)]
        return wholes(self._snapshot, self._duck, here)

    @property
    def _overtaken(self) -> bool:
        return self._snapshot.sealed > self._snapshot.lake_version

    def _is_worth_it(self, bucket: int, pointers: pa.Table) -> bool:
        one_file = self._snapshot.run(bucket) is not None
        return one_file or _few(pointers.column(names.USER_ID)) is None

    def _cut(self, scan: Scan, pointers: pa.Table, located: Located, bucket: int) -> Cut:
        """One scan: the row groups of what is located, or else all of it, run."""
        found = self.read(scan, pointers, located, bucket)
        if found is None:
            return self._run(scan, pointers, bucket, None, ()).cut(scan)
        groups, ranges = found
        rows = rows_of(self._duck, scan, groups)
        columns = [whole(column) for column in rows.columns]
        return Cut(pa.Table.from_arrays(columns, names=rows.column_names), ranges)

    def read(
        self, scan: Scan, pointers: pa.Table, located: Located, bucket: int
    ) -> tuple[RowGroups, dict[str, Ranges]] | None:
        """What to read for a scan, and the ranges of its groups in that.

        None where that is for a scan in SQL.
        """
        if located.has(scan):
            return needed(self._snapshot, scan, located.ranges, bucket)
        if not tells(scan, self._snapshot.stored.names):
            return None
        return matching(self._duck, self._files(bucket), scan, located.visible, pointers)

    def _run(
        self, scan: Scan, pointers: pa.Table, bucket: int, last: int | None, more: Sequence[str]
    ) -> _Run:
        """The rows of ``scan``: key columns, its traits, and ``more``; one chunk per column.

        They come as the file has them, in bands, or in order where there is more than one file.
        """
        columns = dict.fromkeys([*KEYS, *scan.traits, *more])
        parameters = Bounds.of(pointers).reach(scan)
        statement = self.statement(scan, columns, pointers.column(names.USER_ID), bucket, last)
        read = columns_read(scan, more, self._snapshot.stored.names)
        self._snapshot.check(bucket, bucket if last is None else last, read)
        with evaluating(scan.where):
            rows = fetch(self._duck, statement, parameters).combine_chunks()
        order = bands.by_user(whole(rows.column(names.USER_ID)))
        by_user = rows.select([*KEYS, *more])
        if order is not None:
            by_user = by_user.take(pa.array(order)).combine_chunks()
        return _Run(rows, order, Rows.of(self._duck, by_user, pointers))

    def statement(
        self,
        scan: Scan,
        columns: Iterable[str],
        users: pa.ChunkedArray,
        bucket: int,
        last: int | None = None,
    ) -> str:
        """The SQL of one scan, which reads ``columns``."""
        in_order = last is None and self._snapshot.is_one_run(bucket)
        return sqlfile.fill(
            "resolve/scan",
            events=self._snapshot.events(bucket, bucket if last is None else last, _HIDDEN),
            columns=sqlfile.columns(columns),
            where=scan.where or "true",
            users=_users_condition(users),
            order="" if in_order else sqlfile.statement("resolve/order"),
        )


@dataclass(frozen=True)
class _Run:
    """The rows of a scan, and where pointers end in them.

    ``scanned`` are as scanned; row ``i`` of ``by_user`` is row ``order[i]`` of them (None: row
    ``i``).
    """

    scanned: pa.Table
    order: npt.NDArray[np.int64] | None
    by_user: Rows

    def cut(self, scan: Scan) -> Cut:
        """The ranges of every group of ``scan`` in its rows."""
        ranges = {name: self.by_user.ranges(group) for name, group in scan.groups}
        if self.order is not None:
            ranges = {name: carried(found, self.order) for name, found in ranges.items()}
        return Cut(self.scanned, ranges)


def _beside(one: pa.Table, other: pa.Table) -> pa.Table:
    """The columns of both."""
    columns = [*one.columns, *other.columns]
    return pa.Table.from_arrays(columns, names=[*one.column_names, *other.column_names])


def _users_condition(users: pa.ChunkedArray) -> str:
    """Restrict the scan to few users where there are few; their row groups are then skipped."""
    few = _few(users)
    if few is None:
        return "true"
    wanted = ", ".join(sqlfile.literal(user) for user in few.to_pylist())
    return f"user_id IN ({wanted})"


def _few(users: pa.ChunkedArray) -> pa.Array | None:
    """The different users, where so few that their row groups are worth looking for."""
    distinct = pc.unique(users)
    return distinct if len(distinct) <= _FEW_USERS else None

"""Forget users and retain a window: rows leave the files, and the lake remembers that they did.

What makes the erasure known is committed first (a tombstone, or the start of the window), the
rewritten files after it, one table at a time; a run that was killed in between is simply run again.
Old files stay on disk until :mod:`.vacuum` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from uih_lake import hashing, names, sqlfile
from uih_lake.given import integer, moment, users_of
from uih_lake.lake import locks, logs, parquet
from uih_lake.lake.bands import Run, laid_out
from uih_lake.lake.seal import tidy
from uih_lake.lake.sqltypes import list_literal
from uih_lake.lake.store import ERASED_ROWS, RETAINED, Store
from uih_lake.lake.tables import File, Table, optimistic
from uih_lake.lake.tombstones import remember
from uih_lake.schema import stored_time
from uih_lake.session import cursor, fetch

_YEAR_1 = datetime.min.replace(tzinfo=UTC)


def forget(store: Store, given: Any) -> dict[str, int]:
    """Erase users from both tiers and the examples; returns the rows erased per table.

    The examples go first, so that nobody is told of pointers to what is gone, and once more at the
    end: a log that began since may have seen the events, of an append even that the tombstones do
    not reach. They are renewed before, so that it is among these examples or finds the tombstones
    others than they were, and is refused. Raises :class:`InputError` for what is no list of users.
    """
    with locks.maintenance(store.root), cursor() as duck:
        store.refresh()
        users = _users(store, given)
        tombstones = remember(store, users)
        optimistic(lambda: tidy(store), "forget")
        gone = _of_users(store, duck, users)
        erased = gone.erase()
        store.recent.refresh()
        remember(store, users, [tombstones])
        logged_since = replace(gone, tables={names.EXAMPLES: store.examples}).erase()
        return {name: rows + logged_since.get(name, 0) for name, rows in erased.items()}


def to_forget(store: Store, given: Any) -> dict[str, int]:
    """The rows per table that :func:`forget` would erase; nothing is changed."""
    store.refresh()
    with cursor() as duck:
        return _of_users(store, duck, _users(store, given)).count()


def known(store: Store, given: Any) -> int:
    """How many of the users the lake has anything of."""
    store.refresh()
    with cursor() as duck:
        return _of_users(store, duck, _users(store, given)).users()


def _users(store: Store, given: Any) -> pa.Array:
    """The users that are ``given``, of the type that the lake's have once there are any."""
    known = [t.schema for t in (store.recent, store.examples) if names.USER_ID in t.schema.names]
    return users_of(given, "forget", known[0].field(names.USER_ID).type if known else None)


def _of_users(store: Store, duck: duckdb.DuckDBPyConnection, users: pa.Array) -> _Gone:
    """What the lake holds of ``users``."""
    duck.register("gone", pa.table({names.USER_ID: users}))
    tables = {names.EXAMPLES: store.examples, names.RECENT: store.recent, names.UIH: store.uih}
    mine = set(hashing.bucket_of(users, store.buckets).tolist())
    return _Gone(store, duck, sqlfile.statement("lake/gone_users"), tables, mine)


def window_start(now: datetime, days: int) -> int:
    """The time ``days`` before ``now``, in microseconds since the epoch.

    Raises :class:`InputError` where it is before the year 1, or nobody can tell when ``now`` is.
    """
    most = (moment("now", now) - _YEAR_1).days
    window = timedelta(days=integer("days", days, 1, most))
    return stored_time(now - window)


def retain(store: Store, cutoff: int) -> dict[str, int]:
    """Drop events before ``cutoff`` (microseconds since the epoch); returns rows per table.

    From the first commit on no reader sees them; a cutoff never moves back.
    """
    with locks.maintenance(store.root), cursor() as duck:
        store.refresh()
        first = max(cutoff, store.retained_from)
        if first > store.retained_from:
            optimistic(lambda: store.uih.commit(counters={RETAINED: first}), "retain")
        optimistic(lambda: tidy(store), "retain")
        return _of_times(store, duck, first).erase()


def to_drop(store: Store, cutoff: int) -> dict[str, int]:
    """The rows per table that :func:`retain` would drop; nothing is changed."""
    store.refresh()
    with cursor() as duck:
        return _of_times(store, duck, max(cutoff, store.retained_from)).count()


def _of_times(store: Store, duck: duckdb.DuckDBPyConnection, first: int) -> _Gone:
    """Events before ``first``, in microseconds since the epoch."""
    condition = sqlfile.fill("lake/gone_times", cutoff=sqlfile.literal(first))
    return _Gone(store, duck, condition, {names.RECENT: store.recent, names.UIH: store.uih})


@dataclass(frozen=True)
class _Gone:
    """The rows of ``tables`` that meet a condition; of ``uih`` only those in some buckets."""

    store: Store
    duck: duckdb.DuckDBPyConnection
    condition: str
    tables: Mapping[str, Table]
    buckets: set[int] | None = None

    def count(self) -> dict[str, int]:
        """How many rows there are, per table."""
        return {name: sum(self._hit(table).values()) for name, table in self.tables.items()}

    def users(self) -> int:
        """How many users such rows are of."""
        hit = [table.path(file) for table in self.tables.values() for file in self._hit(table)]
        if not hit:
            return 0
        statement = sqlfile.fill("lake/known_users", files=list_literal(hit), gone=self.condition)
        return int(fetch(self.duck, statement).column(0)[0].as_py())

    def erase(self) -> dict[str, int]:
        """Rewrite the files that hold such rows without them; returns how many went, per table.

        The examples are committed to even where none goes. A log looks who was forgotten after it
        has looked at the examples, and before it commits to them. If its commit comes before this
        one, its examples are among those looked through here, or this commit loses the race and
        looks again; if it comes after, the log has lost the race, and looking again it finds the
        tombstones that were committed before this, or it has begun since those.
        """
        return {
            name: optimistic(partial(self._erase, table), "erasing")
            for name, table in self.tables.items()
        }

    def _erase(self, table: Table) -> int:
        """One attempt at one table."""
        hit = self._hit(table)
        logged = {each.file: each for each in logs.of(self.store)}
        new: list[File] = []
        with table.discarding(new):
            for file in hit:
                self.store.pages.check([table.path(file)])
                rest = self._rest(table.path(file))
                if rest.num_rows:
                    new.append(self._written(table, file, rest, logged.get(file)))
            rows = sum(hit.values())
            if rows or table is self.store.examples:
                erased = rows + table.counted(ERASED_ROWS)
                table.commit(new, list(hit), counters={ERASED_ROWS: erased})
        return rows

    def _written(
        self, table: Table, file: File, rest: pa.Table, logged: logs.LogFile | None
    ) -> File:
        """A file without what is erased; ``logged`` is what it is if it is one of examples."""
        if logged is not None:
            parts = logs.left(self.store, logged, rest)
            return logs.write(self.store, rest, logged.last, parts)
        run = laid_out(rest) if table is self.store.uih else Run(rest, None, {})
        where = table.root, run.events, dict(file.partition)
        return parquet.write(*where, run.cuts, run.notes)

    def _hit(self, table: Table) -> dict[File, int]:
        """The files of a table with such rows, and how many.

        A file of ``recent`` that has been sealed is about to be removed, and has its rows in
        ``uih``.
        """
        files = table.files()
        if table is self.store.uih and self.buckets is not None:
            files = [f for f in files if f.partition[names.BUCKET] in self.buckets]
        if table is self.store.recent:
            files = [f for f in files if f.partition[names.LAKE_VERSION] > self.store.sealed]
        if not files or names.USER_ID not in table.schema.names:
            return {}
        paths = [table.path(file) for file in files]
        self.store.pages.check(paths, [names.USER_ID, names.EVENT_TS])
        statement = sqlfile.fill("lake/erased", files=list_literal(paths), gone=self.condition)
        places, rows = fetch(self.duck, statement).to_pydict().values()
        return {files[place]: many for place, many in zip(places, rows, strict=True)}

    def _rest(self, path: str) -> pa.Table:
        statement = sqlfile.fill("lake/kept", files=list_literal([path]), gone=self.condition)
        return fetch(self.duck, statement).combine_chunks()

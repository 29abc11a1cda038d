"""Forget users and retain a window: rows leave the files, and the lake remembers that they did.

What makes the erasure known is committed first (a tombstone, or the start of the window), the
rewritten files after it, one table at a time; a run that was killed in between is simply run again.
Old files stay on disk until :mod:`.vacuum` takes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uih_lake import hashing, names, sqlfile
from uih_lake.arrays import Int64
from uih_lake.errors import InputError
from uih_lake.given import within
from uih_lake.lake import lease, parquet
from uih_lake.lake.bands import Run, laid_out
from uih_lake.lake.seal import tidy
from uih_lake.lake.sqltypes import list_literal
from uih_lake.lake.store import ERASED_ROWS, RETAINED, SALT, Store
from uih_lake.lake.tables import File, Table, optimistic
from uih_lake.schema import EPOCH
from uih_lake.session import cursor, fetch

_Take = Callable[[Store, Table, duckdb.DuckDBPyConnection, str, set[int] | None], int]
"""What is done with the rows of a table that meet a condition, in some buckets; how many it was."""
_YEAR_1 = datetime.min.replace(tzinfo=UTC)
_NEVER = -2
"""A lake version before that of any pointer, which is -1 where nothing had been appended."""


def user_hash(salt: str, user: int | str) -> str:
    """Keyed BLAKE2b (128 bits, hex) of a user id: int64 little-endian bytes, or UTF-8 bytes."""
    raw = user.to_bytes(8, "little", signed=True) if isinstance(user, int) else user.encode()
    return hashlib.blake2b(raw, key=bytes.fromhex(salt), digest_size=16).hexdigest()


def forget(store: Store, users: pa.Array) -> dict[str, int]:
    """Erase ``users`` from both tiers and the examples; returns the rows erased per table."""
    with lease.maintenance(store.root), cursor() as duck:
        store.refresh()
        _check_type(store, users)
        _remember(store, users)
        optimistic(lambda: tidy(store), "forget")
        return _of_users(store, duck, users, _erase)


def to_forget(store: Store, users: pa.Array) -> dict[str, int]:
    """The rows per table that :func:`forget` would erase; nothing is changed."""
    store.refresh()
    _check_type(store, users)
    with cursor() as duck:
        return _of_users(store, duck, users, _count)


def _of_users(
    store: Store, duck: duckdb.DuckDBPyConnection, users: pa.Array, take: _Take
) -> dict[str, int]:
    """What ``take`` says of the rows of ``users``, table by table."""
    duck.register("gone", pa.table({names.USER_ID: users}))
    gone = sqlfile.statement("lake/gone_users")
    mine = set(hashing.bucket_of(users, store.buckets).tolist())
    return {
        names.EXAMPLES: take(store, store.examples, duck, gone, None),
        names.RECENT: take(store, store.recent, duck, gone, None),
        names.UIH: take(store, store.uih, duck, gone, mine),
    }


def window_start(now: datetime, days: int) -> int:
    """The time ``days`` before ``now``, in microseconds since the epoch.

    Raises :class:`InputError` where it is before the year 1, or nobody can tell when ``now`` is.
    """
    if now.utcoffset() is None:
        raise InputError(
            f"now {now} has no time zone", hint="give it one, as datetime.now(UTC) has"
        )
    within(1, (now - _YEAR_1).days, days=days)
    return (now - timedelta(days=days) - EPOCH) // timedelta(microseconds=1)


def retain(store: Store, cutoff: int) -> dict[str, int]:
    """Drop events before ``cutoff`` (microseconds since the epoch); returns rows per table.

    From the first commit on no reader sees them; a cutoff never moves back.
    """
    with lease.maintenance(store.root), cursor() as duck:
        store.refresh()
        first = max(cutoff, store.retained_from)
        if first > store.retained_from:
            optimistic(lambda: store.uih.commit(counters={RETAINED: first}), "retain")
        optimistic(lambda: tidy(store), "retain")
        return _of_times(store, duck, first, _erase)


def to_drop(store: Store, cutoff: int) -> dict[str, int]:
    """The rows per table that :func:`retain` would drop; nothing is changed."""
    store.refresh()
    with cursor() as duck:
        return _of_times(store, duck, max(cutoff, store.retained_from), _count)


def _of_times(
    store: Store, duck: duckdb.DuckDBPyConnection, first: int, take: _Take
) -> dict[str, int]:
    """What ``take`` says of the events before ``first``, tier by tier."""
    gone = _before(first)
    return {
        names.RECENT: take(store, store.recent, duck, gone, None),
        names.UIH: take(store, store.uih, duck, gone, None),
    }


def _before(time: int) -> str:
    """The condition of an event before ``time``, in microseconds since the epoch."""
    return sqlfile.fill("lake/gone_times", cutoff=sqlfile.literal(time))


def _check_type(store: Store, users: pa.Array) -> None:
    known = [t.schema for t in (store.recent, store.examples) if names.USER_ID in t.schema.names]
    if known and known[0].field(names.USER_ID).type != users.type:
        raise InputError(
            f"the users to forget are {users.type}, "
            f"the lake's users are {known[0].field(names.USER_ID).type}",
            hint="give ids as the lake has them",
        )


def _remember(store: Store, users: pa.Array) -> None:
    """Leave a tombstone per user: that somebody was erased at this lake version, not who."""
    salt = store.uih.setting(SALT) or ""
    hashes = [user_hash(salt, user) for user in pc.unique(users).to_pylist()]
    table = pa.table([pa.array(hashes, pa.string())], names=[names.USER_HASH])
    file = parquet.write(store.forgotten.root, table, {names.LAKE_VERSION: store.lake_version})
    with store.forgotten.discarding([file]):
        optimistic(lambda: store.forgotten.commit([file]), "forget")


def _erase(
    store: Store,
    table: Table,
    duck: duckdb.DuckDBPyConnection,
    gone: str,
    buckets: set[int] | None,
) -> int:
    """Rewrite the files that hold rows meeting ``gone`` without them; returns how many went.

    The examples are committed to even where none goes. A log looks who was forgotten after it has
    looked at the examples, and before it commits to them. If its commit comes before this one, its
    examples are among those looked through here, or this commit loses the race and looks again; if
    it comes after, the log has lost the race or begun later, and looking again it finds the
    tombstones, which were committed before.
    """

    def attempt() -> int:
        hit = _hit(store, table, duck, gone, buckets)
        new: list[File] = []
        with table.discarding(new):
            for file in hit:
                store.pages.check([table.path(file)])
                rest = _rest(table, duck, file, gone)
                if rest.num_rows:
                    sealed = table is store.uih
                    run = laid_out(rest) if sealed else Run(rest, None, {})
                    where = table.root, run.events, dict(file.partition)
                    new.append(parquet.write(*where, run.cuts, run.notes))
            rows = sum(hit.values())
            if rows or table is store.examples:
                erased = rows + (table.counter(ERASED_ROWS) or 0)
                table.commit(new, list(hit), counters={ERASED_ROWS: erased})
        return rows

    return optimistic(attempt, "erasing")


def _count(
    store: Store,
    table: Table,
    duck: duckdb.DuckDBPyConnection,
    gone: str,
    buckets: set[int] | None,
) -> int:
    """How many rows of a table :func:`_erase` would take."""
    return sum(_hit(store, table, duck, gone, buckets).values())


def _hit(
    store: Store,
    table: Table,
    duck: duckdb.DuckDBPyConnection,
    gone: str,
    buckets: set[int] | None,
) -> dict[File, int]:
    """The files with rows to erase, and how many; of ``uih`` only those of some buckets.

    A file of ``recent`` that has been sealed is about to be removed, and has its rows in ``uih``.
    """
    files = table.files()
    if buckets is not None:
        files = [f for f in files if f.partition[names.BUCKET] in buckets]
    if table is store.recent:
        files = [f for f in files if f.partition[names.LAKE_VERSION] > store.sealed]
    store.pages.check(map(table.path, files), [names.USER_ID, names.EVENT_TS])
    return _rows_of(table, duck, files, gone)


def _rows_of(
    table: Table, duck: duckdb.DuckDBPyConnection, files: list[File], gone: str
) -> dict[File, int]:
    """The files with rows that meet ``gone``, and how many."""
    if not files or names.USER_ID not in table.schema.names:
        return {}
    paths = list_literal(table.path(file) for file in files)
    places, rows = fetch(duck, sqlfile.fill("lake/erased", files=paths, gone=gone)).columns
    return dict(zip((files[place] for place in places.to_pylist()), rows.to_pylist(), strict=True))


def _rest(table: Table, duck: duckdb.DuckDBPyConnection, file: File, gone: str) -> pa.Table:
    statement = sqlfile.fill("lake/kept", files=list_literal([table.path(file)]), gone=gone)
    return fetch(duck, statement).combine_chunks()


@dataclass(frozen=True)
class Tombstones:
    """Who was forgotten, and at which lake version: a question can be asked, a list cannot."""

    salt: str
    versions: Mapping[str, int]

    @classmethod
    def of(cls, store: Store) -> Tombstones:
        """The tombstones of the opened table."""
        versions: dict[str, int] = {}
        store.pages.check(map(store.forgotten.path, store.forgotten.files()))
        for file in store.forgotten.files():
            version = file.partition[names.LAKE_VERSION]
            for gone in pq.read_table(store.forgotten.path(file)).column(names.USER_HASH):
                versions[gone.as_py()] = max(version, versions.get(gone.as_py(), -1))
        return cls(store.uih.setting(SALT) or "", versions)

    def cover(self, users: pa.Array, lake_versions: Int64) -> npt.NDArray[np.bool_]:
        """Which of ``users`` were forgotten at or after their lake version, one bool each."""
        if not self.versions:
            return np.zeros(len(users), np.bool_)
        each = users.dictionary_encode()  # a hash takes its time: once per user
        hashes = [user_hash(self.salt, user) for user in each.dictionary.to_pylist()]
        known = [self.versions.get(hashed, _NEVER) for hashed in hashes]
        newest = np.array(known, np.int64)[each.indices.to_numpy()]
        covered: npt.NDArray[np.bool_] = newest >= lake_versions
        return covered

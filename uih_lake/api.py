"""The lake as a user holds it.

What runs compiled code is imported by the methods that do: loading the compiler takes a third of a
second, which somebody who asks a question in SQL does not need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from uih_lake import adhoc, ingest, names, schema
from uih_lake.errors import InputError, LakeError
from uih_lake.given import check_flags, check_stop, integer, seconds
from uih_lake.info import Info
from uih_lake.ingest import EventColumns, RequestColumns
from uih_lake.lake import vacuum as vacuuming
from uih_lake.lake.objects import Options
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store, Stores
from uih_lake.pointers.label import label, read_labels
from uih_lake.pointers.policy import Counts, Policy
from uih_lake.progress import Progress, quiet
from uih_lake.tenant import Tenant

if TYPE_CHECKING:
    from uih_lake.selection import Selection
    from uih_lake.serving import Served
    from uih_lake.verify import Report


class Lake:
    """User interaction histories kept once, and the examples that point into them.

    Open one with :meth:`create` or :meth:`open`. Every read sees the newest committed state, or the
    lake version it was opened at; a lake opened at a version is read only. Threads may share it.

    Any method may raise :class:`CorruptionError`, where a file of the lake is damaged, and
    :class:`LakeError`, where one cannot be opened or was replaced and vacuumed meanwhile. One that
    changes the lake also raises :class:`LakeError` where it is read only, :class:`OutputError`
    where the disk takes nothing, and :class:`ConflictError` where other writers won too often.
    """

    def __init__(self, store: Store, version: int | None = None) -> None:
        if not isinstance(store, Store):
            hint = f"open one, Lake.open({store!r}), or make one, Lake.create({store!r})"
            raise InputError(f"{store!r} is no lake", hint=hint)
        self._stores = Stores(store)
        self._version = version
        self._asked = adhoc.Kept()

    @classmethod
    def create(
        cls, path: str | Path, *, buckets: int = 64, schema: pa.Schema | None = None
    ) -> Lake:
        """Create an empty lake of ``buckets`` hash buckets at ``path``.

        ``schema`` fixes the columns of events (``user_id`` and the traits) ahead of the first
        append. Raises :class:`LakeError` where there is something, or a lake around it, and
        :class:`InputError` for what is no path.
        """
        from uih_lake.lake.create import create

        declared = None if schema is None else ingest.declared(schema)
        return cls(create(path, buckets, declared))

    @classmethod
    def open(
        cls, path: str | Path, *, version: int | None = None, storage_options: Options = None
    ) -> Lake:
        """Open the lake at ``path``, as it stood at lake version ``version`` where one is given.

        Or the lake published at the URL ``path``, read only, with ``storage_options`` as Delta has
        them. Raises :class:`LakeError` where there is no such lake or version, :class:`InputError`.
        """
        store = Store.open(path, storage_options)
        store.require(version)
        return cls(store, version)

    def __repr__(self) -> str:
        at = "" if self._version is None else f", version={self._version}"
        return f"Lake.open({self._stores.given!r}{at})"

    def __reduce__(self) -> tuple[Any, ...]:  # another process opens it anew
        options = self._stores.options or None
        return partial(Lake.open, version=self._version, storage_options=options), (self.path,)

    @property
    def path(self) -> str:
        """Absolute path of the directory of the lake, or the URL where it is published."""
        return self._stores.place

    @property
    def version(self) -> int:
        """The newest lake version, or the one this lake was opened at; -1 while it is empty."""
        if self._version is not None:
            return self._version
        with self._stores.newest() as store:
            return store.lake_version

    @property
    def log_version(self) -> int:
        """The newest log version, by which :meth:`follow` counts; -1 before the first log."""
        with self._stores.newest() as store:
            return store.log_version

    @property
    def event_schema(self) -> pa.Schema:
        """Columns of the view ``events``."""
        return schema.public_events(self._snapshot().stored)

    def append(
        self,
        events: Any,
        *,
        key: str | None = None,
        user_id: str = names.USER_ID,
        event_ts: str = names.EVENT_TS,
        arrival_ts: str | None = None,
        ts_unit: str | None = None,
        on_null_user: str = "raise",
        add_columns: bool = False,
        progress: Progress = quiet,
    ) -> int:
        """Add events as one lake version, which is returned.

        ``events`` is anything with ``__arrow_c_stream__``, or paths and globs of Parquet, CSV, JSON
        lines or Arrow files. ``user_id``, ``event_ts`` and ``arrival_ts`` name columns of it (None:
        ``arrival_ts`` where there is one, else the event time); times that are numbers count
        ``ts_unit`` ("s", "ms" or "us") since 1970, UTC. Rows without a user are refused, or left
        out by ``on_null_user="skip"``. With ``key``, an append repeated with the same key adds
        nothing and returns the lake version of the first. ``add_columns`` accepts traits the lake
        did not have; older events read as null there. ``progress`` is told how many of the sources
        have been read. Raises :class:`InputError`, :class:`ConflictError` or :class:`OutputError`;
        then nothing is written.
        """
        from uih_lake.append import append

        self._writable("append to")
        columns = EventColumns(user_id, event_ts, arrival_ts, ts_unit, on_null_user)
        with self._stores.taken() as store:
            appended = append(
                store, events, columns, key=key, add_columns=add_columns, progress=progress
            )
        return appended.lake_version

    def seal(self, *, progress: Progress = quiet) -> int:
        """Move all appended events into the immutable tier; returns the generation.

        Raises :class:`ConflictError`, :class:`CorruptionError` and :class:`OutputError`.
        """
        from uih_lake.lake.seal import seal

        self._writable("seal")
        with self._stores.taken() as store:
            return seal(store, progress).generation

    def compact(self, *, progress: Progress = quiet) -> int:
        """Merge buckets' runs and small logs' files, and place pointers; returns the generation.

        Raises as :meth:`seal`.
        """
        from uih_lake.compact import compact

        self._writable("compact")
        with self._stores.taken() as store:
            return compact(store, progress)

    def vacuum(self, *, retain_hours: int = 168, dry_run: bool = False) -> list[str]:
        """Delete files that no version of the last ``retain_hours`` needs; their paths in the lake.

        Pointers are never affected. A reader at work on an older version is, once its files go.
        With ``dry_run`` nothing is deleted. Raises :class:`InputError` for hours below 0,
        :class:`OutputError`.
        """
        check_flags(dry_run=dry_run)
        self._writable("vacuum")
        with self._stores.taken() as store:
            return vacuuming.vacuum(store, retain_hours, dry_run)

    def forget(self, users: Iterable[int | str], *, dry_run: bool = False) -> dict[str, int]:
        """Erase users from both tiers and the examples; returns rows erased per table.

        Their bytes leave the disk with the next ``vacuum(retain_hours=0)``. All other pointers stay
        valid; pointers of these users kept elsewhere are refused by :meth:`log`, or reported as
        ``forgotten``. With ``dry_run`` the rows are only counted. Raises :class:`InputError` for
        ids of another type than the lake's, and as :meth:`seal`.
        """
        from uih_lake.lake import erase

        self._writable("forget users of")
        check_flags(dry_run=dry_run)
        forget = erase.to_forget if dry_run else erase.forget
        with self._stores.taken() as store:
            return forget(store, users)

    def retain(
        self, *, days: int, now: datetime | None = None, dry_run: bool = False
    ) -> dict[str, int]:
        """Drop events older than ``days`` before ``now`` (default: the clock); rows per table.

        Pointers that reached past it are reported as ``expired``. With ``dry_run`` the rows are
        only counted. Raises :class:`InputError` for days below 1 and a ``now`` without a time zone,
        and as :meth:`seal`.
        """
        from uih_lake.lake import erase

        self._writable("drop events of")
        check_flags(dry_run=dry_run)
        retain = erase.to_drop if dry_run else erase.retain
        with self._stores.taken() as store:
            moment = datetime.now(UTC) if now is None else now
            return retain(store, erase.window_start(moment, days))

    def log(
        self,
        requests: Any,
        *,
        live: bool = False,
        user_id: str = names.USER_ID,
        request_ts: str = names.REQUEST_TS,
        as_of_ts: str | None = None,
        example_id: str | None = None,
        ts_unit: str | None = None,
        on_null_user: str = "raise",
        pointers: pa.Table | None = None,
        add_columns: bool = False,
        progress: Progress = quiet,
    ) -> pa.Table:
        """Store requests as examples with versioned pointers, which are returned as given.

        A ``live`` pointer sees all that the lake holds now; a backfilled one only what had arrived
        by its ``as_of_ts`` or else by its ``request_ts``. Columns are named, and numbers and nulls
        taken, as in :meth:`append`; None is the column of that name where there is one.
        ``pointers`` are those of :meth:`snapshot`, one per request, stored as serving cut them.
        Context is that of the requests logged before, where what :meth:`label` sets may be missing;
        ``add_columns`` accepts more. Raises :class:`InputError`, :class:`OutputError` or, also
        where users were forgotten meanwhile, :class:`ConflictError`; then nothing is written.
        """
        from uih_lake.log import log

        self._writable("log to")
        columns = RequestColumns(user_id, request_ts, as_of_ts, ts_unit, on_null_user, example_id)
        with self._stores.newest() as store:
            return log(store, requests, columns, live, pointers, add_columns, progress)

    def label(self, labels: Any, *, example_id: str = names.EXAMPLE_ID) -> int:
        """Set columns that became known later on logged examples; how many were found.

        ``labels`` is an Arrow table, or files, with a column for ``example_id`` and those to set.
        Pointers stay as they are. Raises :class:`InputError`, and as :meth:`seal`.
        """
        self._writable("label examples of")
        with self._stores.newest() as store:
            return label(store, read_labels(store, labels, example_id))

    def snapshot(
        self, user_ids: Any, request_ts: datetime | Sequence[datetime], tenant: Tenant
    ) -> Served:
        """What serving feeds the model for ``user_ids`` at ``request_ts``, and the pointers to log.

        One time for all users, or one each, with its zone. Logging the pointers with :meth:`log`
        and rebuilding later gives the same sequences bit for bit. Raises :class:`TenantError` where
        the tenant does not fit the lake, :class:`InputError` for users or times that make no sense,
        and :class:`SqlRefused` where a condition meets a value that it cannot be evaluated on.
        """
        from uih_lake.serving import serve

        return serve(self._snapshot(), user_ids, request_ts, tenant)

    def follow(
        self,
        tenant: Tenant,
        *,
        after: int = -1,
        stop: Event | None = None,
        poll_s: float = 0.5,
        on_mismatch: Policy = "raise",
    ) -> Iterator[tuple[int, pa.RecordBatchReader]]:
        """New examples as they are committed: (log version, rows of :meth:`materialize`), in order.

        Start ``after`` the last log version that was dealt with; every later one comes exactly
        once. Without ``stop`` the iteration ends when all there is has come; with it, it waits for
        more, looking every ``poll_s`` seconds, until ``stop`` is set. Raises as
        :meth:`materialize`, when the next one is asked for.
        """
        from uih_lake.materialize import Rebuild, committed

        after, poll_s = integer("after", after, -1), seconds(poll_s)
        check_stop(stop)
        for version in committed(lambda: self.log_version, after, stop, poll_s):
            one = self._select([tenant], None, on_mismatch, None, (version - 1, version))
            yield version, Rebuild(one, tenant).reader(quiet)

    def verify(
        self, *, sample: int | None = None, seed: int = 0, progress: Progress = quiet
    ) -> Report:
        """Audit the files and resolve all pointers, or about ``sample``, against their digests.

        Damage is a failed check. Raises :class:`CorruptionError` where a Delta log cannot be read
        at all or has lost a commit, and :class:`InputError` for a sample or a seed below 0.
        """
        from uih_lake.verify import verify

        with self._stores.newest() as store:
            return verify(store, self._version, sample, seed, progress)

    def materialize(
        self,
        tenant: Tenant,
        *,
        where: str | None = None,
        on_mismatch: Policy = "raise",
        counts: Counts | None = None,
        progress: Progress = quiet,
    ) -> pa.RecordBatchReader:
        """Rebuild the sequences of ``tenant`` for the examples that meet the condition ``where``.

        One row per example: ``example_id, user_id, request_ts``, the context, and per group a
        struct of lists, oldest event first. Rows come by bucket, user and request time.

        Every pointer is checked against its length and digest. ``on_mismatch`` says what to do with
        one whose history differs: raise :class:`PointerError` while the rows are read, drop the
        example, or keep it as rebuilt. ``counts``, where given, is filled while the rows are read.
        Raises :class:`TenantError` where the tenant does not fit the lake, :class:`InputError` for
        an unknown policy, and :class:`SqlRefused` for a ``where`` that is no condition or, while
        the rows are read, one that meets a value it cannot be evaluated on.
        """
        from uih_lake.materialize import Rebuild

        return Rebuild(self._select([tenant], where, on_mismatch, counts), tenant).reader(progress)

    def info(self) -> Info:
        """Facts about the lake: versions, counts per tier, bytes per column, schema."""
        with self._stores.newest() as store:
            return Info.of(store, self._version)

    def sql(self, query: str, *, tenants: Sequence[Tenant] = ()) -> duckdb.DuckDBPyRelation:
        """Run one read-only query over what the lake holds, and how.

        Views: ``events``, ``uih``, ``examples``; ``files``, ``column_chunks``, ``generations``;
        ``tenants``, those that are given. :data:`uih_lake.adhoc.MACROS` answer common questions.
        Raises :class:`SqlRefused` for what is no query or cannot be bound, and :class:`TenantError`
        for tenants that do not fit. What fails while rows are fetched is an error of DuckDB.
        """
        return adhoc.query(self._surface(tenants), self._asked, query)

    def sql_session(self, *, tenants: Sequence[Tenant] = ()) -> adhoc.Session:
        """A session for many queries on the lake as it is now; it raises as :meth:`sql`."""
        return adhoc.Session(self._surface(tenants).session())

    def sql_script(self, *, tenants: Sequence[Tenant] = ()) -> str:
        """The views and macros of :meth:`sql` as text for a DuckDB session of any kind.

        They show the lake as it is now, and lock the session to the files of the lake, which they
        name in full: it may be started in any directory. Raises as :meth:`sql`.
        """
        return self._surface(tenants).script()

    def _surface(self, tenants: Sequence[Tenant]) -> adhoc.Surface:
        with self._stores.newest() as store:
            return adhoc.Surface.of(store, self._version, tenants)

    def _select(
        self,
        tenants: Sequence[Tenant],
        where: str | None = None,
        on_mismatch: Policy = "raise",
        counts: Counts | None = None,
        log_versions: tuple[int, int] = (-1, schema.UNBOUNDED),
    ) -> Selection:
        """:meth:`Selection.checked` of the newest state, or of the version this was opened at."""
        from uih_lake.selection import Selection

        with self._stores.newest() as store:
            return Selection.checked(
                store, self._version, tenants, where, on_mismatch, counts, log_versions
            )

    def _snapshot(self) -> Snapshot:
        with self._stores.newest() as store:
            return Snapshot.of(store, self._version)

    def _writable(self, verb: str) -> None:
        if self._version is not None:
            raise LakeError(
                f"cannot {verb} a lake opened at lake version {self._version}",
                hint="open it without a version to write",
            )

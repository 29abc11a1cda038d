"""Ad hoc SQL over what a lake holds: its views, its macros, and a session that can only read them.

``events`` has the events of both tiers, ``uih`` those of the immutable tier, ``examples`` the
requests with context and pointers. ``files``, ``column_chunks`` and ``generations`` tell how that
is stored, ``tenants`` what the tenants named by the caller ask for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import duckdb

from uih_lake import names, schema, sqlfile
from uih_lake.adhoc.guard import check_query, explain_error, lock, lock_statements
from uih_lake.adhoc.macros import definitions
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.sqltypes import list_literal
from uih_lake.lake.store import Store
from uih_lake.pointers.examples import Examples
from uih_lake.session import beside, blaming_files, connect, cursor
from uih_lake.tenant import Tenant, check_tenants

EVENTS = "events"
"""The view of events of both tiers; ``uih`` shows the immutable tier alone."""
VIEWS = (EVENTS, names.UIH, names.EXAMPLES, "files", "column_chunks", "generations", "tenants")
NEWEST_COMMITS = 1000
"""Commits that ``generations`` goes back: each is a file to be read before any query."""


@dataclass(frozen=True)
class Surface:
    """What ad hoc SQL sees: the events and examples of one state of a lake, and how they are kept.

    ``log`` is the directory of the immutable tier's Delta log.
    """

    snapshot: Snapshot
    examples: Examples
    log: str
    tenants: Sequence[Tenant] = ()

    @classmethod
    def of(
        cls, store: Store, version: int | None = None, tenants: Sequence[Tenant] = ()
    ) -> Surface:
        """The state of the opened tables, up to lake version ``version`` (default: the newest).

        Raises :class:`TenantError` where a tenant asks for what is not there, or two have one name.
        """
        check_tenants(tenants, least=0)
        snapshot, examples = Snapshot.of(store, version), Examples.of(store)
        for tenant in tenants:
            tenant.check(schema.public_events(snapshot.stored), examples.public)
        return cls(snapshot, examples, str(Path(store.uih.root, "_delta_log")), tenants)

    def session(self) -> duckdb.DuckDBPyConnection:
        """A session with the views and macros, locked to the files of the lake."""
        self.check_footers()
        session = connect()
        # Footers never change: parsed once, not by each macro that is made and each query.
        session.execute("SET GLOBAL parquet_metadata_cache = true")
        for statement in self.definitions:
            with blaming_files(session, statement):
                session.execute(statement)
        lock(session, self.files())
        return session

    def check_footers(self) -> None:
        """Check the footers of the files, so that a column is what its name says.

        Their pages are not checked, because nothing tells yet which of them a query will read: that
        is what ``verify`` is for. Raises :class:`CorruptionError`.
        """
        self.snapshot.pages.check_footers(self.files())

    def script(self) -> str:
        """The views, macros and the lock as text for a DuckDB session of any kind."""
        settings = ["SET TimeZone = 'UTC'"]
        statements = [*settings, *self.definitions, *lock_statements(self.files())]
        return "".join(f"{statement};\n\n" for statement in statements)

    @cached_property
    def definitions(self) -> tuple[str, ...]:
        """Statements that make the views and the macros."""
        logs = sorted(str(path) for path in Path(self.log).glob("*.json"))
        examples = sqlfile.fill(
            "adhoc/examples_view",
            columns=sqlfile.columns(self.examples.public.names),
            examples=self.examples.sql,
            newest=sqlfile.literal(self.snapshot.lake_version),
        )
        return (
            *_histories(self.snapshot),
            examples,
            *_storage([*self._placed()]),
            _tenants(self.tenants),
            sqlfile.fill("adhoc/generations", logs=list_literal(logs[-NEWEST_COMMITS:])),
            *definitions(),
        )

    def files(self) -> list[str]:
        """Paths of all data files."""
        return [path for _, _, path in self._placed()]

    def _placed(self) -> Iterator[tuple[str, int, str]]:
        """Tier, partition and path of each data file."""
        for bucket, paths in self.snapshot.runs.items():
            yield from ((names.UIH, bucket, path) for path in paths)
        recent = self.snapshot.recent
        yield from ((names.RECENT, chunk.lake_version, chunk.path) for chunk in recent)
        logged = self.examples.files
        yield from ((names.EXAMPLES, file.last, file.path) for file in logged)


@dataclass(frozen=True)
class _Made:
    """A session, the statements it was made by, and what it held then."""

    session: duckdb.DuckDBPyConnection
    by: tuple[str, ...]
    holds: list[tuple[int, int]]


class Kept:
    """The session in which a lake was last asked: a query on the same state need not make another.

    Making one takes 80 ms, its views and macros most of that, and a cursor of it 2. A relation's
    own methods can make views and tables in its session, which then serves nobody else.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By process: no engine survives a fork, and taking its parent's apart never ends.
        self._made: dict[int, _Made] = {}

    def session(self, surface: Surface) -> duckdb.DuckDBPyConnection:
        """:meth:`Surface.session`, or a cursor of the last one where that would be the same."""
        process, by = os.getpid(), surface.definitions
        with self._lock:
            last = self._made.get(process)
            if last is None or last.by != by or _holds(last.session) != last.holds:
                session = surface.session()
                last = self._made[process] = _Made(session, by, _holds(session))
            else:
                surface.check_footers()
            return beside(last.session)


def _holds(session: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """What tells whether anything was made in a session."""
    return session.execute(sqlfile.statement("adhoc/made")).fetchall()


def query(surface: Surface, kept: Kept, sql: str) -> duckdb.DuckDBPyRelation:
    """The result of one read-only query, as a relation that is computed when it is fetched.

    Raises :class:`SqlRefused` for what is not a query or cannot be bound, and
    :class:`CorruptionError` where a file of the lake cannot be read. What fails later, while
    rows are fetched, comes as a DuckDB error: see :func:`uih_lake.adhoc.explain_error`.
    """
    with cursor() as parser:  # what is refused needs no session, which takes 100 times as long
        text = check_query(parser, sql)
    return _bound(kept.session(surface), text)


@dataclass(frozen=True)
class Session:
    """A locked session in which one query after the other can be asked."""

    connection: duckdb.DuckDBPyConnection

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """The result of one read-only query; raises as :func:`query`."""
        return ask(self.connection, query)

    def close(self) -> None:
        """End the session."""
        self.connection.close()


def ask(session: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The result of one read-only query in a session that is open; raises as :func:`query`."""
    return _bound(session, check_query(session, sql))


def _bound(session: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The result of a query that only reads."""
    try:
        return session.sql(query)
    except duckdb.Error as error:
        raise explain_error(error) from None


def _histories(snapshot: Snapshot) -> Iterator[str]:
    """The views of events."""
    newest = sqlfile.literal(snapshot.lake_version)
    for name, tiers in ((EVENTS, snapshot), (names.UIH, replace(snapshot, recent=()))):
        yield sqlfile.fill(
            "adhoc/events_view",
            name=sqlfile.identifier(name),
            events=tiers.events(),
            newest=newest,
        )


def _storage(placed: Sequence[tuple[str, int, str]]) -> Iterator[str]:
    """The views of files and column chunks."""
    files = [path for _, _, path in placed]
    relation = sqlfile.fill(
        "adhoc/listed",
        tiers=list_literal(tier for tier, _, _ in placed),
        partitions=list_literal(partition for _, partition, _ in placed),
        files=list_literal(files),
    )

    def footers(reader: str) -> str:
        if not files:
            return sqlfile.statement("adhoc/no_files")
        return sqlfile.fill("adhoc/footers", reader=reader, files=list_literal(files))

    facts, chunks = footers("parquet_file_metadata"), footers("parquet_metadata")
    yield sqlfile.fill("adhoc/files_view", listed=relation, footers=facts)
    yield sqlfile.fill("adhoc/column_chunks_view", listed=relation, chunks=chunks)


def _tenants(tenants: Sequence[Tenant]) -> str:
    """The view of tenants."""
    each = [(t.name, name, group) for t in tenants for name, group in t.groups.items()]

    def maybe(values: Iterator[str | int | None]) -> str:
        return "[" + ", ".join("NULL" if v is None else sqlfile.literal(v) for v in values) + "]"

    return sqlfile.fill(
        "adhoc/tenants_view",
        tenants=list_literal(tenant for tenant, _, _ in each),
        groups=list_literal(name for _, name, _ in each),
        traits="[" + ", ".join(list_literal(group.traits) for _, _, group in each) + "]",
        lengths=maybe(group.max_len for _, _, group in each),
        conditions=maybe(group.where for _, _, group in each),
        windows=maybe(group.window_us for _, _, group in each),
        lags=maybe(group.lag_us for _, _, group in each),
    )

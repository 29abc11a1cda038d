"""Ad hoc SQL over what a lake holds: the views ``events``, ``uih`` and ``examples``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb

from uih_lake import names, sqlfile
from uih_lake.adhoc.guard import check_query, explain_error, lock
from uih_lake.errors import CorruptionError
from uih_lake.lake.snapshot import Snapshot
from uih_lake.pointers.examples import Examples
from uih_lake.session import connect

EVENTS = "events"
"""The view of events of both tiers; ``uih`` shows the immutable tier alone."""


def query(snapshot: Snapshot, examples: Examples, sql: str) -> duckdb.DuckDBPyRelation:
    """The result of one read-only query, as a relation that is computed when it is fetched.

    Raises :class:`SqlRefused` for what is not a query or cannot be bound, and
    :class:`CorruptionError` where a file of the lake cannot be read. What fails later, while
    rows are fetched, comes as a DuckDB error: see :func:`uih_lake.adhoc.explain_error`.
    """
    session = connect()
    try:
        create_views(session, snapshot, examples)
    except duckdb.Error as error:
        why = str(error).partition("\n")[0]
        raise CorruptionError(
            f"a data file cannot be read: {why}", hint="restore it from a copy"
        ) from error
    lock(session, _files(snapshot, examples))
    text = check_query(session, sql)
    try:
        return session.sql(text)
    except duckdb.Error as error:
        raise explain_error(error) from None


def create_views(
    session: duckdb.DuckDBPyConnection, snapshot: Snapshot, examples: Examples
) -> None:
    """Make the three views in ``session``."""
    newest = sqlfile.literal(snapshot.lake_version)
    for name, tiers in ((EVENTS, snapshot), (names.UIH, replace(snapshot, recent=()))):
        events = tiers.events()
        view = sqlfile.fill(
            "adhoc/events_view", name=sqlfile.identifier(name), events=events, newest=newest
        )
        session.execute(view)
    view = sqlfile.fill(
        "adhoc/examples_view",
        columns=sqlfile.columns(examples.public.names),
        examples=examples.sql,
        newest=newest,
    )
    session.execute(view)


def _files(snapshot: Snapshot, examples: Examples) -> Iterator[str]:
    for paths in snapshot.runs.values():
        yield from paths
    yield from (path for path, _ in snapshot.recent)
    yield from (path for path, _ in examples.files)

"""Facts about a lake: versions, counts, bytes on disk, schema."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from uih_lake import names, schema, sqlfile
from uih_lake.facts import plain
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.lake.tables import Table
from uih_lake.pointers.examples import Examples
from uih_lake.session import cursor, fetch


@dataclass(frozen=True)
class ColumnInfo:
    """A stored column: its Arrow type as text, and its compressed bytes over all files."""

    name: str
    type: str
    bytes: int


@dataclass(frozen=True)
class TableInfo:
    """One Delta table as it stands now: its Delta version, live files, and columns as stored.

    ``bytes`` are those of the files; columns leave out footers, so their sum is a little less.
    """

    name: str
    delta_version: int
    files: int
    rows: int
    bytes: int
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class Info:
    """Facts about a lake at ``lake_version`` (-1 while it is empty).

    ``sealed_version`` is the lake version up to which events are in the immutable tier (-1: none),
    ``generation`` the Delta version of that tier. Counts are of that lake version, as readers see
    it: events before ``retained_from``, the start of the retention window (None while there is
    none), are not among them. Tables and their bytes are as they stand now; ``unused_bytes`` are
    those of data files that no table has, which a vacuum takes in time. ``event_schema`` and
    ``example_schema`` map the columns of the views ``events`` and ``examples`` to Arrow types.
    """

    lake: str
    lake_version: int
    sealed_version: int
    generation: int
    buckets: int
    events: int
    sealed_events: int
    recent_events: int
    users: int
    examples: int
    first_event: datetime | None
    last_event: datetime | None
    retained_from: datetime | None
    bytes: int
    unused_bytes: int
    tables: tuple[TableInfo, ...]
    event_schema: dict[str, str]
    example_schema: dict[str, str]

    @classmethod
    def of(cls, store: Store, version: int | None = None) -> Info:
        """Facts about the opened tables, as of lake version ``version`` (default: the newest).

        Raises :class:`CorruptionError` where a file of the lake cannot be read.
        """
        snapshot, examples = Snapshot.of(store, version), Examples.of(store)
        stored = {names.RECENT: store.recent, names.UIH: store.uih, names.EXAMPLES: store.examples}
        with cursor() as duck:
            counts = _counts(duck, snapshot)
            logged = _examples(duck, examples, snapshot.lake_version)
            tables = tuple(_table(duck, name, table) for name, table in stored.items())
        return cls(
            lake=store.given,
            lake_version=snapshot.lake_version,
            sealed_version=min(snapshot.sealed, snapshot.lake_version),
            generation=snapshot.generation,
            buckets=snapshot.buckets,
            **counts,
            examples=logged,
            retained_from=store.retention_start,
            bytes=sum(table.bytes for table in tables),
            unused_bytes=sum(table.unused_bytes() for table in stored.values()),
            tables=tables,
            event_schema=_types(schema.public_events(snapshot.stored)),
            example_schema=_types(examples.public),
        )

    def as_dict(self) -> dict[str, Any]:
        """The facts as plain values that JSON has; times in ISO 8601."""
        return plain(self)


def _counts(duck: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> dict[str, Any]:
    """Events per tier, users, first and last event."""

    def count(part: Snapshot) -> tuple[Any, ...]:
        statement = sqlfile.fill("info/events", events=part.events())
        row = fetch(duck, statement, {"newest": snapshot.lake_version})
        # Times by way of their numbers: pyarrow imports pandas to give them.
        return tuple(column.cast(pa.int64())[0].as_py() for column in row.columns)

    events, users, *span = count(snapshot)
    first, last = (None if time is None else schema.moment(time) for time in span)
    sealed, *_ = count(replace(snapshot, recent=()))
    return {
        "events": events,
        "sealed_events": sealed,
        "recent_events": events - sealed,
        "users": users,
        "first_event": first,
        "last_event": last,
    }


def _examples(duck: duckdb.DuckDBPyConnection, examples: Examples, newest: int) -> int:
    if not examples.files:
        return 0
    statement = sqlfile.fill("info/examples", examples=examples.sql)
    return int(fetch(duck, statement, {"newest": newest}).column("examples")[0].as_py())


def _table(duck: duckdb.DuckDBPyConnection, name: str, table: Table) -> TableInfo:
    files = table.files()
    sizes: dict[str, int] = {}
    if files:
        paths = [table.path(file) for file in files]
        found = fetch(duck, sqlfile.statement("info/columns"), {"files": paths})
        sizes = {row["name"]: row["bytes"] for row in found.to_pylist()}
    return TableInfo(
        name=name,
        delta_version=table.version,
        files=len(files),
        rows=sum(file.rows for file in files),
        bytes=sum(file.size for file in files),
        columns=tuple(
            ColumnInfo(field.name, str(field.type), sizes.get(field.name, 0))
            for field in table.schema
        ),
    )


def _types(fields: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in fields}

"""From whatever a user gives to :class:`Batches`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from uih_lake import names, schema
from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest.batches import Batches
from uih_lake.ingest.columns import (
    Column,
    Columns,
    EventColumns,
    LabelColumns,
    RequestColumns,
    Role,
    lay_out,
)
from uih_lake.ingest.files import File, find_files, open_file
from uih_lake.ingest.schemas import Part, unify
from uih_lake.ingest.settle import settle
from uih_lake.ingest.tables import Table
from uih_lake.ingest.text import TextFile


def open_events(source: Any, columns: EventColumns, expected: pa.Schema | None = None) -> Batches:
    """Normalised events of a path, a glob, a list of paths, or a table.

    The schema is ``user_id`` (int64 or string), ``event_ts``, ``arrival_ts`` (timestamp[us, UTC]),
    none of them null, then the traits. ``expected`` is the lake's normalised event schema: its
    types are used; which columns may be new or missing is for :func:`check_events` to say.
    Raises :class:`InputError` for what cannot be read and :class:`SchemaError` for columns that do
    not fit.
    """
    return _open(source, columns, expected)


def declared(events: pa.Schema) -> pa.Schema:
    """Normalised event columns of a schema given ahead of any event, which may lack the times."""
    if not isinstance(events, pa.Schema):
        raise InputError(
            f"schema: a {type(events).__name__} is no Arrow schema",
            hint="give one: pyarrow.schema([('user_id', pyarrow.int64()), ...])",
        )
    if names.USER_ID not in events.names:
        raise SchemaError(
            "the schema has no column 'user_id'", hint="give it one, of integers or strings"
        )
    for field in events:  # what a file may bring, but nothing is kept as
        time = field.name in (names.EVENT_TS, names.ARRIVAL_TS)
        if time and not pa.types.is_timestamp(field.type):
            raise SchemaError(
                f"the schema: column {field.name!r} is {field.type}, and is kept as a time",
                hint="leave it out, it is there in any case",
            )
        if field.name == names.USER_ID and pa.types.is_floating(field.type):
            raise SchemaError(
                "the schema: column 'user_id' is of floats", hint="give it integers or strings"
            )
    if names.EVENT_TS not in events.names:
        events = events.append(pa.field(names.EVENT_TS, schema.TIME))
    return _open(Table(events.empty_table(), "the schema"), EventColumns(), None).schema


def open_requests(
    source: Any, columns: RequestColumns, expected: pa.Schema | None = None
) -> Batches:
    """Normalised requests of a path, a glob, a list of paths, or a table.

    The schema is ``example_id`` (int64 or string) where the source has it, ``user_id``,
    ``request_ts`` (timestamp[us, UTC]), ``as_of_ts`` (the same, may be null) where the source has
    it, then the context columns. ``expected`` is the schema of the examples logged so far.
    """
    return _open(source, columns, expected)


def open_labels(source: Any, columns: LabelColumns, expected: pa.Schema | None = None) -> Batches:
    """Labels of a path, a glob, a list of paths, or a table: ``example_id``, then what to set.

    ``expected`` is the schema of the examples logged so far.
    """
    return _open(source, columns, expected)


def _open(source: Any, columns: Columns, expected: pa.Schema | None) -> Batches:
    if isinstance(source, str | os.PathLike | list | tuple):
        parts = _open_files(source, columns, expected)
    else:
        table = source if isinstance(source, Table) else Table(source)
        parts = [(table, lay_out(table.schema.names, columns, table.where))]
    return Batches(parts, unify(parts, expected), columns)


def _open_files(source: Any, columns: Columns, expected: pa.Schema | None) -> list[Part]:
    files = [open_file(path) for path in find_files(source)]
    _complete([f for f in files if isinstance(f, TextFile) and f.has_keys], columns, expected)
    opened = [(file, lay_out(_names(file), columns, file.where)) for file in files]
    texts = [(file, layout) for file, layout in opened if isinstance(file, TextFile)]
    if texts:
        _check_alike(texts)
        settle([file for file, _ in texts], _types_known(texts[0][1], expected))
    return list(opened)


def _complete(files: Sequence[TextFile], columns: Columns, expected: pa.Schema | None) -> None:
    """Let JSON lines lack keys that are always null in them: of each other, and of the lake.

    Of the lake only where they bring no new one, which may be one of these misspelt.
    """
    keys = dict.fromkeys(name for file in files for name in file.names)
    if expected is not None and not isinstance(columns, LabelColumns):
        own = schema.traits_of if isinstance(columns, EventColumns) else schema.context_of
        wanted = [field.name for field in own(expected)]
        if set(keys) <= {*wanted, *columns.keys}:
            keys |= dict.fromkeys(wanted)
    for file in files:
        file.may_lack(keys)


def _names(file: File) -> Sequence[str]:
    return file.names if isinstance(file, TextFile) else file.schema.names


def _check_alike(texts: Sequence[tuple[TextFile, Sequence[Column]]]) -> None:
    """Types are found over all files together, so all must have the same columns."""
    first, _ = texts[0]
    for file, _ in texts[1:]:
        for name in {*first.names} ^ {*file.names}:
            has, lacks = (first, file) if name in first.names else (file, first)
            raise SchemaError(
                f"{lacks.where}: no column {name!r}, which {has.where} has",
                hint="all files of one call have the same columns",
            )


def _types_known(layout: Sequence[Column], expected: pa.Schema | None) -> dict[str, pa.DataType]:
    """Types of source columns that the lake decides; how times are written is free."""
    if expected is None:
        return {}
    return {
        column.source: expected.field(column.name).type
        for column in layout
        if column.name in expected.names and column.role not in (Role.TIME, Role.OPTIONAL_TIME)
    }

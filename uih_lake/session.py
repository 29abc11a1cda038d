"""The only place that opens DuckDB: a session apart, or a cursor of one the process keeps.

Every session is in memory, in UTC, keeps row order, never looks at Python variables of the caller
and never downloads an extension: what a statement means does not depend on where it runs.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from uih_lake import sqlfile
from uih_lake.errors import CorruptionError, SqlRefused
from uih_lake.wording import engine_says

_IN_ONE_PIECE = 1 << 40
"""Rows per chunk: a session of one thread gives one chunk, so that nobody has to join several."""


_FILE = re.compile(r"'(?:[^']|'')*\.parquet'")
"""A literal that names a data file."""
_UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)


def connect(*, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open a configured in-memory session, for who sets or creates something in it.

    ``threads`` defaults to the number of usable cores.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "preserve_insertion_order": True,
        "threads": threads or len(os.sched_getaffinity(0)),
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # of its cursors too
    # A long IN list would become a hash join, which mixes up the order of rows of several threads.
    connection.execute("SET disabled_optimizers = 'in_clause'")
    return connection


_kept: dict[tuple[int, int], duckdb.DuckDBPyConnection] = {}
_keeping = threading.Lock()
atexit.register(_kept.clear)  # or DuckDB's binding complains at exit of what it still holds


def cursor(*, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A session for reads and registered tables only; microseconds, where a new one takes 11 ms.

    All cursors of ``threads`` threads (default: the usable cores) share one engine. Nothing may be
    created or set in them, but what one registers the others do not see.
    """
    count = threads or len(os.sched_getaffinity(0))
    key = os.getpid(), count  # an engine does not survive a fork
    with _keeping:
        if key not in _kept:
            _kept[key] = connect(threads=count)
        return _kept[key].cursor()


def fetch(
    session: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, Any] | None = None
) -> pa.Table:
    """Run one of the toolkit's own reads.

    Raises :class:`CorruptionError` where a file cannot be read, :class:`SqlRefused` where a
    tenant's condition meets a value it cannot be evaluated on.
    """
    try:
        return session.sql(statement, params=dict(parameters or {})).to_arrow_table(_IN_ONE_PIECE)
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        raise SqlRefused(
            f"a condition cannot be evaluated: {engine_says(error)}",
            hint="use TRY_CAST, or narrow it",
        ) from error
    except duckdb.Error as error:
        # DuckDB's Parquet reader has errors without a class of their own.
        if not isinstance(error, _UNREADABLE) and type(error) is not duckdb.Error:
            raise
        raise CorruptionError(
            f"{_unreadable(session, statement)} cannot be read: {engine_says(error)}",
            hint="restore it from a copy",
        ) from error


def _unreadable(session: duckdb.DuckDBPyConnection, statement: str) -> str:
    """The data file of a statement that the engine cannot read; its errors do not always tell."""
    for literal in dict.fromkeys(_FILE.findall(statement)):
        try:
            session.execute(sqlfile.fill("lake/readable", file=literal))
        except duckdb.Error:
            path = literal[1:-1].replace("''", "'")
            return f"the data file {path}"
    return "a data file"

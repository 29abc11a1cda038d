"""The only place that opens DuckDB: a session apart, or a cursor of one the process keeps.

Every session is in memory, in UTC, keeps row order, never looks at Python variables of the caller
and never downloads an extension: what a statement means does not depend on where it runs.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import duckdb
import pyarrow as pa

from uih_lake import damage, sqlfile
from uih_lake.arrays import too_much_text
from uih_lake.errors import CorruptionError, LakeError
from uih_lake.wording import engine_says

IN_ONE_PIECE = 1 << 40
"""Rows per chunk: a session of one thread gives one chunk, so that nobody has to join several."""

_FILE = re.compile(
    r"'((?:[^']|'')*(?:-[0-9a-f]{16}-[0-9a-f]{32}\.parquet|/_delta_log/[0-9]{20}\.json))'"
)
"""A literal that names a data file or a log entry, and no text of a user's that looks like one."""


def connect(*, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open a configured in-memory session of its own.

    For callers that create tables or change settings in it; :func:`cursor` is for all others.
    ``threads`` defaults to the number of usable cores.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "preserve_insertion_order": True,
        "threads": threads or len(os.sched_getaffinity(0)),
    }
    connection = _known(duckdb.connect(":memory:", config=config))
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # of its cursors too
    # A long IN list would become a hash join, which mixes up the order of rows of several threads.
    connection.execute("SET disabled_optimizers = 'in_clause'")
    return connection


_kept: dict[tuple[int, int], duckdb.DuckDBPyConnection] = {}
_keeping = threading.Lock()
atexit.register(_kept.clear)  # or DuckDB's binding complains at exit of what it still holds

_open: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()
_opening = threading.Lock()


def _known(session: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    with _opening:
        _open.add(session)
    return session


def interrupt() -> None:
    """End whatever statements run in this process, with DuckDB's InterruptException."""
    with _opening:
        sessions = list(_open)
    for session in sessions:
        with suppress(duckdb.ConnectionException):  # it is closed
            session.interrupt()


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
        return beside(_kept[key])


def beside(session: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A session of its own on what another has: its views, its macros, its global settings."""
    return _known(session.cursor())


def fetch(
    session: duckdb.DuckDBPyConnection,
    statement: str,
    parameters: Mapping[str, Any] | None = None,
    rows: int = IN_ONE_PIECE,
) -> pa.Table:
    """Run one of the toolkit's own reads, in chunks of so many ``rows``.

    Raises as :func:`blaming_files`, and :class:`TooMuchText` where a chunk has more text than Arrow
    can count.
    """
    with blaming_files(session, statement):
        found = session.sql(statement, params=dict(parameters or {}))
        try:
            return found.to_arrow_table(rows)
        except duckdb.InvalidInputException as error:
            if "maximum total string size" in str(error):
                raise too_much_text("a column of texts") from None
            raise


@contextmanager
def blaming_files(session: duckdb.DuckDBPyConnection, statement: str) -> Iterator[None]:
    """Tell which file of ``statement`` is at fault, where one is, when the engine gives up on it.

    Raises :class:`CorruptionError` for a damaged file and :class:`LakeError` for one that the
    system does not give. Any other error of DuckDB is left as it is.
    """
    try:
        yield
    except duckdb.Error as error:
        if _may_be_of_a_file(error):
            for name in dict.fromkeys(_FILE.findall(statement)):
                _check_file(session, name.replace("''", "'"), error)
        if isinstance(error, duckdb.IOException):
            raise LakeError(
                f"the lake could not be read: {engine_says(error)}",
                hint="its files can be opened, so try again; verify tells whether they are sound",
            ) from error
        raise


def _may_be_of_a_file(error: duckdb.Error) -> bool:
    """Whether it is of a kind that damage comes as; DuckDB's Parquet reader has some of no kind."""
    kinds = (duckdb.IOException, duckdb.InvalidInputException)
    return isinstance(error, kinds) or type(error) is duckdb.Error


def _check_file(session: duckdb.DuckDBPyConnection, path: str, error: duckdb.Error) -> None:
    """Find out whether a file is at fault for ``error``, which names it or leaves that open."""
    try:
        with open(path, "rb"):
            pass
    except OSError as refused:
        raise damage.told(path, refused) from refused
    named = path in str(error) and not isinstance(error, duckdb.IOException)
    said = error if named else _said_to_reading(session, path)
    if said is not None:
        raise CorruptionError(
            f"the file {path} cannot be read: {engine_says(said)}", hint=damage.FROM_A_COPY
        ) from error


def _said_to_reading(session: duckdb.DuckDBPyConnection, path: str) -> duckdb.Error | None:
    """What the engine says to reading every value of a data file, if it has anything against it."""
    if path.endswith(".json"):  # a log entry, whose errors always name it
        return None
    try:
        session.execute(sqlfile.fill("lake/readable", file=sqlfile.literal(path)))
    except duckdb.Error as error:
        return error if _may_be_of_a_file(error) else None
    return None

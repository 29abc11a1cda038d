"""The only place that opens DuckDB.

Every session is in memory, in UTC, keeps row order, never looks at Python variables of the caller
and never downloads an extension: what a statement means does not depend on where it runs.
"""

from __future__ import annotations

import os

import duckdb


def connect(
    *, threads: int | None = None, memory_limit: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a configured in-memory session.

    ``threads`` defaults to the number of usable cores; ``memory_limit`` is a DuckDB size such as
    ``"4GB"``, by default DuckDB's own.
    """
    config: dict[str, str | bool | int] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "preserve_insertion_order": True,
        "threads": threads or len(os.sched_getaffinity(0)),
    }
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    return connection

"""Lets ad hoc SQL read the lake and do nothing else.

Two walls, because each has a gap the other closes. :func:`lock` keeps a session to the files of
the lake, but DuckDB may write where it may read, and tables in memory are free.
:func:`check_query` lets through only a statement whose syntax tree does nothing but read: that it
calls itself SELECT is not enough, since a CTE may hold COPY and a table function may run SQL from a
text. A relation that came through both cannot write a file with its own methods, but for one
deliberate way: the path of a file of the lake together with ``use_tmp_file=False``.
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import duckdb

from uih_lake.adhoc.macros import MACROS
from uih_lake.errors import SqlRefused
from uih_lake.lake.sqltypes import list_literal
from uih_lake.sqlfile import literal, statement
from uih_lake.wording import engine_says, guess, on_one_line

_REMEDY: Final = "ask with one SELECT over the views events, uih and examples"
_MACRO: Final = re.compile(r"Macro (\w+)\(\)")
_EXPLAIN: Final = re.compile(
    r"\s*EXPLAIN(\s+|(?=\())(ANALYZE(\s+|(?=\()))?(\(\s*(ANALYZE|FORMAT)\b[\w\s,]*\)\s*)?(?=\S)",
    re.IGNORECASE,
)
"""What stands before the statement: options are words, so that no comment nor text can hide one."""

READS: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
"""Kinds of query that do nothing but read."""

TABLE_FUNCTIONS: Final = frozenset(
    {"range", "generate_series", "repeat", "repeat_row", "unnest", "json_each", "json_tree"}
    | {"duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_tables", "duckdb_types"}
    | {"duckdb_views", "pragma_show", "pragma_table_info", "pragma_version"}
    | {"histogram", "histogram_values", "icu_calendar_names", "pg_timezone_names"}
    | MACROS.keys()
)
"""Table functions that read neither a file nor a setting and run no SQL of their own."""

CLOSED: Final = frozenset(
    {"current_setting", "getvariable", "json_serialize_plan", "pg_settings", "write_log"}
)
"""Functions and views that show settings, where a secret may stand, or write to a log.

A plan has the values of what its query asks for, settings among them, where they are constant.
"""


def lock(session: duckdb.DuckDBPyConnection, files: Iterable[str]) -> None:
    """Keep ``session`` to exactly ``files``, for good: no other path, network, extension, setting.

    Views over ``read_parquet`` of these files go on working. A query larger than memory spills into
    a directory of its own among the system's temporary files, which goes with the session.
    """
    scratch = Path(tempfile.gettempdir(), f"uih_lake_{secrets.token_hex(8)}")
    session.execute(f"SET temp_directory = {literal(str(scratch))}")
    for setting in lock_statements(files):
        session.execute(setting)


def lock_statements(files: Iterable[str]) -> tuple[str, ...]:
    """The settings that keep a session to ``files``, and that nothing sets back."""
    return (
        f"SET allowed_paths = {list_literal(files)}",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    )


def check_query(session: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one statement of ``sql``, if it only reads; else raise :class:`SqlRefused`.

    SELECT in all its forms (FROM, WITH, VALUES, TABLE, DESCRIBE, SUMMARIZE, SHOW) passes, and so
    does EXPLAIN of one, with ANALYZE or (FORMAT name). Nothing is run.
    """
    text, kind = _only_statement(session, sql)
    read = text
    if kind == "EXPLAIN":
        read, kind = _only_statement(session, _EXPLAIN.sub("", text, count=1))
    if kind == "MULTI":
        raise SqlRefused("PIVOT without IN runs as several statements", hint="add IN (value, ...)")
    if kind != "SELECT":
        raise SqlRefused(f"{kind} is not a query", hint=_REMEDY)
    for node in _nodes(_tree(session, read)):
        _check(node)
    return text


def explain_error(error: Exception) -> SqlRefused:
    """What DuckDB has against a user's SQL, in one line to raise or print."""
    hint = None
    called = _MACRO.search(str(error))
    if called and called[1] in MACROS:
        hint = f"call it as {MACROS[called[1]].split(':')[0]}"
    elif isinstance(error, duckdb.PermissionException):
        hint = "only the files of this lake can be read"
    elif isinstance(error, duckdb.CatalogException):
        hint = "SHOW TABLES lists what there is, DESCRIBE events the columns"
    elif isinstance(error, duckdb.ConversionException) or "Cannot compare" in str(error):
        hint = "write a value as its column has it; DESCRIBE events tells the types"
    elif isinstance(error, duckdb.OutOfMemoryException):
        hint = "ask for less at once"
    return SqlRefused(engine_says(error), hint=hint)


def _only_statement(session: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, str]:
    """Text and type of the single statement in ``sql``."""
    try:
        found = session.extract_statements(sql)
        kinds = [each.type.name for each in found]
    except duckdb.Error as error:
        raise explain_error(error) from None
    except (ValueError, TypeError):  # a type the Python client cannot name; a lone surrogate
        raise SqlRefused("it is no statement that DuckDB can name", hint=_REMEDY) from None
    if len(found) != 1:
        say = f"{len(found)} statements ({', '.join(kinds)})" if found else "no statement"
        raise SqlRefused(f"the text holds {say}", hint=_REMEDY)
    return found[0].query, kinds[0]


def _tree(session: duckdb.DuckDBPyConnection, sql: str) -> Any:
    try:
        rows = session.execute(statement("tenant/parse"), {"sql": sql}).fetchall()
        tree = json.loads(rows[0][0])
    except duckdb.Error as error:
        raise explain_error(error) from None
    except RecursionError:
        raise SqlRefused("the query is nested too deeply", hint="put it simpler") from None
    if tree["error"]:
        raise SqlRefused(on_one_line(tree["error_message"]), hint=_REMEDY)
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    todo = [tree]
    while todo:
        found = todo.pop()
        if isinstance(found, dict):
            yield found
            todo.extend(found.values())
        elif isinstance(found, list):
            todo.extend(found)


def _check(node: dict[str, Any]) -> None:
    """Refuse a node that does more than read the views."""
    kind = str(node.get("type"))
    if kind.endswith("_NODE") and kind not in READS:
        verb = kind.removesuffix("_NODE").removesuffix("_QUERY")
        raise SqlRefused(f"{verb} inside a query is not a read", hint=_REMEDY)
    for field in ("function_name", "table_name"):
        if str(node.get(field, "")).lower() in CLOSED:
            raise SqlRefused(f"{node[field]} is not open to ad hoc queries", hint=_REMEDY)
    if kind == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"])
        if name.lower() not in TABLE_FUNCTIONS:
            raise SqlRefused(
                f"table function {name}() is not open to ad hoc queries",
                hint=guess(name, TABLE_FUNCTIONS) + _REMEDY,
            )

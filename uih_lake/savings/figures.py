"""Figures that name the query they come from.

A statement is run as the very text that is reported, its parameters written in, so that whoever
runs that text gets the figure again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from uih_lake import adhoc, sqlfile

LAKE = "uihlake sql LAKE"
FILES = "duckdb"
ENGINE = "uih_lake"


@dataclass(frozen=True)
class Figure:
    """A number, and the ``sql`` that gives it.

    ``statement`` is its name below ``sql/``; ``run_in`` says where it runs: over the views of the
    lake, in any DuckDB session, or (a count of the engine) over the views as its definition.
    ``low`` and ``high`` bound the value with 95% confidence where it is an estimate.
    """

    value: float
    statement: str
    sql: str
    run_in: str
    low: float | None = None
    high: float | None = None

    def __float__(self) -> float:
        return float(self.value)


@dataclass(frozen=True)
class Asker:
    """Runs statements in a session, each once, and keeps the text they ran as."""

    session: duckdb.DuckDBPyConnection
    run_in: str
    _known: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    def rows(self, name: str, **parameters: Any) -> tuple[list[dict[str, Any]], str]:
        """The rows of ``sql/<name>.sql``, and the text that gave them."""
        sql = spelled(sqlfile.statement(name), parameters)
        if sql not in self._known:
            read: Callable[[str], duckdb.DuckDBPyRelation] = self.session.sql
            found = adhoc.ask(self.session, sql) if self.run_in == LAKE else read(sql)
            self._known[sql] = found.to_arrow_table().to_pylist()
        return self._known[sql], sql

    def figure(self, name: str, column: str, **parameters: Any) -> Figure:
        """One column of the single row of a statement."""
        (row,), sql = self.rows(name, **parameters)
        return Figure(row[column], name, sql, self.run_in)


def spelled(statement: str, parameters: Mapping[str, Any]) -> str:
    """``statement`` with every ``$name`` written out."""
    return re.sub(r"\$(\w+)", lambda found: _literal(parameters[found[1]]), statement)


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case float():
            return repr(value)
        case int() | str():
            return sqlfile.literal(value)
        case Mapping():
            fields = (f"{_literal(key)}: {_literal(each)}" for key, each in value.items())
            return "{" + ", ".join(fields) + "}"
        case _:
            return "[" + ", ".join(map(_literal, value)) + "]"

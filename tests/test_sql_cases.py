"""Every statement of the core against tables worked out by hand, kept in `cases/sql/*.toml`.

A case has a ``statement``, a ``name`` and

``tables``   what the statement reads by name, each a query of inline values
``files``    slots that are lists of Parquet files: one query per file, written before the run
``clauses``  slots filled with another statement, itself filled with the slots of the case
``slots``    slots filled with SQL
``params``   values of ``$named`` parameters
``columns``  names of the columns of the result, in order
``rows``     the rows expected, as SQL values; in order, unless ``unordered``
"""

from __future__ import annotations

import string
import tomllib
from pathlib import Path
from typing import Any

import duckdb
import pytest
from house import ROOT, statements

from uih_lake.lake.sqltypes import list_literal
from uih_lake.session import connect
from uih_lake.sqlfile import statement

FILES = sorted((ROOT / "tests/cases/sql").glob("*.toml"))
CASES: list[dict[str, Any]] = [
    case for path in FILES for case in tomllib.loads(path.read_text("utf-8"))["case"]
]
FOLDERS = ("lake/", "pointers/", "resolve/")


def filled(name: str, slots: dict[str, str]) -> str:
    """The statement with those of the slots it has."""
    text = statement(name)
    wanted = {field for _, field, _, _ in string.Formatter().parse(text) if field}
    return text.format(**{slot: slots[slot] for slot in wanted})


def prepared(case: dict[str, Any], duck: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Make the tables and files of a case; its statement, ready to run."""
    for name, query in case.get("tables", {}).items():
        duck.execute(f"CREATE TABLE {name} AS {query}")
    slots = dict(case.get("slots", {}))
    for slot, queries in case.get("files", {}).items():
        paths = [str(folder / f"{slot}-{number}.parquet") for number in range(len(queries))]
        for path, query in zip(paths, queries, strict=True):
            duck.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        slots[slot] = list_literal(paths)
    slots |= {slot: filled(name, slots) for slot, name in case.get("clauses", {}).items()}
    return filled(case["statement"], slots)


@pytest.mark.parametrize("case", CASES, ids=[f"{c['statement']}: {c['name']}" for c in CASES])
def test_statement(case: dict[str, Any], tmp_path: Path) -> None:
    with connect() as duck:
        result = duck.sql(prepared(case, duck, tmp_path), params=case.get("params"))
        assert result.columns == case["columns"]
        found = result.fetchall()
        expected = duck.sql(f"VALUES {case['rows']}").fetchall() if case["rows"] else []
    if case.get("unordered"):
        found, expected = sorted(found, key=repr), sorted(expected, key=repr)
    assert found == expected


def test_every_statement_has_a_case() -> None:
    used = {case["statement"] for case in CASES}
    used |= {clause for case in CASES for clause in case.get("clauses", {}).values()}
    wanted = {name for name in statements(ROOT) if name.startswith(FOLDERS)}
    assert used == wanted

"""Statements live in ``sql/``, one file each; this module reads them and quotes what goes in.

A file holds one statement with ``$named`` parameters for values. Where a statement must name a
column or list an expression that depends on the lake, the file says ``{slot}``; the text put there
comes from :func:`identifier`, :func:`literal` or from another checked piece of SQL, never from a
user's string as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources


@cache
def statement(name: str) -> str:
    """Text of ``sql/<name>.sql`` without its header comment, e.g. ``statement("resolve/asof")``."""
    path = resources.files("uih_lake.sql").joinpath(f"{name}.sql")
    lines = path.read_text(encoding="utf-8").splitlines()
    body = [line for line in lines if not line.startswith("--")]
    return "\n".join(body).strip().removesuffix(";")


def fill(name: str, /, **slots: str) -> str:
    """Statement ``name`` with its ``{slot}``s replaced by already quoted SQL."""
    return statement(name).format(**slots)


def identifier(name: str) -> str:
    """Quote a column or table name for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int) -> str:
    """Quote a string or an integer as a DuckDB literal."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def columns(names: Iterable[str]) -> str:
    """A comma-separated list of quoted column names."""
    return ", ".join(identifier(name) for name in names)

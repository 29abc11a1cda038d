"""Arrow types and lists of values as DuckDB text."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from uih_lake import schema, sqlfile

_DUCKDB_TYPES = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "string": "VARCHAR",
    "binary": "BLOB",
    str(schema.TIME): "TIMESTAMPTZ",
}


def duckdb_type(kind: pa.DataType) -> str:
    """Name of the DuckDB type of a stored Arrow type."""
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    return _DUCKDB_TYPES[str(kind)]


def anchor(stored: pa.Schema) -> str:
    """A relation without rows that fixes the type of every column, also of those no file has."""
    nulls = (f"CAST(NULL AS {duckdb_type(f.type)}) AS {sqlfile.identifier(f.name)}" for f in stored)
    return sqlfile.fill("lake/anchor", columns=", ".join(nulls))


def list_literal(values: Iterable[str] | Iterable[int]) -> str:
    """A DuckDB list literal."""
    return "[" + ", ".join(sqlfile.literal(value) for value in values) + "]"

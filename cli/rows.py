"""The rows of a statement, with text for values that Arrow has as bytes, or not in full.

It has numbers of any size, bits and variants as DuckDB stores them, times of a zone without it, and
unsigned numbers of 128 bits as signed ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from uih_lake.sqlfile import identifier

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

_LOST: Final = re.compile("BIGNUM|UHUGEINT|BIT|VARIANT|TIME WITH TIME ZONE")
"""Found in the name of every type with such values, and in few others."""


def rows(relation: DuckDBPyRelation) -> pa.RecordBatchReader:
    """What a statement gives; values that would be lost as the text that DuckDB has for them."""
    if any(map(_is_lost, relation.types)):
        columns = enumerate(zip(relation.columns, relation.types, strict=True), 1)
        kept = (
            f"{f'CAST(#{n} AS {_kept(kind)})' if _is_lost(kind) else f'#{n}'} AS {identifier(name)}"
            for n, (name, kind) in columns
        )
        relation = relation.project(", ".join(kept))
    return relation.to_arrow_reader()


def _is_lost(kind: Any) -> bool:
    return _LOST.search(str(kind)) is not None


def _kept(kind: Any) -> str:
    """The type in which Arrow has the values of a type, or parts of them."""
    if not _is_lost(kind):
        return str(kind)
    match kind.id:
        case "list" | "array":
            (_, item), *size = kind.children
            return f"{_kept(item)}[{''.join(str(number) for _, number in size)}]"
        case "map":
            return f"MAP({', '.join(_kept(part) for _, part in kind.children)})"
        case "struct" | "union":
            parts = (f"{identifier(n)} {_kept(part)}" for n, part in kind.children if n)
            return f"{kind.id}({', '.join(parts)})"
        case _:
            return "VARCHAR"

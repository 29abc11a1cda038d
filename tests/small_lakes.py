"""Rows for small lakes, and what such a lake holds, gives back and refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from uih_lake import Group, Lake, Tenant, UihError, names

TIME = pa.timestamp("us", "UTC")
TABLES = (names.RECENT, names.UIH, names.EXAMPLES)


def at(micros: int) -> datetime:
    """A time as a lake gives it back."""
    return datetime.fromtimestamp(0, UTC).replace(microsecond=micros)


def events(users: list[Any], times: list[int], **traits: Any) -> pa.Table:
    return pa.table({"user_id": users, "event_ts": pa.array(times, TIME), **traits})


def requests(users: list[Any], times: list[int], **context: Any) -> pa.Table:
    return pa.table({"user_id": users, "request_ts": pa.array(times, TIME), **context})


def state(lake: Lake) -> dict[str, Any]:
    """Every file of a lake but its locks, and the Delta version of every table."""
    files = [p for p in Path(lake.path).rglob("[!.]*") if p.is_file()]
    found: dict[str, Any] = {str(p): p.stat().st_size for p in files}
    for table in TABLES:
        found[table] = DeltaTable(Path(lake.path, table)).version()
    return found


def sequences(lake: Lake, *traits: str) -> list[Any]:
    """By example id: the values of the first trait, or of all of them."""
    rows = lake.materialize(Tenant("t", {"g": Group(traits)})).read_all().to_pylist()
    rows.sort(key=lambda row: row["example_id"])
    return [row["g"][traits[0]] if len(traits) == 1 else row["g"] for row in rows]


def refusal(kind: type[UihError], call: Callable[[], object]) -> str:
    """What the error says, in one line, that a call must end in."""
    with pytest.raises(kind) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)

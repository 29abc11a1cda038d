"""Sound events, a lake's columns, and what ingest makes of a source, as one table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from uih_lake.ingest import EventColumns, RequestColumns, open_events, open_requests

TIME = pa.timestamp("us", tz="UTC")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE = [1, 2, 3]
HEAD = "user_id,event_ts,x\n"
LAKE = pa.schema(
    [
        ("user_id", pa.int64()),
        ("event_ts", TIME),
        ("arrival_ts", TIME),
        ("a", pa.int32()),
        ("b", pa.float32()),
    ]
)


def read(source: Any, columns: Any = None, expected: pa.Schema | None = None) -> pa.Table:
    """All batches of events, or of requests where ``columns`` says so, as one table."""
    columns = columns or EventColumns()
    opened = open_requests if isinstance(columns, RequestColumns) else open_events
    batches = opened(source, columns, expected)
    return pa.Table.from_batches(list(batches), batches.schema)


def events(rows: int = 3, **columns: Any) -> pa.Table:
    """A table of sound events, with the columns given added or replaced."""
    base: dict[str, Any] = {
        "user_id": pa.array(range(1, rows + 1), pa.int64()),
        "event_ts": pa.array([NOON + timedelta(seconds=i) for i in range(rows)], TIME),
    }
    return pa.table(base | columns)

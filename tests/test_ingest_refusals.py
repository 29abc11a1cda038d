"""Tables and options that are refused, each with the column, the row and a way out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from ingested import NOON, ONE, TIME, events, read

from uih_lake.errors import InputError, SchemaError, UihError
from uih_lake.ingest import EventColumns, RequestColumns


def without(name: str, **columns: Any) -> pa.Table:
    return events(**columns).drop_columns([name])


REFUSED: list[tuple[str, Any, Any, type[UihError], list[str]]] = [
    (
        "no user",
        without("user_id", UserID=ONE),
        None,
        InputError,
        [
            "the table",
            "'user_id'",
            "did you mean 'UserID'",
            "--user-id COL",
            "'event_ts', 'UserID'",
        ],
    ),
    ("no time", without("event_ts"), None, InputError, ["no column 'event_ts'", "--event-ts COL"]),
    (
        "no arrival",
        events(),
        EventColumns(arrival_ts="seen"),
        InputError,
        ["no column 'seen' for arrival_ts", "--arrival-ts COL"],
    ),
    (
        "null users",
        events(user_id=[1, None, None]),
        None,
        InputError,
        [
            "'user_id': 2 rows of the first 3 without a user id",
            "first at row 2",
            "--on-null-user skip",
        ],
    ),
    (
        "nan user",
        events(user_id=[1.0, 2.0, float("nan")]),
        None,
        InputError,
        ["1 row of the first 3", "first at row 3"],
    ),
    (
        "all users null",
        events(user_id=pa.nulls(3)),
        None,
        SchemaError,
        ["'user_id' holds no value"],
    ),
    (
        "fractional user",
        events(user_id=[1.0, 2.5, 3.5]),
        None,
        SchemaError,
        ["2 rows with a value that is no int64, first at row 2 (2.5)"],
    ),
    (
        "infinite user",
        events(user_id=[1.0, float("inf"), 3.0]),
        None,
        SchemaError,
        ["first at row 2 (inf)"],
    ),
    ("inexact user", events(user_id=[1.0, 2.0**54, 3.0]), None, SchemaError, ["first at row 2"]),
    (
        "unsigned user",
        events(user_id=pa.array([1, 2**63, 3], pa.uint64())),
        None,
        SchemaError,
        ["first at row 2 (9223372036854775808)"],
    ),
    (
        "bool user",
        events(user_id=[True, False, True]),
        None,
        SchemaError,
        ["'user_id' is bool", "an integer or string id"],
    ),
    ("time user", events(user_id=[NOON] * 3), None, SchemaError, ["'user_id' is timestamp"]),
    (
        "empty user",
        events(user_id=["a", "", ""]),
        None,
        InputError,
        ["2 rows with an empty string as id, first at row 2"],
    ),
    (
        "null time",
        events(event_ts=pa.array([NOON, None, None], TIME)),
        None,
        InputError,
        ["'event_ts': 2 rows without event_ts, first at row 2"],
    ),
    (
        "null arrival",
        events(arrival_ts=pa.array([NOON, NOON, None], TIME)),
        None,
        InputError,
        ["'arrival_ts': 1 row without arrival_ts, first at row 3"],
    ),
    (
        "no unit",
        events(event_ts=ONE),
        None,
        InputError,
        ["numbers (int64) without a unit", "--ts-unit s|ms|us"],
    ),
    (
        "wrong unit",
        events(event_ts=[1_600_000_000_000] * 3),
        EventColumns(ts_unit="s"),
        InputError,
        ["3 rows with a time that is out of range, first at row 1 (1600000000000)", "--ts-unit"],
    ),
    (
        "nan time",
        events(event_ts=[1.0, float("nan"), float("inf")]),
        EventColumns(ts_unit="s"),
        InputError,
        ["2 rows with a time that is NaN or infinite, first at row 2 (nan)"],
    ),
    (
        "huge time",
        events(event_ts=[1.0, 1e300, 2.0]),
        EventColumns(ts_unit="us"),
        InputError,
        ["out of range, first at row 2"],
    ),
    (
        "small float time",
        events(event_ts=pa.array([1, 2, 3], pa.float32())),
        EventColumns(ts_unit="s"),
        InputError,
        ["floats of 32 bits", "float64"],
    ),
    (
        "unparseable time",
        events(event_ts=["2026-01-31", "yesterday", "2026-13-01"]),
        None,
        InputError,
        ["2 rows with a text that is no ISO 8601 time, first at row 2 ('yesterday')"],
    ),
    ("bool time", events(event_ts=[True] * 3), None, SchemaError, ["'event_ts' is bool", "a time"]),
    (
        "time before year 1",
        events(event_ts=pa.array([0, -(2**62), 0], pa.timestamp("us"))),
        None,
        InputError,
        ["out of range, first at row 2", "years 1 to 9999"],
    ),
    (
        "trait time out of range",
        events(t=pa.array([0, 2**62, 0], pa.timestamp("s"))),
        None,
        InputError,
        ["'t': 1 row", "first at row 2"],
    ),
    (
        "date out of range",
        events(t=pa.array([0, 2**31 - 1, 0], pa.int32()).view(pa.date32())),
        None,
        InputError,
        ["'t': 1 row with a date"],
    ),
    (
        "list time out of range",
        events(t=pa.array([[0], [0, 2**62, 2**62], None], pa.list_(pa.timestamp("s")))),
        None,
        InputError,
        ["'t': 1 row", "first at row 2"],
    ),
    (
        "unsigned trait",
        events(x=pa.array([1, 2, 2**63], pa.uint64())),
        None,
        SchemaError,
        ["'x': 1 row with a value that is no int64, first at row 3"],
    ),
    (
        "unsigned list",
        events(x=pa.array([[], [1], [2**63]], pa.list_(pa.uint64()))),
        None,
        SchemaError,
        ["first at row 3"],
    ),
    ("reserved", events(seq=ONE), None, SchemaError, ["'seq' has a reserved name", "rename it"]),
    (
        "reserved case",
        events(Lake_Version=ONE),
        None,
        SchemaError,
        ["'Lake_Version' has a reserved name"],
    ),
    ("virtual", events(File_Index=ONE), None, SchemaError, ["'File_Index' has a reserved name"]),
    ("underscore", events(_x=ONE), None, SchemaError, ["'_x' starts with an underscore"]),
    (
        "user beside mapped",
        events(CustomerID=ONE),
        EventColumns(user_id="CustomerID"),
        SchemaError,
        ["column 'user_id' is there beside 'CustomerID'"],
    ),
    (
        "arrival beside mapped",
        events(seen=[NOON] * 3, arrival_ts=[NOON] * 3),
        EventColumns(arrival_ts="seen"),
        SchemaError,
        ["column 'arrival_ts' is there beside 'seen'"],
    ),
    (
        "case twins",
        events(Item=ONE, item=ONE),
        None,
        SchemaError,
        ["'Item' and 'item' differ only in case"],
    ),
    (
        "case twins of another script",  # which DuckDB tells apart, and Delta does not
        events(É=ONE, é=ONE),
        None,
        SchemaError,
        ["'É' and 'é' differ only in case"],
    ),
    (
        "twins",
        pa.table([ONE, [NOON] * 3, ONE, ONE], ["user_id", "event_ts", "a", "a"]),
        None,
        SchemaError,
        ["'a' is there twice"],
    ),
    ("nameless", events(**{"": ONE}), None, SchemaError, ["column 3 has no name"]),
    ("null type", events(x=pa.nulls(3)), None, SchemaError, ["'x' holds no value"]),
    (
        "decimal",
        events(x=pa.array([1, 2, 3], pa.decimal128(5, 2))),
        None,
        SchemaError,
        ["'x' is decimal128(5, 2)", "supported are"],
    ),
    ("binary", events(x=[b"a"] * 3), None, SchemaError, ["'x' is binary"]),
    ("struct", events(x=[{"a": 1}] * 3), None, SchemaError, ["'x' is struct"]),
    (
        "map",
        events(x=pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64()))),
        None,
        SchemaError,
        ["'x' is map"],
    ),
    ("nested list", events(x=[[[1]]] * 3), None, SchemaError, ["'x' is list<item: list"]),
    ("duration", events(x=[timedelta(1)] * 3), None, SchemaError, ["'x' is duration"]),
    (
        "time of day",
        events(x=pa.array([1, 2, 3], pa.time64("us"))),
        None,
        SchemaError,
        ["'x' is time64"],
    ),
    ("lazy", pl.LazyFrame({"user_id": [1]}), None, InputError, ["lazy polars query", ".collect()"]),
    ("dict", {"user_id": [1]}, None, InputError, ["a dict cannot be read", "pyarrow.table"]),
    ("number", 7, None, InputError, ["a int cannot be read", "__arrow_c_stream__"]),
    ("series", pl.Series([1]), None, InputError, ["a Series that is no Arrow table"]),
    ("nothing", [], None, InputError, ["no file given"]),
    ("list of tables", [events()], None, InputError, ["holds a Table"]),
    (
        "null example",
        pa.table({"example_id": ["a", None], "user_id": [1, 2], "request_ts": [NOON] * 2}),
        RequestColumns(),
        InputError,
        ["'example_id': 1 row without example_id, first at row 2"],
    ),
    (
        "reserved context",
        pa.table({"digest": [1], "user_id": [1], "request_ts": [NOON]}),
        RequestColumns(),
        SchemaError,
        ["'digest' has a reserved name, no context column"],
    ),
    (
        "no request time",
        pa.table({"user_id": [1]}),
        RequestColumns(),
        InputError,
        ["'request_ts'", "--request-ts COL"],
    ),
]


@pytest.mark.parametrize(
    ("source", "columns", "error", "says"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_refused(source: Any, columns: Any, error: type[UihError], says: list[str]) -> None:
    with pytest.raises(error) as caught:
        read(source, columns)
    for fragment in says:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="ts_unit is 'ns'"):
        EventColumns(ts_unit="ns")
    with pytest.raises(InputError, match="on_null_user is 'drop'"):
        RequestColumns(on_null_user="drop")

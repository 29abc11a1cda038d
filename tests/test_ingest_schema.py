"""The lake's schema: what fits is cast to it, and what does not is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingested import HEAD, LAKE, ONE, TIME, events, read

from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest import EventColumns, check_events


def test_columns_follow_the_lake_and_new_ones_come_last() -> None:
    table = events(c=ONE, b=pa.array([0.5, None, 2.0]), a=pa.array([1, 2, 3], pa.uint64()))
    found = read(table, None, LAKE)
    assert found.schema.names == ["user_id", "event_ts", "arrival_ts", "a", "b", "c"]
    assert found.schema.types[3:] == [pa.int32(), pa.float32(), pa.int64()]
    assert check_events(found.schema, LAKE, add_columns=True).names == found.schema.names
    with pytest.raises(SchemaError, match=r"e\.csv: column 'c' is new to the lake; pass --add-col"):
        check_events(found.schema, LAKE, where="e.csv")


FITS: list[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([1, None, 3], pa.int8()), pa.int64(), [1, None, 3]),
    (pa.array([1, None, 3], pa.int64()), pa.int8(), [1, None, 3]),
    (pa.array([1.0, None, 3.0]), pa.int32(), [1, None, 3]),
    (pa.array([1.0, None, 1 - 2.0**53]), pa.int64(), [1, None, 1 - 2**53]),
    (pa.array([1.0, None, 2.0**24 - 1], pa.float32()), pa.int64(), [1, None, 2**24 - 1]),
    (pa.array([1, None, 2**53]), pa.float64(), [1.0, None, 2.0**53]),
    (pa.array([1.5, None, float("inf")]), pa.float32(), [1.5, None, float("inf")]),
    (pa.nulls(3), pa.list_(pa.string()), [None] * 3),
    (pa.array([[], None, []], pa.list_(pa.null())), pa.list_(pa.string()), [[], None, []]),
    (pa.array([[], None, [None]], pa.large_list(pa.null())), pa.list_(TIME), [[], None, [None]]),
    (pa.array(["2026-01-31", None, None]), TIME, [datetime(2026, 1, 31, tzinfo=UTC), None, None]),
    (pa.array([[1], None, []], pa.list_(pa.int8())), pa.list_(pa.int64()), [[1], None, []]),
]


@pytest.mark.parametrize(
    ("values", "kind", "wanted"), FITS, ids=lambda case: str(getattr(case, "type", ""))
)
def test_values_that_fit_are_cast(values: pa.Array, kind: pa.DataType, wanted: list[Any]) -> None:
    found = read(events(x=values), None, pa.schema([("user_id", pa.int64()), ("x", kind)]))
    assert found.schema.field("x").type == kind
    assert found["x"].to_pylist() == wanted


MISFITS: list[tuple[pa.Array, pa.DataType, str]] = [
    (
        pa.array([1, 2, 128]),
        pa.int8(),
        "'x': 1 row with a value that is no int8, first at row 3 (128)",
    ),
    (pa.array([1, -129, -129]), pa.int8(), "2 rows with a value that is no int8, first at row 2"),
    (pa.array([1.0, 2.5, 3.0]), pa.int64(), "no int64, first at row 2 (2.5)"),
    (pa.array([1.0, float(2**53 + 1), 3.0]), pa.int64(), "no int64, first at row 2 (9007199254740"),
    (pa.array([1.0, -(2.0**53), 3.0]), pa.int64(), "no int64, first at row 2 (-9007199254740"),
    (pa.array([1.0, 2.0**24, 3.0], pa.float32()), pa.int64(), "no int64, first at row 2 (1677721"),
    (pa.array([1.0, float("nan"), 3.0]), pa.int64(), "no int64, first at row 2 (nan)"),
    (pa.array([1.0, 0.1, 3.0]), pa.float32(), "no float, first at row 2 (0.1)"),
    (pa.array([1, 2, 2**53 + 1]), pa.float64(), "no double, first at row 3"),
    (pa.array([[1], [2, 300], None]), pa.list_(pa.int8()), "no int8, first at row 2 (300)"),
    (pa.array(["1", "2", "3"]), pa.int64(), "'x' is string, where int64 is wanted"),
    (pa.array([1, 2, 3]), pa.string(), "'x' is int64, where string is wanted"),
    (pa.array([True] * 3), pa.int64(), "'x' is bool, where int64 is wanted"),
    (pa.array([1, 2, 3]), TIME, "'x' is int64, where timestamp[us, tz=UTC] is wanted"),
    (pa.array([[1]] * 3), pa.int64(), "where int64 is wanted"),
    (pa.array([[]] * 3, pa.list_(pa.null())), pa.int64(), "is list<item: null>, where int64 is"),
]


@pytest.mark.parametrize(
    ("values", "kind", "says"), MISFITS, ids=[str(case[2])[-30:] for case in MISFITS]
)
def test_values_that_do_not_fit_are_refused(values: pa.Array, kind: pa.DataType, says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read(events(x=values), None, pa.schema([("user_id", pa.int64()), ("x", kind)]))
    assert says in str(caught.value)


EMPTY = pa.array([[], None, []], pa.list_(pa.null()))
"""What polars and pandas have for a column in which every list is empty."""


@pytest.mark.parametrize("first", [True, False])
def test_a_file_of_empty_lists_takes_the_type_of_the_others(tmp_path: Path, first: bool) -> None:
    lists = pa.array([[1], None, []], pa.list_(pa.int64()))
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    columns = (EMPTY, lists) if first else (lists, EMPTY)
    for path, column in zip(paths, columns, strict=True):
        pq.write_table(events(x=column), path)
    found = read(paths)
    assert found.schema.field("x").type == pa.list_(pa.int64())
    assert sorted(map(str, found["x"].to_pylist())) == ["None", "None", "[1]", "[]", "[]", "[]"]
    pq.write_table(events(x=pa.array([1, 2, 3])), paths[first])
    with pytest.raises(SchemaError, match=r"'x' is .* give it one type"):
        read(paths)


def test_lists_of_nothing_have_no_type_yet() -> None:
    with pytest.raises(SchemaError, match="'x' holds no value, so its type is unknown"):
        read(events(x=EMPTY))


@pytest.mark.parametrize("users", [["a", "b", "c"], [b"a"] * 3], ids=["string", "binary"])
def test_user_ids_keep_the_type_of_the_lake(users: list[Any]) -> None:
    with pytest.raises(SchemaError, match="column 'user_id' is "):
        read(events(user_id=users), None, LAKE)


def test_text_that_does_not_fit_the_lake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(HEAD + "1,2026-01-31,5\n2,2026-01-31,five\n")
    lake = pa.schema([("user_id", pa.int64()), ("x", pa.int32())])
    with pytest.raises(
        SchemaError, match=r"e\.csv: column 'x': 1 row .* first at row 2 \('five'\)"
    ):
        read(tmp_path / "e.csv", None, lake)
    with pytest.raises(SchemaError, match="no type of delimited text"):
        read(
            tmp_path / "e.csv",
            None,
            pa.schema([("user_id", pa.int64()), ("x", pa.list_(pa.int8()))]),
        )


def test_check_events_names_what_differs() -> None:
    found = read(events(a=ONE)).schema
    with pytest.raises(SchemaError, match="no column 'b', which the lake has; add it"):
        check_events(found, LAKE)
    with pytest.raises(SchemaError, match="column 'a' is string, where int32 is wanted"):
        check_events(read(events(a=["x"] * 3, b=ONE)).schema, LAKE)
    with pytest.raises(SchemaError, match="'B' and the lake's 'b' differ only in case"):
        check_events(pa.schema([*LAKE, ("B", pa.int64())]), LAKE, add_columns=True)
    assert check_events(LAKE, LAKE) == LAKE


@pytest.mark.parametrize("key", ["event_ts", "arrival_ts", "user_id"])
def test_a_column_of_the_lake_is_no_key(key: str) -> None:
    """Said first: what is found missing otherwise is the column that was given."""
    table = events(a=["x", "y", "z"])
    table = table.drop_columns([key]) if key in table.column_names else table
    columns = EventColumns(**{key: "a"})
    with pytest.raises(SchemaError, match=f"column 'a' is given for {key}, and the lake has one"):
        read(table, columns, LAKE)
    others = pa.schema([field for field in LAKE if field.name != "a"])
    if key == "user_id":
        with pytest.raises(SchemaError, match="'a' is string, where int64 is wanted"):
            read(table, columns, others)
    else:
        with pytest.raises(InputError, match="'a': 3 rows with a text that is no ISO 8601 time"):
            read(table, columns, others)

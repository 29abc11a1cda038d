"""What ingest takes and what it refuses, case by case."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uih_lake.errors import InputError, SchemaError, UihError
from uih_lake.ingest import (
    EventColumns,
    RequestColumns,
    check_schema,
    open_events,
    open_requests,
)
from uih_lake.ingest.rechunk import rechunk

TIME = pa.timestamp("us", tz="UTC")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


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


def without(name: str, **columns: Any) -> pa.Table:
    return events(**columns).drop_columns([name])


# --- what is taken ----------------------------------------------------------------------------


def test_keys_come_first_and_traits_keep_their_order() -> None:
    table = pa.table({"z": [1], "When": [NOON], "a": ["x"], "Who": [7]})
    found = read(table, EventColumns(user_id="Who", event_ts="When"))
    assert found.schema == pa.schema(
        [
            pa.field("user_id", pa.int64(), nullable=False),
            pa.field("event_ts", TIME, nullable=False),
            pa.field("arrival_ts", TIME, nullable=False),
            pa.field("z", pa.int64()),
            pa.field("a", pa.string()),
        ]
    )
    assert found.to_pylist() == [
        {"user_id": 7, "event_ts": NOON, "arrival_ts": NOON, "z": 1, "a": "x"}
    ]


def test_arrival_is_its_own_column_where_there_is_one() -> None:
    late = pa.array([NOON + timedelta(days=1)] * 3, TIME)
    assert read(events(arrival_ts=late))["arrival_ts"].to_pylist() == late.to_pylist()
    named = read(events(seen=late), EventColumns(arrival_ts="seen"))
    assert named["arrival_ts"].to_pylist() == late.to_pylist()
    assert named.column_names == ["user_id", "event_ts", "arrival_ts"]


def test_requests_have_optional_example_and_as_of() -> None:
    table = pa.table(
        {
            "label": [1.0, None],
            "as_of_ts": pa.array([None, NOON], TIME),
            "example_id": ["a", "b"],
            "request_ts": pa.array([NOON, NOON], TIME),
            "user_id": [1, 2],
        }
    )
    found = read(table, RequestColumns())
    assert found.column_names == ["example_id", "user_id", "request_ts", "as_of_ts", "label"]
    assert found["as_of_ts"].to_pylist() == [None, NOON]
    assert not found.schema.field("example_id").nullable
    bare = read(table.select(["user_id", "request_ts"]), RequestColumns())
    assert bare.column_names == ["user_id", "request_ts"]


CATEGORIES = [
    pl.Series(["b", None, "a"], dtype=kind).to_arrow(compat_level=pl.CompatLevel.newest())
    for kind in (pl.Categorical, pl.Enum(["a", "b"]))
]
"""Dictionaries of string views, as polars hands them over."""

NARROWED: list[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([1, None, 255], pa.uint8()), pa.int16(), [1, None, 255]),
    (pa.array([1, None, 65535], pa.uint16()), pa.int32(), [1, None, 65535]),
    (pa.array([1, None, 2**32 - 1], pa.uint32()), pa.int64(), [1, None, 2**32 - 1]),
    (pa.array([1, None, 2**63 - 1], pa.uint64()), pa.int64(), [1, None, 2**63 - 1]),
    (pa.array([-128, None, 127], pa.int8()), pa.int8(), [-128, None, 127]),
    (pa.array([1.5, None, 2.0], pa.float16()), pa.float32(), [1.5, None, 2.0]),
    (pa.array(["a", None, ""], pa.large_string()), pa.string(), ["a", None, ""]),
    (pa.array(["a", None, "b"], pa.string_view()), pa.string(), ["a", None, "b"]),
    (pa.array(["a", None, "a"]).dictionary_encode(), pa.string(), ["a", None, "a"]),
    *((words, pa.string(), ["b", None, "a"]) for words in CATEGORIES),
    (
        pl.Series([["b", None], None, ["a"]], dtype=pl.List(pl.Categorical)).to_arrow(
            compat_level=pl.CompatLevel.newest()
        ),
        pa.list_(pa.string()),
        [["b", None], None, ["a"]],
    ),
    (pa.array([True, None, False]), pa.bool_(), [True, None, False]),
    (
        pa.array([1, None, -1], pa.timestamp("s")),
        TIME,
        [
            datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
            None,
            datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        ],
    ),
    (
        pa.array([1_999, None, 0], pa.timestamp("ns", tz="Asia/Tokyo")),
        TIME,
        [datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None, datetime(1970, 1, 1, tzinfo=UTC)],
    ),
    (
        pa.array([date(2026, 1, 31), None, date(1, 1, 1)], pa.date32()),
        TIME,
        [datetime(2026, 1, 31, tzinfo=UTC), None, datetime(1, 1, 1, tzinfo=UTC)],
    ),
    (
        pa.array([date(2026, 1, 31), None, date(9999, 12, 31)], pa.date64()),
        TIME,
        [datetime(2026, 1, 31, tzinfo=UTC), None, datetime(9999, 12, 31, tzinfo=UTC)],
    ),
    (pa.array([[1], None, []], pa.large_list(pa.uint8())), pa.list_(pa.int16()), [[1], None, []]),
    (
        pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)),
        pa.list_(pa.int64()),
        [[1, 2], None, [3, None]],
    ),
    (
        pa.array([["a"], None, [None]], pa.list_view(pa.string_view())),
        pa.list_(pa.string()),
        [["a"], None, [None]],
    ),
    (
        pa.array([[date(1970, 1, 2)], None, [None]], pa.list_(pa.date32())),
        pa.list_(TIME),
        [[datetime(1970, 1, 2, tzinfo=UTC)], None, [None]],
    ),
]


@pytest.mark.parametrize(
    ("values", "kind", "wanted"), NARROWED, ids=lambda case: str(getattr(case, "type", ""))
)
@pytest.mark.parametrize("skip", [0, 1])
def test_traits_are_narrowed_without_loss(
    values: pa.Array, kind: pa.DataType, wanted: list[Any], skip: int
) -> None:
    """Also for a slice, whose buffers start before its first value."""
    found = read(events(trait=values).slice(skip))
    assert found.schema.field("trait").type == kind
    assert str(found.schema.field("trait").type) == str(kind)
    assert found["trait"].to_pylist() == wanted[skip:]


def test_nan_is_kept_in_a_trait() -> None:
    values = read(events(x=[float("nan"), float("inf"), None]))["x"].to_pylist()
    assert values[0] != values[0]
    assert values[1:] == [float("inf"), None]


NANOSECONDS = pa.array([-1, -1_000, -1_001, 0, 999, 1_000, 2**63 - 1, -(2**63)], pa.timestamp("ns"))
MICROSECONDS = [
    "1969-12-31T23:59:59.999999",
    "1969-12-31T23:59:59.999999",
    "1969-12-31T23:59:59.999998",
    "1970-01-01T00:00:00",
    "1970-01-01T00:00:00",
    "1970-01-01T00:00:00.000001",
    "2262-04-11T23:47:16.854775",
    "1677-09-21T00:12:43.145224",
]
"""The microsecond that each falls into."""

TIMES: list[tuple[pa.Array, str | None, list[str]]] = [
    (pa.array([1_600_000_000]), "s", ["2020-09-13T12:26:40"]),
    (pa.array([1_600_000_000_123]), "ms", ["2020-09-13T12:26:40.123000"]),
    (pa.array([1_600_000_000_123_456], pa.uint64()), "us", ["2020-09-13T12:26:40.123456"]),
    (
        pa.array([1_600_000_000.123456, -0.5]),
        "s",
        ["2020-09-13T12:26:40.123456", "1969-12-31T23:59:59.500000"],
    ),
    (pa.array(["2020-09-13"]), None, ["2020-09-13T00:00:00"]),
    (pa.array(["2020-09-13 12:26"]), None, ["2020-09-13T12:26:00"]),
    (pa.array(["2020-09-13T12:26:40.1234569+05:30"]), None, ["2020-09-13T06:56:40.123456"]),
    (
        pa.array(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]),
        "ms",
        ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"],
    ),
    (NANOSECONDS, None, MICROSECONDS),
    (NANOSECONDS.cast(pa.timestamp("ns", "Asia/Tokyo")), None, MICROSECONDS),
    (
        pa.array(["1970-01-01T00:00:00.0000019Z", "1969-12-31T23:59:59.9999999Z"]),
        None,
        ["1970-01-01T00:00:00.000001", "1969-12-31T23:59:59.999999"],
    ),
    (
        pa.array([-1_600_000_000.123456, 1_700_000_000.000001]),
        "s",
        ["1919-04-20T11:33:19.876544", "2023-11-14T22:13:20.000001"],
    ),
    (
        pa.array([-1_001.5, -0.25]),
        "ms",
        ["1969-12-31T23:59:58.998500", "1969-12-31T23:59:59.999750"],
    ),
    (pa.array([-1]), "ms", ["1969-12-31T23:59:59.999000"]),
    (pa.array([date(2020, 9, 13)]), None, ["2020-09-13T00:00:00"]),
    (pa.array(["2020-09-13"]).dictionary_encode(), None, ["2020-09-13T00:00:00"]),
]


@pytest.mark.parametrize(
    ("times", "unit", "wanted"), TIMES, ids=lambda case: str(getattr(case, "type", ""))
)
def test_times_of_every_kind(times: pa.Array, unit: str | None, wanted: list[str]) -> None:
    found = read(events(len(times), event_ts=times), EventColumns(ts_unit=unit))
    assert [t.replace(tzinfo=None).isoformat() for t in found["event_ts"].to_pylist()] == wanted


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a", "b"])], ids=["any", "fixed"])
def test_columns_of_polars_may_be_categories(kind: Any) -> None:
    words = pl.Series(["b", "a"], dtype=kind)
    table = pl.DataFrame({"user_id": words, "event_ts": [date(2026, 1, 1)] * 2, "x": words})
    found = read(table.with_columns(xs=pl.concat_list("x")))
    assert found.select(["user_id", "x", "xs"]).to_pylist() == [
        {"user_id": "b", "x": "b", "xs": ["b"]},
        {"user_id": "a", "x": "a", "xs": ["a"]},
    ]


def test_users_may_be_whole_floats_or_strings() -> None:
    assert read(events(2, user_id=[17850.0, -3.0]))["user_id"].to_pylist() == [17850, -3]
    found = read(events(2, user_id=pa.array(["007", "x"], pa.large_string())))
    assert found["user_id"].to_pylist() == ["007", "x"]


def test_rows_without_a_user_are_skipped_on_request_and_counted() -> None:
    table = events(4, user_id=[1.0, float("nan"), None, 4.0], x=[1, 2, 3, 4])
    batches = open_events(table, EventColumns(on_null_user="skip"))
    assert [row["x"] for batch in batches for row in batch.to_pylist()] == [1, 4]
    assert (batches.rows_read, batches.rows_skipped) == (4, 2)


def test_a_skipped_row_is_not_looked_at_and_still_counts_as_a_row() -> None:
    times = pa.array([None, NOON, None], TIME)
    table = events(user_id=[None, 2, 3], event_ts=times)
    with pytest.raises(InputError, match="'event_ts': 1 row without event_ts, first at row 3"):
        read(table, EventColumns(on_null_user="skip"))


def test_tables_of_every_library_are_the_same() -> None:
    table = events(a=["x", None, "z"], b=[1.5, None, 3.0])
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("given", table)
        sources = [
            table,
            table.to_reader(),
            table.combine_chunks().to_batches()[0],
            pl.from_arrow(table),
            con.sql("SELECT * FROM given"),
        ]
        assert [read(source).to_pylist() for source in sources] == [read(table).to_pylist()] * 5


def test_pandas_frames_leave_their_index_out() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame(
        {"user_id": [1.0, None, 3.0], "event_ts": [NOON] * 3, "x": ["a", "b", None]}
    )
    found = read(frame[frame.user_id.notna()])
    assert found.drop_columns(["event_ts", "arrival_ts"]).to_pylist() == [
        {"user_id": 1, "x": "a"},
        {"user_id": 3, "x": None},
    ]
    assert read(frame.dropna().set_index("user_id"))["user_id"].to_pylist() == [1]


@pytest.mark.parametrize("text", ["csv", "jsonl"])
def test_no_rows_give_no_batches(tmp_path: Path, text: str) -> None:
    assert read(events(0, x=pa.array([], pa.uint8()))).schema.names[3:] == ["x"]
    pq.write_table(events(0), tmp_path / "none.parquet")
    assert list(open_events(tmp_path / "none.parquet", EventColumns())) == []
    (tmp_path / "none.csv").write_text("user_id,event_ts,x\n")
    lake = pa.schema([("user_id", pa.int64()), ("x", pa.int8())])
    batches = open_events(tmp_path / "none.csv", EventColumns(), lake)
    assert (list(batches), batches.schema.types) == ([], [pa.int64(), TIME, TIME, pa.int8()])


def test_lists_keep_their_order_and_globs_are_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "c[1]"):
        pq.write_table(events(1, x=[name]), tmp_path / f"{name}.parquet")
    pattern = str(tmp_path / "*.parquet")
    assert read(pattern)["x"].to_pylist() == ["a", "b", "c[1]"]
    listed = [tmp_path / "c[1].parquet", str(tmp_path / "a.parquet")]
    assert read(listed)["x"].to_pylist() == ["c[1]", "a"]


def test_files_may_differ_in_the_order_of_columns(tmp_path: Path) -> None:
    pq.write_table(events(1, x=[1], y=["p"]), tmp_path / "1.parquet")
    pq.write_table(
        events(1, x=[2], y=["q"]).select(["y", "event_ts", "x", "user_id"]), tmp_path / "2.parquet"
    )
    found = read(str(tmp_path / "*.parquet"))
    assert found.select(["x", "y"]).to_pylist() == [{"x": 1, "y": "p"}, {"x": 2, "y": "q"}]


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("user_id,event_ts,x\n1,2026-01-31,5\n")
    (tmp_path / "2.jsonl").write_text('{"x": 6, "event_ts": "2026-01-31", "user_id": 2}\n')
    pq.write_table(events(1, x=[7]), tmp_path / "3.parquet")
    assert read(str(tmp_path / "*"))["x"].to_pylist() == [5, 6, 7]


def test_rows_of_a_reader_are_not_silently_read_twice() -> None:
    batches = open_events(events(), EventColumns())
    assert len(list(batches)) == 1
    with pytest.raises(InputError, match="read already"):
        list(batches)


def test_batches_are_of_one_good_size() -> None:
    table = pa.table({"x": pa.array(range(1000)), "d": pa.array(["a", "b"] * 500)})
    pieces = [p for n in (3, 200) for p in table.slice(0, 500).to_batches(n)] + table.to_batches()
    found = list(rechunk(pieces, max_rows=100))
    assert sum(batch.num_rows for batch in found) == 2000
    assert all(50 <= batch.num_rows <= 100 for batch in found)
    uneven = list(rechunk(pa.table({"x": range(101 * 9)}).to_batches(101), max_rows=100))
    assert {batch.num_rows for batch in uneven} == {50, 51}
    assert pa.Table.from_batches(found).equals(pa.Table.from_batches(pieces))
    wide = pa.table({"x": ["y" * 1000] * 100})
    cut = list(rechunk(wide.to_batches(), max_bytes=10_000))
    assert max(batch.nbytes for batch in cut) <= 11_000
    assert pa.Table.from_batches(cut).equals(wide)


# --- text: types told from all values ---------------------------------------------------------

CSV_TYPES: list[tuple[list[str], pa.DataType, list[Any]]] = [
    (["1", "-2", "9223372036854775807"], pa.int64(), [1, -2, 2**63 - 1]),
    (["1", "", "3"], pa.int64(), [1, None, 3]),
    (["1", '""', "3"], pa.int64(), [1, None, 3]),
    (["7", "8", "007"], pa.string(), ["7", "8", "007"]),
    (["7", "8", "+9"], pa.string(), ["7", "8", "+9"]),
    (["7", "8", "9223372036854775808"], pa.string(), ["7", "8", "9223372036854775808"]),
    (["1", "2.5", "nan"], pa.float64(), None),
    (["1e3", "2.5", "-0.5"], pa.float64(), [1000.0, 2.5, -0.5]),
    (["1", "0.5", "12345678901234567"], pa.string(), ["1", "0.5", "12345678901234567"]),
    (["1", "0.5", "1e999"], pa.string(), ["1", "0.5", "1e999"]),
    (["true", "False", ""], pa.bool_(), [True, False, None]),
    (["2026-01-31", "2026-01-31T12:00:00+01:00", ""], TIME, None),
    (["2026-01-31", "2026-02-30", ""], pa.string(), ["2026-01-31", "2026-02-30", None]),
    (["x", '""', ""], pa.string(), ["x", "", None]),
    (["1", " 2", "3"], pa.string(), ["1", " 2", "3"]),
    (["1_0", "2", "0x1F"], pa.string(), ["1_0", "2", "0x1F"]),
]


@pytest.mark.parametrize(("texts", "kind", "wanted"), CSV_TYPES, ids=lambda case: str(case)[:40])
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
def test_csv_types_come_from_every_row(
    tmp_path: Path, texts: list[str], kind: pa.DataType, wanted: list[Any] | None, far: bool
) -> None:
    """Far: the last value stands where no sample looks."""
    path = tmp_path / "events.csv"
    filler = [texts[0]] * (40_000 if far else 0)
    rows = "".join(f"{i},2026-01-31,{text}\n" for i, text in enumerate([*filler, *texts]))
    path.write_text("user_id,event_ts,x\n" + rows)
    found = read(path)
    assert found.schema.field("x").type == kind
    if wanted is not None:
        assert found["x"].to_pylist()[len(filler) :] == wanted


def test_csv_uses_the_types_of_the_lake(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,event_ts,a,b,c,d\n0012,2026-01-31,7,17850.0,1,\n")
    lake = pa.schema(
        [
            ("user_id", pa.string()),
            ("a", pa.string()),
            ("b", pa.int32()),
            ("c", pa.bool_()),
            ("d", pa.float32()),
        ]
    )
    found = read(path, None, lake)
    assert found.schema.types == [
        pa.string(),
        TIME,
        TIME,
        pa.string(),
        pa.int32(),
        pa.bool_(),
        pa.float32(),
    ]
    assert found.drop_columns(["event_ts", "arrival_ts"]).to_pylist() == [
        {"user_id": "0012", "a": "7", "b": 17850, "c": True, "d": None}
    ]


def test_csv_quotes_delimiters_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.tsv"
    path.write_bytes(b'\xef\xbb\xbfuser_id\tevent_ts\t"a ""b"""\r\n1\t2026-01-31\t"x\ty\nz"\r\n')
    assert read(path)['a "b"'].to_pylist() == ["x\ty\nz"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("odd", ["\r", "\n", "\r\n", "x"], ids=["cr", "lf", "crlf", "none"])
def test_line_ends_in_quotes_end_no_line(tmp_path: Path, end: str, odd: str) -> None:
    """A parser that guesses line ends loses every row of some of these files without a word."""
    path = tmp_path / "events.csv"
    lines = ["user_id,event_ts," + f'"{odd}"', f'1,2026-01-31,"a{odd}b"', "2,2026-01-31,c", ""]
    path.write_bytes(end.join(lines).encode())
    assert read(path)[odd].to_pylist() == [f"a{odd}b", "c"]


def test_lines_that_end_in_two_ways_are_refused(tmp_path: Path) -> None:
    ends = ["\n", "\r\n", "\r"]
    for first, second in [(a, b) for a in ends for b in ends if a != b]:
        path = tmp_path / "events.csv"
        path.write_bytes(
            f"user_id,event_ts{first}1,2026-01-31{second}2,2026-01-31{second}".encode()
        )
        for lake in (None, LAKE):
            with pytest.raises(InputError):
                read(path, None, lake)


JSON_TYPES: list[tuple[list[str], pa.DataType, list[Any]]] = [
    (["1", "null", "-3"], pa.int64(), [1, None, -3]),
    (["1", "2.5", "1e3"], pa.float64(), [1.0, 2.5, 1000.0]),
    (["true", "null", "false"], pa.bool_(), [True, None, False]),
    (['"1"', '"2"', '"007"'], pa.string(), ["1", "2", "007"]),
    (['"a\\u0000\\u00e9"', '""', "null"], pa.string(), ["a\0é", "", None]),
    (
        ['"2026-01-31T00:00:00Z"', "null", "null"],
        TIME,
        [datetime(2026, 1, 31, tzinfo=UTC), None, None],
    ),
    (["[1,2]", "null", "[]"], pa.list_(pa.int64()), [[1, 2], None, []]),
    (["[1,2.5]", "[null]", "[]"], pa.list_(pa.float64()), [[1.0, 2.5], [None], []]),
    (['["a"]', "[null]", "[]"], pa.list_(pa.string()), [["a"], [None], []]),
    (["[true]", "[null]", "[]"], pa.list_(pa.bool_()), [[True], [None], []]),
]


@pytest.mark.parametrize(("texts", "kind", "wanted"), JSON_TYPES, ids=lambda case: str(case)[:40])
def test_json_types(tmp_path: Path, texts: list[str], kind: pa.DataType, wanted: list[Any]) -> None:
    path = tmp_path / "events.jsonl.gz"
    rows = [
        f'{{"user_id": {i}, "event_ts": "2026-01-31", "x": {x}}}\n' for i, x in enumerate(texts)
    ]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    found = read(path)
    assert found.schema.field("x").type == kind
    assert found["x"].to_pylist() == wanted


def test_a_json_key_may_be_missing_from_rows(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(
        '{"event_ts":"2026-01-31","user_id":1}\n{"x":2,"user_id":2,"event_ts":"2026-01-31"}\n'
    )
    assert read(path)["x"].to_pylist() == [None, 2]


# --- what is refused --------------------------------------------------------------------------

ONE = [1, 2, 3]
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


def test_row_numbers_go_on_over_batches(tmp_path: Path) -> None:
    rows = 3000
    users = pa.array([None if i == 2500 else i for i in range(rows)])
    pq.write_table(events(rows, user_id=users), tmp_path / "e.parquet", row_group_size=1000)
    with pytest.raises(InputError, match="first at row 2501"):
        read(tmp_path / "e.parquet")
    (tmp_path / "e.csv").write_text("user_id,event_ts\n1,2026-01-31\n2,never\n")
    with pytest.raises(InputError, match=r"e\.csv: column 'event_ts': 1 row .* first at row 2 "):
        read(tmp_path / "e.csv")


def sent(text: str, name: str = "e.csv") -> Callable[[Path], str]:
    """A file with this text."""

    def write(folder: Path) -> str:
        (folder / name).write_bytes(text.encode())
        return str(folder / name)

    return write


HEAD = "user_id,event_ts,x\n"
GOOD = json.dumps({"user_id": 1, "event_ts": "2026-01-31", "x": 1})
FILES: list[tuple[str, Callable[[Path], Any], list[str]]] = [
    ("missing", lambda f: f / "e.parquet", ["e.parquet: no such file"]),
    ("misspelt", lambda f: (sent(HEAD)(f), f / "f.csv")[1], ["did you mean 'e.csv'"]),
    ("no match", lambda f: f / "*.parquet", ["*.parquet: no file matches"]),
    ("directory", lambda f: f, ["is a directory", "*.parquet"]),
    ("unknown ending", sent("x", "e.txt"), ["unknown ending '.txt'", ".parquet"]),
    ("no ending", sent("x", "events"), ["unknown ending ''"]),
    ("empty", sent("", "e.parquet"), ["is empty (0 bytes)"]),
    (
        "broken link",
        lambda f: ((f / "e.csv").symlink_to("gone"), f / "e.csv")[1],
        ["link to nothing"],
    ),
    ("pipe", lambda f: (os.mkfifo(f / "e.csv"), f / "e.csv")[1], ["no regular file"]),
    ("given twice", lambda f: [sent(HEAD)(f), f / "." / "e.csv"], ["e.csv: is given twice"]),
    (
        "no parquet",
        sent("user_id", "e.parquet"),
        ["e.parquet: cannot be read as Parquet", "truncated"],
    ),
    ("no arrow", sent("user_id", "e.arrow"), ["e.arrow: is an Arrow stream without an end mark"]),
    ("old feather", sent("FEA1....", "e.feather"), ["Feather version 1"]),
    ("no gzip", sent("user_id", "e.csv.gz"), ["e.csv.gz: cannot be read as gzip"]),
    (
        "latin-1",
        lambda f: ((f / "e.csv").write_bytes(HEAD.encode() + b"1,2026-01-31,\xe9\n"), f / "e.csv")[
            1
        ],
        ["e.csv", "Line: 2"],
    ),
    (
        "utf-16",
        lambda f: ((f / "e.csv").write_bytes(HEAD.encode("utf-16")), f / "e.csv")[1],
        ["e.csv", "UTF-8"],
    ),
    (
        "ragged",
        sent(HEAD + "1,2026-01-31,1\n2,2026-01-31\n"),
        ["e.csv", "Line: 3", "Expected Number of Columns: 3 Found: 2"],
    ),
    ("too long", sent(HEAD + "1,2026-01-31,1,9\n"), ["Expected Number of Columns: 3 Found: 4"]),
    ("open quote", sent(HEAD + '1,2026-01-31,"1\n'), ["e.csv", "unterminated quote"]),
    ("header only", sent(HEAD), ["'user_id' holds no value"]),
    ("no header", sent("\n"), ["has no header"]),
    (
        "index column",
        sent(",user_id,event_ts\n0,1,2026-01-31\n"),
        ["column 1 has no name", "index=False"],
    ),
    ("semicolons", sent("user_id;event_ts\n1;2026-01-31\n"), ["columns are 'user_id;event_ts'"]),
    (
        "cut json",
        sent(GOOD + "\n" + GOOD[:-5], "e.jsonl"),
        ["e.jsonl: cannot be read as JSON lines", "line"],
    ),
    ("json array", sent(f"[{GOOD}]", "e.json"), ["holds no objects"]),
    ("blank json", sent("\n\n", "e.json"), ["holds no objects"]),
    (
        "key twice",
        sent('{"user_id": 1, "user_id": 2, "event_ts": "2026-01-31"}', "e.json"),
        ["duplicate key"],
    ),
    (
        "sorts mixed",
        sent(f"{GOOD}\n{GOOD.replace('1}', json.dumps('a') + '}')}", "e.json"),
        ["'x': 1 row with a value that is no int64 like those before, first at row 2"],
    ),
    ("object", sent(GOOD.replace("1}", "{}}"), "e.json"), ["'x': 1 row", "first at row 1"]),
    (
        "big number",
        sent(GOOD.replace("1}", "18446744073709551616}"), "e.json"),
        ["'x': 1 row", "first at row 1"],
    ),
    (
        "mixed list",
        sent(GOOD.replace("1}", '[1,"a"]}'), "e.json"),
        ["'x': 1 row", "first at row 1"],
    ),
]


@pytest.mark.parametrize(
    ("make", "says"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
def test_refused_files(tmp_path: Path, make: Callable[[Path], Any], says: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(make(tmp_path))
    for fragment in says:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (events(1), ["2.parquet: no column 'x', which", "1.parquet has"]),
        (events(1, x=[1], y=[1]), ["2.parquet: column 'y' is not in", "1.parquet"]),
        (events(1, x=["a"]), ["2.parquet: column 'x' is string", "int64"]),
        (events(1, x=pa.array([1], pa.int32())), ["2.parquet: column 'x' is int32"]),
        (events(1, x=[1], user_id=["a"]), ["2.parquet: column 'user_id' is string"]),
    ],
    ids=["missing", "new", "type", "width", "user"],
)
def test_files_of_one_call_share_a_schema(tmp_path: Path, other: pa.Table, says: list[str]) -> None:
    pq.write_table(events(1, x=[1]), tmp_path / "1.parquet")
    pq.write_table(other, tmp_path / "2.parquet")
    with pytest.raises(SchemaError) as caught:
        read(str(tmp_path / "*.parquet"))
    assert all(fragment in str(caught.value) for fragment in says)


def test_a_column_without_values_in_one_file_takes_the_type_of_the_other(tmp_path: Path) -> None:
    pq.write_table(events(1, x=pa.nulls(1)), tmp_path / "1.parquet")
    pq.write_table(events(1, x=[5]), tmp_path / "2.parquet")
    assert read(str(tmp_path / "*.parquet"))["x"].to_pylist() == [None, 5]


# --- the lake's schema ------------------------------------------------------------------------

LAKE = pa.schema(
    [
        ("user_id", pa.int64()),
        ("event_ts", TIME),
        ("arrival_ts", TIME),
        ("a", pa.int32()),
        ("b", pa.float32()),
    ]
)


def test_columns_follow_the_lake_and_new_ones_come_last() -> None:
    table = events(c=ONE, b=pa.array([0.5, None, 2.0]), a=pa.array([1, 2, 3], pa.uint64()))
    found = read(table, None, LAKE)
    assert found.schema.names == ["user_id", "event_ts", "arrival_ts", "a", "b", "c"]
    assert found.schema.types[3:] == [pa.int32(), pa.float32(), pa.int64()]
    assert check_schema(found.schema, LAKE, add_columns=True).names == found.schema.names
    with pytest.raises(SchemaError, match=r"e\.csv: column 'c' is new to the lake; pass --add-col"):
        check_schema(found.schema, LAKE, where="e.csv")


FITS: list[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([1, None, 3], pa.int8()), pa.int64(), [1, None, 3]),
    (pa.array([1, None, 3], pa.int64()), pa.int8(), [1, None, 3]),
    (pa.array([1.0, None, 3.0]), pa.int32(), [1, None, 3]),
    (pa.array([1, None, 2**53]), pa.float64(), [1.0, None, 2.0**53]),
    (pa.array([1.5, None, float("inf")]), pa.float32(), [1.5, None, float("inf")]),
    (pa.nulls(3), pa.list_(pa.string()), [None] * 3),
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
    (pa.array([1.0, float("nan"), 3.0]), pa.int64(), "no int64, first at row 2 (nan)"),
    (pa.array([1.0, 0.1, 3.0]), pa.float32(), "no float, first at row 2 (0.1)"),
    (pa.array([1, 2, 2**53 + 1]), pa.float64(), "no double, first at row 3"),
    (pa.array([[1], [2, 300], None]), pa.list_(pa.int8()), "no int8, first at row 2 (300)"),
    (pa.array(["1", "2", "3"]), pa.int64(), "'x' is string, where int64 is wanted"),
    (pa.array([1, 2, 3]), pa.string(), "'x' is int64, where string is wanted"),
    (pa.array([True] * 3), pa.int64(), "'x' is bool, where int64 is wanted"),
    (pa.array([1, 2, 3]), TIME, "'x' is int64, where timestamp[us, tz=UTC] is wanted"),
    (pa.array([[1]] * 3), pa.int64(), "where int64 is wanted"),
]


@pytest.mark.parametrize(
    ("values", "kind", "says"), MISFITS, ids=[str(case[2])[-30:] for case in MISFITS]
)
def test_values_that_do_not_fit_are_refused(values: pa.Array, kind: pa.DataType, says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read(events(x=values), None, pa.schema([("user_id", pa.int64()), ("x", kind)]))
    assert says in str(caught.value)


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


def test_check_schema_names_what_differs() -> None:
    found = read(events(a=ONE)).schema
    with pytest.raises(SchemaError, match="no column 'b', which the lake has; add it"):
        check_schema(found, LAKE)
    with pytest.raises(SchemaError, match="column 'a' is string, where int32 is wanted"):
        check_schema(read(events(a=["x"] * 3, b=ONE)).schema, LAKE)
    with pytest.raises(SchemaError, match="'B' and the lake's 'b' differ only in case"):
        check_schema(pa.schema([*LAKE, ("B", pa.int64())]), LAKE, add_columns=True)
    assert check_schema(LAKE, LAKE) == LAKE

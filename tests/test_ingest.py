"""What ingest takes, and what it makes of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingested import NOON, TIME, events, read

from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest import EventColumns, LabelColumns, RequestColumns, open_events
from uih_lake.ingest.rechunk import rechunk


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


def test_the_id_of_a_request_may_be_called_otherwise() -> None:
    table = pa.table({"impression": ["a", "b"], "user_id": [1, 2], "request_ts": [NOON, NOON]})
    plain = read(table, RequestColumns())
    assert plain.column_names == ["user_id", "request_ts", "impression"]
    found = read(table, RequestColumns(example_id="impression"))
    assert found.column_names == ["example_id", "user_id", "request_ts"]
    assert found["example_id"].to_pylist() == ["a", "b"]
    both = table.append_column("example_id", [[1, 2]])
    with pytest.raises(SchemaError, match="'example_id' is there beside 'impression'"):
        read(both, RequestColumns(example_id="impression"))
    with pytest.raises(InputError, match=r"no column 'impresion' for example_id; .*'impression'"):
        read(table, RequestColumns(example_id="impresion"))
    for columns in (RequestColumns, LabelColumns):
        with pytest.raises(InputError, match="example_id is 5; give the name of a column"):
            columns(example_id=5)  # type: ignore[arg-type]


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


def test_pandas_frames_without_rows_fix_no_type() -> None:
    """What has no value is of floats there, and an id of floats would be kept as integers."""
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame({"user_id": [], "event_ts": []})
    with pytest.raises(SchemaError, match="'user_id' holds no value, so its type is unknown"):
        read(frame)
    known = read(events(1, user_id=["ann"])).schema
    assert open_events(frame, EventColumns(), known).schema.field("user_id").type == pa.string()


def test_pandas_columns_of_mixed_values_are_named() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame({"user_id": ["a", 1], "event_ts": [NOON] * 2})
    with pytest.raises(InputError, match=r"column user_id .*; give each column values of one type"):
        read(frame)


def test_no_rows_give_no_batches(tmp_path: Path) -> None:
    assert read(events(0, x=pa.array([], pa.uint8()))).schema.names[3:] == ["x"]
    pq.write_table(events(0), tmp_path / "none.parquet")
    assert list(open_events(tmp_path / "none.parquet", EventColumns())) == []
    (tmp_path / "none.csv").write_text("user_id,event_ts,x\n")
    lake = pa.schema([("user_id", pa.int64()), ("x", pa.int8())])
    batches = open_events(tmp_path / "none.csv", EventColumns(), lake)
    assert (list(batches), batches.schema.types) == ([], [pa.int64(), TIME, TIME, pa.int8()])


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

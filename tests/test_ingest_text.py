"""Text: types told from all values, or taken from the lake; quotes and the ends of lines."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ingested import LAKE, TIME, read

from uih_lake.errors import InputError

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


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_line_of_broken_json_is_told(tmp_path: Path, number: int, end: str) -> None:
    """DuckDB tells that of the line after it."""
    path = tmp_path / "events.jsonl"
    lines = ['{"user_id": 1, "event_ts": "2026-01-31"}'] * 7
    lines[number - 1] = '{"user_id": 1, "event_ts": "2026-0'
    path.write_text("\n".join(lines) + end)
    with pytest.raises(InputError, match=rf"at byte \d+ in line {number} \(not counting blank"):
        read(path)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_id_that_a_float_may_have_rounded_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"events.{ending}"
    form = {
        "csv": "user_id,event_ts\n{}.0,2026-01-31\n",
        "jsonl": '{{"user_id": {}.0, "event_ts": "2026-01-31"}}\n',
    }[ending]
    path.write_text(form.format(2**53 - 1))
    assert read(path)["user_id"].to_pylist() == [2**53 - 1]
    for number in (2**53, 2**53 + 1):
        path.write_text(form.format(number))
        with pytest.raises(InputError, match="with a value that is no int64, first at row 1"):
            read(path)


def test_a_json_key_may_be_missing_from_rows(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(
        '{"event_ts":"2026-01-31","user_id":1}\n{"x":2,"user_id":2,"event_ts":"2026-01-31"}\n'
    )
    assert read(path)["x"].to_pylist() == [None, 2]

"""Files: the order they are read in, the schema they share, and those that are refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingested import HEAD, events, read

from uih_lake.errors import InputError, SchemaError


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
    ("no arrow", sent("user_id", "e.arrow"), ["e.arrow: cannot be read as Arrow"]),
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
        ["e.csv: line 1 is no UTF-8; save it as UTF-8"],
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
    assert "auto_detect" not in str(caught.value), "an option that nobody here can set"

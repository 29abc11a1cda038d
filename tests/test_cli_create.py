"""Columns that are declared on the command line, ahead of the first append."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from commands import TIME, done, run, told

from uih_lake import Lake

COLUMNS = {
    "user_id": ("int64", pa.int64()),
    "ok": ("bool", pa.bool_()),
    "tiny": ("int8", pa.int8()),
    "share": ("float", pa.float32()),
    "price": ("double", pa.float64()),
    "a=b": ("string", pa.string()),
    "seen": ("timestamp", TIME),
    "tags": ("string[]", pa.list_(pa.string())),
    "places": ("int32[]", pa.list_(pa.int32())),
}


def declare(lake: Path, *columns: str) -> list[str | Path]:
    return ["create", lake, *(word for column in columns for word in ("--column", column))]


def test_types_are_those_that_were_declared(tmp_path: Path) -> None:
    done(*declare(tmp_path / "lake", *(f"{name}={word}" for name, (word, _) in COLUMNS.items())))
    found = Lake.open(tmp_path / "lake").event_schema
    assert {name: found.field(name).type for name in COLUMNS} == {
        name: kind for name, (_, kind) in COLUMNS.items()
    }


def test_what_looks_like_a_number_stays_a_name(tmp_path: Path) -> None:
    for number, sku in enumerate(("4711", "A-12")):
        text = f"user_id,event_ts,sku\n{number},2026-01-01T00:00:00Z,{sku}\n"
        (tmp_path / f"{number}.csv").write_text(text)
    for lake, columns in (("guessed", []), ("told", ["user_id=int64", "sku=string"])):
        done(*declare(tmp_path / lake, *columns))
        done("append", tmp_path / lake, tmp_path / "0.csv")
    refused = run("append", tmp_path / "guessed", tmp_path / "1.csv")
    assert refused.exit_code == 1 and "'A-12'" in refused.stderr
    done("append", tmp_path / "told", tmp_path / "1.csv")
    rows = told("sql", tmp_path / "told", "SELECT user_id, sku FROM events ORDER BY user_id")
    assert rows == [{"user_id": 0, "sku": "4711"}, {"user_id": 1, "sku": "A-12"}]


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        (["user_id"], 2, "user_id is no NAME=TYPE"),
        (["=int64"], 2, "=int64 is no NAME=TYPE"),
        (["user_id=int"], 2, "user_id=int is no NAME=TYPE; TYPE is one of bool,"),
        (["user_id=int64[][]"], 2, "user_id=int64[][] is no NAME=TYPE"),
        (["sku=string"], 1, "the schema has no column 'user_id'; give it one"),
        (["user_id=bool"], 1, "the schema: column 'user_id' is bool"),
        (["user_id=double"], 1, "the schema: column 'user_id' is of floats; give it integers or"),
        (["user_id=int8", "event_ts=string"], 1, "'event_ts' is string, and is kept as a time;"),
        (["user_id=int8", "arrival_ts=int64"], 1, "'arrival_ts' is int64, and is kept as a time;"),
        (["user_id=int8", "user_id=string"], 1, "the schema: column 'user_id' is there twice"),
        (["user_id=int64", "a=bool", "a=bool"], 1, "the schema: column 'a' is there twice"),
        (["user_id=int64", "_a=bool"], 1, "the schema: column '_a' starts with an underscore"),
    ],
)
def test_what_declares_nothing_is_refused(
    tmp_path: Path, columns: list[str], code: int, says: str
) -> None:
    result = run(*declare(tmp_path / "lake", *columns))
    assert result.exit_code == code
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "lake").exists()

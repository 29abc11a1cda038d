"""JSON lines may lack a key that is null in all of them; other formats have all columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uih_lake import InputError, Lake, SchemaError

DAY = "2026-03-01T10:00:00Z"


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def event(user: int, **traits: Any) -> dict[str, Any]:
    return {"user_id": user, "event_ts": DAY, **traits}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    lake.append(lines(tmp_path / "1.jsonl", event(1, item=7, price=1.5), event(2, item=8)))
    return lake


def prices(lake: Lake) -> list[Any]:
    return lake.sql("SELECT user_id, item, price FROM events ORDER BY ALL").fetchall()


def test_a_key_that_no_object_has_is_null(lake: Lake, tmp_path: Path) -> None:
    lake.append(lines(tmp_path / "2.jsonl", event(3, item=9)))
    lake.append(lines(tmp_path / "3.jsonl", event(4)))
    assert prices(lake) == [(1, 7, 1.5), (2, 8, None), (3, 9, None), (4, None, None)]


def test_files_may_lack_keys_of_each_other(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    files = [
        lines(tmp_path / "1.jsonl", event(1, item=7)),
        lines(tmp_path / "2.jsonl", event(2, price=2.5), event(3, item=None)),
    ]
    lake.append(files)
    assert prices(lake) == [(1, 7, None), (2, None, 2.5), (3, None, None)]


def test_a_new_key_may_be_one_of_the_missing_misspelt(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"no column 'price'.*did you mean 'prize'"):
        lake.append(lines(tmp_path / "2.jsonl", event(3, item=9, prize=1.5)))
    with pytest.raises(SchemaError, match=r"no column 'item', 'price'.*did you mean 'prize'"):
        lake.append(lines(tmp_path / "5.jsonl", event(3, prize=1.5)))
    with pytest.raises(SchemaError, match="differ only in case"):
        lake.append(lines(tmp_path / "3.jsonl", event(3, item=9, Price=1.5)))
    lake.append(lines(tmp_path / "4.jsonl", event(3, item=9, price=None, shop=1)), add_columns=True)
    assert lake.version == 1


def test_other_formats_have_all_columns(lake: Lake, tmp_path: Path) -> None:
    table = tmp_path / "2.csv"
    table.write_text(f"user_id,event_ts,item\n3,{DAY},9\n")
    with pytest.raises(SchemaError, match="no column 'price'"):
        lake.append(table)
    with pytest.raises(SchemaError, match=r"2.csv: no column 'price', which .*5.jsonl has"):
        lake.append([lines(tmp_path / "5.jsonl", event(3, item=9, price=1)), str(table)])


def test_context_may_be_lacking_too_but_no_key(lake: Lake, tmp_path: Path) -> None:
    asked = {"user_id": 1, "request_ts": "2026-03-02T10:00:00Z"}
    lake.log(
        lines(tmp_path / "r1.jsonl", asked | {"rid": 5, "surface": "home", "n": 1}),
        example_id="rid",
    )
    lake.log(lines(tmp_path / "r2.jsonl", asked | {"rid": 6, "n": 2}), example_id="rid")
    found = lake.sql("SELECT example_id, surface, n FROM examples ORDER BY 1").fetchall()
    assert found == [(5, "home", 1), (6, None, 2)]
    with pytest.raises(InputError, match="no column 'rid' for example_id"):
        lake.log(lines(tmp_path / "r3.jsonl", asked), example_id="rid")


def test_labels_are_those_that_are_given(lake: Lake, tmp_path: Path) -> None:
    asked = {"user_id": 1, "request_ts": "2026-03-02T10:00:00Z"}
    lake.log(lines(tmp_path / "r1.jsonl", asked | {"n": 1}))
    lake.label(lines(tmp_path / "l1.jsonl", {"example_id": 0, "bought": True}))
    assert lake.sql("SELECT n, bought FROM examples").fetchall() == [(1, True)]

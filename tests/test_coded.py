"""Strings of few kinds are written as codes; nobody who reads them can tell."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uih_lake import Lake
from uih_lake.lake.store import Store


def table(kinds: int, rows: int = 1000) -> pa.Table:
    texts = [None if row % 7 == 3 else f"kind {row * 31 % kinds}" for row in range(rows)]
    return pa.table(
        {
            "user_id": [row % 9 for row in range(rows)],
            "event_ts": pa.array(range(rows), pa.timestamp("us", "UTC")),
            "text": pa.array(texts, pa.string()),
        }
    )


@pytest.mark.parametrize("kinds", [1, 256, 257, 1000])
def test_strings_are_read_as_they_were_given(tmp_path: Path, kinds: int) -> None:
    lake, given = Lake.create(tmp_path / "lake", buckets=3), table(kinds)
    lake.append(given)
    recent = Store.open(str(tmp_path / "lake")).recent
    (file,) = recent.files()
    assert pq.read_schema(recent.path(file)).field("text").type == pa.string()
    for _ in range(2):
        found = lake.sql("SELECT text FROM events ORDER BY event_ts").to_arrow_table()
        assert found["text"].to_pylist() == given["text"].to_pylist()
        assert lake.verify().passed
        lake.seal()


def test_files_tell_every_type_without_a_schema_of_arrow(tmp_path: Path) -> None:
    types = ["int8", "int16", "int32", "int64", "float32", "float64", "bool", "string"]
    kinds = [*map(pa.type_for_alias, types), pa.timestamp("us", "UTC")]
    kinds += [pa.list_(pa.field("element", kind)) for kind in kinds]
    traits = {f"c{place}": pa.nulls(1, kind) for place, kind in enumerate(kinds)}
    given = table(1, 1).drop_columns(["text"])
    for name, values in traits.items():
        given = given.append_column(name, values)
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(given)
    lake.seal()
    store = Store.open(str(tmp_path / "lake"))
    (file,) = store.uih.files()
    schema = pq.read_schema(store.uih.path(file))
    assert {name: schema.field(name).type for name in traits} == {
        name: values.type for name, values in traits.items()
    }

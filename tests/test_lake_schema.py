"""The columns of a lake: settled once, of every type, under any name, and many of them."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_lakes import TIME, events, refusal, requests, sequences, state

from uih_lake import Group, Lake, Loader, SchemaError, Tenant, names
from uih_lake.lake.tables import Table


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake", buckets=3)


def test_the_first_append_fixes_the_schema(lake: Lake) -> None:
    lake.append(events([1], [1], item=pa.array([1], pa.int64()), tag=["a"]))
    lake.append(events([1], [2], tag=["b"], item=pa.array([2], pa.int16())))
    lake.append(events([1], [3], tag=["b"], item=pa.nulls(1)))
    message = refusal(SchemaError, lambda: lake.append(events([1], [4], item=[1])))
    assert "tag" in message
    assert lake.event_schema.field("item").type == pa.int64()
    lake.log(requests([1], [9]))
    assert sequences(lake, "item") == [[1, 2, None]]


def test_columns_can_be_added_and_are_null_before(lake: Lake) -> None:
    lake.append(events([1], [1], item=[1]))
    lake.seal()
    lake.log(requests([1], [9]))
    lake.append(events([1], [2], item=[2], tag=[["x"]]), add_columns=True)
    lake.log(requests([1], [9]))
    assert sequences(lake, "tag", "item") == [
        {"tag": [None], "item": [1]},
        {"tag": [None, ["x"]], "item": [1, 2]},
    ]
    lake.seal()
    lake.compact()
    assert sequences(lake, "tag") == [[None], [None, ["x"]]]


OF_EXAMPLES = sorted({*names.EXAMPLE_COLUMNS} - {*names.EVENT_COLUMNS})


@pytest.mark.parametrize("name", OF_EXAMPLES)
def test_a_trait_called_like_a_column_of_examples_is_new_or_missing(lake: Lake, name: str) -> None:
    lake.append(events([1], [1], item=[1]))
    before = state(lake)
    message = refusal(SchemaError, lambda: lake.append(events([1], [2], item=[2], **{name: [7]})))
    assert f"column '{name}' is new to the lake" in message
    assert state(lake) == before
    lake.append(events([1], [2], item=[2], **{name: [7]}), add_columns=True)
    message = refusal(SchemaError, lambda: lake.append(events([1], [3], item=[3])))
    assert f"no column '{name}', which the lake has" in message
    lake.seal()
    lake.log(requests([1], [9]))
    assert sequences(lake, name) == [[None, 7]]
    assert lake.verify().passed


@pytest.mark.parametrize("name", OF_EXAMPLES)
def test_a_trait_called_like_a_column_of_examples_comes_back(lake: Lake, name: str) -> None:
    lake.append(events([1, 2, 1], [1, 2, 3], **{name: [7, 8, 9]}))
    lake.seal()
    lake.append(events([1], [4], **{name: [10]}))
    lake.log(requests([1, 2], [9, 9], example_id=[5, 6]))
    lake.label(pa.table({"example_id": [5, 6], "label": [1, 0]}))
    assert sequences(lake, name) == [[7, 9, 10], [8]]
    tenant = Tenant("t", {"g": Group([name, "event_ts"], where=f"{name} > 7")}, ["label"])
    (batch,) = Loader(lake, tenant, batch_size=2, order="time")
    found = dict(zip(batch.example_id.tolist(), batch["g"].values[name].split([2, 1]), strict=True))
    assert {example: values.tolist() for example, values in found.items()} == {5: [9, 10], 6: [8]}
    assert lake.sql(f"SELECT {name} FROM events ORDER BY ALL").fetchall() == [
        (7,),
        (8,),
        (9,),
        (10,),
    ]
    assert lake.verify().passed


def context(lake: Lake, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of the examples, in the order of their ids."""
    return lake.sql(f"SELECT {', '.join(columns)} FROM examples ORDER BY example_id").fetchall()


def test_the_first_log_fixes_the_context(lake: Lake) -> None:
    lake.append(events([1], [1], item=[1]))
    lake.log(requests([1], [9], label=[0.5], surface=["home"]))
    before = state(lake)
    for given, said in [
        (
            {"label": [1.0]},
            "no column 'surface', which the table of examples has; add it, with nul",
        ),
        ({"labl": [1.0], "surface": ["home"]}, "'label', .* did you mean 'labl'"),
        ({"label": [1.0], "surface": ["x"], "more": [1]}, "'more' is new .* pass --add-columns"),
        ({"label": ["yes"], "surface": ["x"]}, "column 'label' is string, where double is wanted"),
    ]:
        message = refusal(SchemaError, lambda given=given: lake.log(requests([1], [9], **given)))
        assert re.search(said, message), message
    assert state(lake) == before
    lake.log(requests([1], [9], surface=["feed"], label=pa.nulls(1)))
    lake.log(requests([1], [9], label=[1], surface=["feed"], more=[7]), add_columns=True)
    assert context(lake, "label", "surface", "more") == [
        (0.5, "home", None),
        (None, "feed", None),
        (1.0, "feed", 7),
    ]


def test_what_is_labelled_may_be_missing_from_the_next_log(lake: Lake) -> None:
    """A label is known late, so that requests come without it; all else has to be there."""
    lake.append(events([1], [1], item=[1]))
    lake.log(requests([1], [9], surface=["home"]))
    lake.label(pa.table({"example_id": [0], "bought": [1.0]}))
    lake.log(requests([1], [9], surface=["feed"]))
    with pytest.raises(SchemaError, match=r"'bougt' is new .*did you mean 'bought'"):
        lake.log(requests([1], [9], surface=["feed"], bougt=[1.0]))
    lake.log(requests([1], [9], surface=["feed"], bought=[0.0]))
    with pytest.raises(SchemaError, match="no column 'surface'"):
        lake.log(requests([1], [9], bought=[0.0]))
    lake.label(pa.table({"example_id": [0], "surface": ["shop"]}))
    lake.log(requests([1], [9]))
    assert context(Lake.open(lake.path), "bought", "surface") == [
        (1.0, "shop"),
        (None, "feed"),
        (0.0, "feed"),
        (None, None),
    ]
    public = lake.sql("FROM examples").to_arrow_table().schema
    assert all(field.metadata is None for field in public)


def test_a_schema_given_at_creation_binds_the_first_append(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("user_id", pa.string()),
            pa.field("event_ts", TIME),
            pa.field("item", pa.int64()),
            pa.field("score", pa.float32()),
        ]
    )
    lake = Lake.create(tmp_path / "lake", schema=schema)
    assert lake.event_schema.field("score").type == pa.float32()
    before = state(lake)
    refusal(SchemaError, lambda: lake.append(events([1], [1], item=[1], score=[0.5])))
    refusal(SchemaError, lambda: lake.append(events(["a"], [1], item=[1])))
    assert state(lake) == before
    score = pa.array([0.5], pa.float32())
    assert lake.append(events(["a"], [1], item=pa.array([1], pa.int8()), score=score)) == 0
    assert lake.event_schema.field("item").type == pa.int64()


@pytest.mark.parametrize("declared", [None, pa.schema({"user_id": pa.string(), "b": pa.bool_()})])
def test_columns_are_declared_before_there_is_a_lake(
    tmp_path: Path, declared: pa.Schema | None
) -> None:
    """An interrupted create had declared other ones."""
    lake = Lake.create(tmp_path / "lake", schema=pa.schema({"user_id": pa.int64(), "a": TIME}))
    assert lake.event_schema.names[5:] == ["a"]
    assert Table.open(f"{lake.path}/recent").version == 0, "nobody could come before them"
    shutil.rmtree(f"{lake.path}/uih")
    lake = Lake.create(lake.path, schema=declared)
    assert lake.event_schema.names[5:] == ([] if declared is None else ["b"])
    lake.append(events(["u"], [1], b=[True]))
    lake.seal()
    assert lake.event_schema.names[5:] == ["b"]
    assert lake.verify().passed


KINDS: dict[pa.DataType, tuple[pa.DataType, list[Any]]] = {
    pa.int8(): (pa.int8(), [-128, None, 127]),
    pa.uint8(): (pa.int16(), [0, None, 255]),
    pa.uint16(): (pa.int32(), [0, None, 65535]),
    pa.uint32(): (pa.int64(), [0, None, 2**32 - 1]),
    pa.uint64(): (pa.int64(), [0, None, 2**63 - 1]),
    pa.float32(): (pa.float32(), [1.5, None, float("inf")]),
    pa.float64(): (pa.float64(), [5e-324, None, -0.0]),
    pa.bool_(): (pa.bool_(), [True, None, False]),
    pa.large_string(): (pa.string(), ["", None, "it's ü🙂\0"]),
    pa.dictionary(pa.int8(), pa.string()): (pa.string(), ["a", None, "a"]),
    pa.timestamp("s"): (TIME, [datetime(1, 1, 1), None, datetime(9999, 12, 31)]),
    pa.list_(pa.bool_()): (pa.list_(pa.bool_()), [[True, None, False], None, []]),
    pa.large_list(pa.string()): (pa.list_(pa.string()), [["", None], None, []]),
    pa.list_(pa.float32(), 2): (pa.list_(pa.float32()), [[1.5, 2.5], None, [0.0, -1.0]]),
}


def test_every_type_comes_back(lake: Lake) -> None:
    columns = {str(given): pa.array(values, given) for given, (_, values) in KINDS.items()}
    lake.append(events([1, 1, 1], [3, 4, 5], **columns))
    lake.log(requests([1], [9]))
    stored = {str(given): kind for given, (kind, _) in KINDS.items()}
    assert {n: lake.event_schema.field(n).type for n in stored} == stored
    expected = {n: values.cast(stored[n]).to_pylist() for n, values in columns.items()}
    (recent,) = sequences(lake, *columns)
    lake.seal()
    (sealed,) = sequences(lake, *columns)
    for name, values in expected.items():
        assert repr(recent[name]) == repr(sealed[name]) == repr(values), name


ODD_NAMES = (
    """it's|"q"|select|a b|ü🙂|{0}|{where}|$p|x.y|;|--|%|a\nb|ROW|user_id |group|*|(x)|\\|a,b"""
    "|straße|STRASSE"  # in lower case they differ
)


def test_columns_may_have_any_name(lake: Lake) -> None:
    """Each odd name as a trait and, with one letter more, as context; in conditions on both."""
    odd = ODD_NAMES.split("|")
    lake.append(events([1, 2], [1, 2], **{name: [1.5, None] for name in odd}))
    lake.seal()
    lake.append(events([1], [3], **{name: [2.5] for name in odd}))
    lake.log(requests([1, 2], [9, 9], **{f"{name}!": ["x", "y"] for name in odd}))
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in odd}
    groups = {
        f"g{number}": Group([name], where=f"{quoted[name]} > 2 or {quoted[name]} is null")
        for number, name in enumerate(odd)
    }
    tenant = Tenant("t", groups, [f"{name}!" for name in odd])
    rows = lake.materialize(tenant).read_all().to_pylist()
    assert [row["user_id"] for row in sorted(rows, key=lambda row: row["example_id"])] == [1, 2]
    for row in rows:
        for number, name in enumerate(odd):
            expected = ("x", [2.5]) if row["user_id"] == 1 else ("y", [None])
            assert (row[f"{name}!"], row[f"g{number}"][name]) == expected
    for name in odd:
        where = f"""{quoted[name][:-1]}!" = 'y'"""
        (row,) = (
            lake.materialize(Tenant("t", {"g": Group([name])}), where=where).read_all().to_pylist()
        )
        assert row["user_id"] == 2


def test_three_hundred_columns(lake: Lake) -> None:
    wide = {f"column {i}": pa.array([i, None]) for i in range(300)}
    lake.append(events([1, 1], [1, 2], **wide))
    lake.seal()
    lake.append(events([1, 1], [3, 4], **wide))
    lake.log(requests([1], [9], **{f"context {i}": [i] for i in range(300)}))
    tenant = Tenant("t", {"g": Group(list(wide))}, [f"context {i}" for i in range(300)])
    (row,) = lake.materialize(tenant).read_all().to_pylist()
    assert row["g"] == {f"column {i}": [i, None, i, None] for i in range(300)}
    assert [row[f"context {i}"] for i in range(300)] == list(range(300))

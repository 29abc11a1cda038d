"""Example ids are integers or strings: a lake of either is the other one with its ids renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from uih_lake import Group, InputError, Lake, SchemaError, Tenant
from uih_lake.loader import Loader
from uih_lake.savings import savings

TIME = pa.timestamp("us", "UTC")
TENANT = Tenant("t", {"g": Group(["n"])}, ["y"])
COUNT = 12


def events() -> pa.Table:
    users, times = [1, 2, 3] * 10, pa.array(range(30), TIME)
    return pa.table({"user_id": users, "event_ts": times, "n": range(30)})


def requests(ids: pa.Array) -> pa.Table:
    numbers = range(len(ids))
    times = pa.array([40 + number for number in numbers], TIME)
    users = [1 + number % 3 for number in numbers]
    return pa.table({"example_id": ids, "user_id": users, "request_ts": times, "y": numbers})


def named(number: int) -> str:
    """Ids in the order of the numbers they stand for."""
    return f"it's {number:03}"


def names_of(numbers: list[int]) -> pa.Array:
    return pa.array(map(named, numbers), pa.string())


@pytest.fixture
def lakes(tmp_path: Path) -> tuple[Lake, Lake]:
    """Of numbers and of strings; logged in two parts, sealed in between, compacted, labelled."""
    ids = list(range(5, 5 + COUNT))
    pair = []
    for kind, given in (("numbers", pa.array(ids)), ("strings", names_of(ids))):
        lake = Lake.create(tmp_path / kind, buckets=2)
        lake.append(events())
        asked = requests(given)
        assert lake.log(asked.slice(0, 4))["example_id"].to_pylist() == given[:4].to_pylist()
        lake.seal()
        lake.log(asked.slice(4))
        lake.compact()
        assert lake.label(pa.table({"example_id": given[::2], "late": range(COUNT // 2)})) == 6
        assert lake.verify().passed
        pair.append(lake)
    return pair[0], pair[1]


def test_materialized_rows_are_the_same(lakes: tuple[Lake, Lake]) -> None:
    numbers, strings = (lake.materialize(TENANT).read_all().to_pylist() for lake in lakes)
    assert len(numbers) == COUNT
    assert [row | {"example_id": named(row["example_id"])} for row in numbers] == strings


@pytest.mark.parametrize("order", ["affinity", "user", "time", "log"])
def test_batches_are_the_same_and_a_state_goes_on(lakes: tuple[Lake, Lake], order: Any) -> None:
    found = []
    for lake in lakes:
        loader = Loader(lake, TENANT, 3, order=order, seed=3)
        iterator = iter(loader)
        next(iterator)
        again = Loader(lake, TENANT, 3, order=order, seed=3)
        again.load_state_dict(loader.state_dict())
        rest = [(batch.example_id, batch["g"].values["n"].tolist()) for batch in iterator]
        assert [list(batch.example_id) for batch in again] == [list(ids) for ids, _ in rest]
        found.append(rest)
    numbers, strings = found
    assert len(numbers) == COUNT // 3 - 1
    assert [(list(map(named, ids.tolist())), n) for ids, n in numbers] == strings


def test_answers_in_sql_are_the_same(lakes: tuple[Lake, Lake]) -> None:
    query = "SELECT example_id, late FROM examples ORDER BY example_id"
    numbers, strings = (lake.sql(query).fetchall() for lake in lakes)
    assert [(named(number), late) for number, late in numbers] == strings
    assert lakes[1].sql("SELECT n FROM sequence_of('it''s 005', 3)").fetchall() == [
        (21,), (24,), (27,),
    ]  # fmt: skip
    where = lakes[1].materialize(TENANT, where="example_id = 'it''s 007'").read_all()
    assert where["y"].to_pylist() == [2]


def test_savings_count_the_same(lakes: tuple[Lake, Lake]) -> None:
    numbers, strings = (savings(lake.path, [TENANT], exact=True) for lake in lakes)
    assert numbers.rows.value == COUNT
    assert (numbers.rows, numbers.users, numbers.events) == (
        strings.rows, strings.users, strings.events,
    )  # fmt: skip


def test_a_string_is_logged_once(lakes: tuple[Lake, Lake], tmp_path: Path) -> None:
    _, strings = lakes
    with pytest.raises(InputError, match="'example_id': \"it's 005\" logged before"):
        strings.log(requests(names_of([5, 99])))
    with pytest.raises(InputError, match="'example_id': 'x' given twice"):
        Lake.create(tmp_path / "new", buckets=1).log(requests(pa.array(["x", "x"])))
    given = pa.table({"example_id": ["a", "b", "c", "b"], "late": [1, 2, 3, 4]})
    with pytest.raises(InputError, match="'example_id' of the labels: 'b' given twice"):
        strings.label(given)


def test_ids_stay_of_one_type(lakes: tuple[Lake, Lake]) -> None:
    numbers, strings = lakes
    with pytest.raises(SchemaError, match="column 'example_id' is int64, where string is wanted"):
        strings.log(requests(pa.array([99])))
    with pytest.raises(SchemaError, match="column 'example_id' is string, where int64 is wanted"):
        numbers.log(requests(pa.array(["x"])))
    with pytest.raises(SchemaError, match=r"no column 'example_id', .* cannot be numbered on"):
        strings.log(requests(names_of([99])).drop_columns(["example_id"]))


@pytest.mark.parametrize("room", [0, 1, 2])
def test_ids_may_be_as_large_as_integers_are(tmp_path: Path, room: int) -> None:
    """Nothing is numbered on where that would not fit; ids that are given are still taken."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    largest = 2**63 - 1 - room
    lake.log(requests(pa.array([largest, -(2**63)])))
    unnamed = requests(pa.array([0, 1])).drop_columns(["example_id"])
    for count in range(room, 3):
        if count:
            with pytest.raises(InputError, match=r"cannot be numbered on .*; add a column 'exampl"):
                lake.log(unnamed.slice(0, count))
    for number in range(room - 1):
        logged = lake.log(unnamed.slice(0, 1))
        assert logged["example_id"].to_pylist() == [largest + 1 + number]
    lake.log(requests(pa.array([5])))
    assert lake.verify().passed

"""The main promise: whatever happened to a lake, a sequence is the one the plain rule gives.

Every example is compared, element by element, with `oracle.py`; every stored pointer with length,
ends and digest worked out by `plain_hash.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from durability.model import proof
from hypothesis import Phase, given, settings
from oracle import GroupSpec, History, Pointer, values
from strategies import Append, Log, Story, event_table, examples, stories

from uih_lake import Lake
from uih_lake.resolve import run


def micros(column: pa.ChunkedArray) -> list[int | None]:
    """Times of a column as integer microseconds."""
    found: list[int | None] = column.cast(pa.int64()).to_pylist()
    return found


def plain(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Lists of values as Python has them; times as integer microseconds."""
    kind = column.type.value_type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.list_(pa.int64()))
    found: list[Any] = column.to_pylist()
    return found


def same(one: Any, other: Any) -> bool:
    """Equality that tells -0.0 from 0.0 and finds a NaN equal to a NaN."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and bool(one == other)


class Model:
    """The oracle's side of a story: the history, and the pointers logged so far by example id."""

    def __init__(self) -> None:
        self.history = History()
        self.pointers: list[Pointer] = []

    def append(self, rows: list[dict[str, Any]]) -> int:
        return self.history.append(rows)

    def log(self, log: Log) -> list[Pointer]:
        added = [
            Pointer(
                user,
                time,
                None if log.live else time if as_of is None else as_of,
                self.history.version,
            )
            for user, time, as_of in log.requests
        ]
        self.pointers += added
        return added


def as_stored(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with times as integer microseconds and floats as their type holds them."""
    fields = [
        pa.field(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type)
        for f in table.schema
    ]
    rows: list[dict[str, Any]] = table.cast(pa.schema(fields)).to_pylist()
    return rows


def request_table(log: Log, user_type: pa.DataType, first: int) -> pa.Table:
    users, times, as_of = zip(*log.requests, strict=True)
    time = pa.timestamp("us", "UTC")
    columns = {
        "request_ts": pa.array(times, time),
        "label": pa.array(range(first, first + len(users)), pa.int32()),
        "user_id": pa.array(users, user_type),
    }
    if any(each is not None for each in as_of) and not log.live:
        columns["as_of_ts"] = pa.array(as_of, time)
    return pa.table(columns)


@contextmanager
def played(story: Story) -> Iterator[tuple[Lake, Model]]:
    """Tell a story to a new lake and to the model; every log's pointers are compared."""
    with TemporaryDirectory() as folder:
        lake = Lake.create(Path(folder, "lake"), buckets=story.buckets)
        model = Model()
        for step in story.steps:
            if isinstance(step, Append):
                table = event_table(step, story.user_type)
                assert lake.append(table) == model.append(as_stored(table))
            elif isinstance(step, Log):
                _log(lake, model, step, story.user_type)
            elif step == "reopen":
                lake = Lake.open(lake.path)
            else:
                getattr(lake, step)()
        yield lake, model


def _log(lake: Lake, model: Model, log: Log, user_type: pa.DataType) -> None:
    first = len(model.pointers)
    found = lake.log(request_table(log, user_type, first), live=log.live)
    expected = model.log(log)
    assert found["example_id"].to_pylist() == list(range(first, first + len(expected)))
    assert found["user_id"].to_pylist() == [p.user_id for p in expected]
    assert micros(found["request_ts"]) == [p.request_ts for p in expected]
    assert micros(found["as_of_ts"]) == [p.as_of_ts for p in expected]
    assert set(found["lake_version"].to_pylist()) == {model.history.version}
    ends = zip(micros(found["start_ts"]), micros(found["end_ts"]), strict=True)
    rest = zip(found["length"].to_pylist(), found["digest"].to_pylist(), strict=True)
    proofs = [(*end, *more) for end, more in zip(ends, rest, strict=True)]
    assert proofs == [proof(model.history, p) for p in expected]


def differences(
    found: pa.Table, history: History, pointers: list[Pointer], groups: dict[str, GroupSpec]
) -> list[str]:
    """Every sequence of ``found`` that is not the oracle's; examples are pointers by number."""
    ids = found["example_id"].to_pylist()
    wrong = [] if sorted(ids) == list(range(len(pointers))) else [f"examples {ids}"]
    for name, group in groups.items():
        column = found[name].combine_chunks()
        lists = {trait: plain(column.field(trait)) for trait in group.traits}
        for row, number in enumerate(ids):
            expected = history.sequence(pointers[number], group)
            for trait in group.traits:
                got, want = lists[trait][row], values(expected, trait)
                if not same(got, want):
                    wrong.append(f"{pointers[number]} {name}.{trait}: {got} is not {want}")
    return wrong


def spelled(table: pa.Table) -> str:
    """Every value of a table, -0.0 and NaN included; what lies under a null does not count."""
    return repr({name: table[name].to_pylist() for name in table.column_names})


@pytest.mark.parametrize("few", [0, run._FEW_USERS], ids=["by keys", "by scans"])
@settings(max_examples=examples(20))
@given(stories())
def test_any_story_ends_as_the_oracle_says(few: int, story: Story) -> None:
    """Also where few users count as many, so that buckets of several files are read by keys."""
    with pytest.MonkeyPatch.context() as patch, played(story) as (lake, model):
        patch.setattr(run, "_FEW_USERS", few)
        found = lake.materialize(story.tenant).read_all()
        assert not differences(found, model.history, model.pointers, story.groups)
        assert found["label"].to_pylist() == found["example_id"].to_pylist()
        lake.seal()
        lake.compact()
        sealed = Lake.open(lake.path).materialize(story.tenant).read_all()
        assert spelled(sealed) == spelled(found), "sealing changed a value"


def test_the_stories_reach_the_hard_cases() -> None:
    """A property over easy examples proves little: count what the strategy produces."""
    reached: Counter[str] = Counter()

    @settings(max_examples=50, database=None, derandomize=True, phases=[Phase.generate])
    @given(stories())
    def look(story: Story) -> None:
        appends = [step.rows for step in story.steps if isinstance(step, Append)]
        logs = [step for step in story.steps if isinstance(step, Log)]
        rows = [(row["user_id"], row["event_ts"]) for each in appends for row in each]
        asked = [request for log in logs for request in log.requests]
        across = [{(row["user_id"], row["event_ts"]) for row in each} for each in appends]
        reached["ties"] += len(set(rows)) < len(rows)
        reached["ties across appends"] += len(set().union(*across)) < sum(map(len, across))
        reached["late"] += any(r["arrival_ts"] > r["event_ts"] for each in appends for r in each)
        reached["request at an event's time"] += any(request[:2] in rows for request in asked)
        reached["user without events"] += any(r[0] not in {u for u, _ in rows} for r in asked)
        reached["sealed in between"] += "seal" in story.steps
        reached["live"] += any(log.live for log in logs)
        reached["own as_of"] += any(request[2] is not None for request in asked)

    look()
    assert min(reached.values()) >= 10, reached

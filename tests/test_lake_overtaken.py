"""A writer whose input is still coming while another settles what columns there are.

The other one commits when the first row is asked for, so that who wins is no matter of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from uih_lake import ConflictError, Group, InputError, Lake, SchemaError, Tenant
from uih_lake.append import Appended, append
from uih_lake.ingest import EventColumns
from uih_lake.lake import erase
from uih_lake.lake.seal import Sealed, seal
from uih_lake.lake.store import Store
from uih_lake.lake.tables import File, Table
from uih_lake.pointers import examples
from uih_lake.progress import quiet

TIME = pa.timestamp("us", "UTC")
NINE = datetime.fromtimestamp(9e-6, UTC)
TENANT = Tenant("t", {"g": Group(["event_ts"])})
KINDS = {
    "whole numbers": pa.array([7]),
    "numbers": pa.array([0.5]),
    "text": pa.array(["2026-01-31"]),
    "times": pa.array([5], TIME),
    "lists": pa.array([[1, 2]]),
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake", buckets=1)


def events(**more: pa.Array) -> pa.Table:
    return pa.table({"user_id": [1], "event_ts": pa.array([3], TIME)} | more)


def requests(**more: pa.Array) -> pa.Table:
    return pa.table({"user_id": [1], "request_ts": pa.array([9], TIME)} | more)


def labels(**more: pa.Array) -> pa.Table:
    return pa.table({"example_id": [0], **more})


def meanwhile(rows: pa.Table, work: Callable[[Lake], object], lake: Lake) -> pa.RecordBatchReader:
    """The rows, and before the first of them the work of somebody else."""

    def batches() -> Iterator[pa.RecordBatch]:
        work(Lake.open(lake.path))
        yield from rows.to_batches()

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def files(lake: Lake) -> list[Path]:
    return sorted(Path(lake.path).rglob("*.parquet"))


def pairs() -> list[Any]:
    return [
        pytest.param(mine, theirs, id=f"{one} beside {other}")
        for one, mine in KINDS.items()
        for other, theirs in KINDS.items()
        if one != other
    ]


@pytest.mark.parametrize("add_columns", [False, True], ids=["first append", "a column more"])
@pytest.mark.parametrize(("mine", "theirs"), pairs())
def test_an_append_does_not_change_types_that_were_settled_meanwhile(
    lake: Lake, mine: pa.Array, theirs: pa.Array, add_columns: bool
) -> None:
    if add_columns:
        lake.append(events())
    left: list[Path] = []

    def settle(other: Lake) -> None:
        other.append(events(c=theirs), add_columns=add_columns)
        left.extend(files(other))

    with pytest.raises(SchemaError, match=r"column 'c' is .*, where .* is wanted"):
        lake.append(meanwhile(events(c=mine), settle, lake), add_columns=add_columns)
    assert files(lake) == left, "what was refused left nothing behind"
    lake.seal()
    assert lake.verify().passed
    assert lake.sql("SELECT c FROM events WHERE c IS NOT NULL").arrow().read_all().num_rows == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_append_of_the_same_types_is_taken(lake: Lake, kind: pa.Array) -> None:
    same = events(c=kind)
    assert lake.append(meanwhile(same, lambda other: other.append(same), lake)) == 1
    lake.seal()
    assert lake.verify().passed


def test_an_append_does_not_spell_a_new_column_otherwise(lake: Lake) -> None:
    def settle(other: Lake) -> None:
        other.append(events(clicks=pa.array([1])))

    with pytest.raises(SchemaError, match=r"'Clicks' and the lake's 'clicks' differ only in case"):
        lake.append(meanwhile(events(Clicks=pa.array([1])), settle, lake), add_columns=True)


@pytest.mark.parametrize(("mine", "theirs"), pairs())
def test_a_log_does_not_change_types_that_were_settled_meanwhile(
    lake: Lake, mine: pa.Array, theirs: pa.Array
) -> None:
    lake.append(events())
    asked = meanwhile(requests(c=mine), lambda other: other.log(requests(c=theirs)), lake)
    with pytest.raises(SchemaError, match=r"column 'c' is .*, where .* is wanted"):
        lake.log(asked)
    assert lake.materialize(Tenant("t", TENANT.groups, ["c"])).read_all().num_rows == 1
    assert lake.verify().passed


@pytest.mark.parametrize(
    ("mine", "theirs", "says"),
    [
        ({}, {"example_id": ["a"]}, "no column 'example_id'"),
        ({"example_id": [5]}, {"example_id": ["a"]}, "column 'example_id' is int64"),
        ({"Label": [5]}, {"label": [5]}, "'Label' and the lake's 'label' differ only in case"),
    ],
    ids=["numbered beside names", "numbers beside names", "spelling"],
)
def test_a_log_fits_the_examples_that_came_meanwhile(
    lake: Lake, mine: dict[str, Any], theirs: dict[str, Any], says: str
) -> None:
    lake.append(events())
    asked = meanwhile(requests(**mine), lambda other: other.log(requests(**theirs)), lake)
    with pytest.raises(SchemaError, match=says):
        lake.log(asked)
    assert lake.materialize(TENANT).read_all().num_rows == 1


def test_the_users_of_events_are_of_the_type_that_logged_ones_have(lake: Lake) -> None:
    text = pa.table({"user_id": ["1"], "event_ts": pa.array([3], TIME)})
    with pytest.raises(SchemaError, match="'user_id' of the events is string"):
        lake.append(meanwhile(text, lambda other: other.log(requests()), lake))
    assert lake.materialize(TENANT).read_all().num_rows == 1


def test_logged_users_are_of_the_type_that_those_of_events_have(lake: Lake) -> None:
    text = pa.table({"user_id": ["1"], "event_ts": pa.array([3], TIME)})
    with pytest.raises(SchemaError, match="'user_id' of the requests is int64"):
        lake.log(meanwhile(requests(), lambda other: other.append(text), lake))
    assert lake.sql("FROM examples").fetchall() == []


@pytest.mark.parametrize(("mine", "theirs"), pairs())
def test_labels_do_not_change_types_that_were_settled_meanwhile(
    lake: Lake, mine: pa.Array, theirs: pa.Array
) -> None:
    lake.append(events())
    lake.log(requests())
    given = meanwhile(labels(c=mine), lambda other: other.label(labels(c=theirs)), lake)
    with pytest.raises(SchemaError, match=r"column 'c' is .*, where .* is wanted"):
        lake.label(given)
    assert lake.materialize(Tenant("t", TENANT.groups, ["c"])).read_all().num_rows == 1


def test_labels_go_to_files_that_were_written_anew_meanwhile(lake: Lake) -> None:
    lake.append(events())
    lake.log(requests())

    def label(other: Lake) -> None:
        other.label(labels(a=pa.array([1])))
        other.vacuum(retain_hours=0)

    assert lake.label(meanwhile(labels(b=pa.array([2])), label, lake)) == 1
    assert lake.sql("SELECT a, b FROM examples").fetchall() == [(1, 2)]


@pytest.mark.parametrize("column", ["Label", "LABEL"])
def test_no_context_column_differs_from_another_in_case_alone(lake: Lake, column: str) -> None:
    lake.append(events())
    lake.log(requests(label=pa.array([1])))
    with pytest.raises(SchemaError, match="differ only in case; use the lake's spelling"):
        lake.log(requests(**{column: pa.array([2])}))
    with pytest.raises(SchemaError, match="differ only in case; use the lake's spelling"):
        lake.label(labels(**{column: pa.array([2])}))


def test_labels_before_the_first_log_are_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match="no examples to label; log requests first"):
        lake.label(labels(c=pa.array([1])))


@pytest.mark.parametrize("known", [False, True], ids=["first log", "logged before"])
@pytest.mark.parametrize("served", [False, True], ids=["cut", "served"])
def test_who_is_forgotten_while_requests_are_logged_is_in_no_example(
    lake: Lake, known: bool, served: bool
) -> None:
    lake.append(pa.concat_tables([events(), events(user_id=pa.array([2]))]))
    both = pa.concat_tables([requests(), requests(user_id=pa.array([2]))])
    if known:
        lake.log(both)
    pointers = lake.snapshot([1, 2], NINE, TENANT).pointers if served else None
    left: list[Path] = []

    def forget(other: Lake) -> None:
        other.forget([1])
        left.extend(files(other))

    with pytest.raises(ConflictError, match="users were forgotten while"):
        lake.log(meanwhile(both, forget, lake), pointers=pointers)
    assert files(lake) == left, "what was refused left nothing behind"
    lengths = lake.sql("SELECT user_id, length FROM examples").fetchall()
    assert lengths == ([(2, 1)] if known else [])
    lake.log(both)
    assert lake.sql("SELECT max(length) FROM examples WHERE user_id = 1").fetchall() == [(0,)]
    assert lake.verify().passed


@pytest.mark.parametrize("known", [False, True], ids=["first log", "logged before"])
@pytest.mark.parametrize("look", [1, 2, 3, 4, 5, None])
def test_a_forget_at_any_moment_of_a_log_is_not_overlooked(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, known: bool, look: int | None
) -> None:
    """At each of its looks at the tombstones, and last at its commit.

    It is refused, or begins after the forget; also where that found no example to erase.
    """
    lake.append(events())
    if known:
        lake.log(requests())
    refresh, commit = Table.refresh, examples._commit
    looks = (number == look for number in count(1))
    commits = iter([look is None])

    with lake._stores.taken() as store:  # the call below will have it
        forgotten = store.forgotten

    def looked(table: Table) -> None:
        if table is forgotten and next(looks):
            Lake.open(lake.path).forget([1])
        refresh(table)

    def committed(*given: Any) -> None:
        if next(commits, False):
            Lake.open(lake.path).forget([1])
        commit(*given)

    monkeypatch.setattr(Table, "refresh", looked)
    monkeypatch.setattr(examples, "_commit", committed)
    try:
        lengths = lake.log(requests())["length"].to_pylist()
    except ConflictError:
        lengths = []
    assert lengths == ([0] if look in (1, 2) else [])
    assert lake.sql("SELECT length FROM examples").fetchall() == [(length,) for length in lengths]


@pytest.mark.parametrize("known", [False, True], ids=["nobody logged", "others logged"])
def test_a_log_between_the_looks_of_a_forget_is_erased(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """The forget has looked at the lake, and has not told of itself, or has not told it anew."""
    lake.append(pa.concat_tables([events(), events(user_id=pa.array([2]))]))
    if known:
        lake.log(requests(user_id=pa.array([2])))
    remember = erase.remember

    def logged_first(*given: Any) -> File:
        Lake.open(lake.path).log(requests())
        return remember(*given)

    monkeypatch.setattr(erase, "remember", logged_first)
    assert lake.forget([1])["examples"] == 2
    assert lake.sql("FROM examples WHERE user_id = 1").fetchall() == []
    lake.vacuum(retain_hours=0)
    assert lake.verify().passed


def log_cut(lake: Lake, pause: Callable[[Lake], object]) -> None:
    lake.log(meanwhile(requests(), pause, lake))


def log_served(lake: Lake, pause: Callable[[Lake], object]) -> None:
    pointers = lake.snapshot([1], NINE, TENANT).pointers
    pause(lake)
    lake.log(requests(), pointers=pointers)


@pytest.mark.parametrize("log", [log_cut, log_served])
@pytest.mark.parametrize("ends", ["at once", "after the forget"])
@pytest.mark.parametrize("commit", range(6))
def test_a_log_at_any_moment_of_a_forget_leaves_no_pointer_to_what_goes(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    log: Callable[[Lake, Callable[[Lake], object]], None],
    ends: str,
    commit: int,
) -> None:
    """It begins, after an append, as the forget is about to make one of its commits.

    What it has seen by then is erased with it, or it is refused.
    """
    lake.append(events())
    lake.seal()
    lake.append(events())
    moments = (number == commit for number in count())
    make, begun, go_on = Table.commit, Event(), Event()
    logs: list[Future[None]] = []

    with lake._stores.taken() as store:  # the call below will have it
        mine = store.tables

    def pause(_: Lake) -> None:
        begun.set()
        go_on.wait()

    def beside() -> None:
        other = Lake.open(lake.path)
        other.append(events())
        with suppress(ConflictError, InputError):
            log(other, pause)

    def committed(table: Table, *given: Any, **more: Any) -> None:
        if table in mine and next(moments):
            logs.append(pool.submit(beside))
            begun.wait()
            if ends == "at once":
                go_on.set()
                logs[0].result()
        make(table, *given, **more)

    monkeypatch.setattr(Table, "commit", committed)
    with ThreadPoolExecutor(1) as pool:
        try:
            lake.forget([1])
        finally:
            go_on.set()
    (done,) = logs
    done.result()
    assert lake.materialize(TENANT).read_all().num_rows == len(lake.sql("FROM examples"))
    assert lake.verify().passed


# What is told


def test_an_append_tells_that_somebody_else_used_its_key(lake: Lake) -> None:
    store, same = Store.open(lake.path), meanwhile(events(), lambda other: put(other, "k"), lake)
    told = append(store, same, EventColumns(), key="k", add_columns=False, progress=quiet)
    assert told == Appended(lake_version=0, added=False)
    assert lake.version == 0


def test_an_append_tells_of_its_own_events(lake: Lake) -> None:
    two = pa.table({"user_id": [1, 2], "event_ts": pa.array([8, 4], TIME)})
    store, mine = Store.open(lake.path), meanwhile(two, put, lake)
    told = append(store, mine, EventColumns(), key="k", add_columns=False, progress=quiet)
    first, last = (datetime.fromtimestamp(0, UTC).replace(microsecond=n) for n in (4, 8))
    assert told == Appended(1, True, 2, first, last)


def test_a_seal_tells_of_what_was_there_when_it_began(lake: Lake) -> None:
    lake.append(events())
    told = seal(Store.open(lake.path), lambda done, total: put(lake))
    assert told == Sealed(generation=1, lake_version=0)
    assert (lake.version, lake.info().sealed_version) == (1, 0)


def put(lake: Lake, key: str | None = None) -> None:
    lake.append(events(), key=key)

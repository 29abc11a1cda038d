"""A lake keeps the session it was last asked in, and nobody can tell by an answer."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from uih_lake import CorruptionError, Group, Lake, SqlRefused, Tenant

TIME = pa.timestamp("us", "UTC")
COUNT = "SELECT count(*) FROM events"


def events(user: int, count: int) -> pa.Table:
    times = pa.array(range(count), TIME)
    return pa.table({"user_id": [user] * count, "event_ts": times, "item_id": range(count)})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.create(tmp_path / "lake", buckets=2)
    for user in range(10):
        made.append(events(user, user + 1))
    made.seal()
    made.append(events(3, 5))
    return made


def asked(lake: Lake, sql: str = COUNT) -> list[tuple[int, ...]]:
    return lake.sql(sql).fetchall()


def kept(lake: Lake) -> object:
    (made,) = lake._asked._made.values()
    return made.session


def test_a_session_serves_for_as_long_as_the_lake_is_the_same(lake: Lake) -> None:
    assert asked(lake) == [(60,)]
    first = kept(lake)
    assert (asked(lake), kept(lake)) == ([(60,)], first)
    before = lake.sql(COUNT)
    lake.append(events(1, 2))
    assert asked(lake) == [(62,)]
    assert kept(lake) is not first
    assert before.fetchall() == [(60,)]  # a relation is of the state that it was asked of


def test_a_session_shows_the_tenants_that_are_given(lake: Lake) -> None:
    tenant = Tenant("t", {"g": Group(["item_id"])})
    named = "SELECT tenant FROM tenants"
    assert lake.sql(named).fetchall() == []
    assert lake.sql(named, tenants=[tenant]).fetchall() == [("t",)]
    assert lake.sql(named).fetchall() == []


@pytest.mark.parametrize(
    "make",
    [
        lambda relation: relation.create_view("events"),
        lambda relation: relation.create("mine"),
        lambda relation: relation.create_view("mine"),
    ],
)
def test_what_a_relation_makes_no_later_query_sees(
    lake: Lake, make: Callable[[object], object]
) -> None:
    assert asked(lake) == [(60,)]
    make(lake.sql("SELECT 1 AS x"))
    assert asked(lake) == [(60,)]
    with pytest.raises(SqlRefused, match="mine"):
        lake.sql("FROM mine")


def test_a_footer_that_changes_between_two_queries_is_told(lake: Lake) -> None:
    assert asked(lake) == [(60,)]
    file = next(Path(lake.path, "uih").glob("*.parquet"))
    bytes_ = bytearray(file.read_bytes())
    bytes_[-20] ^= 1
    file.write_bytes(bytes_)
    with pytest.raises(CorruptionError, match="altered"):
        lake.sql(COUNT)


def test_threads_ask_one_lake_at_once(lake: Lake) -> None:
    users = [*range(10)] * 8
    with ThreadPoolExecutor(8) as threads:
        counts = threads.map(lambda u: asked(lake, f"{COUNT} WHERE user_id = {u}"), users)
        assert [*counts] == [[(u + 1 + (5 if u == 3 else 0),)] for u in users]


def test_a_forked_process_makes_a_session_of_its_own(lake: Lake) -> None:
    assert asked(lake) == [(60,)]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send(asked(lake)), daemon=True)
    child.start()
    assert ours.poll(60)
    assert ours.recv() == [(60,)]
    child.join()

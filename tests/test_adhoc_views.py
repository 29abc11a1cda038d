"""The views a user queries: ``events`` of both tiers, ``uih`` of the sealed one, ``examples``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from uih_lake import Group, Lake, Tenant, TenantError, names, sqlfile
from uih_lake.adhoc import MACROS
from uih_lake.errors import SqlRefused

TIME = pa.timestamp("us", "UTC")


def events(first: int, delay: int = 0, more: Iterable[str] = ()) -> pa.Table:
    times = [first, first + 10, first + 10]
    return pa.table(
        {
            "user_id": [7, 8, 7],
            "event_ts": pa.array(times, TIME),
            "arrival_ts": pa.array([each + delay for each in times], TIME),
            "item_id": [first, first + 1, None],
        }
        | {trait: ["x", "y", None] for trait in more}
    )


def made(path: Path, traits: Iterable[str] = (), context: Iterable[str] = ()) -> Lake:
    """Two sealed appends and one that is not, and two examples; some more columns of texts."""
    lake = Lake.create(path, buckets=4)
    lake.append(events(100, more=traits))
    lake.append(events(200, delay=5, more=traits))
    lake.seal()
    lake.append(events(300, more=traits))
    requests = {"user_id": [7, 9], "request_ts": pa.array([205, 900], TIME), "label": [1, 0]}
    lake.log(pa.table(requests | {name: ["x", "y"] for name in context}))
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return made(tmp_path_factory.mktemp("lakes") / "lake")


def rows(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    return lake.sql(sql).fetchall()


def test_events_are_of_both_tiers_and_uih_of_the_sealed_one(lake: Lake) -> None:
    every = rows(lake, "SELECT lake_version, count(*) FROM events GROUP BY ALL ORDER BY ALL")
    assert every == [(0, 3), (1, 3), (2, 3)]
    sealed = rows(lake, "SELECT lake_version, count(*) FROM uih GROUP BY ALL ORDER BY ALL")
    assert sealed == [(0, 3), (1, 3)]
    assert rows(lake, "SELECT DISTINCT epoch_us(arrival_ts - event_ts) FROM events ORDER BY 1") == [
        (0,),
        (5,),
    ]


def test_the_columns_are_the_public_ones(lake: Lake) -> None:
    keys = ["user_id", "event_ts", "arrival_ts", "lake_version", "seq"]
    assert lake.sql("FROM events").columns == [*keys, "item_id"] == lake.sql("FROM uih").columns
    found = lake.sql("FROM examples").columns
    assert not [name for name in found if name.startswith("_")]
    assert {"example_id", "user_id", "request_ts", "length", "digest", "label"} <= set(found)


def test_a_pointer_can_be_followed_in_plain_sql(lake: Lake) -> None:
    """``max_by`` over the visible events, the reference form for ad hoc use."""
    sql = """
    SELECT p.example_id, any_value(p.length), count(e.seq), max_by(e.item_id, (e.event_ts, e.seq))
    FROM examples AS p LEFT JOIN events AS e
      ON e.user_id = p.user_id AND e.event_ts < p.request_ts
     AND e.arrival_ts <= p.as_of_ts AND e.lake_version <= p.lake_version
    GROUP BY ALL ORDER BY ALL
    """
    assert rows(lake, sql) == [(0, 3, 3, 200), (1, 0, 0, None)]


def test_an_older_lake_version_shows_older_events(lake: Lake) -> None:
    for version in range(3):
        older = Lake.open(lake.path, version=version)
        assert rows(older, "SELECT max(lake_version), count(*) FROM events") == [
            (version, 3 * version + 3)
        ]
    assert rows(Lake.open(lake.path, version=0), "SELECT count(*) FROM uih") == [(3,)]


def test_an_empty_lake_has_the_views(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    for view in ("events", "uih", "examples"):
        assert rows(lake, f"SELECT count(*) FROM {view}") == [(0,)]


def test_the_result_is_a_relation_that_cannot_write(lake: Lake, tmp_path: Path) -> None:
    relation = lake.sql("SELECT user_id, item_id FROM events")
    assert relation.filter("user_id = 8").order("item_id").fetchall() == [
        (8, 101),
        (8, 201),
        (8, 301),
    ]
    with pytest.raises(duckdb.PermissionException):
        relation.to_parquet(str(tmp_path / "out.parquet"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_query_is_refused_before_it_runs(lake: Lake) -> None:
    for sql in ("DROP VIEW events", "FROM read_csv('x.csv')", "SELECT nothing FROM events"):
        with pytest.raises(SqlRefused):
            lake.sql(sql)


@pytest.mark.parametrize("name", MACROS)
def test_a_macro_that_is_called_wrongly_says_how(lake: Lake, name: str) -> None:
    with pytest.raises(SqlRefused, match=rf"; call it as {name}\("):
        lake.sql(f"FROM {name}(1, 2, 3, 4)")


def test_a_column_may_be_called_like_any_word_of_a_macro(lake: Lake, tmp_path: Path) -> None:
    """Each word as a trait and as context: macros answer as they do without such columns."""
    text = " ".join(sqlfile.statement(f"adhoc/macros/{name}") for name in MACROS)
    words = {word.strip("_") for word in re.findall(r"[a-z_]+", text)}
    assert {"max_len", "of_user", "pointer", "events"} <= words
    traits, context = words - {"", *names.EVENT_COLUMNS}, words - {"", *names.EXAMPLE_COLUMNS}
    other = made(tmp_path / "lake", sorted(traits), sorted(context))
    event = "user_id, event_ts, arrival_ts, lake_version, seq, item_id"
    for call, columns in (
        ("history_as_of(7, make_timestamptz(250))", event),
        ("sequence_of(0, 2)", event),
        ("changed_between(0, 1)", event),
        ("longest_histories(5)", "*"),
        ("redundancy(2)", "*"),
        ("freshness()", "*"),
    ):
        sql = f"SELECT {columns} FROM {call}"
        assert rows(other, sql) == rows(lake, sql) != []


def test_tenants_that_are_none_or_have_one_name_are_refused(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=1)
    tenant = Tenant(name="a", groups={"g": Group(traits=["event_ts"])})
    for tenants, said in (
        (["a.toml"], "'a.toml' is no tenant"),
        ([tenant, tenant], "same name"),
        (tenant, r"a Tenant is no list of tenants; give a list: \[tenant\]"),
        (None, "a NoneType is no list of tenants"),
    ):
        for ask in (lake.sql_session, lake.sql_script, partial(lake.sql, "FROM tenants")):
            with pytest.raises(TenantError, match=said):
                ask(tenants=tenants)

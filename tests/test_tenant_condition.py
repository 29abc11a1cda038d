"""A condition is one boolean expression over event columns, and nothing else gets through."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import small_lakes
from hypothesis import given, settings
from hypothesis import strategies as st

from uih_lake.errors import SqlRefused
from uih_lake.session import connect
from uih_lake.tenant import check_condition, grammar, spoken_of

TABLE = tomllib.loads((Path(__file__).parent / "cases/conditions.toml").read_text("utf-8"))
CASES: list[dict[str, Any]] = TABLE["case"]


def columns_of(table: dict[str, str]) -> pa.Schema:
    """The columns of the table of cases, which has DuckDB's types."""
    nulls = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in table.items())
    with connect(threads=1) as session:
        return session.sql(f"SELECT {nulls}").to_arrow_table().schema


COLUMNS = columns_of(TABLE["columns"])


def refusal(sql: str) -> str:
    return small_lakes.refusal(SqlRefused, lambda: check_condition(sql, COLUMNS))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case_of_the_table(case: dict[str, Any]) -> None:
    if case["verdict"] == "refused":
        assert case["says"] in refusal(case["sql"])
        return
    text = check_condition(case["sql"], COLUMNS)
    assert text == case.get("text", text)
    assert check_condition(text, COLUMNS) == text, "checking twice must change nothing"


def test_table_of_cases_is_whole() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert {case["verdict"] for case in CASES} == {"accepted", "refused"}


@pytest.mark.parametrize(
    "sql",
    [
        "(" * 5_000,
        "(" * 5_000 + "liked" + ")" * 5_000,
        "- " * 5_000 + "item_id = 1",
        "NOT " * 5_000 + "liked",
        "abs(" * 500 + "item_id" + ")" * 500 + " = 1",
        "+".join(["item_id"] * 500) + " = 1",
        "CASE WHEN liked THEN " * 300 + "liked" + " END" * 300,
        "[" * 300 + "]" * 300 + " IS NULL",
        "liked OR " * 20_000 + "liked",
        "'" * 9_999,
    ],
    ids=lambda sql: f"{sql[:8]}...{len(sql)}",
)
def test_deep_or_long_input_is_refused(sql: str) -> None:
    assert len(refusal(sql)) < 500


def test_a_long_list_of_items_is_fine() -> None:
    listed = ", ".join(str(10**18 + each) for each in range(2_000))
    assert check_condition(f"item_id IN ({listed})", COLUMNS).count(",") == 1_999
    many = " OR ".join(f"item_id = {each}" for each in range(1_000))
    assert check_condition(many, COLUMNS).count(" OR ") == 999


def test_a_lone_surrogate_is_refused() -> None:
    assert "U+D800" in refusal("action = '\ud800'")


def test_an_arrow_schema_gives_the_columns() -> None:
    schema = pa.schema(
        [
            ("event_ts", pa.timestamp("us", "UTC")),
            ("Action", pa.string()),
            ("tags", pa.list_(pa.int32())),
        ]
    )
    text = check_condition("action = 'a' AND 3 IN tags AND year(event_ts) > 2000", schema)
    assert text.startswith("((\"Action\" = 'a') AND contains(tags, 3)")
    with pytest.raises(SqlRefused, match=r"columns are event_ts, Action, tags$"):
        check_condition("item_id = 1", schema)


def test_the_columns_a_condition_speaks_of_are_known() -> None:
    schema = pa.schema([(name, pa.int64()) for name in ('a"b', '"', "Item", "ÄΣ", "x y", "other")])
    written = check_condition(
        '"A""B" = 1 AND """" = 2 AND item = 3 AND ÄΣ = 4 AND "X y" = 5', schema
    )
    assert spoken_of(written, schema.names) == schema.names[:-1]
    assert spoken_of(None, schema.names) == []


def test_every_allowed_function_is_a_pure_scalar_to_duckdb_too() -> None:
    with connect(threads=1) as session:
        known = session.sql(
            "SELECT function_name, function_type, coalesce(stability, 'CONSISTENT'), "
            "coalesce(has_side_effects, false) FROM duckdb_functions()"
        ).fetchall()
    scalar = {
        name
        for name, kind, stability, effects in known
        if kind in ("scalar", "macro") and stability == "CONSISTENT" and not effects
    }
    tainted = {
        name for name, _, stability, effects in known if stability != "CONSISTENT" or effects
    }
    assert scalar >= grammar.FUNCTIONS
    assert not tainted & grammar.FUNCTIONS
    assert not {"random", "now", "current_localtime", "hash", "repeat"} & grammar.FUNCTIONS


EVENTS = """
SELECT i AS user_id, TIMESTAMPTZ '2026-01-01' + to_hours(i * 7) AS event_ts,
       event_ts + to_seconds(i % 3) AS arrival_ts, i % 4 AS lake_version, i AS seq,
       CASE WHEN i % 5 > 0 THEN i * 37 % 11 - 5 END AS item_id,
       CASE WHEN i % 7 > 0 THEN ['click', 'like', 'it''s', ''][1 + i % 4] END AS action,
       CASE WHEN i % 3 > 0 THEN i / 4.0 - 3 END AS dwell,
       CASE WHEN i % 4 > 0 THEN i % 2 = 0 END AS liked,
       CASE WHEN i % 6 > 0 THEN [i::INTEGER % 5, 2, NULL] END AS tags,
       CASE WHEN i % 6 > 1 THEN ['a', action] END AS labels,
       i::INTEGER % 3 AS "Mixed Name"
FROM range(40) AS numbers(i)
"""


def texts(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


NUMBERS = st.recursive(
    texts("item_id", "seq", "dwell", '"mixed name"', "3", "-2", "0.5", "NULL", "len(action)"),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, texts("+", "-", "*"), inner),
        st.builds("{} {} {}".format, inner, texts("/", "%", "//"), texts("3", "-7")),
        st.builds("({})".format, inner),
        st.builds("- {}".format, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("CASE WHEN liked THEN {} ELSE {} END".format, inner, inner),
        st.builds("abs({})".format, inner),
    ),
    max_leaves=6,
)
STRINGS = st.recursive(
    texts("action", "'click'", "'it''s'", "NULL", "''", "$$a'b$$", "lower(ACTION)"),
    lambda inner: st.one_of(
        st.builds("{} || {}".format, inner, inner), st.builds("substr({}, 2, 3)".format, inner)
    ),
    max_leaves=3,
)
COMPARE = texts("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
ATOMS = st.one_of(
    texts("liked", "true", "NOT liked", "liked IS NULL", "3 IN tags", "list_has(labels, 'a')"),
    texts("action LIKE '%i%'", "len(list_filter(tags, lambda t: t > item_id)) > 0"),
    texts("event_ts < '2026-01-05'::TIMESTAMPTZ", "extract(hour FROM arrival_ts) > 12"),
    st.builds("({}) {} ({})".format, NUMBERS, COMPARE, NUMBERS),
    st.builds("{} {} {}".format, STRINGS, COMPARE, STRINGS),
    st.builds("{} BETWEEN {} AND {}".format, NUMBERS, NUMBERS, NUMBERS),
    st.builds("({}) IN ({}, 3)".format, NUMBERS, NUMBERS),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, texts("AND", "OR"), inner),
        st.builds("NOT ({})".format, inner),
        st.builds("({})".format, inner),
        st.builds("CASE WHEN {} THEN {} END".format, inner, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def events() -> Any:
    with connect(threads=1) as session:
        session.execute(f"CREATE TABLE events AS {EVENTS}")
        yield session


@settings(max_examples=150, deadline=None)
@given(condition=CONDITIONS)
def test_a_condition_means_the_same_written_anew(
    events: duckdb.DuckDBPyConnection, condition: str
) -> None:
    before = events.sql(f"SELECT {condition} FROM events ORDER BY seq").fetchall()
    text = check_condition(condition, COLUMNS)
    assert events.sql(f"SELECT {text} FROM events ORDER BY seq").fetchall() == before
    kept = events.sql(f"SELECT seq FROM events WHERE {text} ORDER BY seq").fetchall()
    assert kept == [(seq,) for seq, (value,) in enumerate(before) if value is True]


WORDS = """
    ( ) [ ] { } , ; . * :: = < > + - -- /* */ ' '' " $1 ? # -> := @ ~ | & % ! $$
    liked action item_id tags 1 'x' NULL NOT AND OR IN IS LIKE CASE WHEN THEN END
    SELECT FROM uih WHERE UNION random() now() sum(item_id) OVER CAST( AS lambda x:
    COLUMNS(*) EXISTS( INTERVAL TIMESTAMP DISTINCT ORDER BY FILTER( INT read_csv('x')
"""
TOKENS = st.sampled_from(WORDS.split())
LITERAL = re.compile(r"'(?:[^']|'')*'")


@settings(max_examples=250, deadline=None)
@given(sql=st.one_of(st.text(max_size=60), st.lists(TOKENS, max_size=12).map(" ".join)))
def test_garbage_is_refused_or_harmless(sql: str) -> None:
    try:
        text = check_condition(sql, COLUMNS)
    except SqlRefused as refused:
        assert "\n" not in str(refused)
        return
    assert check_condition(text, COLUMNS) == text
    outside = LITERAL.sub("", text)
    for word in ("SELECT", "FROM uih", "random", "now(", "sum(", "OVER", "read_csv", "--", ";"):
        assert word not in outside


@settings(max_examples=100, deadline=None)
@given(condition=CONDITIONS, place=st.integers(0, 200), token=TOKENS)
def test_a_token_too_many_never_escapes(condition: str, place: int, token: str) -> None:
    broken = f"{condition[:place]} {token} {condition[place:]}"
    try:
        check_condition(broken, COLUMNS)
    except SqlRefused as refused:
        assert "\n" not in str(refused)


def test_the_day_of_the_check_does_not_matter(events: duckdb.DuckDBPyConnection) -> None:
    text = check_condition("event_ts < TIMESTAMPTZ '2026-01-02'", COLUMNS)
    latest = events.sql(f"SELECT max(event_ts)::VARCHAR FROM events WHERE {text}").fetchall()
    assert latest == [("2026-01-01 21:00:00+00",)]

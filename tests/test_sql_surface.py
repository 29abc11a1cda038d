"""What reaches a lake from outside: SQL through every door, and the forms its answers take.

The table of attempts is ``cases/refused_sql.toml``; here each goes through :meth:`Lake.sql` and
``uihlake sql``, on a real lake.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from commands import contents, done, make_lake, run, told

from uih_lake import Lake, Loader, SqlRefused, Tenant, TenantError
from uih_lake.adhoc import explain_error

ATTEMPTS: list[dict[str, Any]] = [
    case
    for case in tomllib.loads(
        (Path(__file__).parent / "cases/refused_sql.toml").read_text("utf-8")
    )["case"]
    if case["verdict"] != "allowed"
]
CONDITIONS = {
    "a subquery": "item_id IN (SELECT item_id FROM events)",
    "a subquery of a file": "EXISTS (FROM '/etc/passwd')",
    "a subquery that reads a file": "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
    "a subquery of secrets": "'a' = (SELECT name FROM duckdb_secrets())",
    "a subquery that copies": "1 = (WITH a AS (COPY events TO 'x') SELECT 1)",
    "a subquery in a lambda": "list_transform([1], lambda x: (SELECT 1)) = [1]",
    "a file": "read_text('/etc/passwd') IS NOT NULL",
    "files by pattern": "glob('*') IS NULL",
    "the environment": "getenv('HOME') <> ''",
    "a setting": "current_setting('temp_directory') = ''",
    "a variable": "getvariable('a') = 1",
    "SQL in a text": "query('DROP VIEW events') IS NULL",
    "a log": "write_log('x') IS NULL",
    "a second statement": "true; DROP VIEW events",
    "a second statement that copies": "true; COPY events TO 'x.csv'",
    "the end of brackets": "true) UNION ALL (SELECT 1",
    "a comment to the end": "true -- ",
    "a comment around a quote": "true /* ' */; ATTACH 'a.db'",
    "chance": "random() < 0.5",
    "the clock": "now() > make_timestamptz(0)",
    "an aggregate": "count(*) > 1",
    "a window": "row_number() OVER () = 1",
    "a parameter": "user_id = $1",
    "a star": "COLUMNS(*) > 0",
    "another column": "secret = 1",
    "a qualified column": "main.events.user_id = 1",
    "a type of its own": "user_id::MY_TYPE = 1",
    "a sequence": "nextval('s') = 1",
    "COPY": "COPY events TO 'x'",
    "ATTACH": "ATTACH 'a.db'",
    "EXPORT": "EXPORT DATABASE 'd'",
    "INSTALL": "INSTALL httpfs",
    "LOAD": "LOAD httpfs",
    "PRAGMA": "PRAGMA version",
    "SET": "SET threads = 1",
    "CALL": "CALL pragma_version()",
    "CREATE": "CREATE TABLE t (i INT)",
    "INSERT": "INSERT INTO events VALUES (1)",
    "DROP": "DROP VIEW events",
    "DELETE": "DELETE FROM events",
}


@dataclass(frozen=True)
class Place:
    """A lake with a file beside it that is no business of anyone who may read the lake."""

    root: Path
    lake: Lake

    @property
    def path(self) -> Path:
        return Path(self.lake.path)

    def filled(self, sql: str) -> str:
        """``sql`` with the paths of this place."""
        file = next(iter(sorted(self.path.glob("uih/**/*.parquet"))))
        secret = self.root / "secret.parquet"
        names = {
            "lake": file,
            "folder": file.parent,
            "secret": secret,
            "secret_name": Path(*[".."] * len(file.parent.relative_to(self.root).parts))
            / secret.name,
            "link": self.root / "link.parquet",
            "free": self.root / "free",
        }
        for name, path in names.items():
            sql = sql.replace(f"{{{name}}}", str(path))
        return sql


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("surface")
    lake = Lake.open(make_lake(root))
    (root / "secret.parquet").write_bytes((root / "one.parquet").read_bytes())
    (root / "link.parquet").symlink_to(root / "secret.parquet")
    return Place(root, lake)


@pytest.fixture
def unchanged(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That the test leaves every file as it was, and none where it stood."""
    monkeypatch.chdir(place.root)
    before = contents(place.root)
    yield
    assert contents(place.root) == before


@pytest.mark.parametrize("case", ATTEMPTS, ids=[case["name"] for case in ATTEMPTS])
@pytest.mark.usefixtures("unchanged")
def test_an_attempt_is_refused_at_every_door(place: Place, case: dict[str, Any]) -> None:
    sql = place.filled(case["sql"])
    with pytest.raises(SqlRefused) as refused:
        try:
            place.lake.sql(sql).fetchall()
        except duckdb.Error as error:  # what fails while rows are fetched
            raise explain_error(error) from error
    assert case["says"] in str(refused.value)
    result = run("sql", place.path, "-", given=sql)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert case["says"] in result.stderr


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.usefixtures("unchanged")
def test_a_condition_is_refused_wherever_it_may_stand(
    place: Place, condition: str, tmp_path: Path
) -> None:
    text = f"name = 'x'\n[groups.g]\ntraits = ['item_id']\nwhere = {json.dumps(condition)}\n"
    with pytest.raises(TenantError, match="group 'g': where: condition"):
        tenant = Tenant.from_toml(text)
        place.lake.materialize(tenant).read_all()
    (tmp_path / "tenant.toml").write_text(text)
    named = ("--tenant", tmp_path / "tenant.toml")
    for words in (
        ("materialize", place.path, *named, "--out", tmp_path / "out"),
        ("savings", place.path, *named),
        ("sql", place.path, "FROM tenants", *named),
    ):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (1, ""), words[0]
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    plain = Tenant.from_toml("name = 'x'\n[groups.g]\ntraits = ['item_id']\n")
    with pytest.raises(SqlRefused, match="condition"):
        place.lake.materialize(plain, where=condition).read_all()
    with pytest.raises(SqlRefused, match="condition"):
        next(iter(Loader(place.lake, plain, batch_size=2, where=condition)))
    assert [path.name for path in tmp_path.iterdir()] == ["tenant.toml"]


def test_attempts_are_of_every_kind() -> None:
    """The words that the promise names are all tried, and each is one statement's."""
    tried = " ".join(case["sql"].upper() for case in ATTEMPTS)
    words = "ATTACH COPY EXPORT INSTALL LOAD PRAGMA SET CALL CREATE DROP INSERT DELETE UPDATE"
    functions = "READ_CSV READ_PARQUET READ_TEXT GLOB GETENV DUCKDB_SECRETS CURRENT_SETTING"
    for word in f"{words} {functions}".split():
        assert word in tried, word
    assert len(ATTEMPTS) >= 100 and len(CONDITIONS) >= 40


# --- the forms of an answer ---------------------------------------------------------------------

INTERVALS = (
    "to_microseconds(0)",
    "INTERVAL 90 MINUTE",
    "INTERVAL 14 MONTH",
    "INTERVAL 1 YEAR",
    "INTERVAL '-1 day 2 hours'",
    "to_months(-13) + to_days(-2) + to_microseconds(-1500000)",
    "INTERVAL 100 HOUR",
    "to_microseconds(61000001)",
)


@pytest.mark.parametrize("sql", INTERVALS)
def test_an_interval_is_told_as_duckdb_tells_it(place: Place, sql: str) -> None:
    query = f"SELECT {sql} AS i, CAST(i AS VARCHAR) AS t, [i] AS l"
    expected = duckdb.sql(query).fetchall()[0][1]
    assert told("sql", place.path, query) == [{"i": expected, "t": expected, "l": [expected]}]
    (row,) = csv.DictReader(io.StringIO(done("sql", place.path, query)))
    assert row == {"i": expected, "t": expected, "l": json.dumps([expected])}
    assert f"  {expected}  " in done("sql", place.path, f"SELECT {sql} AS i", "--format", "table")


TIMES = (
    "TIMESTAMP '20000-01-01'",
    "TIMESTAMP '294247-01-10 04:00:54.775806'",
    "TIMESTAMP '0001-02-29 (BC) 10:00:00.000001'",
    "TIMESTAMP '290309-12-22 (BC) 00:00:00'",
    "TIMESTAMP 'infinity'",
    "TIMESTAMP_S '20000-02-29 23:59:59'",
    "TIMESTAMP_MS '0044-03-15 (BC) 10:00:00.5'",
    "TIMESTAMP_MS '-infinity'",
    "TIMESTAMP_NS '2200-01-01 00:00:00.000000001'",
    "TIMESTAMP_NS '1960-01-01 00:00:00.12345678'",
    "TIMESTAMP_NS 'infinity'",
    "TIMESTAMPTZ 'infinity'",
    "TIMESTAMPTZ '-infinity'",
    "TIMESTAMPTZ '20000-01-01 00:00:00.25+00'",
    "TIMESTAMPTZ '0001-01-01 (BC) 00:00:00+00'",
    "DATE '20000-01-01'",
    "DATE '5881580-07-10'",
    "DATE '5877642-06-25 (BC)'",
    "DATE '0000-12-31'",
    "DATE 'infinity'",
    "DATE '-infinity'",
    "TIME '24:00:00'",
    "TIME_NS '12:00:00.123456789'",
)
LOST_IN_ARROW = (
    "TIMETZ '10:00:00.5+05:30'",
    "BIT '0010101'",
    f"BIGNUM '-{'1234567890' * 5}'",
    f"UHUGEINT '{2**128 - 1}'",
    f"UHUGEINT '{2**127}'",
    "VARIANT 'a'",
)


@pytest.mark.parametrize("sql", (*TIMES, *LOST_IN_ARROW))
def test_what_python_has_not_is_told_as_duckdb_tells_it(place: Place, sql: str) -> None:
    said = duckdb.sql(f"SET TimeZone = 'UTC'; SELECT CAST({sql} AS VARCHAR)").fetchall()[0][0]
    query = f"""SELECT t, union_value(u := t) AS u, [t, NULL] AS l, array_value(t) AS a,
        {{'a': t}} AS s, MAP {{1: t}} AS m FROM (SELECT {sql} AS t)"""
    nested = {"l": [said, None], "a": [said], "s": {"a": said}, "m": [[1, said]]}
    assert told("sql", place.path, query) == [{"t": said, "u": said, **nested}]
    (row,) = csv.DictReader(io.StringIO(done("sql", place.path, query)))
    assert row["t"] == row["u"] == said
    assert {name: json.loads(row[name]) for name in nested} == nested
    assert f"  {said}  " in done("sql", place.path, f"SELECT {sql} AS t", "--format", "table")


def test_a_time_that_python_has_is_told_the_same_beside_one_that_it_has_not(place: Place) -> None:
    for kind in ("TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_NS", "TIMESTAMP_S", "DATE"):
        times = f"{kind} '2026-01-02 03:04:05.000001', {kind} '1960-01-02 03:04:05.5', NULL"
        alone = f"SELECT unnest([{times}]) AS t"
        rows = told("sql", place.path, alone)
        assert "T" in rows[0]["t"] or kind == "DATE"
        beside = f"{alone} UNION ALL SELECT {kind} 'infinity'"
        assert told("sql", place.path, beside) == [*rows, {"t": "infinity"}]
    clock = "SELECT unnest([TIME '10:00', TIME '23:59:59.5', TIME '24:00']) AS t"
    said = ["10:00:00", "23:59:59.500000", "24:00:00"]
    assert [row["t"] for row in told("sql", place.path, clock)] == said


def test_what_is_lost_in_arrow_is_text_among_columns_that_are_as_they_were(
    place: Place, tmp_path: Path
) -> None:
    query = """SELECT 3 - n AS n, BIT '01' AS b, 1.5 AS "a ""b"" c", NULL AS b, {'BIT': n} AS s,
        {'a b': BIT '1', 'n': [n]} AS t, row(n, BIT '0') AS r FROM range(3) AS r(n) ORDER BY n"""
    done("sql", place.path, query, "-o", tmp_path / "rows.parquet")
    table = pq.ParquetFile(tmp_path / "rows.parquet").read()
    assert table.column_names == ["n", "b", 'a "b" c', "b", "s", "t", "r"]
    columns = [column.to_pylist() for column in table.columns]
    assert columns[:4] == [[1, 2, 3], ["01"] * 3, [Decimal("1.5")] * 3, [None] * 3]
    assert columns[4] == [{"BIT": n} for n in (2, 1, 0)]
    assert columns[5] == [{"a b": "1", "n": [n]} for n in (2, 1, 0)]
    assert columns[6] == [f"({n}, 0)" for n in (2, 1, 0)]


@pytest.mark.parametrize("kind", ["INTERVAL 1 DAY", "[INTERVAL 1 DAY]", "{'a': INTERVAL 1 DAY}"])
def test_parquet_has_no_interval(place: Place, tmp_path: Path, kind: str) -> None:
    out = ("--format", "parquet", "-o", tmp_path / "rows.parquet")
    result = run("sql", place.path, f"SELECT {kind} AS late", *out)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "interval" in result.stderr
    assert list(tmp_path.iterdir()) == []


QUERIES = (
    "FROM events ORDER BY ALL",
    "FROM examples ORDER BY example_id",
    "FROM history_as_of(1, make_timestamptz(86400000000 * 20009))",
    "FROM freshness()",
    "FROM tenants ORDER BY group_name",
    "SELECT tier, rows, bytes FROM files ORDER BY ALL",
    "SELECT [1, NULL] AS l, {'a': 1.5, 'b': 'ü\"'} AS s, DATE '2026-01-01' AS d, true AS b",
)


@pytest.mark.parametrize("query", QUERIES)
def test_every_format_holds_what_lake_sql_gives(place: Place, tmp_path: Path, query: str) -> None:
    tenant = ("--tenant", place.root / "ranker.toml")
    relation = place.lake.sql(query, tenants=[Tenant.load(place.root / "ranker.toml")])
    table = relation.to_arrow_table()
    rows = table.to_pylist()
    assert rows
    done("sql", place.path, query, *tenant, "--format", "parquet", "-o", tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows
    found = told("sql", place.path, query, *tenant)
    lines = list(csv.DictReader(io.StringIO(done("sql", place.path, query, *tenant))))
    shown = run("sql", place.path, query, *tenant, "--format", "table").stdout
    assert [[*row] for row in (*found, *lines)] == [table.column_names] * (2 * len(rows))
    for row, plain, line in zip(rows, found, lines, strict=True):
        for name, value in row.items():
            if isinstance(value, (bool, int, list, dict)):
                assert plain[name] == value and json.loads(line[name]) == value
            elif value is None or isinstance(value, (str, float)):
                assert plain[name] == value and line[name] == ("" if value is None else str(value))
            else:
                assert plain[name] == line[name] == value.isoformat()
    assert lines[0][table.column_names[0]] in shown

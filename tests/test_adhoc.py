"""Ad hoc SQL reads the lake and nothing else, and cannot change a byte of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import contents
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.adhoc import check_query, explain_error, lock
from uih_lake.errors import SqlRefused
from uih_lake.session import connect
from uih_lake.sqlfile import literal

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "cases/refused_sql.toml").read_text("utf-8")
)["case"]


@dataclass(frozen=True)
class Place:
    """A locked session, the one file it may read, and files around it that it may not."""

    session: duckdb.DuckDBPyConnection
    lake: Path
    secret: Path
    link: Path

    @property
    def files(self) -> dict[Path, bytes]:
        """Every file there is, with its bytes."""
        return contents(self.lake.parent.parent)

    def filled(self, sql: str) -> str:
        """``sql`` with the paths of this place."""
        paths = {
            "lake": self.lake,
            "folder": self.lake.parent,
            "secret": self.secret,
            "secret_name": f"../{self.secret.name}",
            "link": self.link,
            "free": self.lake.with_name("free"),
        }
        for name, path in paths.items():
            sql = sql.replace(f"{{{name}}}", str(path))
        return sql


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("adhoc")
    (root / "lake").mkdir()
    lake, secret, link = root / "lake/a.parquet", root / "secret.parquet", root / "lake/b.parquet"
    pq.write_table(pa.table({"item_id": [1, 2, 3], "action": ["a", "b", "c"]}), lake)
    pq.write_table(pa.table({"secret": ["s3cr3t"]}), secret)
    link.symlink_to(secret)
    with connect(threads=1) as session:
        session.execute(f"CREATE VIEW events AS FROM read_parquet([{literal(str(lake))}])")
        lock(session, [str(lake)])
        yield Place(session, lake, secret, link)


def run(place: Place, sql: str) -> pa.Table:
    """What a caller does: check, bind, fetch; DuckDB's errors become one line."""
    text = check_query(place.session, sql)
    try:
        return place.session.sql(text).to_arrow_table()
    except duckdb.Error as error:
        raise explain_error(error) from None


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case_of_the_table(place: Place, case: dict[str, Any]) -> None:
    before, sql = place.files, place.filled(case["sql"])
    if case["verdict"] == "allowed":
        assert run(place, sql).num_rows == case["rows"]
    else:
        with pytest.raises(SqlRefused) as refused:
            if case["verdict"] == "refused":
                check_query(place.session, sql)
            else:
                run(place, sql)
        assert case["says"] in str(refused.value)
        assert "\n" not in str(refused.value)
    assert place.files == before
    assert run(place, "SHOW TABLES").to_pylist() == [{"name": "events"}]


def test_table_of_cases_is_whole() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert {case["verdict"] for case in CASES} == {"allowed", "refused", "blocked"}
    assert sum(case["verdict"] != "allowed" for case in CASES) >= 80


def test_why_both_walls_are_needed(tmp_path: Path) -> None:
    """DuckDB alone lets a SELECT overwrite a file it may read: the case the guard is there for."""
    lake = tmp_path / "lake.parquet"
    pq.write_table(pa.table({"item_id": [1]}), lake)
    before = lake.read_bytes()
    attack = (
        f"WITH a AS (COPY (SELECT 1) TO {literal(str(lake))} (FORMAT csv, USE_TMP_FILE false)) "
        "FROM a"
    )
    with connect(threads=1) as session:
        lock(session, [str(lake)])
        with pytest.raises(SqlRefused, match="COPY inside a query"):
            check_query(session, attack)
        assert lake.read_bytes() == before
        session.execute(attack).fetchall()
    assert lake.read_bytes() != before


WRITERS: dict[str, Callable[[duckdb.DuckDBPyRelation, str], object]] = {
    "to_parquet": lambda relation, path: relation.to_parquet(path),
    "write_parquet": lambda relation, path: relation.write_parquet(path),
    "to_csv": lambda relation, path: relation.to_csv(path),
    "write_csv": lambda relation, path: relation.write_csv(path),
    "query": lambda relation, path: relation.query("r", f"COPY r TO {literal(path)}"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("target", ["new", "lake", "relative", "default_temp"])
def test_a_relation_cannot_write_a_file(
    place: Place,
    write: Callable[[duckdb.DuckDBPyRelation, str], object],
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tmp").mkdir()
    paths = {
        "new": str(tmp_path / "out"),
        "lake": str(place.lake),
        "relative": "out",
        "default_temp": ".tmp/out",
    }
    before = place.files
    relation = place.session.sql(check_query(place.session, "FROM events"))
    with pytest.raises(duckdb.PermissionException):
        write(relation, paths[target])
    assert place.files == before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_lock_stays_shut(place: Place) -> None:
    for statement in (
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SET lock_configuration = false",
        "SET temp_directory = '/'",
    ):
        with pytest.raises(duckdb.Error):
            place.session.execute(statement)
    with pytest.raises(duckdb.PermissionException):
        place.session.read_csv(str(place.secret))
    with pytest.raises(duckdb.PermissionException):
        place.session.read_parquet(str(place.secret))


def test_a_big_query_spills_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with connect(threads=1) as session:
        session.execute("SET memory_limit = '60MB'")
        lock(session, [])
        many = "SELECT count(*) FROM (SELECT DISTINCT i, 'abcdefghi' || i FROM range(2000000) t(i))"
        assert session.sql(check_query(session, many)).fetchall() == [(2_000_000,)]
        assert [path.name[:9] for path in tmp_path.iterdir()] == ["uih_lake_"]
    assert list(tmp_path.iterdir()) == []


def test_a_lone_surrogate_and_deep_nesting_are_refused(place: Place) -> None:
    for sql in ("SELECT '\ud800'", "SELECT " + "(" * 900 + "1", "SELECT " + "+".join("1" * 990)):
        with pytest.raises(SqlRefused):
            check_query(place.session, sql)


def test_the_checked_text_is_the_statement_itself(place: Place) -> None:
    assert check_query(place.session, "; SELECT 1 AS one") == "SELECT 1 AS one"


@pytest.mark.parametrize("threads", [1, 2])
def test_files_named_with_quotes_are_reached(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "it's a lake.parquet"
    pq.write_table(pa.table({"item_id": [1]}), path)
    with connect(threads=threads) as session:
        session.execute(f"CREATE VIEW events AS FROM read_parquet([{literal(str(path))}])")
        lock(session, [str(path)])
        assert session.sql(check_query(session, "FROM events")).fetchall() == [(1,)]


WORDS = """
    SELECT FROM WITH a AS ( ) , ; COPY TO 'x' INSERT INTO events VALUES (1) RETURNING * DELETE
    UPDATE SET EXPLAIN ANALYZE DESCRIBE SUMMARIZE CREATE TABLE query('FROM events') PIVOT ON action
    UNION ALL WHERE true -- /* */ read_text('/etc/passwd') DROP VIEW LIMIT 1 item_id
"""


@given(
    st.lists(st.sampled_from(WORDS.split(" ")), max_size=14).map(" ".join) | st.text(max_size=40)
)
def test_garbage_is_refused_or_only_read(place: Place, sql: str) -> None:
    before = place.files
    try:
        run(place, sql)
    except SqlRefused as refused:
        assert "\n" not in str(refused)
    assert place.files == before
    assert run(place, "SHOW TABLES").to_pylist() == [{"name": "events"}]

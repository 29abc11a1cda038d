"""Whatever is wrong is one line and an exit code, and the lake is as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import TENANT, done, events, make_lake, requests, run, tables
from typer.testing import CliRunner

from uih_lake.cli import app

BAD_TENANTS = {
    "broken": "name = ranker",
    "wide": TENANT.replace('"item_id", ', '"itemid", '),
    "context": TENANT.replace('"label"', '"labels"'),
    "where": TENANT.replace("action = 'click'", "acton = 'click'"),
    "sneaky": TENANT.replace("action = 'click'", "item_id IN (SELECT 1)"),
    "extra": TENANT + "color = 'red'\n",
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake, good files and bad ones."""
    place = tmp_path_factory.mktemp("prepared")
    make_lake(place)
    for name, text in BAD_TENANTS.items():
        (place / f"{name}.toml").write_text(text)
    table = events()
    files = {
        "thin": table.drop_columns("action"),
        "wide": table.append_column("dwell", pa.array(range(12))),
        "typed": table.set_column(2, "item_id", pa.array(["x"] * 12)),
        "nobody": table.set_column(0, "user_id", pa.array([None, *range(11)], pa.int64())),
        "timeless": table.set_column(1, "event_ts", pa.array(range(1_700_000_000, 1_700_000_012))),
        "twice": requests().append_column("example_id", pa.array([7] * 6)),
        "taken": requests().append_column("example_id", pa.array(range(6))),
    }
    for name, bad in files.items():
        pq.write_table(bad, place / f"{name}.parquet")
    whole = (place / "one.parquet").read_bytes()
    (place / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (place / "notes.txt").write_text("user_id,event_ts\n")
    (place / "broken.csv").write_text("user_id,event_ts,item_id,action\n1,never,1,click\n")
    (place / "taken").mkdir()
    (place / "full").mkdir()
    (place / "full" / "notes.txt").write_text("mine")
    return place


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is the working directory."""
    copy = tmp_path / "place"
    shutil.copytree(prepared, copy)
    monkeypatch.chdir(copy)
    return copy


MATERIALIZE = "materialize lake --out out --tenant"

REFUSED = [
    ("create lake", "is a lake already"),
    ("create one.parquet", "is a file"),
    ("create one.parquet/lake", "one.parquet is a file"),
    ("info one.parquet", "one.parquet is a file; name the directory of a lake"),
    ("create full", "full is not empty: it holds notes.txt; choose a new one"),
    ("append nowhere one.parquet", "no lake at nowhere; create one with"),
    ("append lake nothing.parquet", "nothing.parquet: no such file"),
    ("append lake nothing*.csv", "nothing*.csv"),
    ("append lake notes.txt", "notes.txt"),
    ("append lake cut.parquet", "cut.parquet"),
    ("append lake thin.parquet", "thin.parquet: no column 'action'"),
    ("append lake wide.parquet", "wide.parquet: column 'dwell' is new"),
    ("append lake typed.parquet", "'item_id'"),
    ("append lake nobody.parquet", "--on-null-user skip"),
    ("append lake timeless.parquet", "--ts-unit"),
    ("append lake broken.csv", "row 1"),
    ("append lake one.parquet cut.parquet", "cut.parquet"),
    ("append lake one.parquet --user-id member", "'member'"),
    ("append lake one.parquet --event-ts item", "item_id"),
    ("append lake one.parquet --arrival-ts seen_at", "'seen_at'"),
    ("append lake one.parquet --key=", "key is empty; name the delivery"),
    ("seal nowhere", "no lake at nowhere"),
    ("compact nowhere", "no lake at nowhere"),
    ("log nowhere requests.parquet", "no lake at nowhere"),
    ("log lake nothing.parquet", "nothing.parquet: no such file"),
    ("log lake requests.parquet --request-ts at", "'at'"),
    ("log lake requests.parquet --as-of-ts at", "'at'"),
    ("log lake twice.parquet", "given twice"),
    ("log lake taken.parquet", "logged before"),
    (f"{MATERIALIZE} nothing.toml", "tenant file nothing.toml: No such file"),
    (f"{MATERIALIZE} broken.toml", "tenant file broken.toml: not TOML"),
    (f"{MATERIALIZE} wide.toml", "'itemid'"),
    (f"{MATERIALIZE} context.toml", "'labels'"),
    (f"{MATERIALIZE} where.toml", "'acton'"),
    (f"{MATERIALIZE} sneaky.toml", "subquery"),
    (f"{MATERIALIZE} extra.toml", "color"),
    (f"{MATERIALIZE} ranker.toml --where clicked=1", "'clicked'"),
    (f"{MATERIALIZE} ranker.toml --where item_id=1", "a column of the events, of which a group's"),
    (f"{MATERIALIZE} ranker.toml --at 2", "lake versions are 0 to 1"),
    ("materialize nowhere --tenant ranker.toml --out out", "no lake at nowhere"),
    ("materialize lake --tenant ranker.toml --out taken", "taken exists"),
    ("materialize lake --tenant ranker.toml --out notes.txt", "notes.txt is a file"),
    ("materialize lake --tenant ranker.toml --out full --overwrite", "'notes.txt'"),
    ("materialize lake --tenant ranker.toml --out lake/out", "inside the lake"),
    ("materialize lake --tenant ranker.toml --out . --overwrite", "holds the lake"),
    ("info nowhere", "no lake at nowhere"),
    ("info lake --at 2", "lake versions are 0 to 1"),
    ("sql nowhere FROM~events", "no lake at nowhere"),
    ("sql lake SELEC~1", "SELEC"),
    ("sql lake SELECT~nothing~FROM~events", "nothing"),
    ("sql lake FROM~clicks", "clicks"),
    ("sql lake SELECT~action::INT~FROM~events", "INT"),
    ("sql lake FROM~events~WHERE~action=5", "DESCRIBE events tells the types"),
    ("sql lake SELECT~1;SELECT~2", "2 statements"),
    ("sql lake COPY~events~TO~'x.csv'", "COPY"),
    ("sql lake DELETE~FROM~events", "DELETE"),
    ("sql lake FROM~read_csv('broken.csv')", "read_csv"),
    ("sql lake FROM~'broken.csv'", "broken.csv"),
    ("sql lake FROM~events --at 2", "lake versions are 0 to 1"),
    ("sql lake FROM~events -o notes.txt", "notes.txt exists"),
    ("sql lake FROM~events -o taken --overwrite", "taken is a directory"),
    ("sql lake FROM~events -o lake/rows.csv", "inside the lake"),
    ("demo full", "not empty"),
    ("demo notes.txt", "notes.txt"),
]


def words(line: str) -> list[str]:
    """A command line cut at spaces; a tilde is a space inside a word."""
    return [word.replace("~", " ") for word in line.split()]


@pytest.mark.parametrize(("line", "said"), REFUSED, ids=[line for line, _ in REFUSED])
def test_what_is_refused_is_told_in_one_line(place: Path, line: str, said: str) -> None:
    before, others = tables(place / "lake"), sorted(place.rglob("*.*"))
    result = run(*words(line))
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert tables(place / "lake") == before, "nothing was written to the lake"
    assert not (place / "out").exists()
    assert (place / "notes.txt").read_text() == "user_id,event_ts\n"
    assert {path.name for path in place.rglob("*.partial")} == set()
    assert [
        p for p in sorted(place.rglob("*.*")) if p not in others and "lake" not in p.parts
    ] == []


def test_the_same_lines_succeed_where_nothing_is_wrong(place: Path) -> None:
    for line in (
        "append lake one.parquet",
        "append lake nobody.parquet --on-null-user skip --quiet",
        "append lake timeless.parquet --ts-unit s",
        "append lake wide.parquet --add-columns",
        "log lake requests.parquet",
        f"{MATERIALIZE} ranker.toml --where label=1 --at 1",
        "sql lake FROM~events -o rows.csv",
        "info lake --at 1",
    ):
        done(*words(line))


def test_a_refused_statement_leaves_the_file_it_was_to_replace(place: Path) -> None:
    result = run("sql", "lake", "SELECT action::INT FROM events", "-o", "notes.txt", "--overwrite")
    assert result.exit_code == 1
    assert (place / "notes.txt").read_text() == "user_id,event_ts\n"


def test_a_statement_that_is_no_text_is_refused(place: Path) -> None:
    result = CliRunner().invoke(app, ["sql", "lake", "-"], input=b"SELECT '\xff'")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: the input is not UTF-8 (byte 8)\n"


MISUSED = [
    "nonsense",
    "append lake",
    "append",
    "append lake one.parquet --ts-unit minutes",
    "append lake one.parquet --on-null-user maybe",
    "append lake one.parquet --no-such-option",
    "create lake2 --buckets 0",
    "create lake2 --buckets many",
    "create",
    "log lake",
    "materialize lake --out out",
    "materialize lake --tenant ranker.toml",
    f"{MATERIALIZE} ranker.toml --format csv",
    f"{MATERIALIZE} ranker.toml --at -1",
    f"{MATERIALIZE} ranker.toml --on-mismatch ignore",
    "sql lake",
    "sql lake FROM~events --format parquet",
    "sql lake FROM~events --format table -o rows.txt",
    "sql lake FROM~events --format csv -o rows.parquet",
    "sql lake FROM~events --json -o rows.csv",
    "sql lake FROM~events --format xml",
    "sql lake FROM~events --script",
    "sql lake --script -o views.sql",
    "sql lake -o rows.csv",
    "sql lake FROM~events --max-rows 0",
    "info",
    "demo --users 1",
    "--nonsense",
]


@pytest.mark.parametrize("line", MISUSED)
def test_wrong_usage_is_told_with_the_way_to_help(place: Path, line: str) -> None:
    before = tables(place / "lake")
    result = run(*words(line))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Usage: " in result.stderr and "--help" in result.stderr
    assert tables(place / "lake") == before
    assert not (place / "lake2").exists()


def test_a_damaged_lake_is_told_in_one_line(place: Path) -> None:
    for file in (place / "lake" / "uih").rglob("*.parquet"):
        file.write_bytes(b"not a file of this lake")
    for line in (
        f"{MATERIALIZE} ranker.toml",
        "info lake",
        "sql lake FROM~uih",
        "log lake requests.parquet",
    ):
        result = run(*words(line))
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        assert not (place / "out").exists()

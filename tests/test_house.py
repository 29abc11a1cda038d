"""The rules of the house hold here, and each of them is able to fail."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import house
import pyarrow as pa
import pytest
from house import ROOT

import uih_lake

SOURCES = house.shipped_sources(ROOT)
STATEMENTS = house.statements(ROOT)
GOOD_HEADER = (
    "-- One.\n-- grain: g\n-- inputs: i\n-- parameters: p\n-- output: o\n-- order: none\nSELECT 1"
)


def test_data_flows_one_way_and_imports_go_with_it() -> None:
    assert house.wrong_way_imports(SOURCES) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("uih_lake.lake.append", "from uih_lake.loader import Loader"),
        ("uih_lake.lake.append", "from uih_lake import loader"),
        ("uih_lake.lake.append", "def late():\n    import uih_lake.savings.report"),
        ("uih_lake.lake.append", "from ..resolve import plan"),
        ("uih_lake.lake", "from ..resolve import plan"),
        ("uih_lake.lake.append", "from uih_lake import Lake"),
        ("uih_lake.savings", "from uih_lake.cli import main"),
        ("uih_lake", "from uih_lake.cli import main"),
        ("uih_lake", "from .cli import main"),
        ("uih_lake.helpers", "import os"),
    ],
)
def test_an_import_against_the_order_is_seen(module: str, source: str) -> None:
    others = {"uih_lake": "", "uih_lake.lake": "", "uih_lake.lake.append": ""}
    assert len(house.wrong_way_imports(others | {module: source})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("uih_lake.lake.append", "from uih_lake import names, errors\nfrom . import log"),
        ("uih_lake.lake.append", "from uih_lake.lake.log import read"),
        ("uih_lake", "from uih_lake.api import Lake\nfrom .errors import UihError"),
        ("uih_lake.cli.main", "from uih_lake import Lake, __version__\nfrom .show import table"),
    ],
)
def test_an_import_along_the_order_passes(module: str, source: str) -> None:
    others = {"uih_lake": "", "uih_lake.lake": "", "uih_lake.cli": ""}
    assert house.wrong_way_imports(others | {module: source}) == []


def test_only_the_lake_knows_delta() -> None:
    assert house.foreign_imports(SOURCES, "deltalake", "lake") == []
    bad = {"uih_lake.resolve": "def f():\n    from deltalake.table import DeltaTable"}
    assert house.foreign_imports(bad, "deltalake", "lake") != []


def test_only_the_lake_knows_object_stores() -> None:
    assert house.foreign_imports(SOURCES, "obstore", "lake") == []


def test_only_the_session_opens_duckdb() -> None:
    assert house.connects(SOURCES, "session") == []
    for bad in ("import duckdb\nduckdb.connect()", "from duckdb import connect", "duckdb.sql('')"):
        assert len(house.connects({"uih_lake.lake": bad}, "session")) == 1


@dataclass(frozen=True)
class Imported:
    """What a fresh interpreter has loaded after a statement."""

    modules: frozenset[str]

    @classmethod
    def after(cls, statement: str) -> Imported:
        code = f"{statement}\nimport sys\nprint(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        return cls(frozenset(done.stdout.split()))


def test_importing_the_package_is_light() -> None:
    heavy = {"torch", "polars", "matplotlib", "pandas"}
    assert heavy & Imported.after("import uih_lake").modules == set()
    assert "polars" in Imported.after("import polars").modules


def test_asking_a_lake_loads_no_compiler(tmp_path: Path) -> None:
    create = f"import uih_lake\nuih_lake.Lake.create({str(tmp_path / 'lake')!r}, buckets=2)"
    assert "numba" not in Imported.after(create).modules
    events = pa.table({"user_id": [1], "event_ts": pa.array([0], pa.timestamp("us", "UTC"))})
    uih_lake.Lake.open(tmp_path / "lake").append(events)
    lake = f"import uih_lake\nlake = uih_lake.Lake.open({str(tmp_path / 'lake')!r})"
    for asked in ("lake.info()", "lake.sql('FROM freshness()').fetchall()"):
        loaded = Imported.after(f"{lake}\n{asked}").modules
        assert {"numba", "torch", "polars", "pandas"} & loaded == set(), asked
    assert "numba" in Imported.after(f"{lake}\nlake.seal()").modules


def test_every_statement_has_its_header() -> None:
    assert house.bad_headers(STATEMENTS) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        GOOD_HEADER.replace("-- One.\n", ""),
        GOOD_HEADER.replace("-- order: none\n", ""),
        GOOD_HEADER.replace("-- grain: g", "-- grain:"),
        GOOD_HEADER.replace("-- grain: g\n", "").replace("SELECT 1", "-- grain: g\nSELECT 1"),
        GOOD_HEADER.replace("SELECT 1", "SELECT {column}"),
        GOOD_HEADER.replace("SELECT 1", "SELECT {{a: $value}}").replace("p\n", "p, {value}\n"),
    ],
)
def test_a_header_that_misses_a_part_is_seen(text: str) -> None:
    named = GOOD_HEADER.replace("-- inputs: i", "-- inputs: {i}, of $p").replace("1", "$p FROM {i}")
    assert house.bad_headers({"good": GOOD_HEADER, "named": named}) == []
    assert len(house.bad_headers({"bad": text})) == 1


def test_every_statement_is_read_and_every_read_finds_one() -> None:
    assert house.dead_statements(STATEMENTS, SOURCES) == []
    assert house.missing_statements(STATEMENTS, SOURCES) == []


def test_a_dead_and_a_missing_statement_are_seen() -> None:
    source = {"uih_lake.lake": '"""Names lake/dead."""\nfill("lake/alive")\nstatement("lake/gone")'}
    found = {"lake/alive": GOOD_HEADER, "lake/dead": GOOD_HEADER}
    assert len(house.dead_statements(found, source)) == 1
    pieces = {"uih_lake.lake": 'for name in ("alive",):\n    statement(f"lake/{name}")'}
    assert house.dead_statements(found, pieces) == ["sql/lake/dead.sql: nobody reads it"]
    assert len(house.missing_statements(found, source)) == 1


def test_no_folder_becomes_a_column() -> None:
    assert house.guessing_reads(STATEMENTS) == []
    for guessing in (
        "FROM read_parquet({files})",
        "FROM read_csv({path}, header = true) -- hive_partitioning = false",
        "FROM read_json($f, columns => {a: 'B(1)'}), read_json($f, hive_partitioning = false)",
    ):
        assert len(house.guessing_reads({"bad": guessing})) == 1


def test_statements_live_in_sql_files() -> None:
    assert house.embedded_sql(SOURCES) == []


@pytest.mark.parametrize(
    "source",
    [
        'q = "SELECT user_id FROM events"',
        'q = f"SELECT {columns}\\n  FROM {table}"',
        'q = "select user_id from events"',
        'q = """\nCREATE OR REPLACE VIEW v AS (VALUES (1))"""',
        "con.execute(f\"COPY x TO '{path}'\")",
    ],
)
def test_a_statement_in_python_is_seen(source: str) -> None:
    assert len(house.embedded_sql({"uih_lake.lake": source})) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Runs SELECT * FROM events."""',
        "con.execute(\"SET TimeZone = 'UTC'\")",
        'hint = "create it with `uihlake create`, or select another folder from the list"',
    ],
)
def test_prose_is_no_statement(source: str) -> None:
    assert house.embedded_sql({"uih_lake.lake": source}) == []


def test_modules_stay_small() -> None:
    assert house.long_modules(SOURCES) == []
    assert len(house.long_modules({"long": "x\n" * 401, "short": "x\n" * 400})) == 1


def test_what_is_exported_is_documented() -> None:
    exported = {name: getattr(uih_lake, name) for name in uih_lake.__all__}
    assert exported
    assert house.undocumented(exported) == []


def test_an_undocumented_name_is_seen() -> None:
    @dataclass
    class Bare:
        x: int

        def method(self) -> None: ...

    assert house.undocumented({"Bare": Bare}) == ["Bare", "Bare.method"]


def test_the_wheel_lists_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(house.shipped_packages(ROOT))


def test_a_new_folder_must_be_listed(tmp_path) -> None:
    (tmp_path / "uih_lake" / "new").mkdir(parents=True)
    (tmp_path / "uih_lake" / "new" / "__init__.py").touch()
    assert house.shipped_packages(tmp_path) == {"uih_lake.new"}

"""``uihlake savings``: from a lake and from raw logs alike, as text, JSON, page and slide."""

from __future__ import annotations

import html
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from commands import TENANT, contents, done, run, told
from matplotlib import image

from uih_lake import Lake
from uih_lake.cli import rawlog
from uih_lake.progress import quiet
from uih_lake.workload import Workload

SHORT = """\
name = "a-second-tenant-with-a-long-name"
[groups.newest]
traits = ["item_id"]
max_len = 5
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw log of two files of events and one of requests, two tenants, and a lake of it all."""
    root = tmp_path_factory.mktemp("savings_cli")
    log = Workload(users=40, mean_events=60, max_events=600, requests=200, seed=5)
    for number, delivery in enumerate(log.appends(2)):
        pq.write_table(pa.table(delivery), root / f"events-{number}.parquet")
    pq.write_table(log.requests_table(), root / "requests.parquet")
    (root / "ranker.toml").write_text(TENANT)
    (root / "short.toml").write_text(SHORT)
    done("create", root / "lake", "--buckets", "1")
    done("append", root / "lake", root / "events-0.parquet", root / "events-1.parquet")
    done("seal", root / "lake")
    done("log", root / "lake", root / "requests.parquet")
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


RANKER = ("--tenant", "ranker.toml")
BOTH = (*RANKER, "--tenant", "short.toml")
RAW = ("--events", "events-*.parquet", "--requests", "requests.parquet")


def values(report: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a report with where it stands, but the SQL, which names files."""
    if isinstance(report, dict):
        for key, each in report.items():
            if key not in ("sql", "lake_path"):
                yield from values(each, f"{path}.{key}")
    elif isinstance(report, list):
        for number, each in enumerate(report):
            yield from values(each, f"{path}.{number}")
    else:
        yield path, report


def about(value: Any) -> Any:
    """The same number to a thousandth; anything else as it is."""
    return pytest.approx(value, rel=1e-3) if isinstance(value, (int, float)) else value


@pytest.mark.parametrize("mode", ["--exact", "--estimate"])
def test_a_raw_log_gives_the_figures_of_a_lake_made_of_it(mode: str) -> None:
    kept, raw = told("savings", "lake", *BOTH, mode), told("savings", *RAW, *BOTH, mode)
    assert kept["lake"] == "lake"
    assert raw["lake"] == "a lake made of events-*.parquet"
    found, expected = dict(values(raw)), dict(values(kept))
    del found[".lake"], expected[".lake"]
    # A pointer holds the random name of its file, which compresses to a byte more or less.
    assert found == {key: about(value) for key, value in expected.items()}
    for key in ("rows", "users", "events", "event_users"):
        assert raw[key]["value"] == kept[key]["value"]
    assert len(found) > 200


def test_a_raw_log_may_be_of_any_form_and_names(place: Path, tmp_path: Path) -> None:
    """CSV, other names of columns, and times as numbers."""
    expected = told("savings", *RAW, *RANKER)
    tables = [pq.read_table(place / f"events-{n}.parquet") for n in range(2)]
    events = pa.concat_tables(tables).select(
        ["user_id", "event_ts", "arrival_ts", "item_id", "action"]
    )
    requests = pq.read_table(place / "requests.parquet").select(["user_id", "request_ts", "label"])
    renamed = {"user_id": "member", "event_ts": "at", "arrival_ts": "seen", "request_ts": "served"}
    for name, table in (("events", events), ("requests", requests)):
        columns = [
            column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
            for column in table.columns
        ]
        names = [renamed.get(column, column) for column in table.column_names]
        pa_csv.write_csv(pa.table(columns, names), tmp_path / f"{name}.csv")
    files = ("--events", tmp_path / "events.csv", "--requests", tmp_path / "requests.csv")
    named = ("--user-id", "member", "--event-ts", "at", "--arrival-ts", "seen")
    found = told("savings", *files, *named, "--request-ts", "served", "--ts-unit", "us", *RANKER)
    for key in ("rows", "users", "events", "event_users"):
        assert found[key]["value"] == expected[key]["value"]
    mine, theirs = found["tenants"][0]["groups"], expected["tenants"][0]["groups"]
    for one, other in zip(mine, theirs, strict=True):
        assert one["referenced"]["value"] == other["referenced"]["value"] > 0
        assert one["distinct"]["value"] == other["distinct"]["value"]


@pytest.mark.parametrize("given", ["~/log/*.parquet", "~/**/*.parquet", "~/log/events-0.parquet"])
def test_a_raw_log_has_buckets_for_all_files_it_names(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tmp_path / "log").mkdir()
    copy = shutil.copy(place / "events-0.parquet", tmp_path / "log")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(rawlog, "BUCKET_BYTES", Path(copy).stat().st_size // 3)
    log = rawlog.RawLog(
        events=[given],
        requests=["requests.parquet"],
        user_id="user_id",
        event_ts="event_ts",
        arrival_ts=None,
        request_ts="request_ts",
        ts_unit=None,
        on_null_user="raise",
    )
    log.fill(str(tmp_path / "lake"), quiet)
    assert Lake.open(tmp_path / "lake").info().buckets == 3


def test_a_raw_log_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = done("savings", *RAW, *RANKER)
    assert text.startswith("Savings of a lake made of events-*.parquet, lake version 0\n")
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "savings lake --tenant nowhere.toml": "nowhere.toml",
    "savings nowhere --tenant ranker.toml": "no lake at nowhere",
    "savings lake --tenant ranker.toml --at 9": "lake versions are",
    "savings lake --tenant ranker.toml --tenant ranker.toml": "same name",
    "savings --events nowhere.parquet --requests requests.parquet --tenant ranker.toml": (
        "nowhere.parquet"
    ),
    "savings --events events-0.parquet --requests nowhere.csv --tenant ranker.toml": "nowhere.csv",
    "savings --events requests.parquet --requests requests.parquet --tenant ranker.toml": (
        "event_ts"
    ),
    "savings --events events-0.parquet --requests events-0.parquet --tenant ranker.toml": (
        "request_ts"
    ),
    "savings --events events-0.parquet --requests requests.parquet --tenant ranker.toml "
    "--user-id member": "member",
    "savings --events ranker.toml --requests requests.parquet --tenant ranker.toml": "ranker.toml",
    "savings --events events-0.parquet --requests none.csv --tenant ranker.toml": "no value",
    "savings --events events-0.parquet --requests none.parquet --tenant ranker.toml": (
        "none.parquet: no request"
    ),
    "savings --events broken.parquet --requests requests.parquet --tenant ranker.toml": (
        "broken.parquet"
    ),
    "savings --events events-0.parquet --requests requests.parquet --tenant other.toml": (
        "no_such_trait"
    ),
    "savings lake --tenant ranker.toml --html ranker.toml": "ranker.toml exists",
    "savings lake --tenant ranker.toml --html lake/page.html": "inside the lake",
    "savings lake --tenant ranker.toml --png lake": "lake is inside the lake",
    "savings lake --tenant ranker.toml --html nowhere/page.html": "nowhere/page.html",
    "savings nowhere --tenant ranker.toml --html /proc/page.html": "/proc/page.html: No such",
    "savings lake --tenant ranker.toml --keep lake/fat": "inside the lake",
    "savings lake --tenant ranker.toml --keep lake/uih --overwrite": "inside the lake",
    "savings lake --tenant ranker.toml --keep ranker.toml": "ranker.toml is a file",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_measured_is_told_in_one_line(place: Path, line: str) -> None:
    (place / "none.csv").write_text("user_id,request_ts,label\n")
    nobody = pq.read_table(place / "requests.parquet").slice(0, 0)
    pq.write_table(nobody, place / "none.parquet")
    (place / "broken.parquet").write_bytes(b"PAR1 not quite")
    (place / "other.toml").write_text("name='o'\n[groups.g]\ntraits=['no_such_trait']\n")
    before = contents(place)
    result = run(*line.split())
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert WRONG[line] in result.stderr
    assert "uihlake-savings-" not in result.stderr, "a place that is gone helps nobody"
    assert contents(place) == before


@pytest.mark.parametrize(
    "line",
    [
        "savings lake",
        "savings --tenant ranker.toml",
        "savings --events events-0.parquet --tenant ranker.toml",
        "savings --requests requests.parquet --tenant ranker.toml",
        "savings lake --events events-0.parquet --requests requests.parquet --tenant ranker.toml",
        "savings lake --tenant ranker.toml --per-day 0",
        "savings lake --tenant ranker.toml --seed -1",
    ],
)
def test_wrong_usage(line: str) -> None:
    result = run(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: uihlake savings" in result.stderr


@pytest.mark.parametrize(
    ("line", "idle", "missing"),
    [
        ("savings lake --tenant ranker.toml --user-id member", "--user-id", "--events"),
        ("savings lake --tenant ranker.toml --ts-unit ms", "--ts-unit", "--events"),
        ("savings lake --tenant ranker.toml --on-null-user skip", "--on-null-user", "--events"),
        (f"savings {' '.join(RAW)} --tenant ranker.toml --at 0", "--at", "LAKE"),
        ("savings lake --tenant ranker.toml --price-per-tb 23", "--price-per-tb", "--per-day"),
        ("savings lake --tenant ranker.toml --users 5", "--users", "--per-day"),
        ("savings lake --tenant ranker.toml --tenants 2", "--tenants", "--per-day"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(line: str, idle: str, missing: str) -> None:
    result = run(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    said = " ".join(result.stderr.replace("│", " ").split())
    assert f"{idle}: it says nothing without {missing}" in said


def test_a_place_that_is_taken_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "taken.html").write_text("mine")
    result = run("savings", "lake", *RANKER, "--keep", tmp_path / "fat", "--html",
                 tmp_path / "taken.html", "--png", tmp_path / "slide.png")  # fmt: skip
    assert result.exit_code == 1 and "taken.html exists" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken.html"]
    plain = run("savings", "lake", *RANKER, "--html", tmp_path / "taken.html", "--overwrite")
    assert plain.exit_code == 0 and f"wrote {tmp_path / 'taken.html'}\n" in plain.stderr
    assert (tmp_path / "taken.html").read_text().startswith("<!DOCTYPE html>")


def test_what_fails_while_measuring_is_not_told_of_the_page(tmp_path: Path) -> None:
    keeping = ("--keep", "/proc/fat", "--html", tmp_path / "page.html")
    result = run("savings", "lake", *RANKER, *keeping)
    assert (result.exit_code, result.stdout) == (1, "")
    told = "error: /proc/fat: No such file or directory; it was not written\n"
    assert result.stderr == told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_page_and_a_slide_are_two_files(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: tuple[str, ...]
) -> None:
    """Also where one path is spelled in two ways; nothing is measured."""
    monkeypatch.setattr("uih_lake.savings.savings", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to(tmp_path)
    for other in ("same", "./same", "link/same", f"../{tmp_path.name}/same", tmp_path / "same"):
        files = ("--html", "same", "--png", other, *overwrite)
        result = run("savings", place / "lake", "--tenant", place / "ranker.toml", *files)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        said = " ".join(result.stderr.replace("│", " ").split())
        assert "for --png: " in said and "is the file of --html too" in said
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_fat_rows_are_kept_over_others_where_that_is_asked_for_only(tmp_path: Path) -> None:
    fat = tmp_path / "fat"
    fat.mkdir()
    (fat / "mine.txt").write_text("mine")
    (fat / "ranker-clustered_by_user.parquet").write_text("mine")
    keeping = ("savings", "lake", *RANKER, "--keep", fat)
    result = run(*keeping)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "ranker-clustered_by_user.parquet exists; " in result.stderr
    assert "--overwrite" in result.stderr
    assert {file.read_text() for file in fat.iterdir()} == {"mine"}
    assert run(*keeping, "--overwrite").exit_code == 0
    assert (fat / "mine.txt").read_text() == "mine"
    twins = [f"ranker-{layout}.parquet" for layout in ("clustered_by_user", "request_order")]
    assert sorted(file.name for file in fat.glob("*.parquet")) == twins
    assert all(pq.read_metadata(fat / twin).num_rows for twin in twins)


def test_the_slide_is_a_picture_with_something_on_it(tmp_path: Path) -> None:
    result = run("savings", "lake", *BOTH, "--png", tmp_path / "slide.png")
    assert result.exit_code == 0, result.output
    data = (tmp_path / "slide.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    pixels = image.imread(io.BytesIO(data))[..., :3]
    assert pixels.shape == (1080, 1920, 3)
    colours = ("0072b2", "d55e00", "1f4d2b")
    for half in (pixels[:, :960], pixels[:, 960:]):
        for colour in colours:
            wanted = np.array([*bytes.fromhex(colour)]) / 255
            assert (np.abs(half - wanted) < 0.02).all(axis=2).sum() > 50, colour
    rim = np.concatenate([pixels[:3], pixels[-3:]], axis=1)
    assert (rim == 1).all(), "nothing is cut off above or below"
    assert (pixels[:, [0, -1]] == 1).all(axis=2).mean() > 0.99
    assert 0.02 < (pixels < 0.9).any(axis=2).mean() < 0.7


def test_a_slide_without_matplotlib_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = run("savings", "lake", *RANKER, "--png", tmp_path / "slide.png")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: a slide needs matplotlib; pip install 'uih_lake[plots]', or take --html\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_plan_is_in_every_form_of_the_report(tmp_path: Path) -> None:
    plan = ("--per-day", "20", "--tenants", "3", "--length", "1024", "--price-per-tb", "23")
    page = tmp_path / "page.html"
    result = run("savings", "lake", *RANKER, *plan, "--html", page)
    assert result.exit_code == 0, result.output
    said = "20 requests a day each for 30 days"
    assert said in " ".join(result.stdout.split()) and said in page.read_text("utf-8")
    rows = result.stdout.partition("     price\n")[2].splitlines()
    prices = [float(row.split()[-1]) for row in rows]
    assert len(prices) == 5 and min(prices) > 0
    report = told("savings", "lake", *RANKER, *plan)
    assert report["plan"]["kept_as"]["request_order"]["price_at_rest"] > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--length", 2**63), f"length {2**63}; give an integer from 1 to {2**31 - 1}"),
        (("--days", "inf"), "days inf; give a number from 1 to 36500"),
        (("--users", 10**30), f"users {10**30}; give an integer from 1 to {10**12}"),
        (("--per-day", "1e308"), "per_day 1e+308; give a number from 0.001 to 1000000"),
        (("--price-per-tb", "inf"), f"price_per_tb inf; give a number from 0 to {10**12}"),
    ],
)
def test_a_plan_beyond_its_bounds_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, given: tuple[str, object], said: str
) -> None:
    monkeypatch.setattr("uih_lake.savings.savings", lambda *_, **__: pytest.fail("measured"))
    result = run("savings", "lake", *RANKER, "--per-day", 2, *map(str, given))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {said}\n")


def test_a_page_ends_at_the_length_that_no_history_exceeds(tmp_path: Path) -> None:
    result = run("savings", "lake", *RANKER, "--html", tmp_path / "page.html", "--json")
    tenant = json.loads(result.stdout)["tenants"][0]
    points = tenant["by_length"]["request_order"]
    longest = next(p for p in points if p["referenced"] == points[-1]["referenced"])["max_len"]
    assert points[0]["max_len"] <= longest < 16384
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("No history is longer than") == 1
    assert f"<td>{longest:,}</td>" in page and "<td>65,536</td>" not in page
    assert "64K" not in page and "32K" not in page


def test_a_page_has_a_heading_of_any_length(place: Path, tmp_path: Path) -> None:
    name = tmp_path / f"{'a long name ' * 12}<&>.parquet"
    name.write_bytes((place / "events-0.parquet").read_bytes())
    files = ("--events", name, "--requests", "requests.parquet")
    result = run("savings", *files, *RANKER, "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page.html").read_text("utf-8")
    told = html.escape(f"Savings of a lake made of {name}, lake version 0")
    assert f"<h1>{told}</h1>" in text and f"<title>{told}</title>" in text
    assert max(map(len, result.stdout.splitlines())) <= 80

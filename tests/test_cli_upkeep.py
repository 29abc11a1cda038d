"""The verbs that keep a lake: label, verify, vacuum, forget, retain."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import START, TIME, contents, done, make_lake, run, tables, told


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make_lake(tmp_path)


def test_a_whole_lake_passes_and_a_damaged_one_fails(lake: Path) -> None:
    report = told("verify", lake)
    assert report["passed"] is True
    assert "ok" in done("verify", lake)
    file = next(file for file in (lake / "uih").rglob("*.parquet") if file.stat().st_size)
    chunk = pq.read_metadata(file).row_group(0).column(0)
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(file.read_bytes())
    content[begin + chunk.total_compressed_size - 1] ^= 0xFF  # of a page, not of its header
    file.write_bytes(content)
    result = run("verify", lake)
    assert result.exit_code == 1, result.output
    assert result.stderr and "Traceback" not in result.stderr
    checks = json.loads(run("verify", lake, "--json").stdout)["checks"]
    failures = [check["first_failures"] for check in checks if check["failed"]]
    assert failures and all(file.name in first for first, *_ in failures)


def test_forgotten_users_are_gone_from_every_view(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("2\n\n404\n")
    report = told("forget", lake, "--user", "1", "--users-from", tmp_path / "users.txt")
    assert (report["users"], report["known"]) == (3, 2)
    for view, left in (("events", {0}), ("examples", {0, 99})):
        rows = told("sql", lake, f"SELECT DISTINCT user_id FROM {view}")
        assert {row["user_id"] for row in rows} == left
    assert told("info", lake)["users"] == 1
    assert "nothing to erase" in done("forget", lake, "--user", "1")
    files = set(lake.rglob("*.parquet"))
    counted = told("vacuum", lake, "--retain-hours", "0", "--dry-run")
    assert set(lake.rglob("*.parquet")) == files
    vacuumed = told("vacuum", lake, "--retain-hours", "0")
    assert set(counted["files"]) == set(vacuumed["files"])
    assert (counted["deleted"], counted["dry_run"]) == (0, True)
    gone = {str(file.relative_to(lake)) for file in files - set(lake.rglob("*.parquet"))}
    assert {name.split("/")[0] for name in gone} >= {"recent", "examples"}
    assert vacuumed["deleted"] == len(gone)
    assert set(vacuumed["files"]) == gone
    assert told("verify", lake)["passed"] is True


# Ids that look alike to str.strip, str.splitlines and the eye, yet are users of their own.
ALIKE = ("alice", "\ufeffalice", " bob", "bob", "car\x85ol", "ol", "da\u2028ve", "car", "ve", "  ")


def test_exactly_the_users_that_a_file_names_are_forgotten(tmp_path: Path) -> None:
    lake, users = tmp_path / "lake", tmp_path / "users.txt"
    times = pa.array([START] * len(ALIKE), TIME)
    pq.write_table(pa.table({"user_id": ALIKE, "event_ts": times}), tmp_path / "one.parquet")
    done("create", lake, "--buckets", "2")
    done("append", lake, tmp_path / "one.parquet")
    users.write_bytes("\ufeffalice\r\n\r\n bob\ncar\x85ol\n\nda\u2028ve\n  ".encode())
    assert told("forget", lake, "--users-from", users)["users"] == 5
    left = {row["user_id"] for row in told("sql", lake, "SELECT user_id FROM events")}
    assert left == {"\ufeffalice", "bob", "ol", "car", "ve"}


@pytest.mark.parametrize("text", ["0_1", "١", "１", "²", " 1", "1 ", "+1", "1.0", "", "9" * 5000])  # noqa: RUF001
def test_an_integer_user_is_spelled_in_one_way(lake: Path, text: str) -> None:
    before = tables(lake)
    result = run("forget", lake, "--user", text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"--user: {text!r} is no user: users of this lake are integers" in result.stderr
    assert tables(lake) == before
    (lake.parent / "users.txt").write_bytes("\ufeff-1\r\n0001".encode())
    report = told("forget", lake, "--users-from", lake.parent / "users.txt", "--dry-run")
    assert (report["users"], sum(report["erased"].values())) == (2, 8)


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (
            ("forget", "--user", "1", "--user", "404"),
            "would erase 6 events and 2 examples of 1 user; nothing was changed\n"
            "the lake has nothing of 1 other that was given\n",
        ),
        (("retain", "--days", "10", "--now", "2024-10-19"), "would drop 5 events older than 10 da"),
    ],
)
def test_a_dry_run_only_tells(lake: Path, verb: tuple[str, ...], said: str) -> None:
    call = (verb[0], lake, *verb[1:])
    before = contents(lake)
    foreseen = told(*call, "--dry-run")
    assert said in (text := done(*call, "--dry-run")) and "nothing was changed" in text
    assert contents(lake) == before
    facts = told(*call)
    window = {"retained_from": None} if "retained_from" in facts else {}  # in force, not foreseen
    assert foreseen == {**facts, **window, "dry_run": True}
    nothing = told(*call, "--dry-run")
    assert not any(nothing.get("erased", nothing.get("dropped")).values())


def test_events_older_than_a_window_are_dropped(lake: Path) -> None:
    report = told("retain", lake, "--days", "10", "--now", "2024-10-19")
    assert sum(report["dropped"].values()) == 5
    assert told("info", lake)["first_event"] == "2024-10-09T00:00:00+00:00"


def test_events_that_come_after_their_window_has_passed_are_told(lake: Path) -> None:
    told("retain", lake, "--days", "10", "--now", "2024-10-19")
    result = run("append", lake, lake.parent / "one.parquet", "--json")
    report = json.loads(result.stdout)
    assert (report["events"], report["expired"]) == (12, 5)
    assert report["retained_from"] == "2024-10-09T00:00:00+00:00"
    assert "no reader sees 5 of 12 events" in result.stderr and "2024-10-09" in result.stderr
    assert done("sql", lake, "SELECT count(*) AS n FROM events") == f"n\n{12 + 7}\n"
    facts = told("info", lake)
    assert (facts["events"], facts["first_event"]) == (12 + 7, "2024-10-09T00:00:00+00:00")
    assert facts["retained_from"] == report["retained_from"]
    assert "retained from 2024-10-09 00:00:00 UTC" in " ".join(done("info", lake).split())
    done("append", lake, lake.parent / "two.parquet")


def test_labels_come_later(lake: Path, tmp_path: Path) -> None:
    labels = pa.table({"example_id": [0, 3, 77], "bought": [1.0, 0.0, 1.0]})
    pq.write_table(labels, tmp_path / "labels.parquet")
    assert told("label", lake, tmp_path / "labels.parquet") == {
        "labelled": 2,
        "given": 3,
        "new_columns": ["bought"],
    }
    rows = told("sql", lake, "SELECT example_id, bought FROM examples WHERE bought IS NOT NULL")
    assert sorted(row["example_id"] for row in rows) == [0, 3]
    for ids, said in (
        ([0, 3], "labelled 2 examples"),
        ([0, 77], "labelled 1 of 2 examples; 1 example_id is unknown"),
        ([77, 78], "labelled 0 of 2 examples; 2 example_ids are unknown"),
    ):
        pq.write_table(pa.table({"example_id": ids, "bought": [0.0, 0.0]}), tmp_path / "l.parquet")
        assert done("label", lake, tmp_path / "l.parquet") == said + "\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("verify", "nowhere"), 1, "no lake at nowhere"),
        (("vacuum", "nowhere"), 1, "no lake at nowhere"),
        (("retain", "nowhere", "--days", "3"), 1, "no lake at nowhere"),
        (("forget", "nowhere", "--user", "3"), 1, "no lake at nowhere"),
        (("label", "nowhere", "labels.parquet"), 1, "no lake at nowhere"),
        (("label", "lake", "labels.parquet"), 1, "labels.parquet"),
        (("forget", "lake", "--user", "ann"), 1, "--user: 'ann' is no user"),
        (("forget", "lake", "--user", f"{2**63}"), 1, f"'{2**63}' is no user: users of"),
        (("forget", "lake", "--user", f"{-(2**63) - 1}"), 1, "are integers (int64)"),
        (("forget", "lake", "--users-from", "ids.txt"), 1, "ids.txt, line 3: 'bob' is no user"),
        (("forget", "lake", "--users-from", "users.txt"), 1, "users.txt"),
        (
            ("forget", "lake", "--users-from", "latin.txt"),
            1,
            "latin.txt, line 2: it is not UTF-8; s",
        ),
        (("forget", "lake", "--users-from", "nobody.txt"), 1, "nobody.txt names no user; it has"),
        (("forget", "lake"), 2, "--users-from"),
        (("retain", "lake"), 2, "--days"),
        (("retain", "lake", "--days", "0"), 2, "--days"),
        (("retain", "lake", "--days", "1", "--now", "2999-01-01"), 2, "future"),
        (("vacuum", "lake", "--retain-hours", "-1"), 2, "--retain-hours"),
        (("retain", "lake", "--days", "800000"), 1, "days 800000; give an integer from 1 to"),
        (
            ("vacuum", "lake", "--retain-hours", f"{10**15}"),
            1,
            "give an integer from 0 to 1000000",
        ),
        (("verify", "lake", "--sample", "0"), 2, "--sample"),
        (("verify", "lake", "--seed", "-1"), 2, "--seed"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_changes(
    lake: Path, words: tuple[str, ...], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lake.parent)
    Path("ids.txt").write_text("1\n\nbob\n")
    Path("nobody.txt").write_text("\n")
    Path("latin.txt").write_bytes("1\nélodie\n".encode("latin-1"))
    before = tables(lake)
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    if code == 1:
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert tables(lake) == before


def test_info_tells_what_a_vacuum_would_take(lake: Path) -> None:
    done("seal", lake)
    kept, left = (told("info", lake)[name] for name in ("bytes", "unused_bytes"))
    on_disk = sum(path.stat().st_size for path in lake.glob("*/*.parquet"))
    assert left > 0 and kept + left == on_disk
    assert " left for vacuum" in done("info", lake)
    done("vacuum", lake, "--retain-hours", "0")
    assert sum(path.stat().st_size for path in lake.glob("*/*.parquet")) == kept
    assert told("info", lake)["unused_bytes"] == 0
    assert "left for vacuum" not in done("info", lake)


def test_a_lake_without_requests_is_told_so_where_their_context_is_asked_for(
    lake: Path, tmp_path: Path
) -> None:
    done("create", tmp_path / "new")
    done("append", tmp_path / "new", lake.parent / "one.parquet")
    call = ("--tenant", lake.parent / "ranker.toml", "--out", tmp_path / "out")
    refused = run("materialize", tmp_path / "new", *call)
    assert refused.exit_code == 1 and "no request logged so far has any" in refused.stderr

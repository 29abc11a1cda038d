"""Damage to Delta logs and tables: rebuilding gives what was there, or an error names the place.

Never else. Every damage is done to a fresh copy of one sound lake, which is then opened anew, as a
later process would.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from damaged import TABLES, TENANT, TIME, entries, events, flips, rebuilt, sound_lake

from uih_lake import CorruptionError, Lake, UihError


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_lake(tmp_path_factory.mktemp("sound") / "lake")


@pytest.fixture(scope="module")
def truth(sound: Path) -> str:
    return rebuilt(sound)


@pytest.fixture
def lake(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "lake"))


def test_ad_hoc_sql_names_a_damaged_log_entry(lake: Path) -> None:
    """Which the table itself does not read any more: it goes on from the checkpoint behind."""
    opened, draw = Lake.open(lake), random.Random(8)
    while not list(lake.glob("uih/_delta_log/*.checkpoint.parquet")):
        opened.append(events(5, draw))
        opened.seal()
    entry = next(each for each in entries(lake, "uih") if b'"size":' in each.read_bytes())
    raw = entry.read_bytes()
    size = raw.index(b'"size":')  # what is cut off elsewhere, the view may have no need of
    for damaged in (raw[: size + 3], raw.replace(b'"size":', b'"size":"x","y":')):
        entry.write_bytes(damaged)
        for _ in range(30):  # read as lines by several threads, one in ten passed
            with pytest.raises(CorruptionError, match=f"the file .*{entry.name} cannot be read"):
                Lake.open(lake).sql("FROM generations")


def without_checkpoint(lake: Path, table: str) -> None:
    """Leave the log its entries alone."""
    log = lake / table / "_delta_log"
    for file in (*log.glob("*.checkpoint.parquet"), log / "_last_checkpoint"):
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("table", TABLES)
def test_a_missing_log_entry_is_found(lake: Path, table: str) -> None:
    """The first, each in the middle, and the last, which Delta itself does not miss."""
    without_checkpoint(lake, table)
    for entry in entries(lake, table):
        raw = entry.read_bytes()
        entry.unlink()
        with pytest.raises(CorruptionError, match=f"{table}") as refused:
            Lake.open(lake)
        assert "_delta_log" in str(refused.value)
        entry.write_bytes(raw)
    Lake.open(lake)


def test_verify_finds_what_is_wrong_behind_a_checkpoint(lake: Path, truth: str) -> None:
    """Nobody else reads those entries: history is the same without them."""
    behind = entries(lake, "recent")[:10]
    assert (behind[-1].with_suffix(".checkpoint.parquet")).exists()
    for entry in behind:
        raw = entry.read_bytes()
        for damaged in (None, raw[: len(raw) // 2], raw.replace(b"1", b"2", 1)):
            entry.unlink() if damaged is None else entry.write_bytes(damaged)
            assert rebuilt(lake) == truth
            (logs,) = [c for c in Lake.open(lake).verify().checks if c.name == "logs"]
            assert logs.failed == 1
            assert "recent/_delta_log" in logs.first_failures[0]
        entry.write_bytes(raw)
    assert Lake.open(lake).verify().passed


def test_a_flipped_bit_in_a_checkpoint_is_found(lake: Path, truth: str) -> None:
    checkpoint = min(lake.rglob("*.checkpoint.parquet"))
    other = Lake.open(lake)
    raw, draw = checkpoint.read_bytes(), random.Random(6)
    for place in flips(raw, draw):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << draw.randrange(8)
        checkpoint.write_bytes(damaged)
        with pytest.raises(CorruptionError, match=checkpoint.name):
            Lake.open(lake)
    assert [c.name for c in other.verify().checks if c.failed] == ["logs"]
    without_checkpoint(lake, checkpoint.parts[-3])  # as the message says
    assert rebuilt(lake) == truth
    Lake.open(lake).append(events(40, draw))
    assert Lake.open(lake).verify().passed


@pytest.mark.parametrize("table", TABLES)
def test_the_newest_log_entries_do_not_vanish(lake: Path, table: str) -> None:
    without_checkpoint(lake, table)
    lost = entries(lake, table)[-1:] if table == "forgotten" else entries(lake, table)[-3:]
    for entry in lost:
        entry.unlink()
    with pytest.raises(CorruptionError, match=lost[0].name):
        Lake.open(lake)


def test_a_process_at_work_notices_a_missing_log_entry(lake: Path) -> None:
    other = Lake.open(lake)
    Lake.open(lake).append(events(5, random.Random(1)))
    entries(lake, "recent")[-1].unlink()
    with pytest.raises(CorruptionError, match="recent/_delta_log"):
        other.materialize(TENANT).read_all()


@pytest.mark.parametrize("table", TABLES)
def test_a_broken_log_entry_is_found(lake: Path, table: str) -> None:
    without_checkpoint(lake, table)
    for entry in entries(lake, table):
        raw = entry.read_bytes()
        for damaged in (raw[: len(raw) // 2], b"\0" * len(raw), raw.replace(b":", b";", 3)):
            entry.write_bytes(damaged)
            with pytest.raises(CorruptionError, match=f"{table}"):
                Lake.open(lake)
        entry.write_bytes(raw)


@pytest.mark.parametrize(("table", "rows"), [("examples", "examples"), ("uih", "events")])
def test_what_was_replaced_does_not_come_back(lake: Path, table: str, rows: str) -> None:
    """A log that no longer says that a file went has its rows twice."""
    without_checkpoint(lake, table)
    entry = next(e for e in reversed(entries(lake, table)) if b'{"remove"' in e.read_bytes())
    before, _, after = entry.read_bytes().partition(b'{"remove":{"path":"')
    entry.write_bytes(before + b'{"remove":{"path":"_' + after)
    with pytest.raises(CorruptionError, match=f"{rows} too many"):
        Lake.open(lake)


@pytest.mark.parametrize("table", TABLES)
def test_an_altered_log_entry_is_found(lake: Path, truth: str, table: str) -> None:
    """Another digit somewhere, still JSON: never another history, and verify names the log."""
    draw = random.Random(table)
    for _ in range(12):
        entry = draw.choice(entries(lake, table)[1:])
        raw = entry.read_bytes()
        digits = [place for place, byte in enumerate(raw) if chr(byte).isdigit()]
        place = draw.choice(digits)
        digit = str((int(raw[place : place + 1]) + draw.randrange(1, 10)) % 10).encode()
        entry.write_bytes(raw[:place] + digit + raw[place + 1 :])
        try:
            assert rebuilt(lake) == truth, f"{entry.name}, byte {place}"
        except UihError as error:
            assert "Traceback" not in str(error)
        try:
            failed = [check.name for check in Lake.open(lake).verify().checks if check.failed]
            assert "logs" in failed
        except UihError as error:
            assert str(lake) in str(error)
        entry.write_bytes(raw)
    assert rebuilt(lake) == truth


def test_an_emptied_log_entry_is_found(lake: Path) -> None:
    for table in TABLES:
        entry = entries(lake, table)[-1]
        raw = entry.read_bytes()
        entry.write_bytes(b"")
        report = Lake.open(lake).verify()
        said = [text for check in report.checks for text in check.first_failures]
        assert not report.passed
        assert any(f"{table}/_delta_log" in text for text in said), said
        entry.write_bytes(raw)
    assert Lake.open(lake).verify().passed


def test_a_log_without_a_note_is_taken_as_it_is(lake: Path, truth: str) -> None:
    for table in TABLES:
        for note in (lake / table / "_delta_log").glob("_uih_lake*"):
            note.unlink()
    assert rebuilt(lake) == truth
    Lake.open(lake).append(events(5, random.Random(1)))
    entries(lake, "recent")[-1].unlink()
    with pytest.raises(CorruptionError, match="recent/_delta_log"):
        Lake.open(lake)


def test_a_missing_table_is_found(lake: Path) -> None:
    for table in ("recent", "examples", "forgotten"):
        moved = (lake / table).rename(lake / "away")
        with pytest.raises(CorruptionError, match=table):
            Lake.open(lake)
        moved.rename(lake / table)


def test_an_older_copy_of_the_events_is_found(tmp_path: Path) -> None:
    """The logs of all tables are whole, but pointers pin lake versions that are not there."""
    lake = Lake.create(tmp_path / "lake", buckets=2)
    recent, copy = Path(lake.path, "recent"), tmp_path / "copy"
    asked = pa.table({"user_id": [1, 2], "request_ts": pa.array([900, 901], TIME)})
    lake.log(asked)
    lake.append(events(20, random.Random(0)))
    lake.log(asked)
    shutil.copytree(recent, copy)
    lake.append(events(20, random.Random(1)))
    lake.log(asked)
    assert lake.verify().passed
    assert Lake.open(lake.path, version=0).verify().passed
    shutil.rmtree(recent)
    copy.rename(recent)
    with pytest.raises(CorruptionError, match="pin lake version 1, and events up to 0"):
        Lake.open(lake.path)


def test_a_checkpoint_is_noted_by_whoever_commits_next(tmp_path: Path) -> None:
    """A process that made it may be killed, or overtaken, before it has noted it."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    log = tmp_path / "lake" / "recent" / "_delta_log"
    head = log / "_uih_lake_head"
    one = pa.table({"user_id": [1], "event_ts": pa.array([1], TIME)})
    lake.append(one)
    while not list(log.glob("*.checkpoint.parquet")):
        before = head.read_text()
        lake.append(one)
    (checkpoint,) = log.glob("*.checkpoint.parquet")
    head.write_text(before)
    for _ in range(2):
        lake.append(one)
    assert int(head.read_text().split()[2]) == int(checkpoint.name.split(".")[0])
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(CorruptionError, match=checkpoint.name):
        Lake.open(lake.path)

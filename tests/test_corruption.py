"""Damage to a lake: rebuilding gives what was there, or an error that names the file. Never else.

Every damage is done to a fresh copy of one sound lake, which is then opened anew, as a later
process would.
"""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run
from deltalake import DeltaTable

from uih_lake import (
    CorruptionError,
    Group,
    Lake,
    LakeError,
    Tenant,
    UihError,
    damage,
    session,
    sqlfile,
)
from uih_lake.lake.integrity import Pages
from uih_lake.lake.tables import Table

TIME = pa.timestamp("us", "UTC")
TABLES = ("recent", "uih", "examples", "forgotten")
WITH_DATA = ("uih", "recent", "examples")
TRAITS = ("item", "dwell", "action", "tags", "event_ts", "arrival_ts", "lake_version")
TENANT = Tenant("t", {"all": Group(TRAITS)}, ["label", "surface"])
TENANT_FILE = """\
name = "t"
[groups.all]
traits = ["item", "dwell"]
"""
SOAK = os.environ.get("UIH_SOAK") == "1"


def events(rows: int, draw: random.Random) -> pa.Table:
    times = [draw.randrange(10**6) for _ in range(rows)]
    return pa.table(
        {
            "user_id": pa.array([draw.randrange(8) for _ in range(rows)]),
            "event_ts": pa.array(times, TIME),
            "arrival_ts": pa.array([t + draw.choice([0, 0, 5]) for t in times], TIME),
            "item": pa.array([draw.randrange(50) for _ in range(rows)]),
            "dwell": pa.array([draw.random() for _ in range(rows)], pa.float32()),
            "action": pa.array([draw.choice(["click", "like", None]) for _ in range(rows)]),
            "tags": pa.array([draw.choice([[1, 2], [], None]) for _ in range(rows)]),
        }
    )


def requests(rows: int, draw: random.Random) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([draw.randrange(7) for _ in range(rows)]),
            "request_ts": pa.array([draw.randrange(10**6) for _ in range(rows)], TIME),
            "label": pa.array(range(rows)),
            "surface": pa.array([draw.choice(["feed", "search"]) for _ in range(rows)]),
        }
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with events in both tiers, examples and a tombstone, every table some commits old."""
    draw = random.Random(3)
    lake = Lake.create(tmp_path_factory.mktemp("sound") / "lake", buckets=2)
    for _ in range(3):
        lake.append(events(80, draw))
        lake.log(requests(15, draw))
    lake.seal()
    lake.append(events(40, draw))
    lake.seal()
    lake.compact()
    lake.append(events(40, draw))
    lake.log(requests(15, draw), live=True)
    lake.forget([7])
    lake.append(events(40, draw))
    lake.log(requests(15, draw), live=True)
    assert lake.verify().passed
    return Path(lake.path)


@pytest.fixture(scope="module")
def truth(sound: Path) -> str:
    return rebuilt(sound)


@pytest.fixture
def lake(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "lake"))


def rebuilt(path: Path) -> str:
    table = Lake.open(path).materialize(TENANT).read_all()
    return repr({name: table[name].to_pylist() for name in table.column_names})


def verified(path: Path) -> None:
    """Raise what verify found, as text, where it has not raised by itself."""
    report = Lake.open(path).verify()
    said = [text for check in report.checks for text in check.examples]
    if not report.passed:
        raise CorruptionError("; ".join(said))


def data_files(path: Path, table: str) -> list[Path]:
    """The files in use."""
    return [Path(uri) for uri in sorted(DeltaTable(path / table).file_uris())]


def entries(path: Path, table: str) -> list[Path]:
    return sorted((path / table / "_delta_log").glob("*.json"))


def flips(raw: bytes, draw: random.Random) -> Iterator[int]:
    """Places to flip a bit: all of them, or some, the footer as often as the pages."""
    if SOAK:
        yield from range(len(raw))
        return
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    for _ in range(20):
        yield draw.randrange(footer)
        yield draw.randrange(footer, len(raw))


@pytest.mark.parametrize("table", WITH_DATA)
def test_a_flipped_bit_is_harmless_or_found(lake: Path, truth: str, table: str) -> None:
    draw = random.Random(table)
    file = draw.choice(data_files(lake, table))
    raw, found = file.read_bytes(), 0
    for place in flips(raw, draw):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        try:
            assert rebuilt(lake) == truth, f"byte {place} of {file.name}"
        except CorruptionError as error:
            assert file.name in str(error), f"byte {place}: {error}"
            assert not Lake.open(lake).verify().passed
            found += 1
    assert found > 20, "most bytes matter"


def garble_levels(file: Path) -> None:
    """Tell another coding of levels in a page header, which a column without any has, too."""
    damaged = bytearray(file.read_bytes())
    begin = pq.read_metadata(file).row_group(0).column(0).data_page_offset
    damaged[damaged.index(bytes.fromhex("15061506"), begin) + 3] ^= 1  # thrift: RLE, RLE
    file.write_bytes(damaged)
    Pages().check([str(file)])


@pytest.mark.parametrize("table", WITH_DATA)
def test_verify_finds_what_only_a_scan_in_sql_refuses(lake: Path, table: str) -> None:
    file = data_files(lake, table)[0]
    garble_levels(file)
    report = Lake.open(lake).verify()
    (pages,) = [check for check in report.checks if check.name == "pages"]
    assert pages.failed == 1
    assert file.name in pages.examples[0]


def test_verify_reads_every_column_whatever_they_are_called(tmp_path: Path) -> None:
    """None has the name that the statement gives to a whole row, or it would be read alone."""
    words = {*re.findall(r"[a-z]+", sqlfile.statement("verify/decoded")), "stored"}
    keys = {"user_id": [1, 2], "event_ts": pa.array([1, 2], TIME)}
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(pa.table(keys | {word: [1, 2] for word in sorted(words)}))
    (file,) = data_files(tmp_path / "lake", "recent")
    garble_levels(file)
    failed = [check for check in Lake.open(lake.path).verify().checks if check.failed]
    assert [check.name for check in failed] == ["pages"]
    assert file.name in failed[0].examples[0]


@pytest.mark.parametrize("table", [*WITH_DATA, "forgotten"])
def test_a_truncated_file_is_found(lake: Path, table: str) -> None:
    file = data_files(lake, table)[0]
    raw = file.read_bytes()
    for size in (0, 3, 8, len(raw) // 2, len(raw) - 1):
        file.write_bytes(raw[:size])
        with pytest.raises(CorruptionError, match=file.name):
            rebuilt(lake)
        with pytest.raises(CorruptionError, match=file.name):
            verified(lake)


@pytest.mark.parametrize("table", [*WITH_DATA, "forgotten"])
def test_a_missing_file_is_found(lake: Path, table: str) -> None:
    file = data_files(lake, table)[0]
    file.unlink()
    with pytest.raises(CorruptionError, match=file.name):
        rebuilt(lake)
    with pytest.raises(CorruptionError, match=file.name):
        verified(lake)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_sound_file_that_cannot_be_opened_is_not_called_damaged(sound: Path) -> None:
    file = str(data_files(sound, "uih")[0])
    for read in (Pages().check, Pages().check_footers):
        with no_more_files(), pytest.raises(LakeError, match="Too many open files") as refused:
            read([file])
        assert file in refused.value.message
        assert "ulimit" in str(refused.value.hint)
        read([file])


def test_memory_that_is_not_given_is_not_damage() -> None:
    """As Arrow says it where it cannot allocate what a page comes to."""
    error = pa.ArrowMemoryError("malloc of size 4294967296 failed")
    for told in (damage.told("a.parquet", error), damage.told_of_pages("a.parquet", "x", error)):
        assert type(told) is LakeError
        assert told.message == "the data file a.parquet cannot be read: Cannot allocate memory"
    bad = pa.ArrowInvalid("a page is too short")
    assert type(damage.told_of_pages("a.parquet", "x", bad)) is CorruptionError


def test_a_scan_in_sql_does_not_call_a_sound_file_damaged(sound: Path) -> None:
    file = str(data_files(sound, "uih")[0])
    scan = sqlfile.fill("lake/readable", file=sqlfile.literal(file))
    with session.cursor() as duck:
        with no_more_files(), pytest.raises(LakeError, match="Too many open files") as refused:
            session.fetch(duck, scan)
        assert file in refused.value.message
        assert session.fetch(duck, scan).num_rows == 1


def test_a_sound_log_that_cannot_be_opened_is_not_called_damaged(sound: Path) -> None:
    table = Table.open(str(sound / "uih"))
    assert table is not None
    for read in (lambda: Table.open(str(sound / "uih")), table.refresh):
        with no_more_files(), pytest.raises(LakeError, match="Too many open files") as refused:
            read()
        assert f"the Delta log of {sound / 'uih'} cannot be read" in refused.value.message
        assert "ulimit" in str(refused.value.hint)
        read()


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


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (OSError(errno.EACCES, "Permission denied"), LakeError, "permissions"),
        (OSError("Memory mapping file failed: Cannot allocate memory"), LakeError, "free"),
        (OSError(errno.EIO, "Input/output error"), LakeError, "disk"),
        (OSError(errno.EINVAL, "Invalid argument"), CorruptionError, "copy"),
        (OSError("Corrupt snappy compressed data."), CorruptionError, "copy"),
        (pa.ArrowInvalid("Parquet file size is 4 bytes"), CorruptionError, "copy"),
        (FileNotFoundError(errno.ENOENT, "No such file"), CorruptionError, "copy"),
    ],
)
def test_a_copy_is_asked_for_where_it_helps(
    error: Exception, kind: type[UihError], hint: str
) -> None:
    told = damage.told("uih/1.parquet", error)
    assert type(told) is kind
    assert "uih/1.parquet" in told.message
    assert hint in str(told.hint)


@pytest.mark.parametrize("table", WITH_DATA)
def test_ad_hoc_sql_names_a_damaged_file(lake: Path, table: str) -> None:
    file = data_files(lake, table)[0]
    raw = file.read_bytes()
    for damaged in (None, raw[: len(raw) // 2], raw[:-20] + b"\1" + raw[-19:]):
        if damaged is None:
            file.unlink()
        else:
            file.write_bytes(damaged)
        with pytest.raises(CorruptionError, match=file.name):
            Lake.open(lake).sql("SELECT count(*) FROM events")


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
            assert "recent/_delta_log" in logs.examples[0]
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
        said = [text for check in report.checks for text in check.examples]
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


@pytest.mark.parametrize("verb", ["seal", "compact", "place", "forget", "retain", "log", "label"])
def test_damage_does_not_spread(lake: Path, verb: str) -> None:
    """What would rewrite or count on a damaged file refuses, and changes nothing."""
    Lake.open(lake).append(events(40, random.Random(5)))
    if verb == "compact":
        Lake.open(lake).seal()
    table = {"seal": "recent", "label": "examples", "place": "examples"}.get(verb, "uih")
    before = {name: DeltaTable(lake / name).version() for name in TABLES}
    for file in data_files(lake, table):
        flip_in_pages(file)
    draw = random.Random(1)
    acts: dict[str, Callable[[Lake], object]] = {
        "seal": lambda it: it.seal(),
        "compact": lambda it: it.compact(),
        "place": lambda it: it.compact(),  # there is nothing to merge
        "forget": lambda it: it.forget([1]),
        "retain": lambda it: it.retain(days=1),
        "log": lambda it: it.log(requests(20, draw), live=True),
        "label": lambda it: it.label(pa.table({"example_id": [0], "bought": [True]})),
    }
    with pytest.raises(CorruptionError, match=r"\.parquet"):
        acts[verb](Lake.open(lake))
    after = {name: DeltaTable(lake / name).version() for name in TABLES}
    for name in TABLES if verb not in ("forget", "retain") else (table, "examples"):
        if verb == "forget" and name == "examples":
            continue
        assert after[name] - before[name] <= (verb == "retain"), name


def flip_in_pages(file: Path) -> None:
    """Flip a bit in the middle of every column chunk."""
    raw, footer = bytearray(file.read_bytes()), pq.read_metadata(file)
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            chunk = footer.row_group(group).column(column)
            raw[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    file.write_bytes(raw)


def test_the_command_line_names_the_file_and_exits_with_1(lake: Path, tmp_path: Path) -> None:
    tenant = tmp_path / "t.toml"
    tenant.write_text(TENANT_FILE)
    file = data_files(lake, "uih")[0]
    flip_in_pages(file)
    rebuild = run("materialize", lake, "--tenant", tenant, "--out", tmp_path / "out")
    assert (rebuild.exit_code, rebuild.stdout) == (1, "")
    assert file.name in rebuild.stderr and rebuild.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    verify = run("verify", lake)
    assert verify.exit_code == 1
    assert file.name in verify.stdout.replace("\n", "") + verify.stderr.replace("\n", "")
    file.unlink()
    for words in (["sql", lake, "FROM events"], ["seal", lake], ["info", lake]):
        result = run(*words)
        assert "Traceback" not in result.output
        assert result.exit_code in (0, 1)
    entries(lake, "recent")[-1].unlink()
    for verb in ("info", "verify", "seal", "compact"):
        refused = run(verb, lake)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.startswith("error: ") and "_delta_log" in refused.stderr


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

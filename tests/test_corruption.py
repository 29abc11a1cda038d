"""Damage to data files: rebuilding gives what was there, or an error that names the file.

Never else. Every damage is done to a fresh copy of one sound lake, which is then opened anew, as a
later process would.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run
from damaged import TABLES, TIME, data_files, entries, events, flips, rebuilt, requests, sound_lake
from deltalake import DeltaTable

from uih_lake import CorruptionError, Lake, sqlfile
from uih_lake.lake.integrity import Pages

WITH_DATA = ("uih", "recent", "examples")
TENANT_FILE = """\
name = "t"
[groups.all]
traits = ["item", "dwell"]
"""


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


def verified(path: Path) -> None:
    """Raise what verify found, as text."""
    report = Lake.open(path).verify()
    said = [text for check in report.checks for text in check.first_failures]
    if not report.passed:
        raise CorruptionError("; ".join(said))


@pytest.mark.parametrize("table", [*WITH_DATA, "forgotten"])
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


@pytest.mark.parametrize("table", [*WITH_DATA, "forgotten"])
def test_verify_finds_what_only_a_scan_in_sql_refuses(lake: Path, table: str) -> None:
    file = data_files(lake, table)[0]
    garble_levels(file)
    report = Lake.open(lake).verify()
    (pages,) = [check for check in report.checks if check.name == "pages"]
    assert pages.failed == 1
    assert file.name in pages.first_failures[0]


def test_verify_reads_every_column_whatever_they_are_called(tmp_path: Path) -> None:
    """None has the name that the statement gives to a whole row, or it would be read alone."""
    words = {*re.findall(r"[a-z]+", sqlfile.statement("lake/readable")), "stored"}
    keys = {"user_id": [1, 2], "event_ts": pa.array([1, 2], TIME)}
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(pa.table(keys | {word: [1, 2] for word in sorted(words)}))
    (file,) = data_files(tmp_path / "lake", "recent")
    garble_levels(file)
    failed = [check for check in Lake.open(lake.path).verify().checks if check.failed]
    assert [check.name for check in failed] == ["pages"]
    assert file.name in failed[0].first_failures[0]


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

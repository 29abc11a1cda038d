"""A full disk is told and changes nothing; what is committed by then stands, noted or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from full_disk import room
from small_lakes import events, refusal, requests, state

from uih_lake import Lake, OutputError, names
from uih_lake.lake import heads
from uih_lake.lake.store import Store


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake", buckets=3)


@pytest.mark.parametrize(
    ("call", "table"),
    [
        (lambda lake: lake.append(events([1], [2])), names.RECENT),
        (lambda lake: lake.log(requests([1], [2])), names.EXAMPLES),
        (lambda lake: lake.label(pa.table({"example_id": [0], "bought": [1]})), names.EXAMPLES),
        (lambda lake: lake.forget([1]), names.FORGOTTEN),
        (lambda lake: lake.retain(days=1), names.UIH),
        (lambda lake: lake.vacuum(retain_hours=0), names.RECENT),
    ],
    ids=["append", "log", "label", "forget", "retain", "vacuum"],
)
def test_a_full_disk_is_told_and_changes_nothing(
    lake: Lake, call: Callable[[Lake], object], table: str
) -> None:
    lake.append(events([1, 2], [1, 2]))
    lake.seal()
    lake.log(requests([1], [3]))
    before = state(lake)
    with room(0):
        said = refusal(OutputError, lambda: call(lake))
    assert said.startswith(f"{Path(lake.path, table)} cannot be written: ")
    assert "File too large" in said and "\x1b" not in said
    assert state(lake) == before
    call(lake)


def test_a_commit_stands_though_its_checkpoint_finds_no_room(lake: Lake) -> None:
    """Or the events would be there, and be appended again by whoever was told they are not."""
    for version in range(8):
        assert lake.append(events([1], [version])) == version
    with room(8 * 1024):
        assert lake.append(events([1], [8])) == 8
    log = Path(lake.path, names.RECENT, "_delta_log")
    assert (log / f"{9:020}.json").exists() and not list(log.glob("*.checkpoint.parquet"))
    for version in range(9, 20):
        assert lake.append(events([1], [version])) == version
    assert list(log.glob("*.checkpoint.parquet")), "the control: it is there where there is room"
    assert lake.sql("SELECT count(*) FROM events").fetchall() == [(20,)]
    assert lake.verify().passed


def test_a_note_that_finds_no_room_is_not_made(lake: Lake) -> None:
    """What it is about is committed by then."""
    table = str(Path(lake.path, names.RECENT))
    lake.append(events([1], [1]))
    noted = heads.noted(table)
    heads.drop(table)
    before = state(lake)
    with room(0):
        heads.note(table, noted)
    assert heads.noted(table) == -1
    assert state(lake) == before
    heads.note(table, noted)
    assert heads.noted(table) == noted


@pytest.mark.parametrize(
    "name", ["_uih_lake_head", f"{10:020}.json", f"{10:020}.checkpoint.parquet"]
)
def test_what_no_note_can_be_made_of_is_let_be(lake: Lake, name: str) -> None:
    """A directory cannot be read as a file, nor be replaced by one."""
    table = Path(lake.path, names.RECENT)
    for number in range(10):
        lake.append(events([1], [number]))
    heads.drop(str(table))
    file = table / "_delta_log" / name
    file.unlink(missing_ok=True)
    file.mkdir()
    heads.note(str(table), 10)
    file.rmdir()
    assert heads.noted(str(table)) == -1


def test_an_append_stands_though_its_note_cannot_be_read(lake: Lake) -> None:
    """It is refused before it is committed, or not at all: it would be repeated."""
    lake.append(events([1], [1]))
    note, more = Path(lake.path, names.RECENT, "_delta_log", "_uih_lake_head"), events([1], [2])

    def batches() -> Iterator[pa.RecordBatch]:
        """The rows, and before them a directory where the note was."""
        note.unlink()
        note.mkdir()
        yield from more.to_batches()

    assert lake.append(pa.RecordBatchReader.from_batches(more.schema, batches())) == 1
    note.rmdir()
    assert lake.append(more) == 2
    assert lake.sql("SELECT count(*) FROM events").fetchall() == [(3,)]
    assert lake.verify().passed


def test_committed_files_survive_being_discarded(lake: Lake) -> None:
    """An interrupt between a commit and its return cleans up behind it; not what is committed."""
    lake.append(events([1], [1], item=[1]))
    store = Store.open(lake.path)
    before = state(lake)
    store.recent.discard(store.recent.files())
    assert state(lake) == before

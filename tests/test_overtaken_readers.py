"""Readers of an older state whose files are replaced and vacuumed: nothing of that is damage."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from damaged import TENANT, data_files, entries, events, requests

from uih_lake import CorruptionError, Lake, LakeError
from uih_lake.loader import Loader

UPKEEP: dict[str, Callable[[Lake], object]] = {
    "seal": lambda lake: lake.seal(),
    "compact": lambda lake: lake.compact(),
    "forget": lambda lake: lake.forget([1]),
}
READERS: dict[str, Callable[[Lake], Iterable[object]]] = {
    "loader": lambda lake: Loader(lake, TENANT, 4),
    "materialize": lambda lake: lake.materialize(TENANT),
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two runs, a tail, and examples that see all of it."""
    draw = random.Random(2)
    lake = Lake.create(tmp_path / "lake", buckets=2)
    for _ in range(2):
        lake.append(events(80, draw))
        lake.seal()
    lake.append(events(40, draw))
    lake.log(requests(40, draw), live=True)
    return lake


@pytest.mark.parametrize("verb", UPKEEP)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_is_told_that_it_was_overtaken(lake: Lake, reader: str, verb: str) -> None:
    begun = READERS[reader](lake)
    UPKEEP[verb](lake)
    lake.vacuum(retain_hours=0)
    says = r"data file .*\.parquet was replaced since this reader began, and vacuumed; begin anew"
    with pytest.raises(LakeError, match=says):
        list(begun)
    assert lake.verify().passed
    assert list(READERS[reader](lake)), "begun anew, it reads"


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_still_named_is_missing(lake: Lake, reader: str) -> None:
    lake.compact()
    begun = READERS[reader](lake)
    for file in data_files(Path(lake.path), "uih"):
        file.unlink()
    with pytest.raises(CorruptionError, match=r"is missing; restore it from a copy"):
        list(begun)


def test_a_log_that_cannot_tell_leaves_a_file_missing(lake: Lake) -> None:
    begun = Loader(lake, TENANT, 4)
    lake.compact()
    lake.vacuum(retain_hours=0)
    for entry in entries(Path(lake.path), "uih"):
        entry.write_text(entry.read_text() + "{")
    with pytest.raises(CorruptionError, match=r"is missing"):
        list(begun)

"""Examples of several buckets are read at once; those whose bucket comes later wait, bounded."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from loader_lakes import NUMBERS, events, frozen, requests

from uih_lake import Lake
from uih_lake.lake.integrity import Pages
from uih_lake.loader import Loader
from uih_lake.pointers.examples import Examples


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """640 examples in 64 buckets, one log."""
    rng, users = random.Random(0), list(range(2000))
    lake = Lake.create(tmp_path_factory.mktemp("lake") / "crowd", buckets=64)
    lake.append(events(rng, users, 900))
    lake.log(requests(rng, users, 640, 0))
    lake.seal()
    return lake


def reads_of(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[range], int]:
    """Batches, the buckets of each read of examples, and how many waited at most for their turn."""
    found: list[range] = []
    read = Examples.read

    def told(self: Examples, pages: Pages, columns: Any, first: int, last: int) -> pa.Table:
        found.append(range(first, last + 1))
        return read(self, pages, columns, first, last)

    monkeypatch.setattr(Examples, "read", told)
    loader = Loader(lake, NUMBERS, 8, threads=1, open_buckets=1)
    most, batches = 0, []
    for batch in loader:
        batches.append(frozen(batch))
        most = max(most, loader._engine._source.neighbours.waiting)
    assert loader._engine._source.neighbours.waiting == 0
    monkeypatch.setattr(Examples, "read", read)
    return batches, found, most


@pytest.mark.parametrize("at_once", [10, 20, 30, 100, 50_000])
def test_examples_are_read_once_in_lakes_of_up_to_64_buckets(
    crowd: Lake, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("uih_lake.selection.EXAMPLES_AT_ONCE", at_once)
    _, reads, _ = reads_of(crowd, monkeypatch)
    assert len({*reads}) == len(reads) == -(-64 // len(reads[0]))


def test_examples_that_wait_for_their_bucket_are_bounded(
    crowd: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, _ = reads_of(crowd, monkeypatch)
    monkeypatch.setattr("uih_lake.selection.EXAMPLES_AT_ONCE", 40)
    free, reads, most = reads_of(crowd, monkeypatch)
    assert free == whole
    assert len(reads) == 16
    assert most > 200, "the control: most of a lake may wait"
    monkeypatch.setattr("uih_lake.loader.neighbours.MOST", 2)
    bound, reads, most = reads_of(crowd, monkeypatch)
    assert bound == whole
    assert most < 100
    assert {len(read) for read in reads} == {1, 4}, "without room a bucket is read alone"


def test_no_example_waits_for_a_bucket_whose_turn_does_not_come(
    crowd: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uih_lake.selection.EXAMPLES_AT_ONCE", 40)
    monkeypatch.setattr("uih_lake.loader.source.RESOLVED_BYTES", 20_000)
    loader = Loader(crowd, NUMBERS, 8, threads=1)
    for _ in range(3):
        list(loader)
        source = loader._engine._source
        assert 0 < len(source._kept) < 64, "some are opened without their examples"
        assert source.neighbours.waiting == 0


def test_what_is_kept_of_a_bucket_keeps_no_memory_of_its_neighbours(crowd: Lake) -> None:
    loader = Loader(crowd, NUMBERS, 8)
    list(loader)
    kept = loader._engine._source._kept.values()
    assert len(kept) == 64
    for resolved in kept:
        for array in (resolved.example_id, resolved.user_id):
            assert array.get_total_buffer_size() <= array.nbytes + 8  # and whole bytes of a bitmap

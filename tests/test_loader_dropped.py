"""Pointers that the policy drops: the batches are those of the examples that are left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from loader_lakes import NUMBERS, build, ids

from uih_lake import Lake
from uih_lake.loader import Loader

LASTS: list[dict[str, Any]] = [{}, {"drop_last": True}, {"pad_last": True}]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Of whose pointers many reach past what is retained."""
    lake = build(tmp_path_factory.mktemp("lake") / "lake", dirty=False)
    lake.retain(days=12, now=datetime(1970, 1, 15, tzinfo=UTC))
    return lake


@pytest.fixture(scope="module")
def kept(lake: Lake) -> list[int]:
    """Examples with a history that is whole."""
    rows = lake.materialize(NUMBERS, on_mismatch="drop").read_all()
    kept: list[int] = sorted(rows.column("example_id").to_pylist())
    assert 20 < len(kept) < 120, "neither all nor nearly none of 140"
    return kept


def made(lake: Lake, **options: Any) -> Loader:
    return Loader(lake, NUMBERS, on_mismatch="drop", open_buckets=2, **options)


@pytest.mark.parametrize("last", LASTS, ids=str)
@pytest.mark.parametrize("tokens", [None, 40])
@pytest.mark.parametrize(("ranks", "size"), [(1, 8), (2, 1), (2, 8), (3, 7)])
def test_examples_are_dealt_once_the_dropped_are_left_out(
    lake: Lake, kept: list[int], ranks: int, size: int, tokens: int | None, last: dict[str, Any]
) -> None:
    epochs = []
    for rank in range(ranks):
        options = {"rank": rank, "num_ranks": ranks, "max_tokens": tokens, **last}
        epochs.append(list(made(lake, batch_size=size, **options)))
    if last:
        assert len({len(epoch) for epoch in epochs}) == 1, "ranks wait for each other's steps"
    seen = []
    for batch in (batch for epoch in epochs for batch in epoch):
        here = batch.example_id.tolist()
        assert 0 < len(here) <= size
        assert set(here) <= set(kept)
        seen += here[: len(here) - batch.padding]
        if tokens is None and last:
            assert len(here) == size
    assert len(seen) == len(set(seen))
    if "drop_last" not in last:
        assert sorted(seen) == kept
    elif tokens is None:
        assert len(seen) == len(kept) - len(kept) % (ranks * size)


@pytest.mark.parametrize("last", LASTS, ids=str)
@pytest.mark.parametrize("tokens", [None, 40])
def test_a_state_behind_any_batch_gives_the_rest(
    lake: Lake, last: dict[str, Any], tokens: int | None
) -> None:
    whole = made(lake, batch_size=7, max_tokens=tokens, **last)
    batches, states = [], []
    for batch in whole:
        batches.append(ids(batch))
        states.append(whole.state_dict())
    for behind, state in enumerate(states[:-1], 1):
        resumed = made(lake, batch_size=7, max_tokens=tokens, **last)
        resumed.load_state_dict(state)
        assert [ids(batch) for batch in resumed] == batches[behind:]


def test_an_epoch_is_over_with_the_last_batch_that_is_left(lake: Lake) -> None:
    whole = made(lake, batch_size=8)
    epochs = [[ids(batch) for batch in whole] for _ in range(3)]
    loader = made(lake, batch_size=8)
    for epoch in epochs:
        counted = zip(range(len(epoch)), loader, strict=False)
        assert [ids(batch) for _, batch in counted] == epoch
    assert len(loader) >= len(epochs[0])


def test_hardly_anything_may_be_left(tmp_path: Path) -> None:
    """Examples of users that nobody has seen: windows have one of them, or none."""
    lake = build(tmp_path / "lake", dirty=False)
    lake.retain(days=1, now=datetime(1970, 4, 1, tzinfo=UTC))
    left = lake.materialize(NUMBERS, on_mismatch="drop").read_all().num_rows
    assert 0 < left < 20
    seen = []
    for rank in range(2):
        loader = made(lake, batch_size=8, rank=rank, num_ranks=2, pad_last=True)
        seen += [example for batch in loader for example in ids(batch)]  # less repeats
        assert loader.epoch == 1
    assert len(set(seen)) == len(seen) == left

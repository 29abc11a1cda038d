"""States: other ranks, other processes, what was logged since, and what is refused.

That every configuration goes on from the start, the middle, the end and the next epoch is told by
`test_loader_matrix.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from loader_lakes import NUMBERS, SHORT, TENANT, build, frozen, ids, requests, rows_of
from torch.utils.data import DataLoader

from uih_lake import InputError, Lake
from uih_lake.lake.store import Store
from uih_lake.loader import Batch, Loader
from uih_lake.pointers.examples import Examples

Rows = list[list[dict[str, Any]]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Sealed, so that an epoch takes little time."""
    return build(tmp_path_factory.mktemp("lake") / "lake", dirty=False)


def take(loader: Loader, count: int) -> tuple[Rows, dict[str, Any]]:
    """The first batches of an epoch, and the state behind them as it comes back from JSON."""
    iterator = iter(loader)
    taken = [rows_of(next(iterator)) for _ in range(count)]
    state = json.loads(json.dumps(loader.state_dict()))
    iterator.close()  # type: ignore[attr-defined]
    return taken, state


def test_a_finished_epoch_is_followed_by_the_next(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 16)
    first = [ids(batch) for batch in loader]
    state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (1, 0)
    second = [ids(batch) for batch in loader]
    resumed = Loader(lake, NUMBERS, 16)
    resumed.load_state_dict(state)
    assert [ids(batch) for batch in resumed] == second != first


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": np.int64(16)},
        {"seed": np.int64(3)},
        {"open_buckets": np.int32(2)},
        {"max_tokens": np.int64(50)},
        {"stochastic_length": np.float32(1.5)},
        {"rank": np.int64(1), "num_ranks": np.int64(2)},
    ],
    ids=str,
)
def test_numbers_of_numpy_are_numbers(lake: Lake, options: dict[str, Any]) -> None:
    """Also as JSON, which knows none of numpy's."""
    loader = Loader(lake, SHORT, **options)
    _, state = take(loader, 1)
    resumed = Loader(lake, SHORT, **{name: number.item() for name, number in options.items()})
    resumed.load_state_dict(state)
    assert [ids(batch) for batch in resumed] == [ids(batch) for batch in loader][1:]


def test_an_epoch_to_go_to_is_an_integer(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 16)
    loader.set_epoch(np.int64(3))
    _, state = take(loader, 1)
    assert state["epoch"] == 3
    for epoch in (-1, 2**63, 1.5, "2", None, True, torch.tensor(3)):
        with pytest.raises(InputError, match=r"epoch .*; give an integer from 0 to 9"):
            loader.set_epoch(epoch)  # type: ignore[arg-type]
    assert loader.epoch == 3


@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"pad_last": True}], ids=str)
@pytest.mark.parametrize(("size", "rank", "ranks"), [(16, 0, 1), (16, 0, 3), (46, 2, 3)])
def test_an_epoch_is_over_with_its_last_batch(
    lake: Lake, options: dict[str, Any], size: int, rank: int, ranks: int
) -> None:
    """A loop that counts batches never asks for one more, by which an epoch would end.

    Of 140 examples two are left for the last step of batches of 46: the third rank has none.
    """
    whole = Loader(lake, NUMBERS, size, rank=rank, num_ranks=ranks, **options)
    epochs = [[ids(batch) for batch in whole] for _ in range(3)]
    loader = Loader(lake, NUMBERS, size, rank=rank, num_ranks=ranks, **options)
    for epoch in epochs:
        counted = [ids(batch) for _, batch in zip(range(len(loader)), loader, strict=False)]
        assert counted == epoch
    loader.set_epoch(2)
    assert [ids(batch) for batch in loader] == epochs[2]
    loader.set_epoch(1)
    assert [ids(batch) for batch in loader] == epochs[1]


def test_an_epoch_that_was_left_begins_anew(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 16)
    first = [ids(batch) for _, batch in zip(range(len(loader) - 1), loader, strict=False)]
    assert [ids(batch) for batch in loader][:-1] == first


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 4)])
@pytest.mark.parametrize("tokens", [None, 40])
def test_other_ranks_go_on_without_losing_or_repeating_an_example(
    lake: Lake, before: int, after: int, tokens: int | None
) -> None:
    seen: list[Any] = []
    state: dict[str, Any] = {}
    for rank in range(before):
        loader = Loader(lake, NUMBERS, 8, rank=rank, num_ranks=before, max_tokens=tokens)
        iterator = iter(loader)
        seen += [example for _ in range(2) for example in ids(next(iterator))]
        state = loader.state_dict()
        iterator.close()  # type: ignore[attr-defined]
    for rank in range(after):
        loader = Loader(
            lake, NUMBERS, 16, rank=rank, num_ranks=after, max_tokens=tokens, threads=rank + 1
        )
        loader.load_state_dict(state)
        seen += [example for batch in loader for example in ids(batch)]
    assert sorted(seen) == list(range(140))


def test_a_resume_keeps_to_the_examples_there_were(tmp_path: Path) -> None:
    import random

    lake = build(tmp_path / "lake")
    loader = Loader(lake, NUMBERS, 16)
    whole = [ids(batch) for batch in loader]
    taken, state = take(Loader(lake, NUMBERS, 16), 3)
    lake.log(requests(random.Random(9), list(range(24)), 30, 1000))
    lake.seal()
    resumed = Loader(lake, NUMBERS, 16)
    assert resumed.examples == 170
    resumed.load_state_dict(state)
    assert resumed._scope.selection.examples.rows == 140, "what is read at once goes by it"
    assert [ids(batch) for batch in resumed] == whole[3:]
    assert len(taken) == 3


WHERE = ["true", "request_ts > TIMESTAMPTZ '1970-01-01 00:00:00Z'", "label = 1"]


def rest_of(lake: Lake, where: str, state: dict[str, Any]) -> list[list[int]]:
    """The batches behind a state."""
    loader = Loader(lake, NUMBERS, 16, where=where)
    loader.load_state_dict(state)
    return [ids(batch) for batch in loader]


def test_labels_set_meanwhile_matter_only_where_the_condition_speaks_of_them(
    tmp_path: Path,
) -> None:
    lake = build(tmp_path / "lake", dirty=False)
    rest = {w: [ids(batch) for batch in Loader(lake, NUMBERS, 16, where=w)][2:] for w in WHERE}
    states = {w: take(Loader(lake, NUMBERS, 16, where=w), 2)[1] for w in WHERE}
    labels = {"label": pa.array([1, 0, 1], pa.float32()), "bought": [True, False, True]}
    assert lake.label(pa.table({"example_id": [0, 1, 60], **labels})) == 3
    for where in WHERE[:2]:
        assert rest_of(lake, where, states[where]) == rest[where]
    with pytest.raises(InputError, match="or other labels that where speaks of"):
        rest_of(lake, WHERE[2], states[WHERE[2]])


@pytest.mark.parametrize("where", WHERE)
def test_a_compaction_leaves_a_state_good_also_of_labels(tmp_path: Path, where: str) -> None:
    lake = build(tmp_path / "lake")
    lake.label(pa.table({"example_id": [0, 60], "label": pa.array([1, 0], pa.float32())}))
    rest = [ids(batch) for batch in Loader(lake, NUMBERS, 16, where=where)][2:]
    _, state = take(Loader(lake, NUMBERS, 16, where=where), 2)
    before = {*Examples.of(Store.open(lake.path)).paths}
    lake.seal()
    lake.compact()
    assert before.isdisjoint(Examples.of(Store.open(lake.path)).paths)
    assert rest_of(lake, where, state) == rest


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": 5}, "another seed: seed 0, this loader has 5"),
        ({"order": "time"}, "another order"),
        ({"where": "label = 1"}, "another condition"),
        ({"tenant": TENANT}, "another tenant"),
        ({"open_buckets": 2}, "another number of open buckets"),
    ],
    ids=str,
)
def test_a_state_of_something_else_is_refused(lake: Lake, options: Any, says: str) -> None:
    _, state = take(Loader(lake, NUMBERS, 16), 1)
    tenant = options.pop("tenant", NUMBERS)
    with pytest.raises(InputError, match=says):
        Loader(lake, tenant, 16, **options).load_state_dict(state)


def test_a_state_of_another_lake_is_refused(lake: Lake, tmp_path: Path) -> None:
    _, state = take(Loader(lake, NUMBERS, 16), 1)
    other = build(tmp_path / "other")
    with pytest.raises(InputError, match="another lake"):
        Loader(other, NUMBERS, 16).load_state_dict(state)


@pytest.mark.parametrize(
    "state", [{}, {"schema": 99}, {"schema": 1, "seed": 0}, None, [], "x", {1: 2, "schema": 1}]
)
def test_what_is_no_state_is_refused(lake: Lake, state: Any) -> None:
    with pytest.raises(InputError, match=r"schema|no state"):
        Loader(lake, NUMBERS, 16).load_state_dict(state)


@pytest.mark.parametrize(
    ("altered", "says"),
    [
        ({"epoch": -4}, "the state's epoch -4; give an integer from 0 to"),
        ({"epoch": "1"}, "the state's epoch '1'"),
        ({"epoch": None}, "the state's epoch None"),
        ({"position": -1}, "the state's position -1"),
        ({"position": None}, "the state's position None"),
        ({"log_version": "x"}, "the state's log_version 'x'"),
        ({"log_version": None}, "the state's log_version None"),
        ({"words": None}, "the state's words are no lists of different strings; give what state_"),
        ({"words": {"events": {"action": ["a", "a"]}}}, "no lists of different strings"),
        ({"words": {"events": None}}, "the state's words are no lists"),
        ({"words": {"events": {"action": None}}}, "the state's words are no lists"),
        ({"words": {"events": {"action": [1]}}}, "the state's words are no lists"),
        ({"words": {"events": {"action": ["\ud800"]}}}, "the state's words are no lists"),
        ({"worker": [0]}, r"the state's worker \[0\]; give what state_dict"),
        ({"worker": "abc"}, "the state's worker 'abc'"),
        ({"position": 1.5}, "the state's position 1.5"),
        ({"position": 141}, "position 141 is beyond the 140 examples of an epoch; give what"),
    ],
    ids=str,
)
def test_a_state_of_nowhere_is_refused(lake: Lake, altered: Any, says: str) -> None:
    _, state = take(Loader(lake, NUMBERS, 16), 1)
    loader = Loader(lake, NUMBERS, 16)
    with pytest.raises(InputError, match=says):
        loader.load_state_dict({**state, **altered})
    assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (0, 0)
    assert len(list(loader)) == len(loader), "it is as it was"


def test_a_state_behind_the_last_batch_is_followed_by_the_next_epoch(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 16)
    taken, state = take(loader, len(loader))
    assert state["position"] == 140
    resumed = Loader(lake, NUMBERS, 16)
    resumed.load_state_dict(state)
    assert sum(len(list(resumed)) for _ in range(2)) == len(taken)


def test_where_a_loader_is_is_told_by_the_iteration_that_began_last(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 10)
    first, second = iter(loader), iter(loader)
    next(first)
    next(second)
    assert len(list(first)) == len(loader) - 1
    taken = [ids(next(second))]
    state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (0, 20)
    resumed = Loader(lake, NUMBERS, 10)
    resumed.load_state_dict(state)
    taken += [ids(batch) for batch in second]
    assert taken[1:] == [ids(batch) for batch in resumed]
    assert loader.epoch == 1


def test_an_iteration_under_way_does_not_move_a_state_that_was_loaded(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 10)
    whole = [ids(batch) for batch in Loader(lake, NUMBERS, 10)]
    _, state = take(Loader(lake, NUMBERS, 10), 3)
    old = iter(loader)
    next(old)
    loader.load_state_dict(state)
    assert len(list(old)) == len(whole) - 1
    assert [ids(batch) for batch in loader] == whole[3:]


def test_codes_of_strings_survive_a_resume(tmp_path: Path) -> None:
    lake = build(tmp_path / "lake")
    _, state = take(Loader(lake, TENANT, 16), 1)
    state["words"]["events"]["action"].reverse()
    resumed = Loader(lake, TENANT, 16)
    before = resumed.dictionaries["events"]["action"]
    resumed.load_state_dict(state)
    assert resumed.dictionaries["events"]["action"] == before[::-1]
    batch = next(iter(resumed))
    words = batch["clicks"].dictionaries["action"]
    codes = batch["clicks"].values["action"].unique().tolist()
    assert {words[code] for code in codes} == {"click"}


@pytest.mark.parametrize("ranks", [1, 2])
def test_worker_processes_go_on_with_the_batches_of_one_process(lake: Lake, ranks: int) -> None:
    def made() -> Loader:
        return Loader(lake, TENANT, 12, masks=True, share=ranks == 2, rank=0, num_ranks=ranks)

    whole = [frozen(batch) for batch in made()]
    _, state = take(made(), 3)
    loader = made()
    loader.load_state_dict(state)
    spawned = DataLoader(loader, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    assert len(spawned) == len(whole)
    assert [frozen(batch) for batch in spawned] == whole[3:]


def test_workers_that_persist_begin_the_epoch_of_the_loader(lake: Lake) -> None:
    """After a pass that was left, too: one of them may have finished its part, the other not."""
    alone = Loader(lake, NUMBERS, 16)
    epochs = []
    for epoch in range(3):
        alone.set_epoch(epoch)
        epochs.append([ids(batch) for batch in alone])
    loader = Loader(lake, NUMBERS, 16)
    workers = DataLoader(
        loader,
        batch_size=None,
        num_workers=2,
        multiprocessing_context="spawn",
        persistent_workers=True,
    )
    left = zip(range(len(loader) - 2), workers, strict=False)
    assert [ids(batch) for _, batch in left] == epochs[0][:-2]
    for epoch in (1, 1, 2, 0):
        loader.set_epoch(epoch)
        assert [ids(batch) for batch in workers] == epochs[epoch]


def test_a_state_of_a_worker_is_for_steps_as_they_were(lake: Lake) -> None:
    """It counts them, and so would take other ones for its own."""
    _, state = take(Loader(lake, NUMBERS, 16), 2)
    assert state["cut"] is None
    state |= {"worker": [0, 1, 0], "cut": [1, 16, None]}
    Loader(lake, NUMBERS, 16).load_state_dict(state)
    for options in ({"batch_size": 8}, {"max_tokens": 50}, {"rank": 0, "num_ranks": 2}):
        with pytest.raises(InputError, match=r"a worker .* \[1, 16, None\]; this loader has"):
            Loader(lake, NUMBERS, **{"batch_size": 16, **options}).load_state_dict(state)


def test_a_stateful_data_loader_resumes(lake: Lake) -> None:
    stateful = pytest.importorskip(
        "torchdata.stateful_dataloader", reason="torchdata is not installed"
    )

    def made(count: int, epoch: int) -> Any:
        loader = Loader(lake, TENANT, 16, masks=True, share=True)
        loader.set_epoch(epoch)
        return stateful.StatefulDataLoader(
            loader,
            batch_size=None,
            num_workers=count,
            multiprocessing_context="spawn" if count else None,
        )

    alone = Loader(lake, TENANT, 16, masks=True, share=True)
    epochs = [[frozen(batch) for batch in alone] for _ in range(2)]
    assert epochs[0] != epochs[1]
    for count, epoch, stop in ((0, 0, 3), (0, 1, 5), (2, 0, 3), (2, 1, len(epochs[1]) - 1)):
        first = made(count, epoch)
        iterator = iter(first)
        taken = [frozen(next(iterator)) for _ in range(stop)]
        state = first.state_dict()
        del iterator
        second = made(count, epoch)
        second.load_state_dict(state)
        assert taken + [frozen(batch) for batch in second] == epochs[epoch]


def test_a_batch_is_a_batch(lake: Lake) -> None:
    assert isinstance(next(iter(Loader(lake, NUMBERS, 4))), Batch)

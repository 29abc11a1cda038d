"""A loader that follows: examples come as they are logged, as a replay gives them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from loader_lakes import (
    EVENTS,
    SHORT,
    TENANT,
    TIME,
    build,
    events,
    frozen,
    ids,
    reference,
    requests,
    rows,
)

from uih_lake import CorruptionError, Group, InputError, Lake, Tenant, UihError
from uih_lake.hashing import bucket_of
from uih_lake.loader import Loader
from uih_lake.loader.follow import Wanted

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own, to be damaged or to grow."""
    return build(tmp_path / "lake")


def test_examples_come_as_they_are_logged_and_as_a_replay_gives_them(lake: Lake) -> None:
    rng = random.Random(1)
    loader = Loader(lake, SHORT, 16, follow=True, poll_s=0.01, masks=True)
    followed = []
    for batch in loader:
        followed.append(rows([batch]))
        if len(followed) == 8:  # all there was but what fills no batch
            lake.append(events(rng, list(range(24)), 60))
            lake.log(requests(rng, list(range(24)), 10, 500), live=True)
            lake.seal()
            lake.log(requests(rng, list(range(24)), 30, 600))
        if sum(map(len, followed)) >= 176:
            loader.stop()
    assert sum(map(len, followed)) == 180
    replay = [rows([batch]) for batch in Loader(lake, SHORT, 16, order="log", masks=True)]
    assert followed == replay
    assert rows(Loader(lake, SHORT, 16, order="log", masks=True)) == reference(lake, SHORT)


def test_a_follower_goes_on_from_a_state(lake: Lake) -> None:
    whole = [ids(batch) for batch in Loader(lake, TENANT, 16, order="log")]
    loader = Loader(lake, TENANT, 16, follow=True)
    taken = []
    for batch in loader:
        taken.append(ids(batch))
        if len(taken) == 3:
            break
    resumed = Loader(lake, TENANT, 16, follow=True, poll_s=0.01)
    resumed.load_state_dict(loader.state_dict())
    for batch in resumed:
        taken.append(ids(batch))
        if len(taken) == 8:
            resumed.stop()
    assert taken == whole


def test_a_follower_goes_on_from_a_state_saved_behind_what_came_later(lake: Lake) -> None:
    rng = random.Random(2)
    loader = Loader(lake, TENANT, 16, follow=True, poll_s=0.01)
    taken = []
    for batch in loader:
        taken.append(ids(batch))
        if len(taken) in (8, 9):  # all there was but what fills no batch
            first = 100 * len(taken)
            lake.log(requests(rng, list(range(24)), 20, first), live=True)
        if len(taken) == 10:
            break
    assert loader.examples == 160, "of which some were there before"
    resumed = Loader(lake, TENANT, 16, follow=True, poll_s=0.01)
    resumed.load_state_dict(loader.state_dict())
    resumed.stop()
    taken += [ids(batch) for batch in resumed]
    assert taken == [ids(batch) for batch in Loader(lake, TENANT, 16, order="log")]
    # The one that saved it can be put back to where it was, too.
    loader.load_state_dict(loader.state_dict())
    loader.stop()
    assert [ids(batch) for batch in loader] == taken[10:]


def test_a_stopped_follower_begins_anew_with_all_there_is(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 16, follow=True, poll_s=0.01)
    for number, _ in enumerate(loader):
        if number == 7:
            lake.log(requests(random.Random(3), list(range(24)), 30, 500), live=True)
        if number == 8:
            loader.stop()
    again = [ids(batch) for batch in loader]
    assert again == [ids(batch) for batch in Loader(lake, SHORT, 16, order="log")]


@pytest.mark.parametrize("begun", [True, False])
def test_of_two_iterations_that_follow_the_later_goes_on(lake: Lake, begun: bool) -> None:
    loader = Loader(lake, SHORT, 10, follow=True, poll_s=0.01)
    first = iter(loader)
    if begun:
        next(first)
    second = iter(loader)
    taken = ids(next(second))
    lake.log(requests(random.Random(3), list(range(24)), 40, 900))
    while len(taken) < 180:
        taken += ids(next(second))
    with pytest.raises(UihError, match=r"another has begun, .* make two loaders"):
        list(first)
    state = loader.state_dict()
    assert state["position"] == loader.examples == 180
    loader.stop()
    assert list(second) == []
    assert sorted(taken) == [*range(140), *range(900, 940)]


def test_an_iteration_that_follows_ends_where_the_loader_is_sent_elsewhere(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 10, follow=True, poll_s=0.01)
    batches = iter(loader)
    next(batches)
    loader.set_epoch(3)
    with pytest.raises(UihError, match="sent elsewhere by set_epoch"):
        list(batches)


def test_pointers_are_counted_from_the_beginning_on(lake: Lake) -> None:
    lake.retain(days=1)
    loader = Loader(lake, SHORT, 140, follow=True, poll_s=0.01, on_mismatch="keep")
    first = loader.pointers
    for number, _ in enumerate(loader):
        assert loader.pointers.examples == 140 * (number + 1)
        if number == 0:
            lake.log(requests(random.Random(5), list(range(24)), 140, 500), live=True)
        else:
            loader.stop()
    assert first.examples == 280
    assert first.expired > 0
    whole = Loader(lake, SHORT, order="log", on_mismatch="keep")
    list(whole)
    list(whole)
    assert loader.pointers == whole.pointers, "a second epoch counts no pointer again"


def test_a_state_that_is_loaded_starts_the_counts_over(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 16, order="log")
    state = loader.state_dict()
    for _ in range(2):
        list(loader)
        assert loader.pointers.examples == 140
        loader.load_state_dict(state)
        assert loader.pointers.examples == 0
    with pytest.raises(InputError):
        loader.load_state_dict(state | {"seed": 9})
    list(loader)
    assert loader.pointers.examples == 140


def test_ranks_that_follow_get_what_ranks_that_replay_get(lake: Lake) -> None:
    rng = random.Random(4)
    followers = [
        Loader(lake, SHORT, 16, rank=rank, num_ranks=2, follow=True, poll_s=0.01)
        for rank in range(2)
    ]
    taken: list[list[Any]] = [[], []]
    iterators = [iter(follower) for follower in followers]
    for step in range(5):  # 160 of 190 examples
        if step == 4:
            lake.log(requests(rng, list(range(24)), 50, 500), live=True)
        for mine, iterator in zip(taken, iterators, strict=True):
            mine.append(frozen(next(iterator)))
    for mine, follower, iterator in zip(taken, followers, iterators, strict=True):
        follower.stop()
        mine += [frozen(batch) for batch in iterator]
    for rank, mine in enumerate(taken):
        replay = Loader(lake, SHORT, 16, rank=rank, num_ranks=2, order="log")
        assert mine == [frozen(batch) for batch in replay]


def test_strings_that_are_new_get_new_codes(lake: Lake) -> None:
    loader = Loader(lake, TENANT, 140, follow=True, poll_s=0.01, masks=True)
    before = loader.dictionaries["events"]["action"]
    for batch in loader:
        if len(batch) == 140:
            table = events(random.Random(2), [5], 40)
            action = table.schema.get_field_index("action")
            lake.append(table.set_column(action, EVENTS.field("action"), [["a new one"] * 40]))
            lake.log(requests(random.Random(3), [5, 5], 3, 900), live=True)
            loader.stop()
    assert loader.dictionaries["events"]["action"][: len(before)] == before


def test_strings_are_looked_for_in_what_is_new(tmp_path: Path) -> None:
    """The files of a bucket of which nothing is asked any more are gone, and nobody minds."""
    lake = Lake.create(tmp_path / "lake", buckets=2)
    users, times = list(range(8)), pa.array(range(8), TIME)
    names = [f"name {user}" for user in users]
    lake.append(pa.table({"user_id": users, "event_ts": times, "name": names}))
    lake.seal()
    lake.log(pa.table({"user_id": users, "request_ts": pa.array([9] * 8, TIME)}))
    mine = bucket_of(pa.array(users), 2).tolist().index(1)
    loader = Loader(
        lake, Tenant("t", {"g": Group(["name"])}), 4, follow=True, poll_s=0.01, threads=1
    )
    for number, batch in enumerate(loader):
        if number == 1:
            for file in Path(lake.path, "uih").glob("bucket0-*"):
                file.unlink()
            times = pa.array([10], TIME)
            lake.append(pa.table({"user_id": [mine], "event_ts": times, "name": ["new"]}))
            lake.log(pa.table({"user_id": [mine] * 4, "request_ts": pa.array([11] * 4, TIME)}))
        if number == 2:
            assert batch["g"].values["name"].tolist() == [mine + 1, 9] * 4
            loader.stop()
    assert loader.dictionaries["events"]["name"] == [*names, "new"]


def test_a_look_that_finds_nothing_new_reads_no_file(lake: Lake) -> None:
    """Those that a selection reads are gone."""
    lake.forget([3])
    wanted = Wanted(lake, [SHORT], None, "raise")
    newest = wanted.select().examples.newest_log
    for file in Path(lake.path, "forgotten").glob("*.parquet"):
        file.unlink()
    assert wanted.newer(newest) is None
    with pytest.raises(CorruptionError, match="is missing"):
        wanted.newer(newest - 1)


def test_nothing_follows_in_a_worker_process(lake: Lake) -> None:
    import pickle

    with pytest.raises(UihError, match="worker process"):
        pickle.dumps(Loader(lake, SHORT, follow=True))

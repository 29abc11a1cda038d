"""Logs of few examples become one file, and nobody can tell but by the speed.

A lake is compared with its copy that was compacted: files have the same names in both, so that the
state of a loader of one is a state of the other.
"""

from __future__ import annotations

import json
import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_lakes import NUMBERS, SHORT, TENANT, build, events, frozen, requests, rows

from uih_lake import InputError, Lake, names
from uih_lake.lake import logs, parquet
from uih_lake.lake.store import Store
from uih_lake.lake.tables import File
from uih_lake.loader import Loader

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

USERS = list(range(24))
WHERE = [None, "label = 1", "log_version > 4", "log_version IN (2, 3, 7)"]
EVERYTHING = "SELECT * EXCLUDE (generation) FROM examples ORDER BY example_id"


def add(lake: Lake, first: int, count: int) -> None:
    """Further logs of ten examples, one of them live, and what they saw."""
    wide = "country" in lake.sql("FROM examples").columns
    draw = random.Random(first)
    for number in range(count):
        lake.append(events(draw, USERS, 20))
        asked = requests(draw, USERS, 10, first + 10 * number)
        if wide:
            asked = asked.append_column("country", pa.array(["no"] * 10))
        lake.log(asked, live=number == 1)


def copied(lake: Lake, path: Path) -> Lake:
    """The same lake, file by file."""
    shutil.copytree(lake.path, path)
    return Lake.open(path)


def compacted(lake: Lake, files: int = 1) -> Lake:
    """The lake, its logs in so many files."""
    lake.seal()
    lake.compact()
    assert len(logs.of(Store.open(lake.path))) == files
    assert lake.verify().passed
    return lake


def everything(lake: Lake) -> list[Any]:
    return lake.sql(EVERYTHING).to_arrow_table().to_pylist()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Eight logs, three of them of more than ten examples, the rest of ten.

    With columns and labels that came later.
    """
    lake = build(tmp_path_factory.mktemp("built") / "lake")
    add(lake, 200, 2)
    wider = requests(random.Random(5), USERS, 10, 300)
    lake.log(wider.append_column("country", pa.array(["se", None] * 5)), add_columns=True)
    add(lake, 400, 2)
    bought = {"example_id": [1, 45, 205, 305], "bought": [True, False, None, True]}
    assert lake.label(pa.table(bought)) == 4
    return lake


@pytest.fixture
def lake(built: Lake, tmp_path: Path) -> Lake:
    """One of its own, to be changed."""
    return copied(built, tmp_path / "lake")


@pytest.fixture(scope="module")
def merged(built: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The same, compacted."""
    return compacted(copied(built, tmp_path_factory.mktemp("merged") / "lake"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("order", ["affinity", "user", "time", "log"])
def test_examples_and_batches_are_those_there_were(
    built: Lake, merged: Lake, order: str, where: str
) -> None:
    assert everything(merged) == everything(built)
    options: Any = {"order": order, "where": where, "masks": True}
    batches = [[frozen(b) for b in Loader(each, TENANT, 16, **options)] for each in (built, merged)]
    assert batches[0] == batches[1] != []


def test_a_log_version_can_be_asked_for(merged: Lake) -> None:
    found = merged.sql(
        "SELECT log_version, count(*) FROM examples GROUP BY 1 ORDER BY 1"
    ).fetchall()
    sizes = [40, 70, 30, 10, 10, 10, 10, 10]
    assert found == list(enumerate(sizes))
    assert sorted(merged.sql("FROM examples").columns) == sorted(
        [*names.EXAMPLE_COLUMNS, "label", "surface", "candidates", "asked", "country", "bought"]
    )


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("taken", [1, 3])
def test_a_state_saved_before_is_good_afterwards(lake: Lake, taken: int, where: str) -> None:
    """Of the logs there were, the last of which then lies in the midst of a file; both ways."""
    loader = Loader(lake, NUMBERS, 8, where=where)
    whole = [frozen(batch) for batch in Loader(lake, NUMBERS, 8, where=where)]
    iterator = iter(loader)
    assert [frozen(next(iterator)) for _ in range(taken)] == whole[:taken]
    state = json.loads(json.dumps(loader.state_dict()))
    iterator.close()  # type: ignore[attr-defined]
    add(lake, 600, 3)
    apart = copied(lake, Path(f"{lake.path}-apart"))
    compacted(lake)
    for each in (lake, apart):
        resumed = Loader(each, NUMBERS, 8, where=where)
        resumed.load_state_dict(state)
        again = json.loads(json.dumps(resumed.state_dict()))
        assert [frozen(batch) for batch in resumed] == whole[taken:]
        assert again == state
    resumed = Loader(apart, NUMBERS, 8, where=where)
    resumed.load_state_dict(again)
    assert [frozen(batch) for batch in resumed] == whole[taken:]


def test_a_follower_takes_what_is_new_from_a_file_that_has_the_rest_too(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 16, follow=True, poll_s=0.01, masks=True)
    followed, seen, states = [], 0, []
    for batch in loader:
        followed.append(rows([batch]))
        seen += len(followed[-1])
        states.append(loader.state_dict())
        if len(followed) == 10:  # 150 of 190: the next ask for what comes
            add(lake, 600, 2)
            compacted(lake)
        if len(followed) == 12:
            add(lake, 700, 2)
            compacted(lake)
        if seen >= 224:
            loader.stop()
    assert seen == 230
    assert followed == [rows([b]) for b in Loader(lake, SHORT, 16, order="log", masks=True)]
    for taken, state in enumerate(states, 1):
        resumed = Loader(lake, SHORT, 16, follow=True, masks=True)
        resumed.load_state_dict(state)
        resumed.stop()
        assert [rows([batch]) for batch in resumed] == followed[taken:]


def test_a_state_can_be_saved_when_the_files_are_gone(lake: Lake) -> None:
    compacted(lake)
    whole = [frozen(batch) for batch in Loader(lake, NUMBERS, 16)]
    loader = Loader(lake, NUMBERS, 16)
    iterator = iter(loader)
    next(iterator)
    add(lake, 600, 2)
    compacted(lake)
    lake.vacuum(retain_hours=0)
    state = loader.state_dict()
    iterator.close()  # type: ignore[attr-defined]
    resumed = Loader(lake, NUMBERS, 16)
    resumed.load_state_dict(state)
    assert [frozen(batch) for batch in resumed] == whole[1:]


def test_labels_matter_only_where_the_condition_speaks_of_them(lake: Lake) -> None:
    compacted(lake)
    states = {where: Loader(lake, NUMBERS, 16, where=where).state_dict() for where in WHERE}
    labels = {"label": pa.array([1, 0], pa.float32())}
    assert lake.label(pa.table({"example_id": [3, 205], **labels})) == 2
    told = lake.sql(
        "SELECT example_id, label, log_version FROM examples WHERE example_id IN (3, 205)"
    )
    assert sorted(told.fetchall()) == [(3, 1.0, 0), (205, 0.0, 3)]
    add(lake, 600, 2)
    compacted(lake)
    for where, state in states.items():
        loader = Loader(lake, NUMBERS, 16, where=where)
        if where == "label = 1":
            with pytest.raises(InputError, match="or other labels that where speaks of"):
                loader.load_state_dict(state)
        else:
            loader.load_state_dict(state)


def test_users_are_forgotten_in_a_file_of_several_logs(lake: Lake) -> None:
    compacted(lake)
    state = Loader(lake, NUMBERS, 16).state_dict()
    left = [row for row in everything(lake) if row["user_id"] != 3]
    assert lake.forget([3])["examples"] > 0
    assert everything(lake) == left
    assert lake.verify().passed
    with pytest.raises(InputError, match="another lake"):
        Loader(lake, NUMBERS, 16).load_state_dict(state)
    state, batches = (
        Loader(lake, NUMBERS, 16).state_dict(),
        [*map(frozen, Loader(lake, NUMBERS, 16))],
    )
    add(lake, 600, 2)
    compacted(lake)
    assert [row for row in everything(lake) if row["example_id"] < 600] == left
    resumed = Loader(lake, NUMBERS, 16)
    resumed.load_state_dict(state)
    assert [*map(frozen, resumed)] == batches


def test_an_erasure_concerns_the_states_that_had_the_examples(tmp_path: Path) -> None:
    """Of four logs in one file the third loses some, and the fourth all."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events(random.Random(0), USERS, 100))
    states = []
    for number, users in enumerate([[1], [2], [2, 9], [9]]):
        asked = requests(random.Random(number), users * 30, 20, 20 * number)
        lake.log(asked.filter(pc.field("user_id") >= 0))
        states.append(Loader(lake, NUMBERS, 4, order="log").state_dict())
    compacted(lake)
    left = [row for row in everything(lake) if row["user_id"] != 9]
    lake.forget([9])
    compacted(lake)
    assert everything(lake) == left
    for state in states[:2]:
        Loader(lake, NUMBERS, 4, order="log").load_state_dict(state)
    for state in states[2:]:
        with pytest.raises(InputError, match="another lake"):
            Loader(lake, NUMBERS, 4, order="log").load_state_dict(state)
    (file,) = logs.of(store := Store.open(lake.path))
    assert [part.log_version for part in file.parts(store.pages)] == [0, 1, 2]


def test_an_erasure_may_leave_an_older_log_alone(tmp_path: Path) -> None:
    """In a file that is still of the newest: the state of who has it is as good as ever."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events(random.Random(0), USERS, 100))
    states = []
    for number, user in enumerate([1, 9, 9]):
        asked = requests(random.Random(number), [user] * 30, 20, 20 * number)
        lake.log(asked.filter(pc.field("user_id") >= 0))
        states.append(Loader(lake, NUMBERS, 4, order="log").state_dict())
    compacted(lake)
    left = [row for row in everything(lake) if row["user_id"] != 9]
    lake.forget([9])
    assert everything(lake) == left
    assert {row["log_version"] for row in left} == {0}
    Loader(lake, NUMBERS, 4, order="log").load_state_dict(states[0])
    with pytest.raises(InputError, match="another lake"):
        Loader(lake, NUMBERS, 4, order="log").load_state_dict(states[1])
    lake.label(
        pa.table({"example_id": [left[0]["example_id"]], "label": pa.array([1.0], pa.float32())})
    )
    Loader(lake, NUMBERS, 4, order="log").load_state_dict(states[0])


def test_a_log_that_is_gone_leaves_the_next_its_number(tmp_path: Path) -> None:
    """The file that comes after it is of one log, though it looks as if it were of two."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events(random.Random(0), USERS, 100))
    for number, user in enumerate([1, 2, 3]):
        lake.log(requests(random.Random(number), [user] * 30, 20, 20 * number))
    lake.forget([2, -1])
    assert [file.first for file in logs.of(Store.open(lake.path))] == [0, 1]
    kept, state = everything(lake), Loader(lake, NUMBERS, 4, order="log").state_dict()
    assert {row["log_version"] for row in kept} == {0, 2}
    compacted(lake)
    assert everything(lake) == kept
    Loader(lake, NUMBERS, 4, order="log").load_state_dict(state)


def test_nothing_is_written_where_there_is_nothing_to_merge(lake: Lake) -> None:
    compacted(lake)
    version = Store.open(lake.path).examples.version
    compacted(lake)
    assert Store.open(lake.path).examples.version == version


def test_only_so_much_is_merged_at_once_as_memory_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    lake.append(events(random.Random(0), USERS, 100))
    lake.seal()
    for number in range(8):
        lake.log(requests(random.Random(number), USERS, 10, 10 * number))
    before = everything(lake)
    store = Store.open(lake.path)
    sizes = [pq.read_table(file.path).nbytes for file in logs.of(store)]
    monkeypatch.setattr(logs, "_MOST_MEMORY", 3 * max(sizes) + 1000)  # with their logs
    compacted(lake, files=3)
    files = logs.of(Store.open(lake.path))
    assert [(file.first, file.last) for file in files] == [(0, 2), (3, 5), (6, 7)]
    assert everything(lake) == before
    monkeypatch.setattr(logs, "_MOST_MEMORY", 1)
    compacted(lake, files=3)


def test_verify_finds_an_example_of_a_log_that_is_not_in_its_file(lake: Lake) -> None:
    compacted(lake)
    store = Store.open(lake.path)
    (file,) = logs.of(store)
    table = pq.read_table(file.path)
    place = table.schema.get_field_index(names.OWN_LOG)
    beyond = pa.array([*table.column(place).to_pylist()[:-1], 8])
    new = parquet.write(
        store.examples.root,
        table.set_column(place, names.OWN_LOG, beyond),
        dict(file.file.partition),
    )
    store.examples.commit([new], [file.file])
    failed = [check for check in lake.verify().checks if check.failed]
    assert [check.name for check in failed] == ["versions"]
    assert "has log versions 0 to 8" in failed[0].first_failures[0]


def listed(sizes: list[list[tuple[int, int]]]) -> logs.Files:
    """Files of logs, each as (rows, bytes)."""
    return tuple(
        logs.LogFile(File("", size, rows, {}), "", number, number)
        for number, of_log in enumerate(sizes)
        for rows, size in of_log
    )


def too_much(files: logs.Files) -> bool:
    rows, size = sum(file.rows for file in files), sum(file.size for file in files)
    return rows > logs._MOST_ROWS or size > logs._MOST_BYTES or len(files) > 4096


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 10) | st.integers(0, 2 * logs._MOST_ROWS),
                st.integers(0, 10) | st.integers(0, 2 * logs._MOST_BYTES),
            ),
            min_size=1,
            max_size=3,
        ),
        max_size=30,
    )
)
def test_files_become_as_large_as_they_may_be(sizes: list[list[tuple[int, int]]]) -> None:
    files = listed(sizes)
    alone = {file.last for file, other in pairwise(files) if file.last == other.last}
    groups = [*logs.together(files)]
    assert tuple(file for group in groups for file in group) == files
    for group in groups:
        assert len(group) == 1 or not (too_much(group) or alone & {file.last for file in group})
    for group, after in pairwise(groups):
        apart = alone & {group[-1].last, after[0].last}
        assert apart or too_much((*group, after[0])), "they could have been together"


def test_a_note_is_of_a_bounded_number_of_logs() -> None:
    files = listed([[(1, 1)]] * 10_000)
    assert [len(group) for group in logs.together(files)] == [4096, 4096, 1808]

"""Eight processes append and log while one seals and compacts and two read.

In the end everything is there once; and no reader ever saw anything but whole lake versions, or a
pointer that it could not prove.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from durability import crowd
from durability.checks import compare
from durability.forks import forks
from durability.model import Model

from uih_lake import Lake

WRITERS = 8
READERS = 2
ROUNDS = 40 if os.environ.get("UIH_SOAK") == "1" else 5


def test_a_crowd_loses_nothing_and_sees_only_whole_versions(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=3)
    lake.append(crowd.event_table(crowd.rows(WRITERS, 0)))
    size = WRITERS + READERS + 1
    start, over = forks.Barrier(size), forks.Event()
    with ProcessPoolExecutor(size, forks, crowd.meet, (start, over)) as pool:
        writers = [pool.submit(crowd.write, lake.path, me, ROUNDS) for me in range(WRITERS)]
        keeper = pool.submit(crowd.keep, lake.path)
        readers = [pool.submit(crowd.read, lake.path) for _ in range(READERS)]
        try:
            written = [writer.result() for writer in writers]
        finally:
            over.set()
        looks = [reader.result() for reader in readers]
        generations = keeper.result()
    assert generations == sorted(generations)
    for seen in looks:
        assert seen, "a reader looked at least once"
        newest = [check_look(each) for each in seen]
        assert newest == sorted(newest), "a reader never goes back"
    check_end(Lake.open(lake.path), written)


def check_look(seen: list[tuple[int, int, int]]) -> int:
    """Every lake version up to the newest is there, whole and once; the newest."""
    assert [version for version, _, _ in seen] == list(range(len(seen)))
    assert {(events, items) for _, events, items in seen} == {(crowd.ROWS, crowd.ROWS)}
    return len(seen) - 1


def check_end(lake: Lake, written: list[tuple[list[int], list[tuple[int, list[int]]]]]) -> None:
    """All that was written is there, under the versions and ids that the writers were told."""
    appended = {
        version: crowd.rows(writer, number)
        for writer, (versions, _) in enumerate(written)
        for number, version in enumerate(versions)
    }
    assert sorted(appended) == list(range(1, WRITERS * ROUNDS + 1)), "no holes, none twice"
    model = Model()
    model.append(crowd.rows(WRITERS, 0))
    logged = {
        ids[0]: (pinned, ids, writer, number)
        for writer, (_, logs) in enumerate(written)
        for number, (pinned, ids) in enumerate(logs)
    }
    ids = [one for _, them, _, _ in logged.values() for one in them]
    assert sorted(ids) == list(range(WRITERS * ROUNDS * crowd.REQUESTS)), "ids are unique"
    by_version: dict[int, list[int]] = {}
    for first, (pinned, *_) in logged.items():
        by_version.setdefault(pinned, []).append(first)
    for version in range(WRITERS * ROUNDS + 1):
        if version:
            assert model.append(appended[version]) == version
        for first in by_version.get(version, []):
            _, them, writer, number = logged[first]
            assert them == list(range(first, first + crowd.REQUESTS))
            model.log(crowd.requests(writer, number), number % 2 == 0, first)
    report = lake.verify()
    assert report.passed, report
    compare(lake, model, model.visible, model.examples)
    lake.seal()
    lake.compact()
    lake.vacuum(retain_hours=0)
    compare(lake, model, model.visible, model.examples)


@pytest.mark.parametrize("again", range(2))
def test_one_process_of_many_brings_a_keyed_append_in(tmp_path: Path, again: int) -> None:
    """The same keys from every process: each append is there once, whoever was first."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    start, over = forks.Barrier(4), forks.Event()
    with ProcessPoolExecutor(4, forks, crowd.meet, (start, over)) as pool:
        told = [pool.submit(crowd.write, lake.path, 0, 4) for _ in range(4)]
        versions = [one.result()[0] for one in told]
    assert all(each == versions[0] for each in versions)
    assert versions[0] == [0, 1, 2, 3]
    assert crowd.look(lake) == [(version, crowd.ROWS, crowd.ROWS) for version in range(4)]
    assert lake.verify().passed

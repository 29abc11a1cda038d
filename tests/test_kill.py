"""kill -9 at any instant: afterwards nothing is lost, nothing is there twice, and work goes on.

A child does deeds to a lake, each known by its number, and writes down when it begins one and when
it is done. It is killed at an instant drawn from a seed, counted from when it reports to be ready.
What it had written down as done must be there; the one deed it had begun may be there or not, but
whole; and doing that deed again must simply work.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Set
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from durability import victim
from durability.checks import compare, data_files, live_files
from durability.deeds import IDS, TENANT, VERBS, Deed, do, done
from durability.forks import forks
from durability.model import Model

from uih_lake import Lake, LakeError
from uih_lake.errors import InputError
from uih_lake.pointers.policy import Counts

LONGEST = 0.6
"""Seconds a child lives at most once it is ready: a handful of deeds."""


class Scene:
    """A lake, the model of it, and the deeds it has seen."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.model = Model()
        self.killed: Counter[str] = Counter()
        lake = Lake.create(folder / "lake", buckets=2)
        for number in (0, 1):  # there is something to rebuild whatever comes first
            do(Deed.of(number), lake, folder)
            done(Deed.of(number), self.model)
        self.last = self.random.randrange(1, len(VERBS))

    def kill(self) -> Deed | None:
        """Let a child work, kill it, and take over what it did; the deed that was interrupted."""
        here, there = forks.Pipe(duplex=False)
        child = forks.Process(target=victim.live, args=(self.folder, self.last + 1, there))
        child.start()
        assert here.recv() == "ready"
        child.join(self.random.uniform(0, LONGEST))
        assert child.exitcode is None, "the child failed by itself"
        child.kill()
        child.join()
        complete, begun = victim.read(self.folder, self.last)
        assert complete == list(range(self.last + 1, self.last + 1 + len(complete)))
        for number in complete:
            done(Deed.of(number), self.model)
        self.last += len(complete)
        return None if begun is None else Deed.of(begun)

    def settle(self, deed: Deed) -> None:
        """Find out whether the interrupted deed took effect, wholly, and do it again."""
        self.killed[deed.verb] += 1
        self.last = deed.number
        lake = Lake.open(self.folder / "lake")
        getattr(self, f"after_{deed.verb}", self.after_the_rest)(deed, lake)

    def after_append(self, deed: Deed, lake: Lake) -> None:
        happened = lake.version == self.model.version + 1
        if happened:
            done(deed, self.model)
            self.check(lake)
        again = do(deed, lake, self.folder)
        done(deed, self.model)
        assert again == self.model.version, "an append with its key adds once"

    def after_log(self, deed: Deed, lake: Lake) -> None:
        query = f"SELECT count(*) FROM examples WHERE example_id // {IDS} = {deed.number}"
        found = lake.sql(query).fetchall()[0][0]
        assert found in (0, len(deed.requests())), "a part of the log is there"
        done(deed, self.model)
        if found:
            with pytest.raises(InputError, match="logged before"):
                do(deed, lake, self.folder)
        else:
            do(deed, lake, self.folder)

    def after_forget(self, deed: Deed, lake: Lake) -> None:
        counts = Counts()
        lake.materialize(TENANT, on_mismatch="keep", counts=counts).read_all()
        assert counts.mismatch == 0, "a half-done forget is told apart from a damaged history"
        do(deed, lake, self.folder)
        done(deed, self.model)

    def after_retain(self, deed: Deed, lake: Lake) -> None:
        do(deed, lake, self.folder)
        done(deed, self.model)

    def after_create(self, deed: Deed, lake: Lake) -> None:
        path = self.folder / f"lake{deed.number}"
        try:
            made = Lake.open(path)
        except LakeError:
            do(deed, lake, self.folder)
            made = Lake.open(path)
        assert made.version == -1

    def after_the_rest(self, deed: Deed, lake: Lake) -> None:
        """What changes no meaning: the lake is as it was before it is done again."""
        self.check(lake)
        do(deed, lake, self.folder)

    def check(self, lake: Lake) -> None:
        """Everything is there, once, and proves itself."""
        report = lake.verify()
        assert report.passed, report
        assert lake.version == self.model.version
        compare(lake, self.model, self.model.visible, self.model.examples)

    def check_files(self, lake: Lake) -> None:
        """What killed children left behind goes with the next vacuum and the next output."""
        lake.vacuum(retain_hours=0)
        assert data_files(self.folder / "lake") == live_files(self.folder / "lake")

    def check_output(self) -> None:
        """A directory of outputs is whole or not there."""
        out = self.folder / "out"
        if out.exists():
            parts = sorted(out.iterdir())
            assert [part.suffix for part in parts] == [".parquet"] * len(parts)
            sum(pq.read_table(part).num_rows for part in parts)


def survive(folder: Path, seed: int, kills: int, verbs: Set[str] = frozenset()) -> Counter[str]:
    """Kill this often, and up to three times as often until all of some ``verbs`` were interrupted.

    Returns the deeds that were interrupted, by verb.
    """
    scene = Scene(folder, seed)
    for number in range(3 * kills):
        if number >= kills and verbs <= scene.killed.keys():
            break
        interrupted = scene.kill()
        scene.check_output()
        if interrupted is not None:
            scene.settle(interrupted)
        lake = Lake.open(folder / "lake")
        if number % 4 == 3:
            scene.check_files(lake)
        scene.check(lake)
    return scene.killed


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_process_leaves_a_whole_lake(tmp_path: Path, seed: int) -> None:
    print(dict(survive(tmp_path, seed, 10)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 106))
def test_many_killed_processes_leave_a_whole_lake(tmp_path: Path, seed: int) -> None:
    verbs = {"append", "log", "seal", "compact", "materialize"}
    killed = survive(tmp_path, seed, 50, verbs)
    assert killed.keys() >= verbs, killed

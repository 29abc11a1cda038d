"""Threads: what goes wrong in one reaches the consumer, and none is left behind."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from loader_lakes import (
    EVENTS,
    NUMBERS,
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
from torch.utils.data import DataLoader

from uih_lake import CorruptionError, Group, InputError, Lake, Tenant, UihError
from uih_lake.hashing import bucket_of
from uih_lake.loader import Loader
from uih_lake.loader.assemble import Assembly, Part
from uih_lake.loader.follow import Wanted


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own, to be damaged or to grow."""
    return build(tmp_path / "lake")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("uih-")] == []


def test_what_a_thread_raises_reaches_the_consumer(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 8, threads=2)
    victim = next(Path(lake.path, "uih").glob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(CorruptionError, match=victim.name) as caught:
        list(loader)
    assert caught.traceback[-1].name != "take"
    assert caught.value.__cause__ is not None, "what the reader of the file said"


def test_what_a_worker_process_raises_reaches_the_consumer(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 8)
    victim = next(Path(lake.path, "uih").glob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-100])
    spawned = DataLoader(loader, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(CorruptionError, match=victim.name):
        list(spawned)


@pytest.mark.parametrize("tenant", [TENANT, SHORT], ids=["lists, several groups", "one group"])
def test_a_batch_that_is_copied_in_parts_is_what_it_is_in_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tenant: Tenant
) -> None:
    whole = [frozen(batch) for batch in Loader(lake, tenant, 64, threads=3)]
    cut: list[int] = []
    parts = Assembly.parts

    def counted(assembly: Assembly) -> list[Part]:
        found = parts(assembly)
        cut.append(len(found))
        return found

    monkeypatch.setattr(Assembly, "parts", counted)
    monkeypatch.setattr("uih_lake.loader.assemble.PART_BYTES", 100)
    assert [frozen(batch) for batch in Loader(lake, tenant, 64, threads=3)] == whole
    assert max(cut) >= 8


class Overtaken(threading.Condition):
    """Who begins a batch goes on when the parts it offers have been taken by somebody else."""

    waiting = threading.Lock()  # one at a time, so that there is somebody else

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        caller = sys._getframe(1)
        if caller.f_code.co_name == "_start" and self.waiting.acquire(blocking=False):
            filling, deadline = caller.f_locals["filling"], time.monotonic() + 60
            while filling.parts and time.monotonic() < deadline:
                with self:
                    self.notify_all()
                time.sleep(0.001)
            self.waiting.release()
            assert not filling.parts, "nobody took them"


def test_a_batch_whose_only_part_another_thread_takes_is_finished_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [frozen(batch) for batch in Loader(lake, NUMBERS, 16, threads=2)]
    slow = SimpleNamespace(
        Condition=Overtaken, Thread=threading.Thread, current_thread=threading.current_thread
    )
    monkeypatch.setattr("uih_lake.loader.pipeline.threading", slow)
    assert [frozen(batch) for batch in Loader(lake, NUMBERS, 16, threads=2)] == whole


def test_a_consumer_may_stop_early(lake: Lake) -> None:
    for batch in Loader(lake, SHORT, 4, prefetch=2):
        assert len(batch) == 4
        break


def test_a_consumer_may_raise(lake: Lake) -> None:
    def train() -> None:
        for _ in Loader(lake, SHORT, 4, threads=3):
            raise ValueError("no gradient")

    with pytest.raises(ValueError, match="no gradient"):
        train()


def test_an_iterator_that_is_dropped_takes_its_threads_along(lake: Lake) -> None:
    iterator = iter(Loader(lake, SHORT, 4))
    next(iterator)
    del iterator


def test_two_iterations_can_go_on_at_once(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 16)
    first, second = iter(loader), iter(loader)
    pairs = list(zip(first, second, strict=True))
    assert [ids(a) for a, _ in pairs] == [ids(b) for _, b in pairs]


TESTS = str(Path(__file__).parent)
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from loader_lakes import SHORT
from uih_lake import Lake
from uih_lake.loader import Loader
loader = Loader(Lake.open({lake!r}), SHORT, 1, prefetch=2)
iterator = iter(loader)
next(iterator)
print("ready", flush=True)
{then}
"""


def script(lake: Lake, then: str) -> subprocess.Popen[str]:
    """A training script that has begun to iterate."""
    started = start(["-c", SCRIPT.format(tests=TESTS, lake=lake.path, then=then)])
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_script_that_ends_in_the_middle_of_an_epoch_ends(lake: Lake) -> None:
    started = script(lake, "sys.exit(3)")
    _, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (3, "")


ENDLESS = """
for _ in iter(int, 1):
    for batch in loader:
        pass
"""


def test_ctrl_c_in_the_middle_of_training_leaves_nothing(lake: Lake) -> None:
    started = script(lake, ENDLESS)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert started.returncode == -signal.SIGINT
    assert shared_memory_of(started.pid) == []


WORKERS = """
import sys
sys.path.insert(0, {tests!r})
from loader_lakes import SHORT
from torch.utils.data import DataLoader
from uih_lake import Lake
from uih_lake.loader import Loader
if __name__ == "__main__":
    loader = Loader(Lake.open({lake!r}), SHORT, 1)
    spawned = DataLoader(loader, None, num_workers=2, multiprocessing_context="spawn")
    iterator = iter(spawned)
    next(iterator)
    print(*(worker.pid for worker in iterator._workers), flush=True)
    sys.stdin.read()
"""


def test_a_killed_trainer_takes_its_worker_processes_along(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(WORKERS.format(tests=TESTS, lake=lake.path))
    started = start([str(file)])
    assert started.stdout is not None
    workers = [int(pid) for pid in started.stdout.readline().split()]
    assert len(workers) == 2
    started.kill()
    # Its output ends when the last process that could write to it has ended.
    _, errors = started.communicate(timeout=120)
    assert "Traceback" not in errors
    assert [name for pid in (started.pid, *workers) for name in shared_memory_of(pid)] == []


def shared_memory_of(pid: int) -> list[str]:
    """Files of a process that outlived it; torch and Python name them by the process."""
    return [name for name in os.listdir("/dev/shm") if str(pid) in name]


def test_ctrl_c_interrupts_the_wait_for_a_batch(lake: Lake) -> None:
    waiting = "for batch in Loader(Lake.open({!r}), SHORT, follow=True, poll_s=60): pass"
    started = script(lake, waiting.format(lake.path))
    deadline = time.monotonic() + 60
    while started.poll() is None and time.monotonic() < deadline:
        started.send_signal(signal.SIGINT)
        try:
            started.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
    _, errors = started.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert started.returncode not in (None, 0)


class TestFollow:
    def test_examples_come_as_they_are_logged_and_as_a_replay_gives_them(self, lake: Lake) -> None:
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

    def test_a_follower_goes_on_from_a_state(self, lake: Lake) -> None:
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

    def test_a_follower_goes_on_from_a_state_saved_behind_what_came_later(self, lake: Lake) -> None:
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

    def test_a_stopped_follower_begins_anew_with_all_there_is(self, lake: Lake) -> None:
        loader = Loader(lake, SHORT, 16, follow=True, poll_s=0.01)
        for number, _ in enumerate(loader):
            if number == 7:
                lake.log(requests(random.Random(3), list(range(24)), 30, 500), live=True)
            if number == 8:
                loader.stop()
        again = [ids(batch) for batch in loader]
        assert again == [ids(batch) for batch in Loader(lake, SHORT, 16, order="log")]

    def test_pointers_are_counted_from_the_beginning_on(self, lake: Lake) -> None:
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

    def test_a_state_that_is_loaded_starts_the_counts_over(self, lake: Lake) -> None:
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

    def test_ranks_that_follow_get_what_ranks_that_replay_get(self, lake: Lake) -> None:
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

    def test_strings_that_are_new_get_new_codes(self, lake: Lake) -> None:
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

    def test_strings_are_looked_for_in_what_is_new(self, tmp_path: Path) -> None:
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

    def test_a_look_that_finds_nothing_new_reads_no_file(self, lake: Lake) -> None:
        """Those that a selection reads are gone."""
        lake.forget([3])
        wanted = Wanted(lake, [SHORT], None, "raise")
        newest = max(file.log_version for file in wanted.select().examples.files)
        for file in Path(lake.path, "forgotten").glob("*.parquet"):
            file.unlink()
        assert wanted.newer(newest) is None
        with pytest.raises(CorruptionError, match="is missing"):
            wanted.newer(newest - 1)

    def test_nothing_follows_in_a_worker_process(self, lake: Lake) -> None:
        import pickle

        with pytest.raises(UihError, match="worker process"):
            pickle.dumps(Loader(lake, SHORT, follow=True))


def test_meters_tell_who_waited(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 8, threads=1)
    delivered = list(loader)
    meters = loader.meters
    assert meters.batches == len(delivered)
    assert meters.examples == 140
    assert meters.events == sum(batch.events for batch in delivered)
    assert meters.waited_s > 0
    assert meters.bytes_read > 0
    assert set(meters.as_dict()) >= {"waited_s", "idle_s", "bytes_read", "queue_depth", "events"}
    with meters.live():  # no terminal: nothing is shown
        pass


def test_the_live_line_shows_the_meters(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, what it writes to is then a terminal
    loader = Loader(lake, SHORT, 8)
    with loader.meters.live():
        batches = len(list(loader))
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "0 batches" in shown
    assert f"{batches} batches" in shown
    last = shown.rpartition("batches")[2]
    for meter in ("M events/s", "0 ready", "waited", "idle", "read"):
        assert meter in last


def test_a_budget_bounds_the_buckets_in_memory(lake: Lake) -> None:
    def most(budget: int) -> tuple[int, int]:
        loader = Loader(lake, SHORT, 4, open_buckets=1, budget=budget)
        list(loader), list(loader)  # what is read again stays, where there is room
        held = 0
        for _ in loader:
            held = max(held, sum(opened.nbytes for opened in loader._engine.buckets))
        return held, len(loader._engine.buckets)

    everything, buckets = most(1 << 30)
    assert buckets == 3
    held, buckets = most(1)
    assert held < 0.7 * everything
    assert buckets == 1

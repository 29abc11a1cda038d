"""Threads: what goes wrong in one reaches the consumer, and none is left behind."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from loader_lakes import NUMBERS, SHORT, TENANT, build, frozen, ids
from torch.utils.data import DataLoader

from uih_lake import CorruptionError, Lake, Tenant
from uih_lake.loader import Loader
from uih_lake.loader.assemble import Assembly, Part

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own, to be damaged or to grow."""
    return build(tmp_path / "lake")


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
        if caller.f_code.co_name == "_begin" and self.waiting.acquire(blocking=False):
            copy, deadline = caller.f_locals["copy"], time.monotonic() + 60
            while copy.parts and time.monotonic() < deadline:
                with self:
                    self.notify_all()
                time.sleep(0.001)
            self.waiting.release()
            assert not copy.parts, "nobody took them"


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

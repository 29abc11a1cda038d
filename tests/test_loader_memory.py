"""The memory a batch lies in: it is not copied without need, used again, and never too early."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from loader_lakes import NUMBERS, build

from uih_lake import Lake
from uih_lake.gather.returns import Returns
from uih_lake.gather.ring import Ring
from uih_lake.loader import Batch, Loader
from uih_lake.loader.device import Device
from uih_lake.loader.loader import Turn
from uih_lake.loader.planner import Worker
from uih_lake.loader.source import Source
from uih_lake.session import cursor


class TestRing:
    def test_a_buffer_comes_back_when_nothing_of_it_is_left(self) -> None:
        ring = Ring(2)
        lease = ring.lease(1000)
        address = lease.address
        tensor = torch.from_numpy(lease.array(np.int64, 64, 10))[2:5]
        del lease
        gc.collect()
        other = ring.lease(1000)
        assert other.address != address
        del tensor
        assert ring.lease(1000).address == address
        assert ring.allocations == 2

    def test_a_buffer_too_small_makes_room_for_a_larger_one(self) -> None:
        ring = Ring(2)
        for size in (1000, 10**6, 2 * 10**6, 1000, 2 * 10**6):
            ring.lease(size)
        assert ring.allocations == 3
        assert ring.held_bytes < 3 * 10**6


def test_what_comes_back_runs_no_python() -> None:
    """An interrupt of the user's that came in there would be lost, and with it the buffer."""

    class Holder:
        pass

    returns: Returns[str] = Returns()
    holders = [Holder(), Holder(), Holder()]
    for value, holder in zip("abc", holders, strict=True):
        returns.lend(value, holder)
    assert list(returns.collect()) == []
    entered: list[str] = []
    sys.setprofile(lambda frame, event, _: entered.append(f"{event} {frame.f_code.co_name}"))
    del holders[1]
    sys.setprofile(None)
    assert [each for each in entered if each.startswith("call")] == []
    assert list(returns.collect()) == ["b"]
    holders.clear()
    del holder
    assert sorted(returns.collect()) == ["a", "c"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Sealed and compacted, so that a bucket is one run."""
    return build(tmp_path_factory.mktemp("lake") / "lake", dirty=False)


def test_a_sequence_that_lies_in_one_piece_is_not_copied(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 1)
    inside = outside = 0
    list(loader)  # what is read a second time stays where it can be looked at
    for batch in loader:
        spans = [
            (stored.values.ctypes.data, stored.values.nbytes)
            for opened in loader._engine.buckets
            for scan in opened.columns
            for stored in scan
        ]
        for values in batch["all"].values.values():
            assert isinstance(values, torch.Tensor)
            if len(values):
                here = any(a <= values.data_ptr() < a + size for a, size in spans)
                inside, outside = inside + here, outside + (not here)
    assert inside > outside
    assert inside > 100


def test_numbers_and_times_lie_in_the_buffers_of_the_engine() -> None:
    from uih_lake.loader.columns import columns

    schema = pa.schema([("item", pa.int64()), ("seen", pa.timestamp("us", "UTC"))])
    for column in columns(["item", "seen"], schema, {}, False, {}):
        values = pa.array([1, 2, 3], pa.int64()).view(schema.field(column.name).type)
        stored = column.loaded(pa.chunked_array([values]))
        assert stored.values.ctypes.data == values.buffers()[1].address
        assert torch.from_numpy(stored.values).data_ptr() == values.buffers()[1].address


def test_batches_are_copied_into_memory_that_is_used_again(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 8, prefetch=2, threads=1)
    for _ in range(4):
        for _batch in loader:
            pass
    assert loader.meters.batches == 4 * len(loader)
    assert loader._engine.ring.allocations <= 6


def test_buckets_of_a_window_are_held_only_by_batches_that_need_them(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 8, open_buckets=1)
    source = Source(loader._scope.selection, loader._scope.plan, loader.meters)
    planner = loader._planner(Turn(1, 0, 0, Worker()))
    batches = mixed = 0
    with cursor() as duck:
        for window in loader._scope.windows(loader._options, 0, 0):
            opened = {bucket: source.open(duck, bucket) for bucket in window.buckets}
            blocks = planner.lay(window, opened)
            old = [block for block in blocks if len(block.sources) > 1]
            assert old in ([], blocks[:1])
            assert all(len(block) == 1 for block in old), "only the first batch mixes windows"
            mixed += len(old)
            batches += sum(len(block) for block in blocks)
    batches += sum(len(block) for block in planner.rest())
    assert batches == len(loader)
    assert mixed > 0


def test_a_kept_batch_stays_as_it_was(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 8, prefetch=1)
    kept = list(loader)
    copies = [batch.map(torch.clone) for batch in kept]
    list(loader)
    for batch, copy in zip(kept, copies, strict=True):
        for one, other in zip(batch.tensors(), copy.tensors(), strict=True):
            assert torch.equal(one.nan_to_num(), other.nan_to_num())


def _nothing() -> None:
    pass


class Copy:
    """In place of a CUDA event: a copy that is under way for as long as a test says."""

    def __init__(self) -> None:
        self.done = self.waited_for = False
        self.when_asked: Callable[[], None] = _nothing
        self.when_waited_for: Callable[[], None] = _nothing

    def record(self, stream: Any) -> None:
        pass

    def query(self) -> bool:
        self.when_asked()
        return self.done

    def synchronize(self) -> None:
        self.waited_for = True
        self.when_waited_for()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """A GPU of which there is no more than what is told of its copies."""
    monkeypatch.setattr("torch.cuda.Stream", lambda device: None)
    monkeypatch.setattr("torch.cuda.stream", lambda stream: nullcontext())
    monkeypatch.setattr("torch.cuda.Event", Copy)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: True)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_, **__: tensor.clone())
    return Device("cuda")


def batch() -> Batch:
    """A batch of one example and no group."""
    return Batch(*(torch.zeros(1, dtype=torch.int64) for _ in range(3)), groups={}, context={})


def test_memory_is_kept_until_the_copy_from_it_is_done(device: Device) -> None:
    made = batch()
    memory = weakref.ref(made.request_ts)
    arrival = device.send(made)
    del made
    kept: list[bool] = []
    arrival.event.when_waited_for = lambda: kept.append(memory() is not None)
    device.close()
    assert kept == [True]
    assert memory() is None


def test_an_iteration_may_end_while_another_sends(device: Device) -> None:
    """Both are of one loader, so they have one device."""
    other = threading.Thread(target=device.close)

    def ends() -> None:
        other.start()
        other.join(0.2)

    first = device.send(batch()).event
    first.done, first.when_asked = True, ends
    second = device.send(batch()).event
    other.join()
    assert (first.waited_for, second.waited_for) == (False, True)

"""Where batches go: the CPU, or a GPU over page-locked memory and a stream of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uih_lake.errors import InputError
from uih_lake.gather.ring import Bytes, plain
from uih_lake.loader.batch import Batch
from uih_lake.loader.tensors import device_of


@dataclass(frozen=True)
class Arrival:
    """A batch on its way; :meth:`received` is called by the consumer."""

    batch: Batch
    event: Any = None

    def received(self) -> Batch:
        """The batch, ready for whatever the current stream does with it."""
        if self.event is not None:
            stream = torch.cuda.current_stream(self.batch.request_ts.device)
            stream.wait_event(self.event)
            self.batch.record_stream(stream)
        return self.batch


def check_device(device: torch.device | str | None) -> None:
    """Raise :class:`InputError` for a device that this machine does not have; None is the CPU."""
    wanted = device_of("cpu" if device is None else device)
    if wanted.type in ("cpu", "meta"):
        return
    accelerator = torch.accelerator.current_accelerator()
    kind = "" if accelerator is None else accelerator.type
    numbers = range(torch.accelerator.device_count())
    if wanted.type != kind or (wanted.index or 0) not in numbers:
        there = ", ".join(["cpu", *(f"{kind}:{number}" for number in numbers)])
        raise InputError(
            f"no device {str(wanted)!r} on this machine", hint=f"those there are: {there}"
        )


class Device:
    """Sends batches to one device."""

    def __init__(self, device: torch.device | str | None) -> None:
        self._device = torch.device("cpu" if device is None else device)
        self.on_cpu = self._device.type == "cpu"
        self._cuda = self._device.type == "cuda"
        self._stream: Any = (
            torch.cuda.Stream(self._device) if self._cuda else None  # type: ignore[no-untyped-call]
        )
        self._lock = threading.Lock()
        self._under_way: deque[tuple[Any, Batch]] = deque()

    @property
    def allocate(self) -> Callable[[int], Bytes]:
        """How buffers for batches are made: page-locked where they go to a GPU."""
        return _pinned if self._cuda else plain

    def send(self, batch: Batch) -> Arrival:
        """Start to move a batch; the copy runs beside whatever the trainer's stream does."""
        if self.on_cpu:
            return Arrival(batch)
        if not self._cuda:
            return Arrival(batch.to(self._device))
        host = batch.map(_page_locked)
        with torch.cuda.stream(self._stream):
            sent = host.to(self._device, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(self._stream)
        with self._lock:
            # The host's memory must not be used again before the copy has been done.
            self._under_way.append((event, host))
            while self._under_way and self._under_way[0][0].query():
                self._under_way.popleft()
        return Arrival(sent, event)

    def close(self) -> None:
        """Wait for copies under way and let go of their memory."""
        with self._lock:  # another iteration of the loader may send meanwhile
            waiting = [*self._under_way]
            self._under_way.clear()
        for event, _ in waiting:  # which keeps the memory of all of them until the end
            event.synchronize()


def _page_locked(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_pinned() else tensor.pin_memory()


def _pinned(size: int) -> Bytes:
    """Page-locked memory; numpy's view keeps the tensor alive."""
    memory: Bytes = np.asarray(torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy())
    return memory

"""Buffers that are used again: fresh memory costs ten times what warm memory does.

A :class:`Lease` is handed out with each buffer and everything made of it keeps it alive. The buffer
comes back by itself once nobody holds a part of it any more, so a consumer may keep a batch for as
long as it likes.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from uih_lake.gather.returns import Returns

ALIGNMENT = 64
_PAGE = 1 << 16
_SPARE = 1.25

Bytes = npt.NDArray[np.uint8]
Allocate = Callable[[int], Bytes]


def plain(size: int) -> Bytes:
    """Ordinary memory."""
    return np.empty(size, np.uint8)


class Lease:
    """The right to one buffer until every array made of it is gone."""

    def __init__(self, buffer: Bytes) -> None:
        self.address = int(buffer.__array_interface__["data"][0])
        # ctypes memory can be watched by a weak reference and keeps the buffer alive.
        self._memory = (ctypes.c_char * len(buffer)).from_buffer(buffer.data)

    def array(self, dtype: npt.DTypeLike, offset: int, count: int) -> npt.NDArray[Any]:
        """``count`` values at byte ``offset``; the memory is not given back while this lives."""
        values: npt.NDArray[Any] = np.frombuffer(memoryview(self._memory), dtype, count, offset)
        return values

    def lend(self, buffer: Bytes, returns: Returns[Bytes]) -> None:
        """Let ``buffer`` come back when the lease and all arrays made of it are gone."""
        returns.lend(buffer, self._memory)


class Ring:
    """Buffers for batches; the one that came back last, and is warmest, goes out first.

    ``allocations`` counts the buffers ever made, ``held_bytes`` is the size of those that exist.
    """

    def __init__(self, spare: int, allocate: Allocate = plain) -> None:
        self._allocate = allocate
        self._spare = spare
        self._free: list[Bytes] = []
        self._returns: Returns[Bytes] = Returns()
        self._lock = threading.Lock()
        self.allocations = 0
        self.held_bytes = 0

    def lease(self, size: int) -> Lease:
        """A buffer of at least ``size`` bytes."""
        with self._lock:
            self._collect()
            for place in range(len(self._free) - 1, -1, -1):
                if len(self._free[place]) >= size:
                    return self._out(self._free.pop(place))
            if self._free:  # too small for what batches have become
                self._let_go(1)
            self.allocations += 1
            capacity = -(-int(max(size, 1) * _SPARE) // _PAGE) * _PAGE
            self.held_bytes += capacity
            return self._out(self._allocate(capacity))

    def _out(self, buffer: Bytes) -> Lease:
        lease = Lease(buffer)
        lease.lend(buffer, self._returns)
        return lease

    def _collect(self) -> None:
        self._free += self._returns.collect()
        self._let_go(len(self._free) - self._spare)

    def _let_go(self, count: int) -> None:
        """Free the buffers that have not been used for longest."""
        for _ in range(count):
            self.held_bytes -= len(self._free.pop(0))

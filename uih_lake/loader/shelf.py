"""Opened buckets under a byte budget: what is read again and again stays.

A bucket that is read for the first time is let go when its window is through, and its warm memory
goes to the next one: fresh memory would cost more than an epoch that is not repeated gains. From
the second time on it stays as long as there is room.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from uih_lake.gather.returns import Returns
from uih_lake.gather.ring import Ring
from uih_lake.loader.source import Opened


class Shelf:
    """Buckets in memory; the budget covers them, what is being read, and the batches' buffers."""

    def __init__(self, budget: int, bucket_bytes: int, ring: Ring) -> None:
        self._budget = budget
        self._typical = max(bucket_bytes, 1)
        self._ring = ring
        self._lock = threading.Lock()
        self._shelf: OrderedDict[int, Opened] = OrderedDict()
        self._seen: set[int] = set()
        self._reading = 0
        self._held = 0
        self._returns: Returns[int] = Returns()

    def get(self, bucket: int) -> Opened | None:
        """A bucket that is still there."""
        with self._lock:
            opened = self._shelf.get(bucket)
            if opened is not None:
                self._shelf.move_to_end(bucket)
            return opened

    def reserve(self, must: bool) -> int:
        """Make room to read a bucket and return its bytes; 0 where there is no room.

        One that ``must`` be read may be, whatever room there is.
        """
        with self._lock:
            while self._used() + self._typical > self._budget and self._shelf:
                self._shelf.popitem(last=False)
            if not must and self._used() + self._typical > self._budget:
                return 0
            self._reading += self._typical
            return self._typical

    def give_back(self, reserved: int) -> None:
        """What was reserved is not being read any more."""
        with self._lock:
            self._reading -= reserved

    def put(self, opened: Opened) -> None:
        """Count a bucket that was read, and shelve it if that was not the first time."""
        size, bucket = opened.nbytes, opened.resolved.bucket
        self._returns.lend(size, opened)
        with self._lock:
            self._typical = max(self._typical, size)
            self._held += size
            if bucket in self._seen:
                self._shelf[bucket] = opened
            self._seen.add(bucket)

    def clear(self) -> None:
        """Let go of everything nobody uses."""
        with self._lock:
            self._shelf.clear()

    @property
    def buckets(self) -> list[Opened]:
        """What is there, the least recently used first."""
        with self._lock:
            return list(self._shelf.values())

    def _used(self) -> int:
        self._held -= sum(self._returns.collect())
        return self._held + self._reading + self._ring.held_bytes

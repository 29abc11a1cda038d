"""Opened buckets under a byte budget: what was read last stays for whoever needs it next."""

from __future__ import annotations

import queue
import weakref
from collections import OrderedDict

from uih_lake.gather.ring import Ring
from uih_lake.loader.source import Opened


class Shelf:
    """Buckets in memory; the budget covers them, what is being read, and the batches' buffers.

    Not locked: the pipeline calls it under its own lock.
    """

    def __init__(self, budget: int, bucket_bytes: int, ring: Ring) -> None:
        self._budget = budget
        self._typical = bucket_bytes
        self._ring = ring
        self._shelf: OrderedDict[int, Opened] = OrderedDict()
        self._reserved: dict[int, int] = {}
        self._held = 0
        # A bucket's memory is gone when its last user is, wherever that is.
        self._gone: queue.SimpleQueue[int] = queue.SimpleQueue()

    def get(self, bucket: int) -> Opened | None:
        """A bucket that is still there."""
        opened = self._shelf.get(bucket)
        if opened is not None:
            self._shelf.move_to_end(bucket)
        return opened

    def reserve(self, bucket: int, must: bool) -> bool:
        """Make room to read a bucket, or say that there is none; one that ``must`` be read may be.

        A bucket that is being read already is waited for.
        """
        if bucket in self._reserved:
            return False
        while self._used() + self._typical > self._budget and self._shelf:
            self._shelf.popitem(last=False)
        if not must and self._used() + self._typical > self._budget:
            return False
        self._reserved[bucket] = self._typical
        return True

    def put(self, bucket: int, opened: Opened) -> None:
        """Shelve a bucket that was reserved and read."""
        self._reserved.pop(bucket, None)
        self._typical = max(self._typical, opened.nbytes)
        self._held += opened.nbytes
        weakref.finalize(opened, self._gone.put, opened.nbytes).atexit = False
        self._shelf[bucket] = opened

    def forget_reads(self) -> None:
        """Whatever was being read is read no more."""
        self._reserved.clear()

    def clear(self) -> None:
        """Let go of everything nobody uses."""
        self._shelf.clear()

    def _used(self) -> int:
        while True:
            try:
                self._held -= self._gone.get_nowait()
            except queue.Empty:
                break
        return self._held + sum(self._reserved.values()) + self._ring.held_bytes

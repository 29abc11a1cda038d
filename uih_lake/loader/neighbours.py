"""Examples of one bucket after the other, read together with those of its neighbours.

A read takes milliseconds for however few examples (2.8 for one bucket of 1,000, 7.9 for fifty of
them side by side), so those of a whole neighbourhood are read at once and wait for the turn of
their bucket. In shuffled order that would soon be most of the examples of the lake, so only so many
neighbourhoods may wait; while there are as many, a bucket of another one is read alone.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Container

import duckdb
import pyarrow as pa

from uih_lake.selection import Selection

MOST = 32
"""Neighbourhoods of which some buckets may wait: of 50,000 examples each, 160 MB and their context.

A neighbourhood of which a bucket can wait has at least two, so a lake of 64 buckets has no more of
them than these, and none of its buckets is ever read alone.
"""


class Neighbours:
    """Reads the examples of ``selection`` by bucket; used by several threads."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._lock = threading.Lock()
        self._reading: defaultdict[range, threading.Lock] = defaultdict(threading.Lock)
        self._waiting: dict[range, dict[int, pa.Table]] = {}

    @property
    def waiting(self) -> int:
        """Examples that wait for the turn of their bucket."""
        with self._lock:
            return sum(t.num_rows for tables in self._waiting.values() for t in [*tables.values()])

    def examples(
        self, duck: duckdb.DuckDBPyConnection, bucket: int, done: Container[int]
    ) -> pa.Table:
        """:meth:`Selection.asked` of a bucket; neighbours that are ``done`` need not wait.

        A part of what was read together, which holds on to the memory of all of that. Raises
        :class:`CorruptionError`.
        """
        beside = self._selection.neighbourhood(bucket)
        with self._reading[beside]:
            asked = self._taken(duck, beside, bucket, done)
        return self._selection.asked(duck, bucket) if asked is None else asked

    def _taken(
        self, duck: duckdb.DuckDBPyConnection, beside: range, bucket: int, done: Container[int]
    ) -> pa.Table | None:
        """The examples of a bucket out of a neighbourhood; None where it is to be read alone."""
        waiting: dict[int, pa.Table] = {}
        try:
            if self._has_room_for(beside):
                read = self._selection.asked_beside(duck, bucket)
                waiting = {b: t for b, t in read.items() if b == bucket or b not in done}
            else:
                waiting = self._waiting.get(beside, waiting)
            return waiting.pop(bucket, None)
        finally:
            self._leave(beside, waiting)

    def _has_room_for(self, beside: range) -> bool:
        """Whether a neighbourhood is to be read; if so, its place is taken."""
        with self._lock:
            full = len(self._waiting) >= MOST
            if full or beside in self._waiting or len(beside) == 1:
                return False
            self._waiting[beside] = {}
            return True

    def _leave(self, beside: range, waiting: dict[int, pa.Table]) -> None:
        """Let what is left of a neighbourhood wait, or free its place."""
        with self._lock:
            if waiting:
                self._waiting[beside] = waiting
            else:
                self._waiting.pop(beside, None)

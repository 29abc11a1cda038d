"""What was lent and comes back by itself when whoever held it is gone."""

from __future__ import annotations

import queue
import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Returns(Generic[Value]):
    """Values that come back when what they were lent with is gone, from whatever thread that is.

    Memory is let go of in the middle of anything, even inside the holder's own locks, so values
    wait in a queue. They get there by a function that is no Python: Python raises a user's
    interrupt between two steps of its own, and one that is raised where memory is let go is
    printed and lost, and with it the value.
    """

    def __init__(self) -> None:
        self._lent: dict[int, _Lent] = {}
        self._back: queue.SimpleQueue[_Lent] = queue.SimpleQueue()

    def lend(self, value: Value, holder: Any) -> None:
        """``value`` comes back when ``holder``, which can be weakly referenced, is gone."""
        lent = _Lent(holder, self._back.put)
        lent.value = value
        self._lent[id(lent)] = lent

    def collect(self) -> Iterator[Value]:
        """What has come back since it was last asked for."""
        while True:
            try:
                lent = self._back.get_nowait()
            except queue.Empty:
                return
            yield self._lent.pop(id(lent)).value


class _Lent(weakref.ref[Any]):
    """A weak reference to a holder, with what it was lent."""

    __slots__ = ("value",)
    value: Any

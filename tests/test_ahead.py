"""Resolving ahead: in order, with errors in their place, and with nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from uih_lake.materialize import ahead


def test_what_is_resolved_ahead_comes_in_order_with_its_errors_and_leaves_no_thread() -> None:
    closed = []

    def items(last: int) -> Generator[int, None, None]:
        try:
            yield from range(last)
            raise LookupError("after the last")
        finally:
            closed.append(last)

    found = []
    with pytest.raises(LookupError, match="after the last"):
        for item in ahead(items(3)):
            found.append(item)
    assert found == [0, 1, 2]
    stopped = ahead(items(9))
    assert next(stopped) == 0
    stopped.close()
    assert closed == [3, 9]
    assert not [t for t in threading.enumerate() if t.name.startswith("uih-resolve")]

"""How those who wait for long work are told how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done, total) while long work goes on."""


def quiet(done: int, total: int) -> None:
    """Report nothing."""

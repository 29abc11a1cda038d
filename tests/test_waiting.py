"""Who has to wait for somebody else's work is told for whom."""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from small_lakes import events, requests

from uih_lake import Lake
from uih_lake.lake import locks

MAINTENANCE, WRITING, DECIDING = locks.LOCKS


class Heard(logging.Handler):
    """Remembers messages, and tells when the first one has come."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.some = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.some.set()


@pytest.mark.parametrize(
    ("name", "how", "call", "what"),
    [
        (MAINTENANCE, fcntl.LOCK_EX, Lake.seal, "another seal, compact"),
        (WRITING, fcntl.LOCK_EX, lambda it: it.append(events([1], [1])), "a vacuum"),
        (WRITING, fcntl.LOCK_SH, Lake.vacuum, "writers to finish"),
        (DECIDING, fcntl.LOCK_EX, lambda it: it.log(requests([1], [1])), "the first append"),
    ],
)
def test_a_long_wait_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: int,
    call: Callable[[Lake], object],
    what: str,
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_S", 0.05)
    lake, heard, log = Lake.create(tmp_path / "lake"), Heard(), logging.getLogger("uih_lake")
    waiting = threading.Thread(target=call, args=[lake])
    log.addHandler(heard)
    try:
        with Path(lake.path, name).open("a") as held:  # as another process would
            fcntl.flock(held, how)
            waiting.start()
            assert heard.some.wait(60)
            assert waiting.is_alive()
        waiting.join(60)
        assert not waiting.is_alive()
    finally:
        log.removeHandler(heard)
    (told,) = (each for each in heard.messages if "waiting" in each)
    assert told.startswith(f"{lake.path}: waiting for {what}")


def test_a_short_wait_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = Lake.create(tmp_path / "lake")
    waiting = threading.Thread(target=lake.seal)
    with Path(lake.path, MAINTENANCE).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting.start()
    waiting.join(60)
    assert not waiting.is_alive()
    assert caplog.messages == []

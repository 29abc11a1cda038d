"""Ctrl-C, SIGTERM and SIGHUP end what a command is at, in order, whatever that is.

Python runs the handler of a signal between two of its own instructions, and a query is one of them:
DuckDB looks for signals between its tasks, of which a single one can take hours, and at times loses
what the handler raised. The system's part of a handler writes to a pipe at once, though. While
there is something in it, a thread interrupts all queries.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from uih_lake.cli.process import silence

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.1
"""A query that was about to begin has not noticed; the next try finds it."""
_REST_S = 10.0
"""More than loading the engine takes, which the thread may be at."""

_told: list[BaseException] = []
"""What the handler raised since the block began."""
_again: list[signal.Signals] = []
"""Signals whose exception was lost."""
_signals, _system = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
"""The ends of the pipe: signals are read from one, and the system writes to the other."""


@contextmanager
def prepared_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process in order, too, and all three end queries.

    A signal that is ignored stays so: ``nohup`` asks for that. The thread is gone in the end: one
    that the interpreter ended in the midst of the engine would abort the process.
    """
    sys.unraisablehook = _lost
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _tell)
    signal.set_wakeup_fd(_system, warn_on_full_buffer=False)
    over = threading.Event()
    thread = threading.Thread(target=_interrupt, args=[over], daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        with suppress(KeyboardInterrupt, SystemExit):  # the process is ending as it is
            os.write(_system, b"\0")
            thread.join(_REST_S)


@contextmanager
def heeded() -> Iterator[None]:
    """Run a block that a signal ends, by KeyboardInterrupt or by SystemExit with its exit code.

    Whatever the block fails with after a signal is taken for what that signal raised.
    """
    _forget()
    try:
        yield
    except Exception:
        if _told:
            raise _told[-1] from None
        raise
    finally:
        _forget()


def _forget() -> None:
    _told.clear()
    _again.clear()
    with suppress(BlockingIOError):  # it is empty
        os.read(_signals, select.PIPE_BUF)


def _tell(number: int, _: FrameType | None) -> NoReturn:
    if number == signal.SIGINT:
        _told.append(KeyboardInterrupt())
    else:
        # Nobody may be reading any more, and what is buffered would wait for somebody who does.
        silence(sys.stdout)
        _told.append(SystemExit(128 + number))
    raise _told[-1]


def _lost(what: sys.UnraisableHookArgs) -> None:
    """What was raised where nobody can catch it, in a callback of a library in C.

    The compiler's are such; the signal that came meanwhile comes once more, from another thread,
    because here it would be lost as well.
    """
    raised = what.exc_value
    if raised not in _told:
        sys.__unraisablehook__(what)
    elif isinstance(raised, SystemExit):
        _again.append(signal.Signals(int(raised.code or 0) - 128))
    else:
        _again.append(signal.SIGINT)


def _interrupt(over: threading.Event) -> None:
    """Interrupt all queries whenever a signal has come, until a block ends or begins.

    A signal that was lost comes once more.
    """
    waiting = select.poll()
    waiting.register(_signals, select.POLLIN)
    while waiting.poll() and not over.is_set():
        from uih_lake.session import interrupt  # not before: it brings the engine

        interrupt()
        while _again:
            _thread.interrupt_main(_again.pop())
        time.sleep(_AGAIN_S)

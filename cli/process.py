"""What a process is given, streams and signals, made fit for the command line."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Untold(Exception):
    """Stdout cannot be written: a fault of no work, and no reason to do the work again."""


class _Stdout(io.FileIO):
    """Stdout, whose errors are not to be taken for those of the files at work."""

    def write(self, data: ReadableBuffer, /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:  # whoever reads has had enough, which is no fault
            raise
        except OSError as error:
            raise Untold(error.strerror or str(error)) from error


def prepare_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed; tell errors of stdout apart."""
    plain = sys.stdout
    # In this order: each is given the lowest number that is free, which is its own.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            kept = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115  for good
            setattr(sys, name, kept)
    if not isinstance(plain, io.TextIOWrapper):
        return
    file = _Stdout(plain.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        file if plain.write_through else io.BufferedWriter(file),
        encoding=plain.encoding,
        errors=plain.errors,
        line_buffering=plain.line_buffering,
        write_through=plain.write_through,
    )


def prepare_signals() -> None:
    """Let SIGTERM and SIGHUP end the process in order, so that nothing half done is left behind."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # and not ignored, as nohup asks for
            signal.signal(number, _end)


_ended: list[int] = []
"""Exit codes of the signals that came."""


def _end(number: int, frame: FrameType | None) -> NoReturn:
    _ended.append(128 + number)
    # Nobody may be reading any more, and what is buffered would wait for somebody who does.
    silence(sys.stdout)
    raise SystemExit(_ended[-1])


@contextmanager
def interruptions() -> Iterator[None]:
    """Raise what a signal raised during a query, for which DuckDB raises an error of its own."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise (SystemExit(_ended[-1]) if _ended else KeyboardInterrupt()) from None


def silence(stream: TextIO) -> None:
    """Drop what is buffered for ``stream``, which would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

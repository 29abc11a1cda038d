"""The streams that a process is given, made fit for the command line."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Untold(Exception):
    """Stdout cannot be written: a fault of no work, and no reason to do the work again."""


class Unheard(Exception):
    """Whoever reads stdout has had enough, which is no fault.

    No ``BrokenPipeError``, which libraries that print take for one and end with 1.
    """


class _Stdout(io.FileIO):
    """Stdout, whose errors are not to be taken for those of the files at work."""

    def write(self, data: ReadableBuffer, /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise Unheard from error
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


def silence(stream: TextIO) -> None:
    """Drop what is buffered for ``stream``, which would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

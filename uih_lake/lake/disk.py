"""What the disk is asked for: to keep what it was given, and what comes of one that takes nothing.

It may be full, read only, or another user's.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uih_lake.errors import LakeError, OutputError
from uih_lake.wording import on_one_line


@contextmanager
def taking(place: str) -> Iterator[None]:
    """Raise :class:`OutputError` where the disk does not take what is written to ``place``.

    Or :class:`LakeError`, where this directory of a lake is gone.
    """
    try:
        yield
    except OSError as error:
        if not os.path.exists(place):
            raise gone(place) from error
        raise refusal(place, os.strerror(error.errno) if error.errno else error) from error


def put(path: Path, content: bytes) -> None:
    """Write a file in one step, so that nobody finds a part of it; raises ``OSError``."""
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        new.write_bytes(content)
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def sync(place: str | Path) -> None:
    """Make a file, or the names in a directory, survive a power cut; raises ``OSError``."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def gone(place: str) -> LakeError:
    """The error to raise where the directory ``place`` of an open lake is no longer there."""
    return LakeError(
        f"{place} is gone", hint="the lake was moved or removed: open it where it is now"
    )


def refusal(place: str, why: object) -> OutputError:
    """The error to raise where ``place`` cannot be written."""
    return OutputError(
        f"{place} cannot be written: {on_one_line(why)}",
        hint="make room, or let this user write there, and run it again",
    )

"""One file that is there in full or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from uih_lake.errors import OutputError
from uih_lake.output.place import check_file, taken


@contextmanager
def writing(
    path: str | Path, *, overwrite: bool = False, lake: str | Path | None = None
) -> Iterator[BinaryIO]:
    """A binary file that becomes ``path`` when the block is done, and nothing if it fails.

    A file that it replaces leaves it its mode: what few may read stays so.

    Raises :class:`OutputError` where ``path`` exists and ``overwrite`` is not given, where it is no
    regular file, where it lies in ``lake``, and where it cannot be written. An :class:`OSError` of
    the block counts as such a failure: it is for writing only.
    """
    place = check_file(path, overwrite=overwrite, lake=lake)
    with failures_told(path), _partial(place) as (partial, file):
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            check_file(path, overwrite=True, lake=lake)  # what is there may have changed meanwhile
            partial.replace(place)
        else:
            os.link(partial, place)  # unlike a rename, refuses what has appeared meanwhile


def check_writing(
    path: str | Path, *, overwrite: bool = False, lake: str | Path | None = None
) -> None:
    """Raise :class:`OutputError` where :func:`writing` would not come to its block.

    To be asked before long work, which has no place in the block: there its failures would be told
    as those of the file.
    """
    place = check_file(path, overwrite=overwrite, lake=lake)
    with failures_told(path), _partial(place):
        pass


@contextmanager
def _partial(place: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside ``place``, open, and gone afterwards; it has the mode of what is there."""
    partial = place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        with open(partial, "xb") as file:
            if place.exists():
                os.fchmod(file.fileno(), place.stat().st_mode & 0o777)  # before there is a byte
            yield partial, file
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def failures_told(path: str | Path) -> Iterator[None]:
    """Turn errors of the system at writing ``path`` into :class:`OutputError`."""
    try:
        yield
    except FileExistsError:
        raise taken(path) from None
    except OSError as error:
        raise OutputError(
            f"{path}: {error.strerror or error}", hint="it was not written"
        ) from error

"""Write rebuilt examples to a directory that is there in full or not at all.

Files are written into a hidden directory beside the wanted one, ``.OUT.<random>.partial``, and one
rename makes it ``OUT``. A run that is killed leaves only the hidden directory, which the next run
for the same OUT removes. To replace, the old directory is renamed to ``.OUT.<random>.replaced``
first and deleted last; a run killed between the renames leaves both, and the next one puts the old
directory back before it does anything else. Only files of ours are deleted: what else came into the
old directory while a run was at work is found before the new one takes its place.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from uih_lake.errors import OutputError
from uih_lake.lake import disk
from uih_lake.output.parts import FORMATS, GROUP_BYTES, PART_BYTES, Parts
from uih_lake.output.place import check_apart, check_below_directories

_OURS: Final = re.compile(rf"part-\d{{5,}}\.({'|'.join(FORMATS)})")


@dataclass(frozen=True)
class Written:
    """What was written: paths of the ``files`` in order, their ``rows`` and ``bytes`` in all."""

    files: tuple[str, ...]
    rows: int
    bytes: int


def check(out: str | Path, *, overwrite: bool = False, lake: str | Path | None = None) -> Path:
    """The absolute path of ``out``, if it may be written.

    Raises :class:`OutputError` where it exists and ``overwrite`` is not given, where it is a file
    or holds anything but files of an earlier :func:`write`, and where it lies in ``lake`` or holds
    it.
    """
    place = Path(out).resolve()
    check_apart(out, lake)
    check_below_directories(place)
    if not os.path.lexists(place):
        return place
    if place.is_dir() and not overwrite:
        raise OutputError(
            f"{out} exists", hint="choose another directory, or replace it with --overwrite"
        )
    _check_ours(place, out)
    return place


def _check_ours(place: Path, out: str | Path) -> None:
    """Raise :class:`OutputError` where what is, or was, at ``out`` is not all of our making."""
    if not place.is_dir():
        raise OutputError(f"{out} is a file", hint="name a directory to be made")
    foreign = sorted(name for name in os.listdir(place) if not _OURS.fullmatch(name))
    if foreign:
        raise OutputError(
            f"{out} holds {foreign[0]!r}, which is no output of this command",
            hint="it is not overwritten; choose another directory or empty it yourself",
        )


def write(
    reader: pa.RecordBatchReader,
    out: str | Path,
    *,
    format: str = "parquet",
    overwrite: bool = False,
    lake: str | Path | None = None,
    part_bytes: int = PART_BYTES,
    group_bytes: int = GROUP_BYTES,
) -> Written:
    """Stream ``reader`` into part files of about ``part_bytes`` below ``out``; all or nothing.

    ``format`` is ``"parquet"`` (zstd) or ``"arrow"`` (IPC files, lz4); the schema is the reader's.
    There is one file at least, if of no rows. Raises :class:`OutputError` for an ``out`` that
    :func:`check` refuses, an unknown format, and a disk that is full or not writable.
    """
    if format not in FORMATS:
        raise OutputError(f"no format {format!r}", hint=f"formats are {', '.join(FORMATS)}")
    place = Path(out).resolve()
    try:
        _recover(place)
        check(out, overwrite=overwrite, lake=lake)
        place.parent.mkdir(parents=True, exist_ok=True)
        with _partial(place) as partial:
            parts = Parts(partial, reader.schema, format, part_bytes, group_bytes)
            with parts:
                for batch in reader:
                    parts.write(batch)
            disk.sync(partial)
            _move_in(partial, place, out, overwrite)
    except OSError as error:
        raise OutputError(
            f"{error.filename or out}: {error.strerror or error}", hint=f"{out} was not written"
        ) from error
    files = tuple(str(Path(out, name)) for name in parts.names)
    return Written(files, parts.rows, sum(os.path.getsize(file) for file in files))


@contextmanager
def _partial(place: Path) -> Iterator[Path]:
    """A hidden directory, locked while in use; removed unless the block moved it elsewhere."""
    partial = _beside(place, "partial")
    partial.mkdir()
    lock = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _move_in(partial: Path, place: Path, out: str | Path, overwrite: bool) -> None:
    """Put what was written in its place; the old directory goes, unless it got files of others.

    Raises :class:`OutputError` then, with the old directory where it was.
    """
    old = _beside(place, "replaced")
    if overwrite and place.exists():
        place.rename(old)
    try:
        if old.exists():
            _check_ours(old, out)
        partial.rename(place)
    except (OSError, OutputError):
        if old.exists():
            old.rename(place)
        raise
    disk.sync(place.parent)
    with suppress(OSError):
        _discard(old)


def _discard(old: Path) -> None:
    """Remove an old output; raises :class:`OSError` where it holds anything else, which stays."""
    for name in filter(_OURS.fullmatch, os.listdir(old)):
        (old / name).unlink()
    old.rmdir()


def _recover(place: Path) -> None:
    """Put right what killed runs for the same place have left behind."""
    for old in _siblings(place, "replaced"):
        if place.exists():
            _discard(old)
        else:
            old.rename(place)
    for partial in _siblings(place, "partial"):
        _remove_unless_in_use(partial)


def _remove_unless_in_use(partial: Path) -> None:
    try:
        lock = os.open(partial, os.O_RDONLY)
    except FileNotFoundError:  # another run was faster
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(partial, ignore_errors=True)
    except BlockingIOError:
        pass  # its run is at work
    finally:
        os.close(lock)


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}.{what}")


def _siblings(place: Path, what: str) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{12}}\.{what}")
    if not place.parent.is_dir():
        return []
    return [place.parent / name for name in os.listdir(place.parent) if pattern.fullmatch(name)]

"""How far a Delta log goes and what it says, noted beside its entries.

Delta finds a gap in a log, but not that its newest entries are gone or that an old one says
something else now: the table then simply is what is left. So every commit is followed by a note of
its version and of a running hash over all entries up to it. A log that is behind its note has lost
entries, one with another hash was altered. The note comes after the commit, so one that a crash has
left behind only says less; a note that is missing or cannot be read says nothing.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import xxhash

from uih_lake.errors import CorruptionError

_EMPTY = (-1, "")


def note(table: str, version: int) -> None:
    """Note that the log of the table in the directory ``table`` has reached ``version``."""
    reached, digest = _read(table)
    if reached >= version:
        return
    path = _path(table)
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    new.write_text(f"{version} {_digest(table, reached, digest, version)}\n")
    os.replace(new, path)


def drop(table: str) -> None:
    """Drop the note: there is no table, or not the one it was about."""
    _path(table).unlink(missing_ok=True)


def noted(table: str) -> int:
    """The version that the log has reached at least; -1 where nothing is known."""
    return _read(table)[0]


def check_reached(table: str, version: int, least: int) -> None:
    """Raise :class:`CorruptionError` where the log, at ``version``, is behind ``least``."""
    if version < least:
        raise CorruptionError(
            f"the log entry {_entry(table, version + 1)} is missing: "
            f"the table was at version {least} before",
            hint=f"restore it from a copy; delete {_path(table)} to go on without it",
        )


def check_entries(table: str) -> int:
    """Check that the entries are those that were noted; how many there are.

    Raises :class:`CorruptionError`.
    """
    version, digest = _read(table)
    if _digest(table, *_EMPTY, version) != digest:
        raise CorruptionError(
            f"an entry of the log {_entry(table, 0).parent} up to version {version} is altered",
            hint="restore the log from a copy",
        )
    return version + 1


def _digest(table: str, reached: int, digest: str, version: int) -> str:
    """The running hash over the log, from that at ``reached`` on."""
    for number in range(reached + 1, version + 1):
        try:
            entry = _entry(table, number).read_bytes()
        except FileNotFoundError as error:
            raise CorruptionError(
                f"the log entry {_entry(table, number)} is missing",
                hint="restore it from a copy",
            ) from error
        digest = xxhash.xxh64_hexdigest(digest.encode() + entry)
    return digest


def _read(table: str) -> tuple[int, str]:
    try:
        version, digest = _path(table).read_text().split()
        return int(version), digest
    except (FileNotFoundError, ValueError):
        return _EMPTY


def _path(table: str) -> Path:
    return Path(table, "_delta_log", "_uih_lake_head")


def _entry(table: str, version: int) -> Path:
    return Path(table, "_delta_log", f"{version:020}.json")

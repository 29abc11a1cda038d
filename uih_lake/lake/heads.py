"""How far a Delta log goes and what it says, noted beside its entries.

Delta finds a gap in a log, but not that its newest entries are gone or that an old one says
something else now: the table then simply is what is left. So every commit is followed by a note of
its version and of a running hash over all entries up to it. A log that is behind its note has lost
entries, one with another hash was altered. The note comes after the commit, so one that a crash has
left behind only says less; a note that is missing or cannot be read says nothing.

A checkpoint, from which Delta reads on, is a Parquet file without checksums: flipped bits in it are
errors of every kind, and panics. So its hash is noted as well.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import xxhash

from uih_lake.errors import CorruptionError
from uih_lake.lake import disk

_LOOKED_BACK = 20
"""Entries among which a checkpoint is looked for: there is one behind every tenth."""


class Head(NamedTuple):
    """A note: the version a log has reached, the hash of its entries, and its last checkpoint."""

    version: int = -1
    digest: str = ""
    checkpoint: int = -1
    checkpoint_digest: str = ""


def note(table: str, version: int) -> None:
    """Note that the log of the table in the directory ``table`` has reached ``version``.

    Nothing is noted where something cannot be read or written: the commit stands, and the note
    before only says less.
    """
    with suppress(OSError, CorruptionError):
        before = read(table)
        head = _further(table, before, version)
        if head != before:
            write(table, head)


def up_to(table: str, version: int) -> Head:
    """What is to be noted of the log up to ``version``, told by its entries alone.

    Raises :class:`CorruptionError` where one of them is missing.
    """
    return _further(table, Head(), version)


def has(table: str, head: Head) -> bool:
    """Whether the log up to the version of ``head`` is the one that was noted.

    Raises :class:`CorruptionError` where an entry of it is missing.
    """
    return _digest(table, Head(), head.version) == head.digest


def _further(table: str, head: Head, version: int) -> Head:
    """The note that follows ``head`` once the log has reached ``version``."""
    if version > head.version:
        head = head._replace(version=version, digest=_digest(table, head, version))
    # Another process may have gone on from a commit before its checkpoint was noted.
    for number in range(version, max(head.checkpoint, version - _LOOKED_BACK), -1):
        checkpoint = _checkpoint(table, number)
        if checkpoint.exists():
            found = xxhash.xxh64_hexdigest(checkpoint.read_bytes())
            return head._replace(checkpoint=number, checkpoint_digest=found)
    return head


def write(table: str, head: Head) -> None:
    """Note ``head`` of the log of a table, in one step; raises ``OSError``."""
    told = head if head.checkpoint >= 0 else head[:2]
    disk.put(_path(table), (" ".join(map(str, told)) + "\n").encode())


def drop(table: str) -> None:
    """Drop the note: there is no table, or not the one it was about."""
    _path(table).unlink(missing_ok=True)


def noted(table: str) -> int:
    """The version that the log has reached at least; -1 where nothing is known."""
    return read(table).version


def goes_on(table: str, version: int) -> bool:
    """Whether the log has an entry behind that of ``version``."""
    return _entry(table, version + 1).exists()


def written(table: str, version: int) -> list[Path]:
    """What a commit of this version has written to the log, and the log's directory.

    A checkpoint behind it, or what points to that, may have failed: the commit stands.
    """
    entry, checkpoint = _entry(table, version), _checkpoint(table, version)
    behind = [checkpoint, entry.with_name("_last_checkpoint")] if checkpoint.exists() else []
    return [entry, *(path for path in behind if path.exists()), entry.parent]


def check_reached(table: str, version: int, least: int) -> None:
    """Raise :class:`CorruptionError` where the log, at ``version``, is behind ``least``."""
    if version < least:
        raise CorruptionError(
            f"the log entry {_entry(table, version + 1)} is missing: "
            f"the table was at version {least} before",
            hint=f"restore it from a copy; delete {_path(table)} to go on without it",
        )


def check_checkpoint(table: str) -> None:
    """Check that the last checkpoint, where it is there, is what was noted of it.

    Raises :class:`CorruptionError`.
    """
    head = read(table)
    path = _checkpoint(table, head.checkpoint)
    if path.exists() and xxhash.xxh64_hexdigest(path.read_bytes()) != head.checkpoint_digest:
        raise CorruptionError(
            f"the checkpoint {path} is altered",
            hint="restore it from a copy, or delete it and _last_checkpoint beside it: "
            "the entries of the log say the same",
        )


def check_entries(table: str) -> int:
    """Check that the entries are those that were noted, and the checkpoint; how many there are.

    Raises :class:`CorruptionError`.
    """
    check_checkpoint(table)
    head = read(table)
    version = head.version
    if not has(table, head):
        raise CorruptionError(
            f"an entry of the log {_entry(table, 0).parent} up to version {version} is altered",
            hint="restore the log from a copy",
        )
    return version + 1


def _digest(table: str, head: Head, version: int) -> str:
    """The running hash over the log up to ``version``, from that of ``head`` on."""
    digest = head.digest
    for number in range(head.version + 1, version + 1):
        try:
            entry = _entry(table, number).read_bytes()
        except FileNotFoundError as error:
            raise CorruptionError(
                f"the log entry {_entry(table, number)} is missing",
                hint="restore it from a copy",
            ) from error
        digest = xxhash.xxh64_hexdigest(digest.encode() + entry)
    return digest


def is_there(table: str) -> bool:
    """Whether the directory ``table`` has a Delta log."""
    return _path(table).parent.is_dir()


def read(table: str) -> Head:
    """The note of a log; one that says nothing where there is none."""
    try:
        version, digest, *checkpoint = _path(table).read_text().split()
        number, of_checkpoint = checkpoint or ("-1", "")
        return Head(int(version), digest, int(number), of_checkpoint)
    except (FileNotFoundError, ValueError):
        return Head()


def _path(table: str) -> Path:
    return Path(table, "_delta_log", "_uih_lake_head")


def names(after: Head, head: Head) -> list[str]:
    """The files that a log has at ``head`` and had not at ``after``, relative to the table."""
    found = [_entry("", version) for version in range(after.version + 1, head.version + 1)]
    if head.checkpoint > after.checkpoint:
        found.append(_checkpoint("", head.checkpoint))
    return [str(path) for path in found]


def _entry(table: str, version: int) -> Path:
    return Path(table, "_delta_log", f"{version:020}.json")


def _checkpoint(table: str, version: int) -> Path:
    return Path(table, "_delta_log", f"{version:020}.checkpoint.parquet")

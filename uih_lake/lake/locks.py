"""Who may work at the same time: locks that the kernel releases when a process dies.

Delta commits decide every race on their own; these locks keep work that cannot profit from racing
apart. *Maintenance* (create, seal, compact, forget, retain, label, vacuum, publish) is done by one
process at a time, so that no seal brings back what a forget erases. *Writing* is shared by
everybody who writes data files and held alone by vacuum, so that it never takes a file whose commit
is still to come. *Deciding* is done by who may commit the first user ids, to one of two tables.
*Fetching* keeps the copy of a published lake, which takes none of the others: it is read only.
The locks are advisory ``flock`` locks on empty files beside the tables, taken in this order.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

from uih_lake.errors import LakeError
from uih_lake.lake import disk, publication

_LOG = logging.getLogger(__name__)

_MAINTENANCE, _WRITING, _DECIDING = ".maintenance.lock", ".writing.lock", ".deciding.lock"
_FETCHING = ".fetching.lock"
LOCKS = _MAINTENANCE, _WRITING, _DECIDING
"""The names of the files that are locked."""

_PATIENCE_S = 2.0
"""A wait that takes longer is told."""
_WAITS = {
    (
        _MAINTENANCE,
        fcntl.LOCK_EX,
    ): "another seal, compact, label, forget, retain, vacuum or publish",
    (_WRITING, fcntl.LOCK_SH): "a vacuum",
    (_WRITING, fcntl.LOCK_EX): "writers to finish, as a vacuum must",
    (_DECIDING, fcntl.LOCK_EX): "the first append or log",
    (_FETCHING, fcntl.LOCK_EX): "another process to fetch what is new",
}


@contextmanager
def maintenance(root: str) -> Iterator[None]:
    """Wait until no other process does maintenance, and keep others out meanwhile."""
    with _locked(root, _MAINTENANCE, fcntl.LOCK_EX), writing(root):
        yield


@contextmanager
def writing(root: str) -> Iterator[None]:
    """Announce uncommitted data files; waits for a vacuum in progress."""
    with _locked(root, _WRITING, fcntl.LOCK_SH):
        yield


@contextmanager
def deciding(root: str) -> Iterator[None]:
    """Wait until no other process decides what all others are then held to."""
    with _locked(root, _DECIDING, fcntl.LOCK_EX):
        yield


@contextmanager
def sweeping(root: str) -> Iterator[None]:
    """Wait until nobody has uncommitted data files, and keep writers out meanwhile."""
    with (
        _locked(root, _MAINTENANCE, fcntl.LOCK_EX),
        _locked(root, _WRITING, fcntl.LOCK_EX),
    ):
        yield


@contextmanager
def fetching(root: str) -> Iterator[None]:
    """Wait until no other process fetches what is published, and keep others out meanwhile."""
    with _locked(root, _FETCHING, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(root: str, name: str, how: int) -> Iterator[None]:
    if name != _FETCHING and Path(root, publication.NAME).exists():  # all writers come along here
        raise LakeError(
            "a published lake is read only", hint="write to it where it is, and publish it anew"
        )
    with ExitStack() as stack:
        with disk.taking(root):
            file = stack.enter_context(Path(root, name).open("a"))
        _lock(file, how, f"{root}: waiting for {_WAITS[name, how]}")
        yield


def _lock(file: IO[str], how: int, told: str) -> None:
    """Lock until the file is closed, be it by the kernel; a long wait is ``told`` as a warning."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        soon = Timer(_PATIENCE_S, _LOG.warning, [told])
        soon.start()
        try:
            fcntl.flock(file, how)
        finally:
            soon.cancel()
            soon.join()

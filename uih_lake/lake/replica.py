"""A published lake as a directory: everything that is published, fetched once and kept up to date.

The directory is a lake that can only be read. Everything that reads a lake reads it there, mapped
into memory, checksums included; all processes of a machine share it, for files never change. What
an entry of a Delta log speaks of is there before the entry is, so that a reader beside finds it.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import xxhash

from uih_lake.errors import CorruptionError, LakeError
from uih_lake.lake import disk, heads, locks, publication
from uih_lake.lake.heads import Head
from uih_lake.lake.objects import Objects
from uih_lake.lake.publication import Publication
from uih_lake.wording import on_one_line

_LOG = logging.getLogger(__name__)

PLACE = "UIH_LAKE_CACHE"
"""The environment variable that names the directory of all replicas."""

_AT_ONCE = 8
_TOLD_BYTES = 100_000_000
"""Who waits for more is told so."""


class Replica:
    """What is published at the URL of ``objects``, in the directory ``root``."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        key = xxhash.xxh64_hexdigest(f"{objects.url} {objects.endpoint}".encode())
        self.root = str(Path(_place(), key))

    @property
    def url(self) -> str:
        """Where the lake is published."""
        return self.objects.url

    def bring(self) -> None:
        """Bring the directory to what is published now.

        A forked process goes on with what its parent has, where that has used the network.
        Raises :class:`LakeError` where no lake is published, or the store does not give it, and
        :class:`OutputError` where the disk does not take it.
        """
        if not self.objects.reachable:
            return
        content, mark = self._published(), Path(self.root, publication.NAME)
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
        except OSError as error:
            raise disk.refusal(self.root, error.strerror) from error
        with disk.taking(self.root):
            if _has(mark, content):
                return
            with locks.fetching(self.root):
                content = self._published()  # another process may have got further meanwhile
                while not _has(mark, content):
                    try:
                        self._bring(Publication.decoded(content, self.url))
                        disk.put(mark, content)
                    except FileNotFoundError as error:
                        tried, content = content, self._published()
                        if content == tried:  # else it was replaced and vacuumed meanwhile
                            raise CorruptionError(
                                f"{on_one_line(error)} is missing",
                                hint="publish the lake once more",
                            ) from None

    def _published(self) -> bytes:
        try:
            return self.objects.read(publication.NAME)
        except FileNotFoundError:
            raise LakeError(
                f"no lake is published at {self.url}",
                hint="`uihlake publish LAKE URL` does that, where the lake is",
            ) from None

    def _bring(self, now: Publication) -> None:
        """Raises ``FileNotFoundError`` where something that it speaks of is not there."""
        there = self.objects.sizes()
        for table, head in now.heads.items():
            self._bring_table(table, head, there)
        self._drop(there)

    def _bring_table(self, table: str, head: Head, there: Mapping[str, int]) -> None:
        """Fetch what a table has got since: its data files, and then its log."""
        root = str(Path(self.root, table))
        before = heads.read(root)
        if before.version > head.version or not heads.has(root, before):
            raise self._another()
        os.makedirs(Path(root, "_delta_log"), exist_ok=True)
        came = [f"{table}/{name}" for name in heads.names(before, head)]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="uih-fetch") as threads:
            entries = dict(zip(came, threads.map(self.objects.read, came), strict=True))
            data = [f"{table}/{name}" for name in _added(entries.values())]
            missing = [name for name in data if not Path(self.root, name).exists()]
            size = sum(there.get(name, 0) for name in missing)
            if size > _TOLD_BYTES:
                told = len(missing), size // 1_000_000, self.url, self.root
                _LOG.warning("fetching %d files, %d MB, of %s to %s", *told)
            for _ in threads.map(self._fetch, missing):
                pass
        for name, content in entries.items():
            disk.put(Path(self.root, name), content)
        if not heads.has(root, head):
            raise self._another()
        heads.write(root, head)

    def _fetch(self, name: str) -> None:
        path = Path(self.root, name)
        new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            with new.open("wb") as file:
                for some in self.objects.stream(name):
                    file.write(some)
            os.replace(new, path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def _drop(self, there: Mapping[str, int]) -> None:
        """Delete data files that are published no more: their users may have been erased."""
        for path in Path(self.root).glob("*/*.parquet"):
            if f"{path.parent.name}/{path.name}" not in there:
                path.unlink(missing_ok=True)

    def _another(self) -> LakeError:
        return LakeError(
            f"what is published at {self.url} does not go on from what was there before",
            hint=f"if another lake is meant to be there, delete {self.root}",
        )


def _place() -> str:
    given = os.environ.get(PLACE)
    if given:
        return os.path.abspath(given)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "uih_lake")


def _added(entries: Iterable[bytes]) -> list[str]:
    """The data files that some log files, in their order, have brought and not taken away."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry[:1] != b"{":  # a checkpoint, which sums up what came before it
            continue
        for action in map(json.loads, entry.splitlines()):
            if add := action.get("add"):
                found[add["path"]] = None
            if remove := action.get("remove"):
                found.pop(remove["path"], None)
    return list(found)


def _has(mark: Path, content: bytes) -> bool:
    return mark.exists() and mark.read_bytes() == content

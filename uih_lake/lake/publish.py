"""Publishing: what a lake in a directory has is brought to an object store, to be read from there.

First what nobody asks for yet (data files, log entries), then one object that speaks of all of it,
then what the lake itself no longer has is deleted. Killed anywhere in between, readers see what was
published before; the next one goes on where it was left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from uih_lake.errors import LakeError
from uih_lake.lake import heads, locks, publication
from uih_lake.lake.objects import Objects, Options
from uih_lake.lake.publication import Publication
from uih_lake.lake.store import Store
from uih_lake.progress import Progress, quiet

_AT_ONCE = 8
_DATA = ".parquet"


@dataclass(frozen=True)
class Published:
    """What was brought to a URL, and the newest lake version there (-1: there is no event).

    ``files`` and ``bytes`` are those of data files that were sent, ``deleted`` counts those that
    the lake no longer has.
    """

    url: str
    lake_version: int
    files: int
    bytes: int
    deleted: int


def publish(
    lake: str | Path, url: str, *, storage_options: Options = None, progress: Progress = quiet
) -> Published:
    """Bring the lake at path ``lake``, or what is new of it, to an object store.

    ``Lake.open(url)`` then reads it there. What a vacuum has taken here is deleted there.
    Keeps maintenance out meanwhile; appends and logs go on, and are published next time.
    ``storage_options`` are as Delta has them; ``progress`` is told how many files were sent.

    Raises :class:`LakeError` where there is no lake, another one is published there or anything
    else lies there; :class:`InputError` for a URL or options that make no sense;
    :class:`OutputError` where the store does not take what is sent.
    """
    store, objects = Store.open(lake), Objects(url, storage_options)
    with locks.maintenance(store.root):
        store.refresh()
        there = objects.sizes()
        before = _before(store, objects, there)
        tables = {Path(table.root).name: table for table in store.tables}
        now = Publication({name: heads.up_to(t.root, t.version) for name, t in tables.items()})
        live = {f"{name}/{f.path}": f.size for name, t in tables.items() for f in t.files()}
        new = {name: size for name, size in live.items() if there.get(name) != size}
        _send(store.root, objects, new, progress)
        _send(store.root, objects, _entries(before, now))
        objects.put(publication.NAME, now.encoded())
        gone = [name for name in there if name not in live and _is_gone(store.root, name)]
        if gone:
            objects.delete(gone)
        return Published(
            objects.url, store.lake_version, len(new), sum(new.values()), deleted=len(gone)
        )


def _before(store: Store, objects: Objects, there: Mapping[str, int]) -> Publication:
    """What was published last; raises :class:`LakeError` where it was not this lake."""
    tables = {Path(table.root).name: table.root for table in store.tables}
    if publication.NAME not in there:
        for name in there:
            if name.partition("/")[0] not in tables:  # else an interrupted one has left it
                raise LakeError(f"{objects.url} is not empty: it holds {name}", hint=_ELSEWHERE)
        return Publication(dict.fromkeys(tables, heads.Head()))
    last = Publication.decoded(objects.read(publication.NAME), objects.url)
    for table in store.tables:
        head = last.heads[Path(table.root).name]
        if head.version > table.version or not heads.has(table.root, head):
            raise LakeError(f"another lake is published at {objects.url}", hint=_ELSEWHERE)
    return last


_ELSEWHERE = "choose another place"


def _entries(before: Publication, now: Publication) -> list[str]:
    """The files of all logs that have come since, by their names in the lake."""
    return [
        f"{name}/{path}"
        for name, head in now.heads.items()
        for path in heads.names(before.heads[name], head)
    ]


def _send(
    root: str, objects: Objects, sent: Iterable[str], progress: Progress | None = None
) -> None:
    """Send files of the lake, several at once."""
    waiting = list(sent)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="uih-send") as threads:
        done = threads.map(lambda name: objects.put(name, Path(root, name)), waiting)
        for count, _ in enumerate(done, 1):
            if progress is not None:
                progress(count, len(waiting))


def _is_gone(root: str, name: str) -> bool:
    """Whether this is a data file that a vacuum has taken from the lake."""
    table, _, path = name.partition("/")
    data = path.endswith(_DATA) and "/" not in path
    return data and os.path.isdir(os.path.join(root, table)) and not Path(root, name).exists()

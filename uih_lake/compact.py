"""Compact: the runs of a bucket become one, and pointers learn where in it their events lie.

The files of small logs become one, too, when pointers are written anew.

A compaction takes away the files that :mod:`uih_lake.resolve.placed` tells places in, and what was
logged while a bucket was several files, or not sealed, never had one. A pointer means the same with
a place and without; with one a loader need not resolve it.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial

import numpy as np
import pyarrow as pa

from uih_lake import names
from uih_lake.arrays import ints
from uih_lake.lake import locks, logs
from uih_lake.lake.logs import Files, LogFile
from uih_lake.lake.seal import merge
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.pointers.policy import PROOF, differs
from uih_lake.progress import Progress
from uih_lake.resolve.ahead import ahead
from uih_lake.resolve.placed import NOWHERE, PLACE, standing
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.visible import by_bucket, seen_by
from uih_lake.session import cursor

_READ = [names.BUCKET, names.USER_ID, names.REQUEST_TS, names.AS_OF_TS, names.LAKE_VERSION]
_READ += [*PROOF, *PLACE]


def compact(store: Store, progress: Progress) -> int:
    """Merge the runs of every bucket that has several into one, and logs of few examples.

    Pointers that have no place then get one. Returns the generation. Raises
    :class:`CorruptionError`.
    """
    merge(store, progress)
    renew_examples(store, progress)
    return store.uih.version


def renew_examples(store: Store, progress: Progress) -> None:
    """Merge the files of small logs; pointers get a place where their bucket is one file.

    Each file of examples is written in a commit of its own, so a crash leaves some as they were.
    Pointers that no longer find their history are left alone. Raises :class:`CorruptionError`.
    """
    with locks.maintenance(store.root):
        store.refresh()
        snapshot, groups = Snapshot.of(store), [*logs.together(logs.of(store))]
        for done, files in enumerate(groups):
            if len(files) == 1:
                _place(store, snapshot, *files)
            else:
                _merge(store, snapshot, files)
            progress(done + 1, len(groups))


def _merge(store: Store, snapshot: Snapshot, files: Files) -> None:
    """Write the files of several logs as one, or as few."""
    for some, table in logs.merged(store, files):
        if len(some) == 1:
            _place(store, snapshot, *some)
            continue
        places = _places(snapshot, table)
        parts = [part for file in some for part in file.parts(store.pages)]
        logs.widen(store)
        new = logs.write(store, _with(table, places), some[-1].last, parts)
        store.examples.swap([file.file for file in some], new, "compact")


def _place(store: Store, snapshot: Snapshot, file: LogFile) -> None:
    """Write a file of examples anew where some of its pointers get a place."""
    pointers = store.pages.read(file.path, _READ).combine_chunks()
    places = _places(snapshot, pointers)
    if (ints(places, names.RUN) != ints(pointers, names.RUN)).any():
        table = _with(store.pages.read(file.path, store.examples.schema.names), places)
        new = logs.write(store, table, file.last, file.parts(store.pages))
        store.examples.swap([file.file], new, "compact")


def _places(snapshot: Snapshot, pointers: pa.Table) -> pa.Table:
    """``_run, _end, _gaps`` of pointers that are sorted by bucket."""
    jobs = (partial(_placed, snapshot, *one) for one in by_bucket(pointers.select(_READ)))
    with closing(ahead(jobs)) as placed:
        return pa.concat_tables(placed)


def _with(table: pa.Table, places: pa.Table) -> pa.Table:
    """Examples with their pointers at other places."""
    for name in PLACE:
        table = table.set_column(table.schema.get_field_index(name), name, places.column(name))
    return table


def _placed(snapshot: Snapshot, bucket: int, pointers: pa.Table) -> pa.Table:
    """``_run, _end, _gaps`` of pointers into one bucket: as they are, or found where it can be."""
    places, seen = pointers.select(PLACE), seen_by(snapshot, [(bucket, pointers)])
    lost = np.flatnonzero(standing(seen, pointers, bucket) == NOWHERE)
    if not len(lost) or seen.run(bucket) is None:
        return places
    logged = pointers.take(pa.array(lost))
    with cursor(threads=1) as duck:
        (found,) = Resolver(seen, duck).point([(bucket, logged)])
    sound = ~differs(logged, found) & (ints(found, names.RUN) != NOWHERE)
    order = np.arange(len(pointers))
    order[lost[sound]] = len(pointers) + np.flatnonzero(sound)
    return pa.concat_tables([places, found.select(PLACE)]).take(pa.array(order))

"""Compact: the runs of a bucket become one, and pointers learn where in it their events lie.

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
from uih_lake.lake import locks, parquet
from uih_lake.lake.seal import merge
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.lake.tables import File
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
    """Merge the runs of every bucket that has several into one; returns the generation.

    Pointers that have no place then get one. Raises :class:`CorruptionError`.
    """
    merge(store, progress)
    place_anew(store, progress)
    return store.uih.version


def place_anew(store: Store, progress: Progress) -> None:
    """Give pointers that have no place a place, where their bucket is one file.

    A file of examples is rewritten in a commit of its own, so a crash leaves some as they were.
    Pointers that no longer find their history are left alone. Raises :class:`CorruptionError`.
    """
    with locks.maintenance(store.root):
        store.refresh()
        snapshot, files = Snapshot.of(store), store.examples.files()
        for done, file in enumerate(files):
            _place(store, snapshot, file)
            progress(done + 1, len(files))


def _place(store: Store, snapshot: Snapshot, file: File) -> None:
    """Write a file of examples anew where some of its pointers get a place."""
    path, examples = store.examples.path(file), store.examples
    pointers = store.pages.read(path, _READ).combine_chunks()
    jobs = (partial(_placed, snapshot, *one) for one in by_bucket(pointers))
    with closing(ahead(jobs)) as placed:
        places = pa.concat_tables(placed)
    if (ints(places, names.RUN) != ints(pointers, names.RUN)).any():
        table = store.pages.read(path, examples.schema.names)
        for name in PLACE:
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, places.column(name))
        new = parquet.write(
            examples.root, table, dict(file.partition), named=parquet.contents(path)
        )
        examples.swap([file], new, "compact")


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

"""Seal and merge: from the mutable tier into runs, in bands by age, and several runs into one.

Both write files first and make them true with one commit to ``uih``. A seal's commit carries the
lake version it reaches, which tells every reader what to take from where; removing the sealed files
from ``recent`` afterwards is tidying, not meaning, and is done by whoever comes next if a crash
comes in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from uih_lake import names
from uih_lake.errors import TooMuchText
from uih_lake.lake import locks, parquet, words
from uih_lake.lake.bands import Run, bands
from uih_lake.lake.order import moved, places_of
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import SEALED, Store
from uih_lake.lake.stored import stored_events
from uih_lake.lake.tables import File, optimistic
from uih_lake.progress import Progress

_PASS_ROWS = 1_000_000


@dataclass(frozen=True)
class Sealed:
    """What a seal reached: its generation, and the lake version up to which events are in it."""

    generation: int
    lake_version: int


def seal(store: Store, progress: Progress) -> Sealed:
    """Move every committed event into the immutable tier."""
    with locks.maintenance(store.root):
        store.refresh()
        snapshot = Snapshot.of(store)
        if snapshot.lake_version > snapshot.sealed:
            files: list[File] = []
            with store.uih.discarding(files):
                with parquet.Writing(store.uih.root, files) as writing:
                    for bucket, run in _runs(_tail(snapshot), progress):
                        writing.write(run.events, {names.BUCKET: bucket}, run.cuts, run.notes)
                optimistic(lambda: _commit_seal(store, files, snapshot), "seal")
        optimistic(lambda: tidy(store), "seal")
        return Sealed(store.uih.version, store.sealed)


def _tail(snapshot: Snapshot) -> Snapshot:
    """The part of a snapshot that is not sealed yet."""
    return replace(snapshot, runs={}, sealed_rows=0)


def _commit_seal(store: Store, files: list[File], snapshot: Snapshot) -> None:
    if store.sealed != snapshot.sealed:  # another process sealed the same events
        store.uih.discard(files)
        return
    counters = {SEALED: snapshot.lake_version}
    store.uih.commit(files, counters=counters, schema=snapshot.stored)


def tidy(store: Store) -> None:
    """Remove from ``recent`` what is sealed."""
    sealed = [f for f in store.recent.files() if f.partition[names.LAKE_VERSION] <= store.sealed]
    if sealed:
        store.recent.commit(remove=sealed)


def _runs(snapshot: Snapshot, progress: Progress) -> Iterator[tuple[int, Run]]:
    """The events of a snapshot, one run per bucket that has any."""
    for first, last in snapshot.passes(_PASS_ROWS):
        for some in _held(snapshot, first, last):
            yield from _laid_out(some)
        progress(last + 1, snapshot.buckets)


def _held(snapshot: Snapshot, first: int, last: int) -> Iterator[pa.Table]:
    """The events of some buckets: all at once, or in halves where their texts are too long."""
    try:
        events = stored_events(snapshot, first, last)
    except TooMuchText:
        if first == last:
            raise
        middle = (first + last) // 2
        yield from _held(snapshot, first, middle)
        yield from _held(snapshot, middle + 1, last)
    else:
        yield events


def _laid_out(events: pa.Table) -> Iterator[tuple[int, Run]]:
    """The runs, in bands, of the stored ``events`` of some buckets."""
    places = places_of(events)
    keys = moved(events.select([names.BUCKET, names.USER_ID, names.EVENT_TS]), places)
    events = words.with_codes(events.drop_columns([names.BUCKET]))  # it is the partition value
    ordered = keys.column(names.BUCKET).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
    for start, stop in pairwise(edges):
        if start < stop:
            layout = bands(keys.slice(start, stop - start))
            mine = words.with_own_codes(moved(events, places[start:stop][layout.order]))
            yield int(ordered[start]), layout.run(mine)


def merge(store: Store, progress: Progress) -> None:
    """Merge the runs of every bucket that has several into one."""
    with locks.maintenance(store.root):
        store.refresh()
        sealed = Snapshot.of(store).through(store.sealed)
        scattered = [bucket for bucket, paths in sealed.runs.items() if len(paths) > 1]
        for done, bucket in enumerate(scattered):
            _merge_bucket(store, sealed, bucket)
            progress(done + 1, len(scattered))


def _merge_bucket(store: Store, snapshot: Snapshot, bucket: int) -> None:
    old = [f for f in store.uih.files() if store.uih.path(f) in snapshot.runs[bucket]]
    ((_, run),) = _laid_out(stored_events(snapshot, bucket, bucket))
    where = store.uih.root, run.events, {names.BUCKET: bucket}
    store.uih.swap(old, parquet.write(*where, run.cuts, run.notes), "compact")

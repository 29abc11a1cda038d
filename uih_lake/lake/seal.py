"""Seal and compact: from the mutable tier into sorted runs, and from several runs into one.

Both write files first and make them true with one commit to ``uih``. A seal's commit carries the
lake version it reaches, which tells every reader what to take from where; removing the sealed files
from ``recent`` afterwards is tidying, not meaning, and is done by whoever comes next if a crash
comes in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import duckdb
import pyarrow as pa

from uih_lake import hashing, names, session
from uih_lake.lake import lease, parquet
from uih_lake.lake.snapshot import Snapshot, read_run
from uih_lake.lake.store import SEALED, Store
from uih_lake.lake.tables import File, optimistic

_PASS_ROWS = 4_000_000
Progress = Callable[[int, int], None]


def seal(store: Store, progress: Progress) -> int:
    """Move every committed event into the immutable tier; returns the generation."""
    with lease.maintenance(store.root):
        store.refresh()
        snapshot = Snapshot.of(store)
        if snapshot.lake_version > snapshot.sealed:
            files: list[File] = []
            with store.uih.discarding(files):
                for bucket, run in _runs(_tail(snapshot), progress):
                    files.append(parquet.write(store.uih.root, run, {names.BUCKET: bucket}))
                optimistic(lambda: _commit_seal(store, files, snapshot), "seal")
        optimistic(lambda: tidy(store), "seal")
        return store.uih.version


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


def _runs(snapshot: Snapshot, progress: Progress) -> Iterator[tuple[int, pa.Table]]:
    """The events of a snapshot, one sorted run per bucket that has any."""
    with session.connect() as duck:
        for first, last in snapshot.passes(_PASS_ROWS):
            yield from _split(duck, snapshot, first, last)
            progress(last + 1, snapshot.buckets)


def _split(
    duck: duckdb.DuckDBPyConnection, snapshot: Snapshot, first: int, last: int
) -> Iterator[tuple[int, pa.Table]]:
    snapshot.check(first, last)
    history = snapshot.history(first, last)
    run = read_run(duck, history, snapshot.stored.names, snapshot.lake_version).combine_chunks()
    if run.num_rows == 0:
        return
    if first == last:
        yield first, run
        return
    buckets = hashing.bucket_of(run.column(names.USER_ID).chunk(0), snapshot.buckets)
    for bucket in range(first, last + 1):
        mine = run.filter(pa.array(buckets == bucket))
        if mine.num_rows:
            yield bucket, mine.combine_chunks()


def compact(store: Store, progress: Progress) -> int:
    """Merge the runs of every bucket that has several into one; returns the generation."""
    with lease.maintenance(store.root), session.connect() as duck:
        store.refresh()
        sealed = replace(Snapshot.of(store), recent=(), recent_rows=0)
        scattered = [bucket for bucket, paths in sealed.runs.items() if len(paths) > 1]
        for done, bucket in enumerate(scattered):
            _compact_bucket(store, duck, sealed, bucket)
            progress(done + 1, len(scattered))
        return store.uih.version


def _compact_bucket(
    store: Store, duck: duckdb.DuckDBPyConnection, snapshot: Snapshot, bucket: int
) -> None:
    snapshot.check(bucket, bucket)
    old = set(snapshot.runs[bucket])
    newest = 2**62  # a run may hold events newer than the snapshot; all of them move
    run = read_run(duck, snapshot.history(bucket, bucket), snapshot.stored.names, newest)
    new = parquet.write(store.uih.root, run.combine_chunks(), {names.BUCKET: bucket})

    def commit() -> None:
        present = [f for f in store.uih.files() if store.uih.path(f) in old]
        if len(present) == len(old):
            store.uih.commit([new], present)
        else:  # another process rewrote the bucket meanwhile
            store.uih.discard([new])

    with store.uih.discarding([new]):
        optimistic(commit, "compact")

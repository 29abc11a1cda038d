"""What is visible to pointers, bucket by bucket, in rows of the bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.keyed import Keyed
from uih_lake.resolve.prefixed import Prefixed
from uih_lake.resolve.rows import Rows, Whole

Asked = tuple[int, pa.Table]
"""A bucket, and pointers of its users."""


def by_bucket(pointers: pa.Table) -> Iterator[Asked]:
    """Pointers sorted by ``_bucket``, apart for each that has any."""
    buckets = pointers.column(names.BUCKET).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
    for start, stop in pairwise(edges):
        if start < stop:
            yield int(buckets[start]), pointers.slice(start, stop - start)


def seen_by(snapshot: Snapshot, asked: Sequence[Asked]) -> Snapshot:
    """The snapshot without files that are newer than all of these pointers."""
    pinned = {b: pc.max(some.column(names.LAKE_VERSION)).as_py() for b, some in asked}
    return snapshot.seen(pinned)


def wholes(
    snapshot: Snapshot, duck: duckdb.DuckDBPyConnection, asked: Sequence[Asked]
) -> dict[int, Whole]:
    """Everything visible to each pointer, by bucket.

    What comes after the prefixes of all buckets is joined at once. All keys of a bucket are too
    many for that: one that needs them is read and joined alone.
    """
    read = [(*each, Prefixed.read(snapshot, each[1], each[0])) for each in asked]
    runs = [(part.events, pointers) for _, pointers, part in read if part is not None]
    joined = iter(Rows.each(duck, runs))
    found = {}
    for bucket, pointers, part in read:
        if part is not None:
            found[bucket] = part.whole(next(joined).whole())
        else:
            found[bucket] = _by_keys(snapshot, duck, bucket, pointers)
    return found


def _by_keys(
    snapshot: Snapshot, duck: duckdb.DuckDBPyConnection, bucket: int, pointers: pa.Table
) -> Whole:
    keys = Keyed.read(snapshot, bucket)
    return keys.whole(Rows.of(duck, keys.events, pointers).whole())

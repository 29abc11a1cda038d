"""What is visible to pointers, bucket by bucket, in rows of the bucket."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.keyed import Keyed
from uih_lake.resolve.prefixed import Prefixed
from uih_lake.resolve.rows import Rows, Whole

Asked = tuple[int, pa.Table]
"""A bucket, and pointers of its users."""


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

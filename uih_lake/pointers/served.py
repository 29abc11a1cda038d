"""Pointers that serving cut, given back with their requests, to be kept as they are.

Nothing proves them again, so they are refused here unless they are such pointers of the requests.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, schema
from uih_lake.arrays import whole
from uih_lake.errors import InputError
from uih_lake.ingest import Batches
from uih_lake.lake.tombstones import Tombstones

_NEVER_NULL = (names.USER_ID, names.LAKE_VERSION, names.GENERATION, names.LENGTH, names.DIGEST)
_AS_SERVED = "give the pointers of Lake.snapshot, one per request and in its order"


def check(served: pa.Table, users: pa.DataType, tombstones: Tombstones) -> None:
    """Raise :class:`InputError` unless the columns are those that serving cuts, without the erased.

    ``users`` is the type of the requests' users.
    """
    if not isinstance(served, pa.Table):
        raise InputError(
            f"the pointers are a {type(served).__name__}, no Arrow table", hint=_AS_SERVED
        )
    for field in schema.pointers(users, pa.int64()):
        if field.name in names.POINTER_COLUMNS:
            _check_column(served, field)
    _refuse_forgotten(served, tombstones)


def as_many(requests: Batches, served: pa.Table) -> list[pa.RecordBatch]:
    """All requests, before any is compared with its pointer: one too few would shift the rest.

    Raises :class:`InputError` where they are not as many as the pointers.
    """
    batches = list(requests)
    rows = sum(batch.num_rows for batch in batches)
    if rows != served.num_rows:
        raise InputError(f"{served.num_rows} pointers for {rows} requests", hint=_AS_SERVED)
    return batches


def pinned(
    batch: pa.RecordBatch, served: pa.Table, first_row: int, lake_version: int
) -> dict[str, pa.Array]:
    """The pointers that serving cut for the requests of ``batch``.

    Raises :class:`InputError` where one is for another user or instant than its request.
    """
    mine = served.slice(first_row, batch.num_rows).combine_chunks()
    for name in (names.USER_ID, names.REQUEST_TS):
        if not mine.column(name).combine_chunks().equals(batch.column(name)):
            raise InputError(
                f"column {name!r} of the pointers is not that of the requests",
                hint=_AS_SERVED,
            )
    newest = pc.max(mine.column(names.LAKE_VERSION)).as_py()
    if newest is not None and newest > lake_version:
        raise InputError(
            f"a pointer pins lake version {newest}, the lake's newest is {lake_version}",
            hint="give pointers that this lake's snapshot cut",
        )
    kept = [name for name in names.POINTER_COLUMNS if name not in (names.USER_ID, names.REQUEST_TS)]
    return {name: mine.column(name).combine_chunks() for name in kept}


def _check_column(served: pa.Table, wanted: pa.Field) -> None:
    name = wanted.name
    if served.column_names.count(name) != 1:
        has = ", ".join(served.column_names)
        raise InputError(f"the pointers need one column {name!r}, they have {has}", hint=_AS_SERVED)
    column = served.column(name)
    if column.type != wanted.type:
        raise InputError(
            f"column {name!r} of the pointers is {column.type}, where {wanted.type} is wanted",
            hint=_AS_SERVED,
        )
    if name in _NEVER_NULL and column.null_count:
        raise InputError(
            f"column {name!r} of the pointers is null in {column.null_count} of {len(column)} rows",
            hint=_AS_SERVED,
        )


def _refuse_forgotten(served: pa.Table, tombstones: Tombstones) -> None:
    """Refuse pointers that tell of events erased since they were cut: nothing rebuilds those."""
    versions = served.column(names.LAKE_VERSION).to_numpy()
    gone = tombstones.cover(whole(served.column(names.USER_ID)), versions)
    gone &= served.column(names.LENGTH).to_numpy() > 0
    if gone.any():
        raise InputError(
            "the pointers tell of users who were forgotten since they were cut, "
            f"first at row {1 + int(np.argmax(gone))}",
            hint="leave these requests out, or log them without pointers",
        )

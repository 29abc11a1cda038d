"""Log: requests become examples, each with the versioned pointer of what was visible to it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, schema
from uih_lake.errors import SchemaError
from uih_lake.ingest import Batches
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.pointers import examples
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect

_ROW = "_row"
Progress = Callable[[int, int], None]


def log(store: Store, requests: Batches, live: bool, progress: Progress) -> pa.Table:
    """Cut a pointer for each of the normalised ``requests`` and store them as examples.

    A live pointer is unbounded by arrival; a backfilled one sees what had arrived by its own
    ``as_of_ts``, or else by its ``request_ts``. Both pin the newest lake version. Returns the
    columns of :func:`uih_lake.schema.pointers`, in the order of the requests.
    """
    store.refresh()
    _check(requests.schema, store.recent.schema, store.examples.schema)
    snapshot = Snapshot.of(store, users=requests.schema.field(names.USER_ID).type)
    numbered = names.EXAMPLE_ID not in requests.schema.names
    tables: list[pa.Table] = []
    done = 0
    with connect() as duck:
        for batch in requests:
            tables.append(_point(snapshot, duck, batch, live, done, progress))
            done += batch.num_rows
    if not tables:
        return _nothing(requests.schema)
    stored = [table.drop_columns([_ROW]) for table in tables]
    first = examples.add(store, stored, numbered)
    return _as_given(tables, first if numbered else 0)


def _point(
    snapshot: Snapshot,
    duck: duckdb.DuckDBPyConnection,
    batch: pa.RecordBatch,
    live: bool,
    first_row: int,
    progress: Progress,
) -> pa.Table:
    """The batch with its pointers, sorted by bucket, user and time; ``_row`` as given."""
    table = _with_bounds(batch, live, snapshot, first_row)
    order = (names.BUCKET, names.USER_ID, names.REQUEST_TS, _ROW)
    table = table.sort_by([(name, "ascending") for name in order])
    buckets = table.column(names.BUCKET).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), table.num_rows]
    resolver = Resolver(snapshot, duck)
    parts = []
    for start, stop in pairwise(edges):
        pointers = table.slice(start, stop - start)
        proof = resolver.prove(pointers, int(buckets[start]))
        parts.append(proof)
        progress(first_row + stop, first_row + table.num_rows)
    proofs = pa.concat_tables(parts)
    for name in proofs.column_names:
        table = table.append_column(name, proofs.column(name))
    return _arranged(table)


def _with_bounds(batch: pa.RecordBatch, live: bool, snapshot: Snapshot, first_row: int) -> pa.Table:
    """Add what a pointer pins and where its user is kept."""
    rows = batch.num_rows
    table = pa.Table.from_batches([batch])
    as_of = pa.nulls(rows, schema.TIME)
    if not live:
        as_of = table.column(names.REQUEST_TS)
        if names.AS_OF_TS in table.column_names:
            as_of = pc.coalesce(table.column(names.AS_OF_TS), as_of)
    if names.AS_OF_TS in table.column_names:
        table = table.drop_columns([names.AS_OF_TS])
    order = np.arange(first_row, first_row + rows)
    added = {
        names.AS_OF_TS: as_of,
        names.LAKE_VERSION: pa.array(np.full(rows, snapshot.lake_version)),
        names.GENERATION: pa.array(np.full(rows, snapshot.generation)),
        names.BUCKET: pa.array(hashing.bucket_of(batch.column(names.USER_ID), snapshot.buckets)),
        _ROW: pa.array(order),
    }
    if names.EXAMPLE_ID not in table.column_names:
        added[names.EXAMPLE_ID] = pa.array(order)
    for name, values in added.items():
        table = table.append_column(name, values)
    return table


def _arranged(table: pa.Table) -> pa.Table:
    """Pointer columns first, then the bucket, then the context."""
    head = [names.EXAMPLE_ID, *names.POINTER_COLUMNS, names.BUCKET]
    return table.select([*head, *(n for n in table.column_names if n not in head)])


def _check(requests: pa.Schema, events: pa.Schema, stored: pa.Schema) -> None:
    """Refuse requests that do not fit the lake's users or the examples logged so far."""
    user = requests.field(names.USER_ID).type
    if names.USER_ID in events.names and user != events.field(names.USER_ID).type:
        raise SchemaError(
            f"column 'user_id' of the requests is {user}, "
            f"the lake's events have {events.field(names.USER_ID).type}",
            hint="cast one of them, so that a user has the same id in both",
        )
    if names.EXAMPLE_ID not in stored.names:
        return
    known = {f.name: f.type for f in stored}
    if names.EXAMPLE_ID not in requests.names and pa.types.is_string(known[names.EXAMPLE_ID]):
        raise SchemaError(
            "the requests have no column 'example_id', and the examples so far have string ids, "
            "which cannot be numbered on",
            hint="add a column 'example_id'",
        )
    for field in requests:
        if field.name in known and field.type != known[field.name]:
            raise SchemaError(
                f"column {field.name!r} of the requests is {field.type}, "
                f"the examples so far have {known[field.name]}",
                hint="cast it, or rename it",
            )


def _nothing(requests: pa.Schema) -> pa.Table:
    ids = pa.int64()
    if names.EXAMPLE_ID in requests.names:
        ids = requests.field(names.EXAMPLE_ID).type
    return schema.pointers(requests.field(names.USER_ID).type, ids).empty_table()


def _as_given(tables: list[pa.Table], first: int) -> pa.Table:
    table = pa.concat_tables(tables).sort_by(_ROW)
    pointers = table.select([names.EXAMPLE_ID, *names.POINTER_COLUMNS])
    if first:
        ids = pc.add(pointers.column(names.EXAMPLE_ID), first)
        pointers = pointers.set_column(0, names.EXAMPLE_ID, ids)
    return pointers.combine_chunks()

"""Log: requests become examples, each with the versioned pointer of what was visible to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, schema
from uih_lake.errors import ConflictError, InputError, SchemaError
from uih_lake.given import check_flags
from uih_lake.ingest import Batches, RequestColumns, check_requests, open_requests
from uih_lake.ingest.times import doubt
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.lake.tombstones import Tombstones
from uih_lake.logged import Logged, Tally
from uih_lake.pointers import examples, served
from uih_lake.pointers.examples import Examples
from uih_lake.progress import Progress
from uih_lake.resolve.ahead import ahead, together
from uih_lake.resolve.placed import PLACE, nowhere
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.visible import Asked, by_bucket
from uih_lake.session import cursor

_LOG = logging.getLogger(__name__)
_MANY = 100
"""So many requests at once are hardly all the first of their users."""

Told = Callable[[pa.Table], object]
"""Is given pointers as they are cut: the columns of :func:`uih_lake.schema.pointers`."""


def log(
    store: Store,
    requests: Any,
    columns: RequestColumns,
    live: bool,
    pointers: pa.Table | None,
    add_columns: bool,
    progress: Progress,
) -> pa.Table:
    """Store requests as examples, as :meth:`Lake.log` says; returns their pointers."""
    batches, tally = open_requests(requests, columns, Examples.known(store)), Tally()
    kept: list[pa.Table] = []

    def told(pointers: pa.Table) -> None:
        tally.add(pointers)
        kept.append(pointers)

    first = _log(store, batches, live, pointers, add_columns, told, progress)
    _tell(batches, tally.logged(first))
    nothing = schema.pointers(batches.schema.field(names.USER_ID).type, _ids(batches.schema))
    return _numbered(pa.concat_tables(kept or [nothing.empty_table()]), first)


def log_files(
    store: Store,
    files: Sequence[str],
    columns: RequestColumns,
    live: bool,
    add_columns: bool,
    progress: Progress,
) -> Logged:
    """Store the requests of files as :func:`log` does, of any number, and keep no pointer."""
    batches, tally = open_requests(files, columns, Examples.known(store)), Tally()
    first = _log(store, batches, live, None, add_columns, tally.add, progress)
    logged = tally.logged(first)
    _tell(batches, logged)
    return logged


def _tell(requests: Batches, logged: Logged) -> None:
    """Log warnings of what is hardly meant."""
    requests.tell_skipped()
    doubt("request", logged.first_request, logged.last_request)
    if logged.without_history == logged.examples >= _MANY:
        _LOG.warning("no request sees any event: are users and times those of the events?")


def _log(
    store: Store,
    requests: Batches,
    live: bool,
    pointers: pa.Table | None,
    add_columns: bool,
    told: Told,
    progress: Progress,
) -> int:
    """Cut a pointer for each of the normalised ``requests`` and store them as examples.

    A live pointer is unbounded by arrival; a backfilled one sees what had arrived by its own
    ``as_of_ts``, or else by its ``request_ts``. Both pin the newest lake version. Where there are
    ``pointers`` that serving cut, one per request, those are kept instead. What they are is
    ``told`` batch by batch, in the order of the requests. Where these bring no ``example_id`` it
    counts from 0 there; returns what is to be added to it, else 0.

    Raises :class:`InputError` where requests that are live, or bring ``pointers``, have an
    ``as_of_ts``, which they could not keep, and where the pointers are not those of the requests,
    or tell of who was forgotten since; :class:`SchemaError` where the context is not that of the
    examples so far, or has more columns without ``add_columns``.
    """
    check_flags(live=live, add_columns=add_columns)
    if live or pointers is not None:
        _check_unbounded(requests)
    # First: of whoever is forgotten while the events are looked at, some may be among them.
    store.forgotten.refresh()
    fit = partial(_check, store, requests, store.forgotten.version, add_columns)
    store.refresh()
    fit()
    users = requests.schema.field(names.USER_ID).type
    if pointers is not None:
        served.check(pointers, users, Tombstones.of(store))
    snapshot = Snapshot.of(store, users=users)
    if pointers is None:
        tables = _cut(requests, live, snapshot, progress)
    else:
        tables = _served(requests, pointers, snapshot)

    def stored() -> Iterator[pa.Table]:
        for table in tables:
            told(_as_given(table))
            yield table.drop_columns([names.ROW])

    return examples.add(store, stored(), names.EXAMPLE_ID not in requests.schema.names, fit)


def _cut(
    requests: Batches, live: bool, snapshot: Snapshot, progress: Progress
) -> Iterator[pa.Table]:
    """Requests with pointers cut now, batch by batch."""
    done = 0
    for batch in requests:
        table = _in_order(batch, _bounds(batch, live, snapshot), snapshot, done)
        yield _arranged(_pointed(table, snapshot, done, progress))
        done += batch.num_rows


def _served(requests: Batches, pointers: pa.Table, snapshot: Snapshot) -> Iterator[pa.Table]:
    """Requests with the pointers that serving cut, batch by batch."""
    done = 0
    for batch in served.as_many(requests, pointers):
        pinned = served.pinned(batch, pointers, done, snapshot.lake_version)
        yield _arranged(_in_order(batch, pinned | nowhere(batch.num_rows), snapshot, done))
        done += batch.num_rows


def _pointed(table: pa.Table, snapshot: Snapshot, first_row: int, progress: Progress) -> pa.Table:
    """The requests of ``table``, which come by bucket, with what proves and places them."""
    asked = together(by_bucket(table))
    parts: list[pa.Table] = []
    done = first_row
    with closing(ahead(partial(_point, snapshot, some) for some in asked)) as found:
        for some in found:
            parts += some
            done += sum(part.num_rows for part in some)
            progress(done, first_row + table.num_rows)
    proofs = pa.concat_tables(parts)
    for name in proofs.column_names:
        table = table.append_column(name, proofs.column(name))
    return table


def _point(snapshot: Snapshot, asked: Sequence[Asked]) -> list[pa.Table]:
    with cursor(threads=1) as duck:
        return Resolver(snapshot, duck).point(asked)


def _bounds(batch: pa.RecordBatch, live: bool, snapshot: Snapshot) -> dict[str, pa.Array]:
    """What a pointer pins, for pointers that are to be cut now."""
    rows = batch.num_rows
    as_of = pa.nulls(rows, schema.TIME)
    if not live:
        as_of = batch.column(names.REQUEST_TS)
        if names.AS_OF_TS in batch.schema.names:
            as_of = pc.coalesce(batch.column(names.AS_OF_TS), as_of)
    return {
        names.AS_OF_TS: as_of,
        names.LAKE_VERSION: pa.array(np.full(rows, snapshot.lake_version)),
        names.GENERATION: pa.array(np.full(rows, snapshot.generation)),
    }


def _check_unbounded(requests: Batches) -> None:
    if names.AS_OF_TS in requests.schema.names:
        raise InputError(
            f"{requests.where}: live or served requests saw whatever had arrived, "
            "these have an as_of_ts",
            hint="leave that column out, or log them without live (--live) and without pointers",
        )


def _in_order(
    batch: pa.RecordBatch, pointers: dict[str, pa.Array], snapshot: Snapshot, first_row: int
) -> pa.Table:
    """The batch with columns of its ``pointers``, sorted by bucket, user and time.

    Beside the bucket it gets a ``_row``, counted from ``first_row`` on as given, and the same as
    its ``example_id`` where it has none.
    """
    row = pa.array(np.arange(first_row, first_row + batch.num_rows))
    bucket = pa.array(hashing.bucket_of(batch.column(names.USER_ID), snapshot.buckets))
    brought = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = {names.EXAMPLE_ID: row} | brought | pointers
    table = pa.table(columns | {names.BUCKET: bucket, names.ROW: row})
    order = (names.BUCKET, names.USER_ID, names.REQUEST_TS, names.ROW)
    return table.sort_by([(name, "ascending") for name in order])


def _arranged(table: pa.Table) -> pa.Table:
    """Pointer columns first, then where things are kept, then the context."""
    head = [names.EXAMPLE_ID, *names.POINTER_COLUMNS, names.BUCKET, *PLACE]
    return table.select([*head, *(n for n in table.column_names if n not in head)])


def _check(store: Store, requests: Batches, forgotten: int, add_columns: bool) -> None:
    """Refuse requests that do not fit the lake's users or the examples logged so far.

    Or whose pointers may tell of users who were forgotten since version ``forgotten`` of the
    tombstones; raises :class:`ConflictError` then.
    """
    store.forgotten.refresh()
    if store.forgotten.version != forgotten:
        raise ConflictError(
            "users were forgotten while requests were logged, and may be among them",
            hint="nothing was logged; log them again",
        )
    events, stored = store.recent.schema, store.examples.schema
    user = requests.schema.field(names.USER_ID).type
    if names.USER_ID in events.names and user != events.field(names.USER_ID).type:
        raise SchemaError(
            f"column 'user_id' of the requests is {user}, "
            f"the lake's events have {events.field(names.USER_ID).type}",
            hint="cast one of them, so that a user has the same id in both",
        )
    if names.EXAMPLE_ID not in stored.names:
        return
    ids = stored.field(names.EXAMPLE_ID).type
    if names.EXAMPLE_ID not in requests.schema.names and pa.types.is_string(ids):
        raise SchemaError(
            "the requests have no column 'example_id', and the examples so far have string ids, "
            "which cannot be numbered on",
            hint="add a column 'example_id'",
        )
    check_requests(requests.schema, stored, add_columns=add_columns, where=requests.where)


def _ids(requests: pa.Schema) -> pa.DataType:
    """Type of the ids that requests bring or are given."""
    brought = names.EXAMPLE_ID in requests.names
    return requests.field(names.EXAMPLE_ID).type if brought else pa.int64()


def _as_given(table: pa.Table) -> pa.Table:
    """The pointers of a table, in the order of its ``_row``."""
    given = table.select([names.ROW, names.EXAMPLE_ID, *names.POINTER_COLUMNS])
    return given.sort_by(names.ROW).drop_columns([names.ROW])


def _numbered(pointers: pa.Table, first: int) -> pa.Table:
    """Pointers in one chunk, with ``first`` added to ids that were numbered from 0."""
    if first:
        ids = pc.add(pointers.column(names.EXAMPLE_ID), first)
        pointers = pointers.set_column(0, names.EXAMPLE_ID, ids)
    return pointers.combine_chunks()

"""Append: events become files of the mutable tier and one lake version.

Files are written while the input streams by, a chunk of at most 2^20 events each; nothing of it is
visible before the one commit at the end, and a refused input takes its files along. The lake
version is the partition value of the files, so a writer who loses a race commits the same files
again under the next number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, schema
from uih_lake.errors import InputError, SchemaError
from uih_lake.given import is_text
from uih_lake.lake import locks, parquet, words
from uih_lake.lake.order import moved, places_of
from uih_lake.lake.store import APPENDED, APPENDED_ROWS, Store
from uih_lake.lake.tables import File, optimistic

KEY_PREFIX = "uih_lake.append:"
_PENDING = -1


def append(
    store: Store,
    events: Iterable[pa.RecordBatch],
    key: str | None,
    fit: Callable[[pa.Schema | None], pa.Schema],
) -> tuple[int, bool]:
    """Write normalised ``events`` and commit them as one lake version: that, and whether it is new.

    ``key`` makes the append idempotent: where another process used it meanwhile, nothing is added
    and its lake version is returned, which is not new. ``fit`` is given the lake's normalised event
    schema (None while it has none) and returns the one to have afterwards, or raises.
    """
    _fitted(store, fit)
    files: list[File] = []
    with locks.writing(store.root), store.recent.discarding(files):
        with parquet.Writing(store.recent.root, files) as writing:
            for number, batch in enumerate(events):
                table = _chunk(batch, number, store.buckets)
                writing.write(table, {names.LAKE_VERSION: _PENDING})
        with store.deciding_user_ids():
            return optimistic(lambda: _commit(store, files, key, fit), "append")


def known(store: Store, key: str | None) -> int | None:
    """The lake version an append with this idempotency key brought; None where there was none.

    Raises :class:`InputError` for a key that is no text, or empty.
    """
    return None if key is None else store.recent.counter(_counter(key))


def _counter(key: str) -> str:
    """The counter that remembers an idempotency key; raises :class:`InputError`.

    An empty key comes of a variable that was not set, and would keep out every delivery after the
    first.
    """
    if key == "":
        raise InputError("the idempotency key is empty", hint="name the delivery, or give no key")
    if not is_text(key):
        raise InputError(f"key {key!r} is no text", hint="give a string that UTF-8 can hold")
    return KEY_PREFIX + key


def _commit(
    store: Store,
    files: list[File],
    key: str | None,
    fit: Callable[[pa.Schema | None], pa.Schema],
) -> tuple[int, bool]:
    before = known(store, key)
    if before is not None:  # another process won with the same key
        store.recent.discard(files)
        return before, False
    version = store.lake_version + 1
    store.examples.refresh()  # the first of them may have come meanwhile
    stored = schema.stored_events(_fitted(store, fit))
    rows = sum(f.rows for f in files) + store.recent.counted(APPENDED_ROWS)
    counters = {APPENDED: version, APPENDED_ROWS: rows}
    if key is not None:
        counters[_counter(key)] = version
    placed = [File(f.path, f.size, f.rows, {names.LAKE_VERSION: version}) for f in files]
    store.recent.commit(
        placed,
        counters=counters,
        schema=schema.recent_events(stored),
    )
    return version, True


def _fitted(store: Store, fit: Callable[[pa.Schema | None], pa.Schema]) -> pa.Schema:
    """The normalised event schema to have afterwards; its users are those of the examples."""
    normalised = fit(schema.normalised_events(store.recent.schema))
    logged = store.examples.schema
    user = normalised.field(names.USER_ID).type
    if names.USER_ID in logged.names and logged.field(names.USER_ID).type != user:
        raise SchemaError(
            f"column 'user_id' of the events is {user}, "
            f"the examples logged so far have {logged.field(names.USER_ID).type}",
            hint="cast it, so that a user has the same id in both",
        )
    return normalised


def _chunk(batch: pa.RecordBatch, number: int, buckets: int) -> pa.Table:
    """The stored columns of chunk ``number`` of an append, as the mutable tier orders them."""
    if batch.num_rows > schema.CHUNK_ROWS:
        raise ValueError(f"a chunk has at most {schema.CHUNK_ROWS} rows")
    table = _with_keys(batch, buckets)
    table = moved(table, places_of(table))
    ties = pa.array(_ties(table) + (number << schema.TIE_BITS))
    table = table.set_column(table.schema.get_field_index(names.TIE), names.TIE, ties)
    return table.drop_columns([names.LAKE_VERSION])  # it is the partition value


def _with_keys(batch: pa.RecordBatch, buckets: int) -> pa.Table:
    """Add the stored columns that follow from an event itself; the tie is the row as given."""
    rows = batch.num_rows
    traits = [field.name for field in schema.traits_of(batch.schema)]
    event_ts = batch.column(names.EVENT_TS)
    delay = pc.subtract(batch.column(names.ARRIVAL_TS).cast(pa.int64()), event_ts.cast(pa.int64()))
    given = [batch.column(trait) for trait in traits]
    coded = [_coded(values) for values in given]
    prints = hashing.fingerprint(traits, coded, rows)
    return pa.table(
        {
            names.BUCKET: pa.array(hashing.bucket_of(batch.column(names.USER_ID), buckets)),
            names.USER_ID: batch.column(names.USER_ID),
            names.EVENT_TS: event_ts,
            names.DELAY: delay,
            names.LAKE_VERSION: pa.array(np.zeros(rows, np.int64)),
            names.TIE: pa.array(np.arange(rows)),
            names.FINGERPRINT: prints,
            **dict(zip(traits, map(words.lighter, given, coded), strict=True)),
        }
    )


def _coded(values: pa.Array) -> pa.Array:
    """Strings as codes, of which each kind is hashed once."""
    return values.dictionary_encode() if pa.types.is_string(values.type) else values


def _ties(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rank of each event among those of its user and instant, in the order given; int64."""
    rows = table.num_rows
    if rows == 0:
        return np.zeros(0, np.int64)
    new = np.ones(rows, bool)
    equal = pc.and_(*(_as_before(table.column(name)) for name in (names.USER_ID, names.EVENT_TS)))
    new[1:] = ~equal.to_numpy(zero_copy_only=False)
    place = np.arange(rows, dtype=np.int64)
    return place - np.maximum.accumulate(np.where(new, place, 0))


def _as_before(column: pa.ChunkedArray) -> pa.Array:
    """Whether each value but the first equals the one before it."""
    values = column.combine_chunks()
    return pc.equal(values[1:], values[:-1])

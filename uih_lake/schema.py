"""Arrow schemas of what is stored and of what a user sees, with units.

All times are ``timestamp[us, UTC]``. Types are the ones Delta Lake knows, so that any Delta reader
understands the tables.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from uih_lake import names

TIME = pa.timestamp("us", tz="UTC")
UNBOUNDED = 2**62
"""Microseconds and versions beyond every real one; its negative is before every real one."""
TIE_BITS = 20
"""Bits of a tie that count events of a chunk at one time; the others count the chunks."""
CHUNK_ROWS = 1 << TIE_BITS
"""Events of a chunk of an append, at most."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What stored times are counted from, in microseconds."""
LABEL = {b"uih_lake.label": b"true"}
"""Metadata of a stored column of examples that was set after they were logged."""
MIN_TIME = -62_135_596_800_000_000
"""Year 1, in microseconds since the epoch: the earliest event time."""
MAX_TIME = 253_402_300_800_000_000
"""Year 10000, exclusive."""

TOMBSTONES = pa.schema([pa.field(names.USER_HASH, pa.string())])
"""A forgotten user: that there was one, under a keyed hash, not who."""

_STORED_KEYS = (
    pa.field(names.DELAY, pa.int64()),
    pa.field(names.LAKE_VERSION, pa.int64()),
    pa.field(names.TIE, pa.int64()),
    pa.field(names.FINGERPRINT, pa.int32()),
)
NO_EVENTS = pa.schema([pa.field(names.EVENT_TS, TIME), *_STORED_KEYS])
"""Stored event columns of a lake that has not seen an event: the type of ``user_id`` is open."""


PLACED = (
    pa.field(names.BUCKET, pa.int32()),
    pa.field(names.RUN, pa.int64()),
    pa.field(names.END, pa.int64()),
    pa.field(names.GAPS, pa.binary()),
)
"""Hidden columns of an example: where its user is kept, and the place of its pointer in a file."""


def moment(time: int) -> datetime:
    """A stored time as Python's."""
    return EPOCH + timedelta(microseconds=time)


def stored_time(moment: datetime) -> int:
    """A time with a zone as it is stored, in microseconds since the epoch."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def stored_events(events: pa.Schema) -> pa.Schema:
    """Stored columns for normalised ``events`` (``user_id, event_ts, arrival_ts``, traits)."""
    user = pa.field(names.USER_ID, events.field(names.USER_ID).type)
    return nullable(pa.schema([user, *NO_EVENTS, *traits_of(events)]))


def recent_events(stored: pa.Schema) -> pa.Schema:
    """Columns of the files of the mutable tier: the lake version is their partition value."""
    fields = [f for f in stored if f.name != names.LAKE_VERSION]
    return pa.schema([pa.field(names.BUCKET, pa.int32()), *fields])


def normalised_events(stored: pa.Schema) -> pa.Schema | None:
    """Inverse of :func:`stored_events`; None while the lake has seen no event."""
    if names.USER_ID not in stored.names:
        return None
    times = [pa.field(names.EVENT_TS, TIME), pa.field(names.ARRIVAL_TS, TIME)]
    return pa.schema([stored.field(names.USER_ID), *times, *traits_of(stored)])


def public_events(stored: pa.Schema) -> pa.Schema:
    """Columns of the view ``events``: the five of every event, then the traits."""
    user = stored.field(names.USER_ID) if names.USER_ID in stored.names else None
    head = [
        user or pa.field(names.USER_ID, pa.int64()),
        pa.field(names.EVENT_TS, TIME),
        pa.field(names.ARRIVAL_TS, TIME),
        pa.field(names.LAKE_VERSION, pa.int64()),
        pa.field(names.SEQ, pa.int64()),
    ]
    return pa.schema([*head, *traits_of(stored)])


def nullable(fields: pa.Schema) -> pa.Schema:
    """The schema with every field nullable, as the tables store them."""
    return pa.schema([pa.field(f.name, f.type) for f in fields])


def traits_of(events: pa.Schema) -> list[pa.Field]:
    """Trait fields of a stored, normalised or public event schema, in order."""
    known = {*names.EVENT_COLUMNS, *NO_EVENTS.names, names.BUCKET}
    return [field for field in events if field.name not in known]


def pointers(user_id: pa.DataType, example_id: pa.DataType) -> pa.Schema:
    """Columns of a versioned pointer as :meth:`Lake.log` returns it.

    ``as_of_ts`` is null where the pointer is unbounded by arrival; ``start_ts`` and ``end_ts`` are
    the times of the first and the last visible event, null where nothing is visible; ``digest`` is
    the 64-bit sum of event digests, read as a signed integer.
    """
    return pa.schema(
        [
            pa.field(names.EXAMPLE_ID, example_id),
            pa.field(names.USER_ID, user_id),
            pa.field(names.REQUEST_TS, TIME),
            pa.field(names.AS_OF_TS, TIME),
            pa.field(names.LAKE_VERSION, pa.int64()),
            pa.field(names.GENERATION, pa.int64()),
            pa.field(names.START_TS, TIME),
            pa.field(names.END_TS, TIME),
            pa.field(names.LENGTH, pa.int64()),
            pa.field(names.DIGEST, pa.int64()),
        ]
    )


def is_label(field: pa.Field) -> bool:
    """Whether the column was set on examples after they were logged, which may then lack it."""
    return LABEL.items() <= (field.metadata or {}).items()


def context_of(examples: pa.Schema) -> list[pa.Field]:
    """Context fields of a request or example schema, in order."""
    known = {*names.EXAMPLE_COLUMNS, *names.HIDDEN_EXAMPLE_COLUMNS}
    return [field for field in examples if field.name not in known]

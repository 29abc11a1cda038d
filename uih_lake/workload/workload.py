"""The workload itself: events as batches, as appends of an ingestion pipeline, and requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa

from uih_lake import names
from uih_lake.errors import InputError
from uih_lake.schema import TIME, stored_time
from uih_lake.workload import requests as asking
from uih_lake.workload import traits
from uih_lake.workload.catalogue import Catalogue, catalogue
from uih_lake.workload.people import People, people
from uih_lake.workload.shape import Block, blocks, history_lengths
from uih_lake.workload.streams import Stage, draws, stream
from uih_lake.workload.tables import Array, Ints
from uih_lake.workload.times import DAY, SECOND, Timeline, timeline


@dataclass(frozen=True)
class Workload:
    """A made-up, realistic log of any size, decided by its fields and by nothing else.

    There are ``users * mean_events`` events in ``days`` days from ``start`` on, the longest history
    being ``max_events`` (less where that would be over a quarter of all events), and ``requests``
    requests in the last ``request_days``. ``late_share`` of the events arrive later than they
    happened, ``tie_share`` happen at the instant of the one before. A catalogue of ``items`` items.
    Raises InputError for fields that make no sense.
    """

    users: int = 10_000
    mean_events: int = 2514
    max_events: int = 65_536
    requests: int = 200_000
    days: int = 180
    request_days: int = 30
    late_share: float = 0.05
    tie_share: float = 0.02
    seed: int = 0
    string_users: bool = False
    nulls: bool = True
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    items: int = 200_000

    def __post_init__(self) -> None:
        for name in ("users", "mean_events", "days", "items"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1")
        _check(self.max_events >= self.mean_events, "max_events must not be below mean_events")
        _check(self.requests >= 0 and self.seed >= 0, "requests and seed must not be negative")
        _check(1 <= self.request_days <= self.days, "request_days must be from 1 to days")
        for name in ("late_share", "tie_share"):
            _check(0 <= getattr(self, name) <= 1, f"{name} must be from 0 to 1")
        _check(self.start.tzinfo is not None, "start must have a time zone")

    @property
    def total_events(self) -> int:
        """Number of events."""
        return self.users * self.mean_events

    @property
    def event_schema(self) -> pa.Schema:
        """Schema of the events: user_id, event_ts, arrival_ts and eight traits."""
        keys = [
            pa.field(names.USER_ID, self._user_type, nullable=False),
            pa.field(names.EVENT_TS, TIME, nullable=False),
            pa.field(names.ARRIVAL_TS, TIME, nullable=False),
        ]
        return pa.schema([*keys, *traits.FIELDS])

    def events(self, batch_rows: int = 1 << 18) -> Iterator[pa.RecordBatch]:
        """All events, in the order of ``appends(1)``, in batches of at most ``batch_rows`` rows."""
        return self._slice(None, None, batch_rows)

    def appends(self, n: int, batch_rows: int = 1 << 18) -> Iterator[pa.RecordBatchReader]:
        """All events as ``n`` deliveries, one for each nth part of the time, by arrival.

        A late event is in the delivery of its arrival. Inside a delivery events come block of users
        by block of users (as partitions of a log would), in each by second of arrival. A delivery
        is made while it is read, in the memory of one block; its times are made anew for each.
        """
        _check(n >= 1, "the number of appends must be at least 1")
        cuts: list[int | None] = [self.days * DAY * part // n for part in range(n + 1)]
        cuts[0] = cuts[-1] = None
        for begin, end in pairwise(cuts):
            batches = self._slice(begin, end, batch_rows)
            yield pa.RecordBatchReader.from_batches(self.event_schema, batches)

    def requests_table(self, *, example_id: bool = False) -> pa.Table:
        """Requests in no order: [example_id], user_id, request_ts, label, surface, candidates."""
        counts = asking.request_counts(self._lengths, self.requests, self.seed)
        parts = [self._requests_of(block, counts) for block in blocks(self._lengths)]
        order = stream(self.seed, Stage.REQUEST_ORDER).permutation(self.requests)
        table = pa.Table.from_batches(parts).combine_chunks().take(order)
        if not example_id:
            return table
        return table.add_column(0, names.EXAMPLE_ID, pa.array(np.arange(self.requests)))

    @property
    def _user_type(self) -> pa.DataType:
        return pa.string() if self.string_users else pa.int64()

    @cached_property
    def _lengths(self) -> Ints:
        return history_lengths(self.users, self.mean_events, self.max_events, self.seed)

    @cached_property
    def _user_numbers(self) -> Ints:
        """Numbers 1 to ``users``, shuffled, so that a block is no range of ids."""
        return stream(self.seed, Stage.USER_NUMBERS).permutation(self.users) + 1

    @cached_property
    def _catalogue(self) -> Catalogue:
        return catalogue(self.items, self.seed)

    def _people(self, block: Block) -> People:
        return people(block, self._user_numbers, self.seed, self.days, self.string_users)

    def _timeline(self, block: Block, who: People) -> Timeline:
        return timeline(
            block,
            who,
            seed=self.seed,
            days=self.days,
            tie_share=self.tie_share,
            late_share=self.late_share,
        )

    def _slice(
        self, begin: int | None, end: int | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Events that arrive in ``[begin, end)``, microseconds since the start, None unbounded."""
        for block in blocks(self._lengths):
            who = self._people(block)
            when = self._timeline(block, who)
            rows = _by_arrival(when.arrival_us, begin, end)
            if len(rows):
                batch = self._batch(block, who, when, rows)
                for offset in range(0, len(rows), batch_rows):
                    yield batch.slice(offset, batch_rows)

    def _batch(self, block: Block, who: People, when: Timeline, rows: Array) -> pa.RecordBatch:
        draw = draws(stream(self.seed, Stage.TRAITS, block.number), block.events, traits.COLUMNS)
        keys = [
            who.ids.take(pa.array(when.user[rows])),
            self._timestamps(when.event_us[rows]),
            self._timestamps(when.arrival_us[rows]),
        ]
        what = traits.columns(
            draw.take(rows, axis=0), rows, when, who, self._catalogue, nulls=self.nulls
        )
        return pa.RecordBatch.from_arrays([*keys, *what], schema=self.event_schema)

    def _requests_of(self, block: Block, counts: Ints) -> pa.RecordBatch:
        who = self._people(block)
        user, request_us, context = asking.block_requests(
            block,
            counts[block.first : block.first + block.users],
            self._timeline(block, who),
            who,
            self._catalogue,
            seed=self.seed,
            days=self.days,
            request_days=self.request_days,
        )
        keys = [who.ids.take(pa.array(user)), self._timestamps(request_us)]
        fields = [
            pa.field(names.USER_ID, self._user_type, nullable=False),
            pa.field(names.REQUEST_TS, TIME, nullable=False),
            *asking.FIELDS,
        ]
        return pa.RecordBatch.from_arrays([*keys, *context], schema=pa.schema(fields))

    def _timestamps(self, since_start: Ints) -> pa.Array:
        origin = stored_time(self.start)
        return pa.array(since_start + origin).view(TIME)


def _by_arrival(arrival_us: Ints, begin: int | None, end: int | None) -> Array:
    """Rows that arrive in ``[begin, end)``, by second of arrival, then by row."""
    inside = np.ones(len(arrival_us), dtype=bool)
    if begin is not None:
        inside &= arrival_us >= begin
    if end is not None:
        inside &= arrival_us < end
    rows = np.flatnonzero(inside)
    # Unique keys: whichever sort the machine has, there is one result, and no index to carry.
    bits = len(arrival_us).bit_length()
    keys = (arrival_us[rows] // SECOND << bits) | rows
    keys.sort()
    return keys & ((1 << bits) - 1)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(f"workload: {message}")

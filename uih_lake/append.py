"""Append: events of any source become one lake version, and what it brought is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import ingest, names, schema
from uih_lake.facts import plain
from uih_lake.given import check_flags
from uih_lake.ingest import EventColumns
from uih_lake.ingest.times import doubt
from uih_lake.lake import append as lake_append
from uih_lake.lake.store import Store
from uih_lake.progress import Progress

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Appended:
    """What one append committed: how many events, and the times of the first and the last.

    Of these events, ``expired`` lie before ``retained_from``, where no reader sees them; that is
    the start of the lake's retention window, None while it has none. Where the key was used before,
    ``added`` is False, ``lake_version`` is the one of that append, and nothing was committed.
    """

    lake_version: int
    added: bool = False
    events: int = 0
    first_event: datetime | None = None
    last_event: datetime | None = None
    expired: int = 0
    retained_from: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """The facts as plain values that JSON has; times in ISO 8601."""
        return plain(self)


def append(
    store: Store,
    events: Any,
    columns: EventColumns,
    *,
    key: str | None,
    add_columns: bool,
    progress: Progress,
) -> Appended:
    """Add events as one lake version, as :meth:`Lake.append` says; raises :class:`InputError`."""
    check_flags(add_columns=add_columns)
    store.refresh()
    known = lake_append.known(store, key)
    if known is not None:
        return Appended(known)
    expected = schema.normalised_events(store.recent.schema)
    batches = ingest.open_events(events, columns, expected)

    def fit(lake: pa.Schema | None) -> pa.Schema:
        if lake is None:
            return batches.schema
        return ingest.check_events(
            batches.schema, lake, add_columns=add_columns, where=batches.where
        )

    tally = _Tally(store.retained_from)
    window = store.retention_start
    version, added = lake_append.append(store, tally.over(batches, progress), key, fit)
    batches.tell_skipped()
    if not added:
        return Appended(version)
    first, last = min(tally.firsts, default=None), max(tally.lasts, default=None)
    brought = Appended(version, True, tally.events, first, last, tally.expired, window)
    _tell_expired(brought, batches.where)
    doubt("event", first, last)
    return brought


def _tell_expired(brought: Appended, where: str) -> None:
    """Log a warning where no reader sees some of the events."""
    if brought.expired:
        hidden, events = f"{brought.expired:,}", f"{brought.events:,}"
        start = f"{brought.retained_from:%Y-%m-%d %H:%M:%S} UTC"
        says = "%s: no reader sees %s of %s events: the lake retains those from %s on"
        _LOG.warning(says, where, hidden, events, start)


@dataclass
class _Tally:
    """Counts events as they stream by; those before ``cutoff``, in microseconds, are expired."""

    cutoff: int
    events: int = 0
    expired: int = 0
    firsts: list[datetime] = field(default_factory=list)
    lasts: list[datetime] = field(default_factory=list)

    def over(self, batches: ingest.Batches, progress: Progress) -> Iterator[pa.RecordBatch]:
        """The batches; ``progress`` is told of every source that has been read to its end."""
        told = 0
        for batch in batches:
            self._add(batch.column(names.EVENT_TS))
            yield batch
            if batches.sources_read > told:
                told = batches.sources_read
                progress(told, batches.sources)
        if batches.sources_read > told:
            progress(batches.sources_read, batches.sources)

    def _add(self, times: pa.Array) -> None:
        self.events += len(times)
        self.expired += pc.sum(pc.less(times.cast(pa.int64()), self.cutoff)).as_py()
        span = pc.min_max(times)
        self.firsts.append(span["min"].as_py())
        self.lasts.append(span["max"].as_py())

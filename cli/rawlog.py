"""A lake made of raw files for the length of one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uih_lake.progress import Progress

BUCKET_BYTES = 64 * 2**20
"""Bytes of raw files per bucket, about."""
MOST_BUCKETS = 256


@dataclass(frozen=True)
class RawLog:
    """Files of events and requests, and which of their columns are which."""

    events: Sequence[str]
    requests: Sequence[str]
    user_id: str
    event_ts: str
    arrival_ts: str | None
    request_ts: str
    ts_unit: str | None
    on_null_user: str

    def fill(self, place: str, progress: Progress) -> None:
        """Make a lake at ``place``, which is no lake yet: everything sealed, every request logged.

        Raises :class:`InputError` where there is no request, and for files that are refused.
        """
        from uih_lake import Lake
        from uih_lake.append import append
        from uih_lake.errors import InputError
        from uih_lake.ingest import EventColumns, RequestColumns
        from uih_lake.lake.store import Store
        from uih_lake.log import log_files
        from uih_lake.progress import quiet

        lake, how = Lake.create(place, buckets=self._buckets()), (self.ts_unit, self.on_null_user)
        events = EventColumns(self.user_id, self.event_ts, self.arrival_ts, *how)
        requests = RequestColumns(self.user_id, self.request_ts, None, *how)
        store = Store.open(place)
        append(store, list(self.events), events, key=None, add_columns=False, progress=quiet)
        progress(1, 3)
        lake.seal()
        progress(2, 3)
        store.refresh()
        if not log_files(store, list(self.requests), requests, False, False, quiet).examples:
            raise InputError(f"{', '.join(self.requests)}: no request", hint="log some first")
        progress(3, 3)

    def _buckets(self) -> int:
        """As many as the files that will be appended ask for."""
        from uih_lake.ingest.files import find_files

        size = sum(path.stat().st_size for path in find_files(list(self.events)))
        return max(1, min(MOST_BUCKETS, size // BUCKET_BYTES))

"""A lake made of raw files for the length of one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uih_lake.cli.terminal import Terminal
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

    def fill(self, place: str, terminal: Terminal, progress: Progress) -> None:
        """Make a lake at ``place``, which is no lake yet: everything sealed, every request logged.

        Says so where times look like numbers read in another unit. Raises :class:`InputError` where
        there is no request, and for files that are refused.
        """
        from uih_lake import Lake
        from uih_lake.append import append
        from uih_lake.errors import InputError
        from uih_lake.ingest import EventColumns
        from uih_lake.lake.store import Store
        from uih_lake.progress import quiet

        lake = Lake.create(place, buckets=self._buckets())
        columns = EventColumns(
            self.user_id, self.event_ts, self.arrival_ts, self.ts_unit, self.on_null_user
        )
        append(
            Store.open(place),
            list(self.events),
            columns,
            key=None,
            add_columns=False,
            progress=quiet,
        )
        progress(1, 3)
        lake.seal()
        progress(2, 3)
        logged = lake.log(
            list(self.requests),
            user_id=self.user_id,
            request_ts=self.request_ts,
            ts_unit=self.ts_unit,
            on_null_user=self.on_null_user,
        )
        if not logged.num_rows:
            raise InputError(f"{', '.join(self.requests)}: no request", hint="log some first")
        progress(3, 3)

    def _buckets(self) -> int:
        """As many as the files that will be appended ask for."""
        from uih_lake.ingest.files import find_files

        size = sum(path.stat().st_size for path in find_files(list(self.events)))
        return max(1, min(MOST_BUCKETS, size // BUCKET_BYTES))

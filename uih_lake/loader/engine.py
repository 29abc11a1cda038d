"""What a loader holds in one process: memory, threads' needs, a device; made when first used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from uih_lake.gather.ring import Ring
from uih_lake.loader.device import Device
from uih_lake.loader.meters import Meters
from uih_lake.loader.order import Window
from uih_lake.loader.pipeline import Pipeline
from uih_lake.loader.plan import Plan
from uih_lake.loader.planner import Planner
from uih_lake.loader.schedule import Made, Schedule
from uih_lake.loader.shelf import Shelf
from uih_lake.loader.source import Opened, Source
from uih_lake.loader.work import Work
from uih_lake.selection import Selection

_KEY_BYTES = 48
"""Per event while a bucket is resolved."""


class Engine:
    """Runs pipelines over one selection at a time; buffers and opened buckets outlive an epoch."""

    def __init__(
        self,
        device: torch.device | str | None,
        *,
        threads: int,
        prefetch: int,
        budget: int,
        meters: Meters,
    ) -> None:
        self._device = Device(device)
        self._ring = Ring(prefetch + 2, self._device.allocate)
        self._threads, self._prefetch, self._budget = threads, prefetch, budget
        self._meters = meters
        meters.threads = threads
        self._source: Source | None = None
        self._shelf: Shelf | None = None

    @property
    def ring(self) -> Ring:
        """The buffers of batches."""
        return self._ring

    @property
    def buckets(self) -> list[Opened]:
        """Buckets in memory."""
        return [] if self._shelf is None else self._shelf.buckets

    def over(self, selection: Selection, plan: Plan) -> None:
        """Read from now on the buckets of this selection."""
        if self._shelf is not None:
            self._shelf.clear()
        self._source = Source(selection, plan, self._meters)
        self._shelf = Shelf(self._budget, _bucket_bytes(selection, plan), self._ring)

    def run(self, planner: Planner, windows: Iterable[Window], finish: bool) -> Iterator[Made]:
        """Batches of the windows in order, and with ``finish`` of what is left over."""
        assert self._source is not None and self._shelf is not None
        schedule = Schedule(windows, finish, self._shelf, self._threads, self._prefetch)
        work = Work(self._source, planner, self._shelf, self._ring, self._device)
        pipeline = Pipeline(schedule, work, self._threads, self._meters)
        self._meters.begin()
        try:
            with pipeline:
                while (taken := pipeline.take()) is not None:
                    made, waited = taken
                    self._meters.delivered(made.examples, made.events, made.nbytes, waited)
                    self._meters.queue_depth = pipeline.depth
                    yield made
        finally:
            self._device.close()


def _bucket_bytes(selection: Selection, plan: Plan) -> int:
    """What a bucket takes, about."""
    snapshot = selection.snapshot
    rows = snapshot.rows // max(snapshot.buckets, 1)
    widths = sum(c.dtype.itemsize + c.masked for scan in plan.columns for c in scan)
    return rows * (widths + _KEY_BYTES)

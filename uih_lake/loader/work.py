"""What the threads of a loader do: read a bucket, lay a window out, begin batches, finish them.

No lock is held meanwhile. :mod:`.schedule` says when, and is told what came of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import duckdb

from uih_lake.gather.ring import Ring
from uih_lake.loader.assemble import Assembler, Assembly
from uih_lake.loader.device import Device
from uih_lake.loader.planner import Planner
from uih_lake.loader.schedule import Begin, Copy, Job, LayOut, Made, Read
from uih_lake.loader.shelf import Shelf
from uih_lake.loader.source import Opened, Source


@dataclass(frozen=True)
class Work:
    """The tasks of one pipeline, and what it takes to do them."""

    source: Source
    planner: Planner
    shelf: Shelf
    ring: Ring
    device: Device

    def read(self, task: Read, session: duckdb.DuckDBPyConnection) -> Opened:
        """A bucket, which may stay on the shelf."""
        try:
            opened = self.source.open(session, task.bucket)
            self.shelf.put(opened)
        finally:
            self.shelf.give_back(task.reserved)
        return opened

    def lay_out(self, task: LayOut) -> list[Job]:
        """The batches to be made of a window, or of what is left over."""
        if task.stage is None:
            blocks = self.planner.rest()
        else:
            blocks = self.planner.lay(task.stage.window, task.stage.opened)
        assemblers = [Assembler(block, self.ring, self.device.on_cpu) for block in blocks]
        batches = [(each, place) for each in assemblers for place in range(len(each.block))]
        return [Job(*batch, last=batch is batches[-1]) for batch in batches]

    def begin(self, task: Begin) -> Copy:
        """Memory for batches, and the parts that are to be copied into it."""
        assemblies = [job.assembler.begin(job.place) for job in task.jobs]
        parts = deque(part for assembly in assemblies for part in assembly.parts())
        return Copy(task, assemblies, parts, len(parts))

    def finish(self, copy: Copy) -> list[Made]:
        """Batches all of whose parts have been copied, on their way to the device."""
        each = zip(copy.begin.jobs, copy.assemblies, strict=True)
        return [self._made(job, assembly) for job, assembly in each]

    def _made(self, job: Job, assembly: Assembly) -> Made:
        batches = assembly.batches(self.planner.plan)
        arrivals = [self.device.send(batch) for batch in batches]
        events = sum(batch.events for batch in batches)
        return Made(arrivals, job.after, len(batches[0]), events, job.nbytes)

"""What the threads of a loader do next, and what they have done.

An epoch is a row of windows. The buckets of one are read, each a task; then it is laid out, and
becomes batches, which are begun and copied in parts. Copying comes first, because the consumer
waits for it; then the next window is laid out, then a bucket of one to come is read.

This decides and keeps count, and does none of it: it has no thread and no lock (that of
:mod:`.pipeline` is held whenever anything here is called), so that what threads may do in any order
can be tried in every order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from uih_lake.loader.assemble import PART_BYTES, Assembler, Assembly, Part
from uih_lake.loader.device import Arrival
from uih_lake.loader.order import Window
from uih_lake.loader.shelf import Shelf
from uih_lake.loader.source import Opened

AHEAD_BYTES = 96 << 20
"""Batches made ahead stay below this, but one is always made."""
WINDOWS_OPEN = 2
"""Windows in memory: the one that batches are made of, and the next."""


@dataclass
class Stage:
    """A window on its way: first its buckets are read, then it is laid out."""

    window: Window
    to_read: deque[int]
    opened: dict[int, Opened] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether every bucket has been read."""
        return len(self.opened) == len(self.window.buckets)


@dataclass(frozen=True)
class Job:
    """Batch ``place`` of a block, to be copied; the ``last`` of its window or not."""

    assembler: Assembler
    place: int
    last: bool

    @property
    def nbytes(self) -> int:
        """Bytes of memory the batch takes."""
        return self.assembler.nbytes[self.place]

    @property
    def after(self) -> int:
        """The position in the epoch behind the batch."""
        return self.assembler.block.after[self.place]


@dataclass(frozen=True)
class Made:
    """A finished batch, per tenant, and the position in the epoch behind it."""

    arrivals: list[Arrival]
    after: int
    examples: int
    events: int
    nbytes: int


# Tasks


@dataclass(frozen=True)
class Read:
    """Read a bucket for a window; ``reserved`` bytes of the shelf are kept free for it."""

    stage: Stage
    bucket: int
    reserved: int


@dataclass(frozen=True)
class LayOut:
    """Make batches of a window that has been read, or, without a stage, of what is left over."""

    stage: Stage | None


@dataclass(frozen=True)
class Begin:
    """Lease memory for batches ``number`` and on."""

    number: int
    jobs: list[Job]


@dataclass
class Copy:
    """Batches that were begun: parts nobody has taken yet, and how many are not done."""

    begin: Begin
    assemblies: list[Assembly]
    parts: deque[Part]
    undone: int

    def take(self) -> Part | None:
        """A part that nobody has taken yet, now the caller's."""
        return self.parts.popleft() if self.parts else None

    def done(self) -> bool:
        """A part was copied; whether that was the last of all."""
        self.undone -= 1
        return self.undone == 0


Task = Read | LayOut | Begin | Copy


class Schedule:
    """The order of work of one pipeline; every task that :meth:`next` gives is to be told done."""

    def __init__(
        self, windows: Iterable[Window], finish: bool, shelf: Shelf, threads: int, prefetch: int
    ) -> None:
        self._shelf, self._threads, self._prefetch = shelf, threads, prefetch
        self._windows = deque(windows)
        self._rest = finish  # whether what is left over is still to be laid out
        self._stages: deque[Stage] = deque()
        self._under_way: set[int] = set()
        self._laying = False
        self._long = 0  # reads and layings out under way
        self._open = 0  # windows laid out of which batches are to be begun
        self._jobs: deque[Job] = deque()
        self._beginning = 0
        self._copies: dict[int, Copy] = {}
        self._ready: dict[int, Made] = {}
        self._begun = self._taken = self._typical = 0

    def next(self) -> Task | None:
        """What one more thread does now; None where there is nothing for it, yet or any more."""
        task = self._copying()
        if task is None and self._may_be_long():
            task = self._laying_out() or self._reading()
        return task

    def take(self) -> Made | None:
        """The next batch, where it is ready."""
        made = self._ready.pop(self._taken, None)
        self._taken += made is not None
        return made

    @property
    def depth(self) -> int:
        """Batches ready to be taken."""
        return len(self._ready)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do; batches may be left to take."""
        under_way = self._copies or self._beginning or self._long
        to_come = self._windows or self._stages or self._rest or self._jobs
        return not (to_come or under_way)

    # What was done

    def read(self, task: Read, opened: Opened) -> None:
        """A bucket was read."""
        self._long -= 1
        self._under_way.discard(task.bucket)
        task.stage.opened[task.bucket] = opened

    def laid_out(self, jobs: list[Job]) -> None:
        """A window, or what was left over, became these batches."""
        self._laying = False
        self._long -= 1
        self._open += bool(jobs)
        self._jobs += jobs

    def begun(self, copy: Copy) -> None:
        """Batches can be copied: others take their parts from now on."""
        self._beginning -= 1
        self._open -= sum(job.last for job in copy.begin.jobs)
        self._copies[copy.begin.number] = copy

    def made(self, copy: Copy, made: list[Made]) -> None:
        """Batches are finished."""
        del self._copies[copy.begin.number]
        self._ready.update(enumerate(made, copy.begin.number))

    # What is next

    def _may_be_long(self) -> bool:
        """Whether a thread may begin what takes long: one stays behind to copy what it can."""
        return not self._jobs or self._long < max(1, self._threads - 1)

    def _copying(self) -> Task | None:
        for copy in self._copies.values():
            if copy.parts:
                return copy
        jobs = self._startable()
        if not jobs:
            return None
        begin = Begin(self._begun, jobs)
        self._begun += len(jobs)
        self._beginning += 1
        return begin

    def _startable(self) -> list[Job]:
        """The batches to begin with now: of small ones several.

        After so much has been copied what Python works with is in no cache any more, so it does for
        several batches at once what it does for each. A thread leaves the others theirs.
        """
        jobs: list[Job] = []
        nbytes, most = 0, max(1, self._prefetch // self._threads)
        while self._jobs and len(jobs) < most:
            nbytes += self._jobs[0].nbytes
            waiting = self._begun + len(jobs) - self._taken
            typical = max(self._typical, self._jobs[0].nbytes)
            room = waiting == 0 or (waiting + 1) * typical <= AHEAD_BYTES
            if waiting >= self._prefetch or not room or (jobs and nbytes > PART_BYTES):
                break
            self._typical = typical
            jobs.append(self._jobs.popleft())
        return jobs

    def _laying_out(self) -> Task | None:
        if self._laying or self._open >= WINDOWS_OPEN:
            return None
        stage = None
        if self._stages:
            if not self._stages[0].ready:
                return None
            stage = self._stages.popleft()
        elif self._windows or not self._rest:
            return None
        else:
            self._rest = False
        self._laying = True
        self._long += 1
        return LayOut(stage)

    def _reading(self) -> Task | None:
        while self._windows and self._open + len(self._stages) < WINDOWS_OPEN:
            window = self._windows.popleft()
            self._stages.append(Stage(window, deque(window.buckets)))
        for stage in self._stages:
            if self._found_on_shelf(stage) and (task := self._laying_out()):
                return task
            if stage.to_read:
                return self._reading_of(stage)
        return None

    def _found_on_shelf(self, stage: Stage) -> bool:
        """Whether buckets of a stage were in memory that it would have to read next."""
        before = len(stage.to_read)
        while stage.to_read:
            known = self._shelf.get(stage.to_read[0])
            if known is None:
                break
            stage.opened[stage.to_read.popleft()] = known
        return len(stage.to_read) < before

    def _reading_of(self, stage: Stage) -> Task | None:
        bucket = stage.to_read[0]
        if bucket in self._under_way:
            return None
        starved = not (self._jobs or self._copies or self._beginning or self._laying)
        reserved = self._shelf.reserve(must=starved and stage is self._stages[0])
        if not reserved:
            return None
        stage.to_read.popleft()
        self._long += 1
        self._under_way.add(bucket)
        return Read(stage, bucket, reserved)

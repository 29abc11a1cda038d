"""Threads that read ahead and copy, and the queue the consumer takes batches from.

All threads are alike: each copies parts of a batch if there is one to fill, else lays out the next
window, else reads a bucket of a window to come. So copying and reading share the cores however the
work is split between them, and what comes out never depends on who did it.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import duckdb

from uih_lake.gather.ring import Ring
from uih_lake.loader.assemble import PART_BYTES, Assembler, Assembly, Part
from uih_lake.loader.batch import Batch
from uih_lake.loader.device import Arrival, Device
from uih_lake.loader.order import Window
from uih_lake.loader.planner import Planner
from uih_lake.loader.shelf import Shelf
from uih_lake.loader.source import Opened, Source
from uih_lake.session import cursor

Session = duckdb.DuckDBPyConnection
Task = Callable[[Session], None]
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


@dataclass
class Filling:
    """Batches ``number`` and on being copied: parts nobody has taken yet, how many are not done."""

    number: int
    jobs: list[Job]
    assemblies: list[Assembly]
    parts: deque[Part]
    undone: int


@dataclass(frozen=True)
class Made:
    """A finished batch, per tenant, and the position in the epoch behind it."""

    arrivals: list[Arrival]
    after: int
    examples: int
    events: int
    nbytes: int


class Pipeline:
    """Makes the batches of some windows with its own threads; use as a context manager."""

    def __init__(
        self,
        source: Source,
        planner: Planner,
        windows: Iterable[Window],
        *,
        finish: bool,
        shelf: Shelf,
        ring: Ring,
        device: Device,
        threads: int,
        prefetch: int,
    ) -> None:
        self._source, self._planner, self._shelf = source, planner, shelf
        self._ring, self._device, self._prefetch = ring, device, prefetch
        self._windows = deque(windows)
        self._rest = finish  # whether what is left over is still to be laid out
        self._stages: deque[Stage] = deque()
        self._jobs: deque[Job] = deque()
        self._filling: dict[int, Filling] = {}
        self._starting = 0
        self._ready: dict[int, Made] = {}
        self._started = self._taken = 0
        self._open = self._long = self._typical = 0
        self._laying = False
        self._under_way: set[int] = set()
        self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._sessions: list[Session] = []
        self._threads = [
            threading.Thread(target=self._work, name=f"uih-loader-{n}", daemon=True)
            for n in range(threads)
        ]

    def __enter__(self) -> Pipeline:
        # Threads must be gone before the interpreter takes the engine apart under them.
        atexit.register(self.close)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads, whatever they are doing, and wait until they are gone."""
        with self._changed:
            self._stopped = True
            sessions = list(self._sessions)
            self._changed.notify_all()
        for session in sessions:
            session.interrupt()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join()
        atexit.unregister(self.close)

    def take(self) -> tuple[Made, float] | None:
        """The next batch and the seconds it was waited for; None at the end.

        Raises what a thread raised, once the batches made before it have been taken.
        """
        begin = time.perf_counter()
        with self._changed:
            while self._taken not in self._ready:
                if self._error is not None:
                    raise self._error
                if self._stopped or self._is_done():
                    return None
                self._changed.wait()
            made = self._ready.pop(self._taken)
            self._taken += 1
            self._changed.notify_all()
        return made, time.perf_counter() - begin

    @property
    def depth(self) -> int:
        """Batches ready to be taken."""
        return len(self._ready)

    def _is_done(self) -> bool:
        under_way = self._filling or self._starting or self._long
        to_come = self._windows or self._stages or self._rest or self._jobs
        return not (to_come or under_way)

    # What the threads do

    def _work(self) -> None:
        try:
            with cursor(threads=1) as session:
                self._work_with(session)
        except BaseException as error:
            with self._changed:
                # A stopped session is interrupted, which is no error of its own.
                self._error = self._error if self._stopped else error
                self._stopped = True
                self._changed.notify_all()

    def _work_with(self, session: Session) -> None:
        with self._changed:
            self._sessions.append(session)
        try:
            while (task := self._next()) is not None:
                task(session)
                del task  # who waits for the next one must not hold on to the memory of this one
        finally:
            with self._changed:
                self._sessions.remove(session)

    def _next(self) -> Task | None:
        """Wait for something to do; None when there will be nothing more."""
        with self._changed:
            begin = time.perf_counter()
            while not self._stopped:
                task = self._copying()
                if task is None and self._may_be_long():
                    task = self._laying_out() or self._reading()
                if task is not None or self._is_done():
                    self._source.meters.idle(time.perf_counter() - begin)
                    self._changed.notify_all()
                    return task
                self._changed.wait()
            self._source.meters.idle(time.perf_counter() - begin)
        return None

    def _may_be_long(self) -> bool:
        """Whether this thread may begin what takes long: one stays behind to copy what it can."""
        return not self._jobs or self._long < max(1, len(self._threads) - 1)

    def _copying(self) -> Task | None:
        for filling in self._filling.values():
            if filling.parts:
                return partial(self._copy, filling)
        jobs = self._startable()
        if not jobs:
            return None
        number = self._started
        self._started += len(jobs)
        self._starting += 1
        return partial(self._start, jobs, number)

    def _startable(self) -> list[Job]:
        """The batches to begin with now: of small ones several.

        After so much has been copied what Python works with is in no cache any more, so it does for
        several batches at once what it does for each. A thread leaves the others theirs.
        """
        jobs: list[Job] = []
        nbytes, most = 0, max(1, self._prefetch // len(self._threads))
        while self._jobs and len(jobs) < most:
            nbytes += self._jobs[0].nbytes
            waiting = self._started + len(jobs) - self._taken
            typical = max(self._typical, self._jobs[0].nbytes)
            room = waiting == 0 or (waiting + 1) * typical <= AHEAD_BYTES
            if waiting >= self._prefetch or not room or (jobs and nbytes > PART_BYTES):
                break
            self._typical = typical
            jobs.append(self._jobs.popleft())
        return jobs

    def _start(self, jobs: list[Job], number: int, session: Session) -> None:
        """Lease memory for batches, and begin to copy."""
        assemblies = [job.assembler.begin(job.place) for job in jobs]
        parts = deque(part for assembly in assemblies for part in assembly.parts())
        filling = Filling(number, jobs, assemblies, parts, len(parts))
        nothing = not parts  # said now: once it is there, others take its parts
        with self._changed:
            self._starting -= 1
            self._filling[number] = filling
            self._open -= sum(job.last for job in jobs)
            if len(parts) > 1:
                self._changed.notify_all()
        if nothing:
            self._finish(filling)
        else:
            self._copy(filling, session)

    def _copy(self, filling: Filling, session: Session) -> None:
        """Copy parts until there are none left; who does the last one finishes the batches."""
        while True:
            with self._changed:
                if not filling.parts:
                    return
                part = filling.parts.popleft()
            part.run()
            with self._changed:
                filling.undone -= 1
                last = filling.undone == 0
            if last:
                self._finish(filling)
                return

    def _finish(self, filling: Filling) -> None:
        made = [self._made(*each) for each in zip(filling.jobs, filling.assemblies, strict=True)]
        with self._changed:
            del self._filling[filling.number]
            self._ready.update(enumerate(made, filling.number))
            self._changed.notify_all()

    def _made(self, job: Job, assembly: Assembly) -> Made:
        batches: list[Batch] = assembly.batches(self._planner.plan)
        arrivals = [self._device.send(batch) for batch in batches]
        events = sum(batch.events for batch in batches)
        return Made(arrivals, job.after, len(batches[0]), events, job.nbytes)

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
        return partial(self._lay_out, stage)

    def _lay_out(self, stage: Stage | None, session: Session) -> None:
        if stage is None:
            blocks = self._planner.rest()
        else:
            blocks = self._planner.lay(stage.window, stage.opened)
        assemblers = [Assembler(block, self._ring, self._device.on_cpu) for block in blocks]
        batches = [(each, place) for each in assemblers for place in range(len(each.block))]
        with self._changed:
            self._laying = False
            self._long -= 1
            self._open += bool(batches)
            self._jobs += [Job(*batch, last=batch is batches[-1]) for batch in batches]
            self._changed.notify_all()

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
        while stage.to_read and stage.to_read[0] not in self._under_way:
            known = self._shelf.get(stage.to_read[0])
            if known is None:
                break
            stage.opened[stage.to_read.popleft()] = known
        return len(stage.to_read) < before

    def _reading_of(self, stage: Stage) -> Task | None:
        bucket = stage.to_read[0]
        if bucket in self._under_way:
            return None
        starved = not (self._jobs or self._filling or self._starting or self._laying)
        reserved = self._shelf.reserve(must=starved and stage is self._stages[0])
        if not reserved:
            return None
        stage.to_read.popleft()
        self._long += 1
        self._under_way.add(bucket)
        return partial(self._read, stage, bucket, reserved)

    def _read(self, stage: Stage, bucket: int, reserved: int, session: Session) -> None:
        try:
            opened = self._source.open(session, bucket)
            self._shelf.put(opened)
        finally:
            self._shelf.give_back(reserved)
        with self._changed:
            self._long -= 1
            self._under_way.discard(bucket)
            stage.opened[bucket] = opened
            self._changed.notify_all()

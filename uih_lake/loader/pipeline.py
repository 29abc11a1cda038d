"""Threads that read ahead and copy, and the queue the consumer takes batches from.

All threads are alike, and each does whatever :class:`Schedule` says is next. So copying and reading
share the cores however the work is split between them, and what comes out never depends on who did
it.
"""

from __future__ import annotations

import atexit
import threading
import time

import duckdb

from uih_lake.loader.meters import Meters
from uih_lake.loader.schedule import Begin, Copy, LayOut, Made, Read, Schedule, Task
from uih_lake.loader.work import Work
from uih_lake.session import cursor

Session = duckdb.DuckDBPyConnection


class Pipeline:
    """Makes the batches of a schedule with its own threads; use as a context manager."""

    def __init__(self, schedule: Schedule, work: Work, threads: int, meters: Meters) -> None:
        self._schedule, self._work, self._meters = schedule, work, meters
        self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._sessions: list[Session] = []
        self._threads = [
            threading.Thread(target=self._run, name=f"uih-loader-{n}", daemon=True)
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
            while (made := self._schedule.take()) is None:
                if self._error is not None:
                    raise self._error
                if self._stopped or self._schedule.is_done:
                    return None
                self._changed.wait()
            self._changed.notify_all()
        return made, time.perf_counter() - begin

    @property
    def depth(self) -> int:
        """Batches ready to be taken."""
        return self._schedule.depth

    # What each thread does

    def _run(self) -> None:
        try:
            with cursor(threads=1) as session:
                self._run_with(session)
        except BaseException as error:
            with self._changed:
                # A stopped session is interrupted, which is no error of its own.
                self._error = self._error if self._stopped else error
                self._stopped = True
                self._changed.notify_all()

    def _run_with(self, session: Session) -> None:
        with self._changed:
            self._sessions.append(session)
        try:
            while (task := self._next()) is not None:
                self._do(task, session)
                del task  # who waits for the next one must not hold on to the memory of this one
        finally:
            with self._changed:
                self._sessions.remove(session)

    def _next(self) -> Task | None:
        """Wait for something to do; None when there will be nothing more."""
        with self._changed:
            begin = time.perf_counter()
            while not self._stopped:
                task = self._schedule.next()
                if task is not None or self._schedule.is_done:
                    self._meters.idle(time.perf_counter() - begin)
                    self._changed.notify_all()
                    return task
                self._changed.wait()
            self._meters.idle(time.perf_counter() - begin)
        return None

    def _do(self, task: Task, session: Session) -> None:
        match task:
            case Read():
                opened = self._work.read(task, session)
                with self._changed:
                    self._schedule.read(task, opened)
                    self._changed.notify_all()
            case LayOut():
                jobs = self._work.lay_out(task)
                with self._changed:
                    self._schedule.laid_out(jobs)
                    self._changed.notify_all()
            case Begin():
                self._begin(task)
            case Copy():
                self._copy(task)

    def _begin(self, task: Begin) -> None:
        """Begin to copy batches."""
        copy = self._work.begin(task)
        nothing = not copy.undone  # said now: once it is there, others take its parts
        with self._changed:
            self._schedule.begun(copy)
            if copy.undone > 1:
                self._changed.notify_all()
        if nothing:
            self._finish(copy)
        else:
            self._copy(copy)

    def _copy(self, copy: Copy) -> None:
        """Copy parts until there are none left; who does the last one finishes the batches."""
        while True:
            with self._changed:
                part = copy.take()
            if part is None:
                return
            part.run()
            with self._changed:
                last = copy.done()
            if last:
                self._finish(copy)
                return

    def _finish(self, copy: Copy) -> None:
        made = self._work.finish(copy)
        with self._changed:
            self._schedule.made(copy, made)
            self._changed.notify_all()

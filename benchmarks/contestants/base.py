"""What a contestant is, and the thread that reads ahead for those that have none of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.batch import Batch

T = TypeVar("T")


@dataclass(frozen=True)
class Contestant:
    """One way to deliver an epoch of batches.

    ``epoch()`` starts anew each time: files are opened and threads started inside what is timed.
    ``family`` groups contestants that differ in settings only; ``files`` are what it reads, of
    which ``read_bytes`` are needed by an epoch, or None where that can only be observed. ``exact``
    says that it delivers what is visible, rather than what has happened before the request.
    """

    name: str
    family: str
    epoch: Callable[[], Iterator[Batch]]
    files: tuple[Path, ...] = ()
    read_bytes: int | None = None
    decoded_bytes: int | None = None
    exact: bool = True
    note: str = field(default="", compare=False)


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The items, made by a thread up to ``depth`` ahead of who uses them."""
    ready: queue.Queue[tuple[bool, object]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(tag: bool, item: object) -> bool:
        while not stopped.is_set():
            try:
                ready.put((tag, item), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(True, item):
                    return
            put(False, None)
        except BaseException as error:
            put(False, error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, item = ready.get()
            if not more:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


def parallel(jobs: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """Results of the jobs, in order, by a pool that is at most one round ahead."""
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: list[Future[T]] = []
    with ThreadPoolExecutor(threads) as pool:
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > threads:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()

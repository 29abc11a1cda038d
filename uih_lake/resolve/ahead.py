"""Buckets are resolved ahead, on as many threads as there are cores, and used in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")

AT_ONCE = 4
"""Jobs at once at most, whatever the number of cores: each takes the memory of its buckets."""


TOGETHER = 2
"""Buckets whose pointers are joined at once: the keys of as many newest bands are in memory."""


def together(items: Iterable[Item]) -> Generator[list[Item], None, None]:
    """The items in their order, :data:`TOGETHER` at a time."""
    left = iter(items)
    while some := list(islice(left, TOGETHER)):
        yield some


def ahead(jobs: Iterable[Callable[[], Item]]) -> Generator[Item, None, None]:
    """What the jobs return, in their order; the next ones run while the caller uses one.

    ``jobs`` is iterated on the calling thread. What a job raises is raised in its place, and so is
    what ``jobs`` raises. No thread is left when the generator is through or closed.
    """
    threads = min(len(os.sched_getaffinity(0)), AT_ONCE)
    pending: deque[Future[Item]] = deque()
    left = iter(jobs)
    failed: Exception | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix="uih-resolve") as pool:
        try:
            while True:
                try:
                    job = next(left)
                except StopIteration:
                    break
                except Exception as error:
                    failed = error
                    break
                pending.append(pool.submit(job))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
            if failed is not None:
                raise failed
        finally:
            for unused in pending:
                unused.cancel()

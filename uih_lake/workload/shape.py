"""How many events every user has, and how users are cut into blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from uih_lake.workload.streams import Stage, stream
from uih_lake.workload.tables import LEVELS, Ints, lognormal

BLOCK_EVENTS = 1 << 18
"""Events per block, about: a block ends with the user that fills it."""

SIGMA = 1.2
FINE = 1 << 20


@dataclass(frozen=True)
class Block:
    """Users ``first`` to ``first + len(lengths) - 1``, made together from streams of their own."""

    number: int
    first: int
    lengths: Ints

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.lengths)

    @property
    def events(self) -> int:
        """Number of events."""
        return int(self.lengths.sum())


def longest_history(users: int, mean_events: int, max_events: int) -> int:
    """``max_events``, unless one user would then hold more than a quarter of all events."""
    total = users * mean_events
    # Every other user needs an event as well.
    return min(max_events, max(mean_events, total // 4), total - users + 1)


def history_lengths(users: int, mean_events: int, max_events: int, seed: int) -> Ints:
    """Events per user ``[users]``: log-normal, from 1 to the longest, with exactly the mean asked.

    At least one user has the longest history.
    """
    longest = longest_history(users, mean_events, max_events)
    level = (np.arange(users) * 2 + 1) * LEVELS // (2 * users)
    relative = lognormal(FINE, SIGMA, 1, FINE * FINE)[level]
    lengths = _scaled(relative, users * mean_events, longest)
    lengths[-1] = longest
    _settle(lengths, users * mean_events, longest)
    return stream(seed, Stage.SHAPE).permutation(lengths)


def _scaled(relative: Ints, total: int, longest: int) -> Ints:
    """Lengths in proportion, clipped, with the largest sum that is not above the total."""

    def at(scale: int) -> Ints:
        return np.clip(relative * scale // (FINE * 1024), 1, longest)

    low, high = 0, (longest + 1) * FINE * 1024 // int(relative[0]) + 1
    high = min(high, np.iinfo(np.int64).max // int(relative[-1]))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle).sum() <= total else (low, middle)
    return at(low)


def _settle(lengths: Ints, total: int, longest: int) -> None:
    """Give or take single events until the sum is the total; the last user stays as it is."""
    while missing := total - int(lengths.sum()):
        step = 1 if missing > 0 else -1
        room = lengths[:-1] < longest if step > 0 else lengths[:-1] > 1
        lengths[np.flatnonzero(room)[-abs(missing) :]] += step


def blocks(lengths: Ints) -> Iterator[Block]:
    """Cut all users, in order, into blocks."""
    ends = np.cumsum(lengths)
    first, number = 0, 0
    while first < len(lengths):
        done = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, done + BLOCK_EVENTS, side="left"))
        yield Block(number, first, lengths[first : last + 1])
        first, number = last + 1, number + 1

"""In which order an epoch goes through the examples: pure functions of seed and epoch.

An epoch is a row of windows. A window is a few buckets that are open at once, and its examples are
shuffled among each other, so that neighbours share reads. What a window is made of is known from
counts alone; nothing here depends on threads, ranks or what was read before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from uih_lake.arrays import Int64
from uih_lake.errors import InputError

Order = Literal["affinity", "user", "time", "log"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
USER_RUN = 16
"""Examples of one user that stay together in the order ``user``."""

Slots = Mapping[int, Mapping[int, int]]
"""Slot -> bucket -> number of examples; a slot is a stretch of time, a log version, or all (0)."""

_BUCKETS, _EXAMPLES, _LENGTHS = range(3)


@dataclass(frozen=True)
class Window:
    """Some ``buckets`` of a ``slot``; the epoch has ``first`` examples before its ``count``."""

    slot: int
    number: int
    buckets: tuple[int, ...]
    first: int
    count: int


def counted(slots: Slots) -> int:
    """The examples of all slots and buckets."""
    return sum(sum(buckets.values()) for buckets in slots.values())


def order_of(given: Order, follow: bool) -> Order:
    """The order of a loader; raises :class:`InputError` for one that there is not, or not here."""
    if given not in ORDERS:
        raise InputError(f"no order {given!r}", hint=f"one of {', '.join(ORDERS)}")
    if not follow:
        return given
    if given not in ("affinity", "log"):  # the first is what comes of saying nothing
        raise InputError(
            f"a loader that follows goes in the order 'log', not {given!r}",
            hint="leave order or follow away",
        )
    return "log"


def windows(
    slots: Slots, seed: int, epoch: int, open_buckets: int, first: int = 0
) -> Iterator[Window]:
    """The windows of an epoch: slots in their order, the buckets of each slot shuffled."""
    for slot in sorted(slots):
        buckets = np.array(sorted(slots[slot]), np.int64)
        words = _words(len(buckets), seed, epoch, slot, 0, _BUCKETS)
        shuffled = buckets[_ranked(words)].tolist()
        for number, start in enumerate(range(0, len(shuffled), open_buckets)):
            some = tuple(shuffled[start : start + open_buckets])
            count = sum(slots[slot][bucket] for bucket in some)
            yield Window(slot, number, some, first, count)
            first += count


def shuffled(window: Window, seed: int, epoch: int, users: Int64 | None) -> Int64:
    """Order of a window's examples, given bucket by bucket.

    With ``users`` (a number per example, those of one user in a row), up to :data:`USER_RUN`
    examples of a user stay together.
    """
    words = _words(window.count, seed, epoch, window.slot, window.number, _EXAMPLES)
    if users is None:
        return _ranked(words)
    new = np.ones(window.count, bool)
    new[1:] = users[1:] != users[:-1]
    place = np.arange(window.count)
    heads = np.maximum.accumulate(np.where(new, place, 0))
    runs = np.cumsum(new | ((place - heads) % USER_RUN == 0)) - 1
    return _ranked(words[runs])


def draws(window: Window, seed: int, epoch: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) per example of a window, given bucket by bucket."""
    words = _words(window.count, seed, epoch, window.slot, window.number, _LENGTHS)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _ranked(words: npt.NDArray[np.uint64]) -> Int64:
    """Places in the order of their random words; of equal ones, in order.

    The low bits of a word make room for its place: sorting numbers is faster than their places.
    """
    places = np.uint64((1 << len(words).bit_length()) - 1)
    keyed = words & ~places
    keyed |= np.arange(len(words), dtype=np.uint64)
    keyed.sort()
    keyed &= places
    return keyed.view(np.int64)


def _words(count: int, seed: int, *key: int) -> npt.NDArray[np.uint64]:
    """Random 64-bit words; the raw stream of PCG64 never changes between versions of numpy."""
    # A slot can be below zero: times before 1970.
    spawn = tuple(part % 2**64 for part in key)
    generator = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=spawn))
    words: npt.NDArray[np.uint64] = generator.random_raw(count)
    return words

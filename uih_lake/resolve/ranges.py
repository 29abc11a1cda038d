"""Row ranges: what a resolved pointer comes to, whatever the rows are counted in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from uih_lake.arrays import Int64, running


@dataclass(frozen=True)
class Ranges:
    """Row ranges per example: example ``i`` is the fragments ``offsets[i]`` to ``offsets[i+1]``.

    ``starts`` and ``stops`` are rows of the run, ascending within an example; ``lengths`` is the
    number of events of each example. All int64.
    """

    offsets: Int64
    starts: Int64
    stops: Int64
    lengths: Int64

    def __len__(self) -> int:
        return len(self.lengths)

    def only(self, kept: npt.NDArray[np.bool_]) -> Ranges:
        """The ranges of the examples that are ``kept``, one bool each."""
        counts = np.diff(self.offsets)
        fragments = np.repeat(kept, counts)
        return Ranges(
            running(counts[kept]), self.starts[fragments], self.stops[fragments], self.lengths[kept]
        )

    def newest(self, count: int) -> Ranges:
        """The last ``count`` rows of each example; all of them where it has no more."""
        if self.lengths.max(initial=0) <= count:
            return self
        keep = np.minimum(self.lengths, count)
        offsets, starts, which = last_rows(self.offsets, self.starts, self.stops, keep)
        return Ranges(offsets, starts, self.stops[which], keep)

    def counted(self, starts: Int64, stops: Int64) -> Ranges:
        """The same fragments where they lie in other rows; those that are empty there left out."""
        some = starts < stops
        offsets = running(some)[self.offsets]
        starts, stops = starts[some], stops[some]
        return Ranges(offsets, starts, stops, np.diff(running(stops - starts)[offsets]))

    @classmethod
    def mixed(cls, which: npt.NDArray[np.bool_], these: Ranges, others: Ranges) -> Ranges:
        """In the order of ``which``: ``these`` where it is true, the ``others`` where it is not."""

        def both(where: npt.NDArray[np.bool_], mine: Int64, rest: Int64) -> Int64:
            out = np.empty(len(where), np.int64)
            out[where], out[~where] = mine, rest
            return out

        counts = both(which, np.diff(these.offsets), np.diff(others.offsets))
        fragments = np.repeat(which, counts)
        return cls(
            running(counts),
            both(fragments, these.starts, others.starts),
            both(fragments, these.stops, others.stops),
            both(which, these.lengths, others.lengths),
        )

    def slice(self, start: int, stop: int) -> Ranges:
        """The ranges of the examples ``start`` to ``stop``."""
        offsets = self.offsets[start : stop + 1]
        low, high = int(offsets[0]), int(offsets[-1])
        return Ranges(
            offsets - low, self.starts[low:high], self.stops[low:high], self.lengths[start:stop]
        )


def last_rows(
    offsets: Int64, starts: Int64, stops: Int64, keep: Int64
) -> tuple[Int64, Int64, Int64]:
    """The last ``keep[i]`` rows of each example, or all where it has no more.

    The examples' offsets in the fragments that are left, where each of these starts now, and which
    of the fragments given they are.
    """
    edges, begun = np.empty_like(offsets), np.empty_like(starts)
    which = np.empty(len(starts), np.int64)
    count = _last_rows(offsets, starts, stops, keep, edges, begun, which)
    return edges, begun[:count].copy(), which[:count]  # what is kept must not keep all


@numba.njit(cache=True, nogil=True)
def _last_rows(offsets, starts, stops, keep, edges, begun, which):  # type: ignore[no-untyped-def]
    """Fill in what is left; returns how many fragments that is."""
    slot = 0
    edges[0] = 0
    for i in range(len(keep)):
        drop = -keep[i]
        for fragment in range(offsets[i], offsets[i + 1]):
            drop += stops[fragment] - starts[fragment]
        for fragment in range(offsets[i], offsets[i + 1]):
            size = stops[fragment] - starts[fragment]
            gone = min(max(drop, 0), size)
            if gone < size:
                begun[slot], which[slot] = starts[fragment] + gone, fragment
                slot += 1
            drop -= size
        edges[i + 1] = slot
    return slot


@numba.njit(cache=True, nogil=True)
def first_not_before(times, low, high, time):  # type: ignore[no-untyped-def]
    """First row in [low, high) whose time is not below ``time``; ``high`` where there is none."""
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


def carried(ranges: Ranges, rows: Int64) -> Ranges:
    """The same events counted in other rows: what was row ``i`` is row ``rows[i]``.

    The order of an example's events stays; a fragment is cut where its rows are not consecutive.
    """
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    low = np.searchsorted(breaks, ranges.starts, "right")
    counts = np.searchsorted(breaks, ranges.stops, "left") - low  # breaks inside each fragment
    pieces = running(counts + 1)
    starts, stops = np.repeat(ranges.starts, counts + 1), np.repeat(ranges.stops, counts + 1)
    inner = np.ones(len(starts), bool)
    inner[pieces[:-1]] = False
    cuts = breaks[np.repeat(low - running(counts)[:-1], counts) + np.arange(counts.sum())]
    starts[inner] = cuts
    stops[np.flatnonzero(inner) - 1] = cuts
    begin = rows[starts] if len(starts) else starts
    return Ranges(pieces[ranges.offsets], begin, begin + (stops - starts), ranges.lengths)


def touched(found: Iterable[Ranges], edges: Int64) -> Int64:
    """The blocks that hold a row of any of the ranges; block ``b`` ends before row ``edges[b]``."""
    steps = np.zeros(len(edges) + 1, np.int64)
    for ranges in found:
        first = np.searchsorted(edges, ranges.starts, "right")
        last = np.searchsorted(edges, ranges.stops - 1, "right")
        steps += np.bincount(first, minlength=len(steps))
        steps -= np.bincount(last + 1, minlength=len(steps))
    return np.flatnonzero(np.cumsum(steps))


def packed(ranges: Ranges, edges: Int64, blocks: Int64) -> Ranges:
    """The same rows, counted where only ``blocks`` are left; those hold all of the ranges."""
    gone = np.diff(edges, prepend=0)
    gone[blocks] = 0
    shift = running(gone)[np.searchsorted(edges, ranges.starts, "right")]
    return Ranges(ranges.offsets, ranges.starts - shift, ranges.stops - shift, ranges.lengths)

"""The fragments of chosen examples, one after the other: picked, trimmed, and cut into batches.

By compiled loops: what numpy needs in between, an array per step, costs more in fresh pages than
the steps themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from uih_lake.arrays import Int64, running
from uih_lake.gather.moves import Moves
from uih_lake.resolve.ranges import Ranges, last_rows

_kernel = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True)
class Pieces:
    """Fragments by example: example ``i`` has the fragments ``offsets[i]`` to ``offsets[i+1]``."""

    offsets: Int64
    moves: Moves

    @property
    def lengths(self) -> Int64:
        """Events of each example."""
        edges = self.moves.places[self.offsets]
        lengths: Int64 = np.diff(edges)
        return lengths

    def batches(self, edges: Int64) -> tuple[Int64, Int64]:
        """Of batches one after the other, the offsets of each from 0 on, and its longest sequence.

        Batch ``b`` is the examples ``edges[b]`` to ``edges[b+1]``; example ``i`` of it is its
        events ``offsets[edges[b] + b + i]`` up to the next one's. The longest of none is 0.
        """
        batches = len(edges) - 1
        offsets, longest = np.empty(int(edges[-1]) + batches, np.int64), np.zeros(batches, np.int64)
        _batches(self.offsets, self.moves.places, edges, offsets, longest)
        return offsets, longest


def pick(runs: Sequence[Ranges], rows: Int64) -> Pieces:
    """The fragments of chosen examples, in order; ``rows`` counts the examples of all runs."""
    edges = running(np.array([len(ranges) for ranges in runs], np.int64))
    fragments = running(np.array([len(ranges.starts) for ranges in runs], np.int64))
    before = zip(runs, fragments.tolist(), strict=False)
    begins = np.concatenate([*(r.offsets[:-1] + base for r, base in before), fragments[-1:]])
    starts = np.concatenate([ranges.starts for ranges in runs])
    stops = np.concatenate([ranges.stops for ranges in runs])
    offsets = np.empty(len(rows) + 1, np.int64)
    count = _count(begins, rows, offsets)
    moves = Moves(*(np.empty(count + extra, np.int64) for extra in (0, 0, 0, 1)))
    _pick(
        begins, starts, stops, edges, rows,
        moves.runs, moves.starts, moves.stops, moves.places,
    )  # fmt: skip
    return Pieces(offsets, moves)


def newest(pieces: Pieces, keep: Int64) -> Pieces:
    """The newest ``keep[i]`` events of each example; all of them where it has no more."""
    moves = pieces.moves
    offsets, starts, which = last_rows(pieces.offsets, moves.starts, moves.stops, keep)
    return Pieces(offsets, Moves.of(moves.runs[which], starts, moves.stops[which]))


@_kernel
def _count(begins, rows, offsets):  # type: ignore[no-untyped-def]
    """Fill in the offsets of the examples in their fragments; returns how many there are."""
    count = 0
    offsets[0] = 0
    for i in range(len(rows)):
        count += begins[rows[i] + 1] - begins[rows[i]]
        offsets[i + 1] = count
    return count


@_kernel
def _pick(  # type: ignore[no-untyped-def]
    begins, starts, stops, edges, rows, to_runs, to_starts, to_stops, places
):
    """Fill in the fragments of the examples, and where they come to lie."""
    f = place = 0
    places[0] = 0
    for i in range(len(rows)):
        run = 0
        while edges[run + 1] <= rows[i]:  # there are few
            run += 1
        for k in range(begins[rows[i]], begins[rows[i] + 1]):
            to_runs[f], to_starts[f], to_stops[f] = run, starts[k], stops[k]
            place += stops[k] - starts[k]
            f += 1
            places[f] = place


@_kernel
def _batches(fragments, places, edges, offsets, longest):  # type: ignore[no-untyped-def]
    """Fill in the offsets of each batch, and its longest sequence."""
    at = 0
    for b in range(len(longest)):
        base = places[fragments[edges[b]]]
        offsets[at] = 0
        for i in range(edges[b], edges[b + 1]):
            at += 1
            offsets[at] = places[fragments[i + 1]] - base
            longest[b] = max(longest[b], offsets[at] - offsets[at - 1])
        at += 1

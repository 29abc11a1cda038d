"""Fragments of examples are picked, cut to the newest events, and merged where they are shared."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.arrays import running
from uih_lake.gather.moves import Moves
from uih_lake.gather.pieces import Pieces, newest, pick
from uih_lake.gather.shared import merge
from uih_lake.resolve.ranges import Ranges

Intervals = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)))),
    max_size=12,
)


def pieces_of(examples: list[tuple[int, list[tuple[int, int]]]]) -> Pieces:
    """Examples of one run each, with ascending fragments apart from each other."""
    runs, starts, stops, counts = [], [], [], []
    for run, intervals in examples:
        end = -1
        count = 0
        for start, length in sorted(intervals):
            if start > end:
                runs.append(run)
                starts.append(start)
                stops.append(start + length)
                end = start + length
                count += 1
        counts.append(count)
    parts = (np.array(p, np.int64) for p in (runs, starts, stops))
    return Pieces(running(np.array(counts, np.int64)), Moves.of(*parts))


@given(Intervals, st.integers(1, 4))
def test_merged_fragments_hold_every_row_once_and_say_where(examples: Any, size: int) -> None:
    pieces = pieces_of(examples)
    edges = np.unique([*range(0, len(examples), size), len(examples)]).astype(np.int64)
    if len(edges) < 2:
        return
    merged = merge(pieces, edges)
    moves = pieces.moves
    for batch in range(len(edges) - 1):
        rows = [
            (int(merged.moves.runs[f]), row)
            for f in range(merged.offsets[batch], merged.offsets[batch + 1])
            for row in range(merged.moves.starts[f], merged.moves.stops[f])
        ]
        assert len(rows) == len(set(rows))
        needed = set()
        for f in range(pieces.offsets[edges[batch]], pieces.offsets[edges[batch + 1]]):
            wanted = [(int(moves.runs[f]), r) for r in range(moves.starts[f], moves.stops[f])]
            place = int(merged.places[f])
            assert rows[place : place + len(wanted)] == wanted
            needed.update(wanted)
        assert set(rows) == needed


@given(Intervals, st.lists(st.integers(0, 40), min_size=12, max_size=12))
def test_the_newest_are_the_last(examples: Any, keep: list[int]) -> None:
    pieces = pieces_of(examples)
    kept = newest(pieces, np.array(keep[: len(examples)], np.int64))

    def listed(of: Pieces, example: int) -> list[int]:
        found: list[int] = []
        for f in range(of.offsets[example], of.offsets[example + 1]):
            found += range(of.moves.starts[f], of.moves.stops[f])
        return found

    for example in range(len(examples)):
        whole = listed(pieces, example)
        assert listed(kept, example) == whole[max(0, len(whole) - keep[example]) :]


def test_examples_are_picked_from_several_runs() -> None:
    def ranges(*fragments: list[tuple[int, int]]) -> Ranges:
        counts = [len(f) for f in fragments]
        starts = np.array([a for f in fragments for a, _ in f], np.int64)
        stops = np.array([b for f in fragments for _, b in f], np.int64)
        lengths = np.array([sum(b - a for a, b in f) for f in fragments], np.int64)
        return Ranges(running(np.array(counts, np.int64)), starts, stops, lengths)

    runs = [ranges([(0, 2)], [], [(3, 4), (5, 7)]), ranges([(9, 10)])]
    picked = pick(runs, np.array([3, 2, 1, 0]))
    assert picked.offsets.tolist() == [0, 1, 3, 3, 4]
    assert picked.moves.starts.tolist() == [9, 3, 5, 0]
    assert picked.moves.runs.tolist() == [1, 0, 0, 0]
    assert picked.moves.places.tolist() == [0, 1, 2, 4, 6]
    assert picked.lengths.tolist() == [1, 3, 0, 2]

"""The shared form: rows that several examples of a batch need are laid out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uih_lake.arrays import Int64
from uih_lake.gather.moves import Moves
from uih_lake.gather.pieces import Pieces


@dataclass(frozen=True)
class Merged:
    """Rows of each batch once, and where the fragments of its examples lie among them.

    ``offsets`` cuts ``moves`` by batch; ``places[f]`` is the row of fragment ``f`` among the rows
    of its batch.
    """

    offsets: Int64
    moves: Moves
    places: Int64


def merge(pieces: Pieces, batches: Int64) -> Merged:
    """Merge overlapping fragments of the same batch; ``batches`` cuts the examples into batches.

    Users lie apart in a run, so what overlaps is one user's.
    """
    moves, cuts = pieces.moves, pieces.offsets[batches]
    batch = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
    order = np.lexsort((moves.starts, moves.runs, batch))
    owner = batch[order] * (int(moves.runs.max(initial=0)) + 1) + moves.runs[order]
    starts, stops = moves.starts[order], moves.stops[order]
    # One axis for all: what lies in another batch or run lies beyond everything before it.
    far = np.int64(int(stops.max(initial=0)) + 1)
    reach = np.maximum.accumulate(stops + owner * far) if len(stops) else stops
    new = np.ones(len(starts), bool)
    new[1:] = (starts + owner * far)[1:] >= reach[:-1]
    heads = np.flatnonzero(new)
    tails = np.append(heads[1:], len(starts))[: len(heads)] - 1
    whole = Moves.of(moves.runs[order][heads], starts[heads], (reach - owner * far)[tails])
    offsets = np.searchsorted(batch[order][heads], np.arange(len(cuts)))
    segment = np.cumsum(new) - 1
    base = whole.places[offsets[:-1]][batch[order]] if len(order) else np.zeros(0, np.int64)
    places = np.empty(len(starts), np.int64)
    places[order] = whole.places[segment] - base + starts - starts[heads][segment]
    return Merged(offsets.astype(np.int64), whole, places)

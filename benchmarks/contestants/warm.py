"""Buffers used again, for contestants that bring none: fresh memory is ten times slower."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from benchmarks.batch import TRAITS, Array, Batch


class Warm:
    """A few sets of arrays, one per batch that can be under way, each as large as ever needed.

    Batches are made up to ``ahead`` at once; the largest has ``events``, where that is known.
    """

    AHEAD = 2

    def __init__(self, ahead: int = AHEAD, events: int = 0) -> None:
        kinds = TRAITS.items() if events else ()
        self._sets: list[dict[str, Array]] = [
            {name: np.empty(events, kind) for name, kind in kinds} for _ in range(ahead + 2)
        ]
        self._next = cycle(self._sets)

    def arrays(self, events: int) -> dict[str, Array]:
        """An array of ``events`` values per trait; it is handed out again ``ahead + 2`` later."""
        held = next(self._next)
        if not held or len(held["item_id"]) < events:
            held |= {n: np.empty(events + events // 4, kind) for n, kind in TRAITS.items()}
        return {name: values[:events] for name, values in held.items()}

    def copied(self, batch: Batch) -> Batch:
        """The batch in memory of its own."""
        out = self.arrays(batch.events)
        for name, values in out.items():
            np.copyto(values, batch.values[name])
        return Batch(batch.example_id, batch.offsets, out)

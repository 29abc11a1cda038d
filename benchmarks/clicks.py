"""A tenant with a condition, against fat rows of its own: clicks, a fifth of all events.

Its fat rows hold clicks alone and are the smaller for it, while the lake has them among all others.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from benchmarks.batch import Array
from benchmarks.workload import Bench, in_flat_order
from uih_lake.arrays import running

MOST_LENGTH = 4096
"""Of longer sequences there is none: a fifth of the longest history is not much more."""


class Clicks(Bench):
    """The workload as this tenant has it: events that are clicks, counted among themselves."""

    where = "action = 'click'"

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.root / "clicks", bench.scale)
        self._all = bench

    @property
    def lake_path(self) -> Path:
        """Directory of the lake, which is the same."""
        return self._all.lake_path

    @cached_property
    def flat(self) -> dict[str, Array]:
        """As :attr:`Bench.flat`, in memory."""
        return {name: values[self._clicked] for name, values in self._all.flat.items()}

    @cached_property
    def requests(self) -> dict[str, Array]:
        """As :attr:`Bench.requests`."""
        before = running(self._clicked)
        mine = {name: before[self._all.requests[name]] for name in ("first", "stop")}
        return {**self._all.requests, **mine}

    @cached_property
    def _clicked(self) -> Array:
        """Which of all events they are; made of the log itself once, and not of the lake."""
        path = self.root / "clicked.npy"
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            actions = in_flat_order(self.scale.workload, "action")
            clicked = [pc.fill_null(pc.equal(each, "click"), False) for each in actions]
            np.save(path, np.concatenate([np.asarray(each) for each in clicked]))
        return np.load(path)

"""What every contestant delivers, and what all of them deliver it of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]

BATCH = 512
"""Examples per batch."""

TRAITS = {"item_id": "int64", "event_ts": "int64", "dwell": "float32", "category": "int32"}
"""The traits that are asked for, 4 of 8 and the time being one of them, with their types."""

EVENT_BYTES = sum(np.dtype(kind).itemsize for kind in TRAITS.values())
"""Bytes an event has when it is delivered."""


@dataclass(frozen=True)
class Batch:
    """Sequences one after the other: contiguous ``values`` per trait, ``offsets`` per example."""

    example_id: Array
    offsets: Array
    values: dict[str, Array]

    @property
    def events(self) -> int:
        """Events of all sequences."""
        return int(self.offsets[-1] - self.offsets[0])


@dataclass(frozen=True)
class Tally:
    """What an epoch delivered; ``checksum`` is 0 where it was not asked for."""

    examples: int
    events: int
    checksum: int = 0


def tally(batches: Iterable[Batch], check: bool = False) -> Tally:
    """Go through an epoch as a training loop would; with ``check``, look at every value."""
    examples = events = checksum = 0
    for batch in batches:
        examples += len(batch.example_id)
        events += batch.events
        if check:
            checksum = (checksum + content(batch)) % 2**64
    return Tally(examples, events, checksum)


def bits(column: pa.Array) -> Array:
    """The values of a column of fixed width, whatever stands under its nulls; not copied."""
    width = np.dtype(f"u{column.type.byte_width}")
    return np.frombuffer(column.buffers()[1], width)[column.offset :][: len(column)]


def content(batch: Batch) -> int:
    """A sum over all events of a batch that no order of examples changes.

    A value counts by the example it is in and its place in the sequence; nulls count as 0.
    """
    lengths = np.diff(batch.offsets).astype(np.int64)
    owner = np.repeat(np.asarray(batch.example_id).astype(np.uint64) + np.uint64(1), lengths)
    place = np.arange(batch.events) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    odd = place.astype(np.uint64) * np.uint64(2) + np.uint64(1)
    weight = owner * np.uint64(0x9E3779B97F4A7C15) + odd
    total = 0
    for number, name in enumerate(TRAITS, 1):
        values = np.ascontiguousarray(batch.values[name])
        words = values.view(f"u{values.dtype.itemsize}").astype(np.uint64)
        total += int(np.sum((words + np.uint64(number)) * weight, dtype=np.uint64))
    return total % 2**64

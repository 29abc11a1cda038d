"""A batch: what a training step gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from uih_lake.loader.dictionary import Dictionary
from uih_lake.loader.jagged import Jagged, Nested, Shared
from uih_lake.loader.tensors import Tensors


@dataclass(frozen=True, eq=False)
class Batch(Tensors):
    """Examples with their sequences.

    ``example_id`` and ``user_id`` are int64 tensors ``[batch]``, or lists of str; ``request_ts`` is
    int64 microseconds since the epoch. ``groups[name]`` (also ``batch[name]``) are the sequences;
    ``context[column]`` a tensor ``[batch]``, or :class:`Nested` for a list column, with nulls and
    strings as in :class:`Jagged`. The last ``padding`` examples are repeats that only make the
    batch full.

    On the CPU tensors may lie in memory that is used again once the batch is dropped, or in the
    engine's own buffers: treat them as read only, and clone what is changed in place.
    """

    example_id: Tensor | list[str]
    user_id: Tensor | list[str]
    request_ts: Tensor
    groups: dict[str, Jagged | Shared]
    context: dict[str, Tensor | Nested]
    context_masks: dict[str, Tensor] | None = None
    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)
    padding: int = 0

    def __getitem__(self, group: str) -> Jagged:
        """The sequences of a group; with ``share=True`` it is a :class:`Shared`."""
        return self.groups[group]  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self.request_ts)

    @property
    def events(self) -> int:
        """Events in all sequences."""
        return sum(group.events for group in self.groups.values())

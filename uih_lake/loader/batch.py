"""A batch: what a training step gets."""

from __future__ import annotations

from collections.abc import KeysView, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

from uih_lake.errors import GroupError, UihError
from uih_lake.loader import shown
from uih_lake.loader.dictionary import Dictionary
from uih_lake.loader.jagged import Jagged, Nested, Shared
from uih_lake.loader.tensors import Tensors
from uih_lake.wording import guess, listed


@dataclass(frozen=True, eq=False)
class Batch(Tensors):
    """Examples with their sequences.

    ``example_id`` and ``user_id`` are int64 tensors ``[batch]``, or lists of str; ``request_ts`` is
    int64 microseconds since the epoch. ``groups[name]`` (also ``batch[name]``) are the sequences;
    ``keys()`` and ``in`` go by the names of groups, while ``len`` is the number of examples.
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

    # What can be iterated is taken apart by trainers that look for the size of a batch, and names
    # of groups tell them none; without this, Python would ask for the groups 0, 1, 2, ...
    __iter__: ClassVar[None] = None

    def __getitem__(self, group: str) -> Jagged:
        """The sequences of a group; with ``share=True`` it is a :class:`Shared`.

        Raises :class:`GroupError`, a ``KeyError`` too, for a group that is not there.
        """
        if group not in self.groups:
            raise GroupError(
                f"no group {group!r} in the batch",
                hint=f"{guess(str(group), self.groups)}groups: {listed(self.groups)}",
            )
        return self.groups[group]  # type: ignore[return-value]

    def __contains__(self, group: object) -> bool:
        return group in self.groups

    def keys(self) -> KeysView[str]:
        """Names of the groups."""
        return self.groups.keys()

    def __repr__(self) -> str:
        lines = shown.aligned(
            {
                "example_id": shown.column(self.example_id),
                "user_id": shown.column(self.user_id),
                "request_ts": shown.column(self.request_ts),
            }
        )
        if self.context:
            context = shown.columns(self.context, self.dictionaries, self.context_masks)
            lines += shown.block("context", context).splitlines()
        for name, group in self.groups.items():
            lines += f"{shown.short(name)}: {group!r}".splitlines()
        padding = f", the last {self.padding} padding" if self.padding else ""
        head = f"Batch({len(self)} examples{padding}, {self.events} events)"
        return shown.block(f"{head} on {self.request_ts.device}", lines)

    def __len__(self) -> int:
        return len(self.request_ts)

    @property
    def events(self) -> int:
        """Events in all sequences."""
        return sum(group.events for group in self.groups.values())


def _refuse_to_collate(batches: Any, **_: Any) -> NoReturn:
    """What a DataLoader calls that would put batches together to batches of batches."""
    raise UihError(
        "batches of a Loader are whole, and a DataLoader would put them together again",
        hint="give the DataLoader batch_size=None, and the Loader the batch size",
    )


# The registry torch has for types of one's own: without an entry, it only says what it knows.
default_collate_fn_map[Batch] = _refuse_to_collate

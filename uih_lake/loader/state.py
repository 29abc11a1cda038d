"""Where a loader is, as JSON: enough to go on in another process, on other ranks or threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from uih_lake.errors import InputError
from uih_lake.given import within

SCHEMA = 1
_AS_SAVED = "give what state_dict() returned"
_MUST_AGREE = {
    "where": "another condition on the examples",
    "lake": "another lake, other examples of it, or other labels that where speaks of",
    "tenants": "another tenant",
    "seed": "another seed",
    "order": "another order",
    "open_buckets": "another number of open buckets",
    "span_us": "another time window",
    "stochastic_length": "another stochastic_length",
}


@dataclass(frozen=True)
class State:
    """``position`` examples of the order of ``epoch`` have been consumed, by all ranks together.

    ``log_version`` is the newest of the examples there were, ``lake`` says which they are, and
    ``words`` are the strings of each dictionary by code. In a DataLoader worker, ``worker`` is its
    number and how many there are.
    """

    lake: str
    log_version: int
    tenants: list[str]
    where: str
    seed: int
    order: str
    open_buckets: int
    span_us: int
    stochastic_length: float | None
    epoch: int
    position: int
    words: dict[str, dict[str, list[str]]]
    worker: list[int] | None = None
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> State:
        """Read :meth:`as_dict`; raises :class:`InputError` for anything else."""
        if saved.get("schema") != SCHEMA:
            raise InputError(
                f"a loader state of schema {saved.get('schema')!r}",
                hint=f"this version reads schema {SCHEMA}",
            )
        try:
            state = cls(**saved)
        except TypeError as error:
            raise InputError(f"no state of a loader: {error}", hint=_AS_SAVED) from None
        within(0, **{"the state's epoch": state.epoch, "the state's position": state.position})
        return state

    def check_position(self, examples: int) -> None:
        """Raise :class:`InputError` where the position is beyond the ``examples`` of an epoch."""
        if self.position > examples:
            raise InputError(
                f"the state's position {self.position} is beyond the {examples} examples of an "
                "epoch",
                hint=_AS_SAVED,
            )

    def check_words(self, words: Mapping[str, Sequence[str]]) -> None:
        """Raise :class:`InputError` where it was saved with other codes for these ``words``."""
        for place, saved in self.words.items():
            for name in saved.keys() & words.keys():
                if saved[name][: len(words[name])] != list(words[name]):
                    raise InputError(
                        f"the state was saved with other codes: words of {name!r} ({place})",
                        hint="load it into a loader made with the same words",
                    )

    def check(self, other: State) -> None:
        """Raise :class:`InputError` where ``other`` was saved by a loader of something else."""
        for name, what in _MUST_AGREE.items():
            mine, saved = getattr(self, name), getattr(other, name)
            if mine != saved:
                raise InputError(
                    f"the state was saved for {what}: {name} {saved!r}, this loader has {mine!r}",
                    hint="load it into a loader made with the same arguments over the same lake",
                )

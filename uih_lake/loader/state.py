"""Where a loader is, as JSON: enough to go on in another process, on other ranks or threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from uih_lake.errors import InputError
from uih_lake.given import integer, is_integer, is_text
from uih_lake.wording import on_one_line

SCHEMA = 1
LAST_EPOCH = 2**63 - 1
"""The number is shared with worker processes as an int64."""
_AS_SAVED = "give what state_dict() returned"
_MUST_AGREE = {
    "where": "another condition on the examples",
    "lake": "another lake, other examples of it (some may have been erased), or other labels that "
    "where speaks of",
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
    number, how many there are, and the steps before its next one; ``cut`` are the number of ranks,
    the batch size and the most tokens by which steps are cut.
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
    cut: list[int | None] | None = None
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> State:
        """Read :meth:`as_dict`; raises :class:`InputError` for anything else."""
        if not isinstance(saved, Mapping):
            shown = on_one_line(repr(saved), 80)
            raise InputError(f"{shown} is no state of a loader", hint=_AS_SAVED)
        if saved.get("schema") != SCHEMA:
            raise InputError(
                f"a loader state of schema {saved.get('schema')!r}",
                hint=f"this version reads schema {SCHEMA}",
            )
        try:
            state = cls(**saved)
        except TypeError as error:
            raise InputError(f"no state of a loader: {error}", hint=_AS_SAVED) from None
        if not _are_words(state.words):
            raise InputError("the state's words are no lists of different strings", hint=_AS_SAVED)
        if state.worker is not None and not _is_worker(state.worker):
            raise InputError(f"the state's worker {state.worker!r}", hint=_AS_SAVED)
        return replace(
            state,
            log_version=integer("the state's log_version", state.log_version, -1),
            epoch=integer("the state's epoch", state.epoch, 0, LAST_EPOCH),
            position=integer("the state's position", state.position, 0),
        )

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

    def check_worker(self, worker: tuple[int, int], cut: list[int | None]) -> None:
        """Raise :class:`InputError` where it was saved in another worker, or for other steps.

        ``worker`` is the number of this one, and how many there are.
        """
        if self.worker is None:
            return
        number, workers, _ = self.worker
        if worker != (number, workers):
            raise InputError(
                f"the state was saved in worker {number} of {workers} of a DataLoader",
                hint="resume with as many workers, each with its own state",
            )
        if self.cut != cut:
            raise InputError(
                "the state was saved in a worker of a DataLoader, with num_ranks, batch_size and "
                f"max_tokens {self.cut}; this loader has {cut}",
                hint="resume with the same: each worker counts the steps of all of them",
            )

    def check(self, other: State) -> None:
        """Raise :class:`InputError` where ``other`` was saved by a loader of something else."""
        for name, what in _MUST_AGREE.items():
            mine, saved = getattr(self, name), getattr(other, name)
            if mine != saved:
                raise InputError(
                    f"the state was saved for {what}: {name} {saved!r}, this loader has {mine!r}",
                    hint="load it into a loader made with the same arguments over the same lake, "
                    "or begin anew",
                )


def _are_words(words: Any) -> bool:
    if not isinstance(words, Mapping) or not all(isinstance(w, Mapping) for w in words.values()):
        return False
    lists = [listed for columns in words.values() for listed in columns.values()]
    return all(isinstance(listed, list) and _are_distinct_texts(listed) for listed in lists)


def _are_distinct_texts(listed: list[Any]) -> bool:
    return all(map(is_text, listed)) and len({*listed}) == len(listed)


def _is_worker(worker: Any) -> bool:
    return (
        isinstance(worker, list | tuple)
        and len(worker) == 3
        and all(is_integer(number, 0) for number in worker)
    )

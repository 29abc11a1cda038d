"""A plain model of all that can happen to a lake, on top of the oracle's rule of visibility.

The oracle knows appends; this adds what takes events away (`forget`, `retain`), what must change
nothing, and which stored pointers are at fault afterwards, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import plain_hash
from oracle import Event, History, Pointer, UserId

Proof = tuple[int | None, int | None, int, int]
"""start_ts, end_ts, length and digest of the events visible to a pointer."""


@dataclass(frozen=True)
class Logged:
    """An example: its pointer, and what the pointer saw when it was logged."""

    pointer: Pointer
    proof: Proof


class Model:
    """What a lake holds, and which examples point into it."""

    def __init__(self) -> None:
        self.stored = History()
        self.retained_from: int | None = None
        self.keys: dict[str, int] = {}
        self.examples: dict[int, Logged] = {}
        self.next_id = 0
        self.traits: list[str] = []

    @property
    def version(self) -> int:
        return self.stored.version

    @property
    def visible(self) -> History:
        """What a reader sees: events before the retention window count for nothing."""
        return self.stored if self.retained_from is None else self.stored.since(self.retained_from)

    def append(self, rows: Iterable[Mapping[str, Any]], key: str | None = None) -> int:
        if key is not None and key in self.keys:
            return self.keys[key]
        version = self.stored.append(rows)
        if key is not None:
            self.keys[key] = version
        return version

    def add_trait(self, name: str) -> None:
        """A column from now on; events that are there already have no value in it."""
        self.traits.append(name)
        for event in self.stored.events:
            event.traits.setdefault(name, None)

    def log(
        self,
        requests: Iterable[tuple[UserId, int, int | None]],
        live: bool,
        first: int | None = None,
    ) -> dict[int, Proof]:
        """Requests as (user, time, as_of or None); what each sees now, by example id.

        Ids count from ``first`` on, by default from the last one.
        """
        self.next_id = self.next_id if first is None else first
        seen = self.visible
        added = {}
        for user, time, as_of in requests:
            known_at = None if live else time if as_of is None else as_of
            pointer = Pointer(user, time, known_at, self.version)
            self.examples[self.next_id] = Logged(pointer, proof(seen, pointer))
            added[self.next_id] = self.examples[self.next_id].proof
            self.next_id += 1
        return added

    def forget(self, users: set[UserId]) -> tuple[int, int]:
        """Events and examples that go."""
        gone = [i for i, logged in self.examples.items() if logged.pointer.user_id in users]
        for number in gone:
            del self.examples[number]
        events = len(self.stored.events)
        self.stored = self.stored.without(users)
        return events - len(self.stored.events), len(gone)

    def retain(self, cutoff: int) -> int:
        """Events that go; the window never moves back."""
        self.retained_from = max(
            cutoff, cutoff if self.retained_from is None else self.retained_from
        )
        events = len(self.stored.events)
        self.stored = self.stored.since(self.retained_from)
        return events - len(self.stored.events)

    def faults(self, examples: Mapping[int, Logged]) -> dict[int, str]:
        """Examples that no longer are what they were; retention is the only reason there is."""
        seen = self.visible
        return {
            number: "expired"
            for number, logged in examples.items()
            if proof(seen, logged.pointer) != logged.proof
        }

    def at(self, version: int) -> dict[int, Logged]:
        """The examples of the lake as it stood at a version."""
        return {n: e for n, e in self.examples.items() if e.pointer.lake_version <= version}

    def counts(self, examples: Mapping[int, Logged]) -> dict[str, int]:
        """What a rebuild of these examples must report."""
        reasons = Counter(self.faults(examples).values())
        return {
            "examples": len(examples),
            "mismatch": 0,
            "forgotten": 0,
            "expired": reasons["expired"],
            "unknown_user": sum(e.proof[2] == 0 for e in examples.values()),
        }


def proof(history: History, pointer: Pointer) -> Proof:
    """What a pointer says of its history."""
    seen = history.visible(pointer)
    ends = (seen[0].event_ts, seen[-1].event_ts) if seen else (None, None)
    return *ends, len(seen), plain_hash.digest(map(event_digest, seen, ties(history, seen)))


def ties(history: History, events: Iterable[Event]) -> list[int]:
    """Rank of each event among its append's events of that user and instant."""
    return [
        sum(
            (other.event_ts, other.lake_version) == (event.event_ts, event.lake_version)
            and other.row < event.row
            for other in history.of(event.user_id)
        )
        for event in events
    ]


def event_digest(event: Event, tie: int) -> int:
    delay = event.arrival_ts - event.event_ts
    print_of_traits = plain_hash.fingerprint(event.traits)
    return plain_hash.event_digest(event.event_ts, delay, event.lake_version, tie, print_of_traits)

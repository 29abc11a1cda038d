"""The rule of visibility once more, as slowly and plainly as it can be written.

Plain Python lists and comparisons: no engine, no vectors, nothing imported from the toolkit under
test. Whatever the toolkit returns must equal, element by element, what these functions return.

Times are integers, microseconds since 1970-01-01 UTC. A trait keeps the Python value it came with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

UserId = int | str

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEYS = ("user_id", "event_ts", "arrival_ts")


@dataclass(frozen=True)
class Event:
    """One thing a user did; ``row`` is its place in the append that brought it in."""

    user_id: UserId
    event_ts: int
    arrival_ts: int
    lake_version: int
    row: int
    traits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pointer:
    """Whose history, until when, as known when; ``as_of_ts`` None is unbounded."""

    user_id: UserId
    request_ts: int
    as_of_ts: int | None
    lake_version: int


@dataclass(frozen=True)
class GroupSpec:
    """One feature group; ``where`` is a predicate on an event, None keeps every event."""

    traits: Sequence[str] = ()
    max_len: int | None = None
    where: Callable[[Event], bool] | None = None
    window_us: int | None = None
    lag_us: int = 0


def is_visible(event: Event, pointer: Pointer) -> bool:
    """Whether the event is visible to the pointer."""
    return (
        event.user_id == pointer.user_id
        and event.event_ts < pointer.request_ts
        and (pointer.as_of_ts is None or event.arrival_ts <= pointer.as_of_ts)
        and event.lake_version <= pointer.lake_version
    )


def in_reach(event: Event, pointer: Pointer, group: GroupSpec) -> bool:
    """Whether a visible event passes the group's window, lag and predicate."""
    if group.window_us is not None and event.event_ts < pointer.request_ts - group.window_us:
        return False
    if not event.event_ts < pointer.request_ts - group.lag_us:
        return False
    return group.where is None or group.where(event)


def visible(events: Iterable[Event], pointer: Pointer) -> list[Event]:
    """Events visible to the pointer, oldest first, equal times in order of arrival."""
    seen = [event for event in events if is_visible(event, pointer)]
    return sorted(seen, key=lambda event: (event.event_ts, event.lake_version, event.row))


def sequence(events: Iterable[Event], pointer: Pointer, group: GroupSpec) -> list[Event]:
    """The newest ``max_len`` visible events within the group's reach, oldest first."""
    matching = [event for event in visible(events, pointer) if in_reach(event, pointer, group)]
    if group.max_len is None:
        return matching
    return matching[max(0, len(matching) - group.max_len) :]


def values(seq: Iterable[Event], trait: str) -> list[Any]:
    """One trait of a sequence; ``event_ts`` and ``arrival_ts`` come as integer microseconds."""
    if trait in (*KEYS, "lake_version"):
        return [getattr(event, trait) for event in seq]
    return [event.traits[trait] for event in seq]


def micros(moment: datetime | int) -> int:
    """Integer microseconds of a time; a datetime without a zone is taken as UTC."""
    if isinstance(moment, int):
        return moment
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


class History:
    """A model of the lake: appends numbered 0, 1, 2, ... and nothing else.

    Events are also kept by user, because a request needs those of one user only.
    """

    def __init__(self) -> None:
        self.version = -1
        self.by_user: dict[UserId, list[Event]] = {}

    @classmethod
    def from_tables(cls, tables: Iterable[Any]) -> History:
        """One append per Arrow table with columns user_id, event_ts[, arrival_ts] and traits."""
        history = cls()
        for table in tables:
            history.append(table.to_pylist())
        return history

    @property
    def events(self) -> list[Event]:
        """All events, in no promised order."""
        return [event for mine in self.by_user.values() for event in mine]

    def append(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add rows as given and return their lake version; a missing arrival is the event time."""
        self.version += 1
        for number, row in enumerate(rows):
            happened = micros(row["event_ts"])
            event = Event(
                user_id=row["user_id"],
                event_ts=happened,
                arrival_ts=micros(row["arrival_ts"]) if "arrival_ts" in row else happened,
                lake_version=self.version,
                row=number,
                traits={name: value for name, value in row.items() if name not in KEYS},
            )
            self.by_user.setdefault(event.user_id, []).append(event)
        return self.version

    def at(self, version: int) -> History:
        """The lake as it stood at a version."""
        return self._only(lambda event: event.lake_version <= version, version)

    def without(self, users: Iterable[UserId]) -> History:
        """The lake after these users were erased."""
        erased = set(users)
        return self._only(lambda event: event.user_id not in erased, self.version)

    def since(self, event_ts: int) -> History:
        """The lake after events before ``event_ts`` were dropped."""
        return self._only(lambda event: event.event_ts >= event_ts, self.version)

    def of(self, user_id: UserId) -> list[Event]:
        """Events of one user; none for a user nobody has seen."""
        return self.by_user.get(user_id, [])

    def pointer(
        self, user_id: UserId, request_ts: int | datetime, *, live: bool = False
    ) -> Pointer:
        """The pointer a request gets now: live sees all that is here, a backfill what was known."""
        instant = micros(request_ts)
        return Pointer(user_id, instant, None if live else instant, self.version)

    def visible(self, pointer: Pointer) -> list[Event]:
        """As the function :func:`visible`, on this history."""
        return visible(self.of(pointer.user_id), pointer)

    def sequence(self, pointer: Pointer, group: GroupSpec) -> list[Event]:
        """As the function :func:`sequence`, on this history."""
        return sequence(self.of(pointer.user_id), pointer, group)

    def _only(self, keep: Callable[[Event], bool], version: int) -> History:
        kept = History()
        kept.version = version
        for event in filter(keep, self.events):
            kept.by_user.setdefault(event.user_id, []).append(event)
        return kept

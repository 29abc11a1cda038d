"""Which column is what: names of the keys, reserved names, and the order of the output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from uih_lake import names
from uih_lake.errors import InputError, SchemaError
from uih_lake.given import is_text
from uih_lake.wording import guess, quoted

TIME_UNITS: Final = ("s", "ms", "us")
_ON_NULL_USER: Final = ("raise", "skip")


def _check_columns(**given: str) -> None:
    for key, column in given.items():
        if not is_text(column):
            raise InputError(f"{key} is {column!r}", hint="give the name of a column")


def _check_options(ts_unit: str | None, on_null_user: str) -> None:
    if ts_unit is not None and ts_unit not in TIME_UNITS:
        raise InputError(f"ts_unit is {ts_unit!r}", hint="use s, ms or us")
    if on_null_user not in _ON_NULL_USER:
        raise InputError(f"on_null_user is {on_null_user!r}", hint="use raise or skip")


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Names of the key columns of events in the source, and how to read them.

    ``arrival_ts`` None means the column ``arrival_ts`` where there is one, else the event time.
    ``ts_unit`` (s, ms or us) is the unit of integer and float times. ``on_null_user`` is raise, or
    skip to leave out rows without a user id and count them.
    """

    user_id: str = names.USER_ID
    event_ts: str = names.EVENT_TS
    arrival_ts: str | None = None
    ts_unit: str | None = None
    on_null_user: str = "raise"

    def __post_init__(self) -> None:
        arrival = self.event_ts if self.arrival_ts is None else self.arrival_ts
        _check_columns(user_id=self.user_id, event_ts=self.event_ts, arrival_ts=arrival)
        _check_options(self.ts_unit, self.on_null_user)

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns of the source that are no traits, where it has them."""
        return self.user_id, self.event_ts, self.arrival_ts or names.ARRIVAL_TS


@dataclass(frozen=True, slots=True)
class RequestColumns:
    """Names of the key columns of requests in the source, and how to read them.

    ``as_of_ts`` and ``example_id`` None mean the column of that name where there is one, else
    requests carry none.
    """

    user_id: str = names.USER_ID
    request_ts: str = names.REQUEST_TS
    as_of_ts: str | None = None
    ts_unit: str | None = None
    on_null_user: str = "raise"
    example_id: str | None = None

    def __post_init__(self) -> None:
        more = {names.AS_OF_TS: self.as_of_ts, names.EXAMPLE_ID: self.example_id}
        named = {key: column for key, column in more.items() if column is not None}
        _check_columns(user_id=self.user_id, request_ts=self.request_ts, **named)
        _check_options(self.ts_unit, self.on_null_user)

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns of the source that are no context, where it has them."""
        bounds = self.as_of_ts or names.AS_OF_TS, self.example_id or names.EXAMPLE_ID
        return self.user_id, self.request_ts, *bounds


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Name of the one key column of labels, which have no user or time."""

    example_id: str = names.EXAMPLE_ID
    ts_unit: str | None = None
    on_null_user: str = "raise"

    def __post_init__(self) -> None:
        _check_columns(example_id=self.example_id)


Columns = EventColumns | RequestColumns | LabelColumns


class Role(Enum):
    """What the values of a column must be."""

    USER = "user"
    EXAMPLE = "example"
    TIME = "time"
    OPTIONAL_TIME = "optional time"
    TRAIT = "trait"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the output: its name, the column it is read from, and its role."""

    name: str
    source: str
    role: Role


def lay_out(found: Sequence[str], columns: Columns, where: str) -> list[Column]:
    """Columns of the output, in order: keys first, then all others as they stand in the source.

    Raises :class:`InputError` for a key column that is not there and :class:`SchemaError` for
    names that are empty, reserved or there twice.
    """
    _check_names(found, where)
    reserved: Sequence[str]
    if isinstance(columns, EventColumns):
        keys, kind, reserved = _event_keys(found, columns), "trait", names.EVENT_COLUMNS
    else:
        kind, reserved = "context column", names.EXAMPLE_COLUMNS
        keys = (
            [Column(names.EXAMPLE_ID, columns.example_id, Role.EXAMPLE)]
            if isinstance(columns, LabelColumns)
            else _request_keys(found, columns)
        )
    for key in keys:
        _check_present(key, found, where)
    used = {key.source for key in keys}
    rest = [name for name in found if name not in used]
    for name in rest:
        _check_free(name, kind, reserved, keys, where)
    return [*keys, *(Column(name, name, Role.TRAIT) for name in rest)]


def _event_keys(found: Sequence[str], columns: EventColumns) -> list[Column]:
    arrival = columns.arrival_ts
    if arrival is None:
        arrival = names.ARRIVAL_TS if names.ARRIVAL_TS in found else columns.event_ts
    return [
        Column(names.USER_ID, columns.user_id, Role.USER),
        Column(names.EVENT_TS, columns.event_ts, Role.TIME),
        Column(names.ARRIVAL_TS, arrival, Role.TIME),
    ]


def _request_keys(found: Sequence[str], columns: RequestColumns) -> list[Column]:
    keys = [
        Column(names.USER_ID, columns.user_id, Role.USER),
        Column(names.REQUEST_TS, columns.request_ts, Role.TIME),
    ]
    example, as_of = columns.example_id, columns.as_of_ts
    if example is None and names.EXAMPLE_ID in found:
        example = names.EXAMPLE_ID
    if as_of is None and names.AS_OF_TS in found:
        as_of = names.AS_OF_TS
    if example is not None:
        keys.insert(0, Column(names.EXAMPLE_ID, example, Role.EXAMPLE))
    if as_of is not None:
        keys.append(Column(names.AS_OF_TS, as_of, Role.OPTIONAL_TIME))
    return keys


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')} COL"


def _check_names(found: Sequence[str], where: str) -> None:
    for number, name in enumerate(found, start=1):
        if not name:
            raise SchemaError(
                f"{where}: column {number} has no name",
                hint="name it or leave it out (an index is left out with index=False)",
            )
        if "\0" in name:
            raise SchemaError(
                f"{where}: column {name!r} has a zero byte in its name", hint="rename it"
            )
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise SchemaError(f"{where}: column {twice[0]!r} is there twice", hint="rename one of them")
    # As Delta compares names: letters of any script, where DuckDB looks at those of ASCII alone.
    folded: dict[str, str] = {}
    for name in found:
        other = folded.setdefault(name.lower(), name)
        if other != name:
            raise SchemaError(
                f"{where}: columns {other!r} and {name!r} differ only in case",
                hint="rename one of them: names are compared without case in SQL",
            )


def _check_present(key: Column, found: Sequence[str], where: str) -> None:
    if key.source in found:
        return
    raise InputError(
        f"{where}: no column {key.source!r} for {key.name}",
        hint=f"{guess(key.source, found)}pass {_option(key.name)}; columns are {quoted(found)}",
    )


def _check_free(
    name: str, kind: str, reserved: Sequence[str], keys: Sequence[Column], where: str
) -> None:
    folded = name.lower()
    for key in keys:
        if folded == key.name and key.source != key.name:
            raise SchemaError(
                f"{where}: column {name!r} is there beside {key.source!r}, which becomes "
                f"{key.name}",
                hint=f"rename or drop {name!r}, or pass {_option(key.name).replace('COL', name)}",
            )
    taken = (*reserved, *names.VIRTUAL_COLUMNS)
    if folded in taken:
        raise SchemaError(
            f"{where}: column {name!r} has a reserved name, no {kind} may be called so",
            hint=f"rename it; reserved are {', '.join(taken)}",
        )
    if name.startswith("_"):
        raise SchemaError(
            f"{where}: column {name!r} starts with an underscore, no {kind} may",
            hint="rename or drop it",
        )

"""Durations as a tenant writes them: a whole number and a unit, ``"90d"`` or ``"250us"``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_PATTERN: Final = re.compile(r"(-?)([0-9]+) ?(d|h|m|s|ms|us)")
_LONGEST: Final = 3_652_500 * _UNITS["d"]
"""10,000 years: any time minus this still fits 64 bits of microseconds."""


def microseconds(duration: str) -> int:
    """Length of a duration text in microseconds; raises ``ValueError`` where it is none."""
    match = _PATTERN.fullmatch(duration.strip())
    if match is None:
        raise ValueError(
            f"'{duration}' is not a duration; write a whole number and one of "
            f"{', '.join(_UNITS)}, such as '90d' or '30m'"
        )
    sign, count, unit = match.groups()
    if sign:
        raise ValueError(f"'{duration}' is negative; a duration counts back from the request")
    length = int(count[:20]) * _UNITS[unit]
    if length > _LONGEST:
        raise ValueError(f"'{duration}' is longer than 3652500d (10,000 years); leave it out")
    return length


def spelled(length: int) -> str:
    """The one spelling of ``length`` microseconds: in the largest unit that divides it."""
    if length == 0:
        return "0s"
    unit = next(name for name, size in _UNITS.items() if length % size == 0)
    return f"{length // _UNITS[unit]}{unit}"


def canonical(duration: object) -> str:
    """A text or ``timedelta`` in its one spelling, so that '24h' equals '1d'.

    Raises ``ValueError`` for anything else and for what is negative or too long.
    """
    if isinstance(duration, timedelta):
        length = duration // timedelta(microseconds=1)
        return canonical(f"{length}us")
    if not isinstance(duration, str):
        raise ValueError(f"{duration!r} is not a duration; write a text such as '90d' or '30m'")
    return spelled(microseconds(duration))

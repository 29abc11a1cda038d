"""The values of a statement as Python has them.

Times that Python has not, such as infinity, a year beyond 9999 or nanoseconds, are text as DuckDB
tells them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import pyarrow as pa

_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400
_CYCLE: Final = 146_097
"""Days of 400 years, after which the calendar repeats."""


def values(column: pa.Array) -> list[Any]:
    """The values of a column, nested ones too."""
    if not any(map(_is_lossy, _kinds(column.type))):
        with suppress(OverflowError):
            return list(column.to_pylist())
    return [_value(one) for one in column]


def _kinds(kind: pa.DataType) -> Iterator[pa.DataType]:
    """A type and those nested in it."""
    yield kind
    for place in range(kind.num_fields):
        yield from _kinds(kind.field(place).type)


def _is_lossy(kind: pa.DataType) -> bool:
    """Whether Python has values of the type as others, without a word: 24:00:00 as 00:00:00."""
    return bool(pa.types.is_time64(kind) or (pa.types.is_timestamp(kind) and kind.unit == "ns"))


def _value(one: pa.Scalar) -> Any:
    if not one.is_valid:
        return None
    match one:
        case pa.TimestampScalar():
            return _moment(one.value, one.type)
        case pa.Date32Scalar():
            return _day(one.value)
        case pa.Time64Scalar():
            return _time(one)
        case pa.UnionScalar():
            return _value(one.value)
        case pa.StructScalar():
            return {name: _value(part) for name, part in one.items()}
        case pa.MapScalar():
            return [tuple(map(_value, pair.values())) for pair in one.values]
        case pa.ListScalar() | pa.LargeListScalar() | pa.FixedSizeListScalar():
            return [_value(item) for item in one.values]
        case _:
            return one.as_py()


def _moment(value: int, kind: pa.TimestampType) -> datetime | str:
    if abs(value) == 2**63 - 1:
        return _infinity(value)
    per_second = _PER_SECOND[kind.unit]
    seconds, part = divmod(value, per_second)
    micros, finer = divmod(part * 10**6, per_second)
    if not finer:
        with suppress(OverflowError):
            epoch = datetime(1970, 1, 1, tzinfo=UTC if kind.tz else None)
            return epoch + timedelta(seconds=seconds, microseconds=micros)
    days, second = divmod(seconds, _DAY)
    zone = "+00" if kind.tz else ""  # sessions are in UTC
    return f"{_calendar(days)} {_clock(second, part, per_second)}{zone}"


def _day(days: int) -> date | str:
    if abs(days) == 2**31 - 1:
        return _infinity(days)
    try:
        return date(1970, 1, 1) + timedelta(days)
    except OverflowError:
        return _calendar(days)


def _time(one: pa.Time64Scalar) -> time | str:
    per_second = _PER_SECOND[one.type.unit]
    second, part = divmod(one.value, per_second)
    micros, finer = divmod(part * 10**6, per_second)
    if finer or second == _DAY:
        return _clock(second, part, per_second)
    return (datetime.min + timedelta(seconds=second, microseconds=micros)).time()


def _infinity(value: int) -> str:
    return "infinity" if value > 0 else "-infinity"


def _calendar(days: int) -> str:
    """The day so many days after the epoch: ``20000-01-01``, ``0044-03-15 (BC)``."""
    cycles, rest = divmod(days, _CYCLE)
    day = date(1970, 1, 1) + timedelta(rest)
    year = day.year + 400 * cycles
    before = year <= 0
    return f"{1 - year if before else year:04}-{day:%m-%d}{' (BC)' if before else ''}"


def _clock(second: int, part: int, per_second: int) -> str:
    """The time of a day: ``24:00:00``, ``10:00:00.000000001``."""
    digits = len(str(per_second)) - 1
    fraction = f".{part:0{digits}}".rstrip("0") if part else ""
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{fraction}"

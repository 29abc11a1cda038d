"""Times of every kind to ``timestamp[us, UTC]``, each checked to be one."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_

from uih_lake import session
from uih_lake.errors import InputError
from uih_lake.ingest.refusal import Place
from uih_lake.ingest.types import is_text
from uih_lake.schema import TIME
from uih_lake.sqlfile import statement

_LOG = logging.getLogger(__name__)
_LIKELY: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""What all lies before this time was hardly logged."""
_SECOND: Final = 1_000_000
_PER_UNIT: Final = {"s": _SECOND, "ms": 1_000, "us": 1}
_TICKS: Final = {"s": 1, "ms": 1_000, "us": _SECOND, "ns": 1_000 * _SECOND}
_DAY: Final = 86_400

# The first and the last second of the years 1 to 9999, in seconds since 1970.
_FIRST: Final = -62_135_596_800
_LAST: Final = 253_402_300_799
_INT64_MAX: Final = 2**63 - 1
_YEARS: Final = "times lie in the years 1 to 9999"
_UNIT_HINT: Final = "pass --ts-unit s|ms|us (ts_unit=...)"


def to_times(values: pa.Array, unit: str | None, place: Place) -> pa.Array:
    """Instants of a time column; nulls stay null.

    Timestamps keep their own unit and zone (none is UTC), dates are their midnight, integers and
    floats count ``unit`` since 1970, strings are ISO 8601 (without an offset: UTC). A time is the
    microsecond that it falls into, before 1970 as after. Raises :class:`InputError` for a number
    without a unit, NaN or infinity, an unreadable string, or a time outside the years 1 to 9999.
    """
    kind = values.type
    if is_.is_timestamp(kind):
        return _from_timestamps(values, place)
    if is_.is_date(kind):
        return _from_dates(values, place)
    if is_text(kind):
        return _from_texts(values, place)
    if is_.is_null(kind):
        return values.cast(TIME)
    if unit is None:
        raise InputError(
            f"{place.where}: column {place.column!r}: times are numbers ({kind}) without a unit",
            hint=_UNIT_HINT,
        )
    if is_.is_floating(kind):
        return _from_floats(values, unit, place)
    return _from_integers(values, unit, place)


def _check_range(counts: pa.Array, ticks: int, values: pa.Array, place: Place, hint: str) -> None:
    """Refuse counts of 1/``ticks`` seconds that lie outside the years 1 to 9999."""
    low, high = max(_FIRST * ticks, -_INT64_MAX - 1), min((_LAST + 1) * ticks - 1, _INT64_MAX)
    ends = pc.min_max(counts)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    if least is None or (least >= low and most <= high):
        return
    bad = pc.or_(pc.less(counts, low), pc.greater(counts, high))
    place.refuse(bad, values, "with a time that is out of range", hint)


def _from_timestamps(values: pa.Array, place: Place) -> pa.Array:
    unit = values.type.unit
    counts = values.view(pa.int64())
    _check_range(counts, _TICKS[unit], values, place, _YEARS)
    if unit == "ns":
        return _floored(counts, 1_000).view(TIME)
    return values if values.type == TIME else values.cast(TIME, safe=False)


def _floored(counts: pa.Array, by: int) -> pa.Array:
    """Whole multiples of ``by``, rounded down; Arrow divides towards zero."""
    whole = pc.divide(counts, by)
    beyond = pc.greater(pc.multiply(whole, by), counts)
    return pc.subtract(whole, beyond.cast(pa.int64()))


def _from_dates(values: pa.Array, place: Place) -> pa.Array:
    if is_.is_date32(values.type):
        days = values.view(pa.int32()).cast(pa.int64())
        bad = pc.or_(pc.less(days, _FIRST // _DAY), pc.greater(days, _LAST // _DAY))
        place.refuse(bad, values, "with a date that is out of range", _YEARS)
        return pc.multiply(days, _DAY * _SECOND).cast(TIME)
    return _from_timestamps(values.view(pa.timestamp("ms")), place)


def _from_integers(values: pa.Array, unit: str, place: Place) -> pa.Array:
    if is_.is_uint64(values.type):
        place.refuse(
            pc.greater(values, pa.scalar(_INT64_MAX, pa.uint64())),
            values,
            "with a time that is out of range",
            _YEARS,
        )
    counts = values.cast(pa.int64())
    _check_range(counts, _TICKS[unit], values, place, _wrong_unit(unit))
    scale = _PER_UNIT[unit]
    return (counts if scale == 1 else pc.multiply(counts, scale)).cast(TIME)


def _from_floats(values: pa.Array, unit: str, place: Place) -> pa.Array:
    if not is_.is_float64(values.type):
        raise InputError(
            f"{place.where}: column {place.column!r}: times are floats of "
            f"{values.type.bit_width} bits, which cannot tell instants a minute apart",
            hint="write them as integers or float64",
        )
    place.refuse(
        pc.invert(pc.is_finite(values)),
        values,
        "with a time that is NaN or infinite",
        "set it or drop those rows",
    )
    first, after = float(_FIRST * _TICKS[unit]), float((_LAST + 1) * _TICKS[unit])
    bad = pc.or_(pc.less(values, first), pc.greater_equal(values, after))
    place.refuse(bad, values, "with a time that is out of range", _wrong_unit(unit))
    # To the nearest: seconds of today are a quarter of a microsecond apart as floats, so that the
    # microsecond that was written down is a hair above or below.
    micros = pc.round(pc.multiply(values, float(_PER_UNIT[unit])), round_mode="half_to_even")
    return micros.cast(pa.int64(), safe=False).cast(TIME)


def _wrong_unit(unit: str) -> str:
    return f"{_YEARS}; read as {unit}: is --ts-unit right?"


def _from_texts(values: pa.Array, place: Place) -> pa.Array:
    with session.connect(threads=1) as con:
        con.execute(statement("ingest/as_time"))
        con.register("texts", pa.table({"value": values}))
        parsed = con.sql(statement("ingest/times")).to_arrow_table()["time"].cast(TIME)
    times = pa.concat_arrays(parsed.chunks) if parsed.num_chunks else pa.array([], TIME)
    place.refuse(
        pc.and_(pc.is_valid(values), pc.is_null(times)),
        values,
        "with a text that is no ISO 8601 time",
        "write times like 2026-01-31T12:00:00Z, or as numbers with --ts-unit s|ms|us",
    )
    return _from_timestamps(times, place)


def doubt(what: str, first: datetime | None, last: datetime | None) -> None:
    """Log a warning where the times of events or requests look like numbers of another unit."""
    right = "is --ts-unit (ts_unit) right?"
    if last is not None and last < _LIKELY:
        _LOG.warning("the last %s is of %s: %s", what, f"{last:%Y-%m-%d}", right)
    if first is not None and first > datetime.now(UTC):
        _LOG.warning("the first %s is of %s: %s", what, f"{first:%Y-%m-%d}", right)

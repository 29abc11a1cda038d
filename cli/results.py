"""How the rows of a statement are written out, one function per format."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from uih_lake.cli.terminal import Terminal
from uih_lake.errors import UihError

if TYPE_CHECKING:
    import pyarrow as pa

_READABLE = 24
_PADDING = 3
_QUOTED = json.JSONEncoder(ensure_ascii=False).encode


class Format(StrEnum):
    """What the rows of a statement come as."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


@contextmanager
def failures_told() -> Iterator[None]:
    """Turn errors of a running statement into one line."""
    import duckdb
    import pyarrow as pa

    from uih_lake.adhoc import explain_error

    try:
        yield
    except (duckdb.Error, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise explain_error(error) from error


def write_table(reader: pa.RecordBatchReader, terminal: Terminal, max_rows: int) -> None:
    """The first rows and columns as a table that fits; a message where there are more."""
    rows = [[_cell(value) for value in row] for row in islice(_rows(reader), max_rows + 1)]
    if len(rows) > max_rows:
        rows.pop()
        terminal.say(f"only the first {max_rows:,} rows; --max-rows shows more, csv all")
    headers = [_cell(name) for name in reader.schema.names]
    shown = _columns_that_fit(headers, rows, terminal.width)
    if shown < len(headers):
        terminal.say(
            f"only the first {shown} of {len(headers)} columns; name the ones to see, csv has all"
        )
    numbers = [place for place, field in enumerate(reader.schema) if _is_number(field.type)]
    terminal.table(headers[:shown], [row[:shown] for row in rows], numbers)


def _columns_that_fit(headers: list[str], rows: list[list[str]], width: int) -> int:
    """How many columns, one at least, find room if none is squeezed below a readable width."""
    used = 0
    for place, header in enumerate(headers):
        widest = max((len(row[place]) for row in rows), default=0)
        used += min(max(widest, len(header)), _READABLE) + _PADDING
        if used > width:
            return max(place, 1)
    return len(headers)


def write_csv(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    """CSV with a header; null is empty, times are ISO 8601, nested values JSON.

    Times beyond what Python holds are told as DuckDB tells them, here and in the other texts.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(reader.schema.names)
    for row in _rows(reader):
        writer.writerow("" if value is None else _text(value) for value in row)
    text.flush()
    text.detach()


def write_json(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    """A JSON array with an object a line; NaN and infinities, which JSON has not, are null.

    Decimals have all their digits. Raises :class:`UihError` where two columns have one name, for an
    object would hold the last of them only.
    """
    names = reader.schema.names
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UihError(
            f"JSON cannot hold two columns of one name: {', '.join(map(repr, twice))}",
            hint="name them apart with AS; csv takes them as they are",
        )
    opening = "[\n"
    for row in _rows(reader):
        line = _json(dict(zip(names, row, strict=True)))
        file.write(f"{opening}{line}".encode())
        opening = ",\n"
    file.write(b"[]\n" if opening == "[\n" else b"\n]\n")


def write_parquet(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    """One Parquet file; raises :class:`UihError` for a type that it cannot hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    intervals = [field.name for field in reader.schema if pa.types.is_interval(field.type)]
    if intervals:
        raise UihError(
            f"Parquet cannot hold the interval {', '.join(intervals)}",
            hint="epoch(...) makes seconds of it, CAST(... AS VARCHAR) text",
        )
    with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


WRITERS: dict[Format, Callable[[pa.RecordBatchReader, BinaryIO], None]] = {
    Format.csv: write_csv,
    Format.json: write_json,
    Format.parquet: write_parquet,
}
"""Formats of a file; a table is for eyes."""
ENDINGS = {f".{format}": format for format in WRITERS} | {".pq": Format.parquet}
"""Endings of a file name, and the format that each promises."""


def _rows(reader: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    from uih_lake.cli.values import values

    for batch in reader:
        yield from zip(*map(values, batch.columns), strict=True)


def _text(value: Any) -> str:
    """A value that is not null as text: numbers as Python has them, nested values as JSON."""
    if isinstance(value, float):
        return str(value)
    told = _told(value)
    return _json(value) if told is None else told


def _cell(value: Any) -> str:
    """Text on one line in which nothing steers the terminal."""
    if isinstance(value, datetime):
        text = value.isoformat(" ").replace("000+00:00", "+00:00").replace("+00:00", "Z")
    else:
        text = "NULL" if value is None else _text(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _json(value: Any) -> str:
    """A value as JSON text; a decimal is a number of all its digits, which :mod:`json` has not."""
    told = _told(value)
    if told is not None:
        return _QUOTED(told)
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if math.isfinite(value) else "null"
        case Decimal():
            return f"{value:f}"
        case timedelta():
            return repr(value.total_seconds())
        case dict():
            pairs = [f"{_QUOTED(str(name))}: {_json(item)}" for name, item in value.items()]
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(map(_json, value))}]"
        case _:
            return str(value)


def _told(value: Any) -> str | None:
    """A value that JSON has as a string, as its text; None of any other."""
    match value:
        case str():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case tuple() if hasattr(value, "nanoseconds"):  # pyarrow.MonthDayNano
            return _interval(*value)
        case bytes():
            return value.hex()
        case None | int() | float() | Decimal() | timedelta() | dict() | list() | tuple():
            return None
        case _:
            return str(value)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """An interval as DuckDB tells it: ``1 year 2 months -3 days 01:30:00.5``."""
    years, months = int(months / 12), int(math.fmod(months, 12))
    units = {"year": years, "month": months, "day": days}
    told = [f"{n} {unit}{'' if n in (1, -1) else 's'}" for unit, n in units.items() if n]
    if nanoseconds or not told:
        seconds, rest = divmod(abs(nanoseconds) // 1000, 1_000_000)
        part = f".{rest:06}".rstrip("0") if rest else ""
        sign = "-" if nanoseconds < 0 else ""
        told.append(f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{part}")
    return " ".join(told)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

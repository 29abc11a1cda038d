"""Numbers, users and times that a caller gives in Python: what makes no sense is refused here."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterable
from datetime import datetime
from numbers import Integral, Real
from typing import Any

import numpy as np
import pyarrow as pa

from uih_lake.errors import InputError
from uih_lake.schema import TIME
from uih_lake.wording import on_one_line

_UNFIT = (pa.ArrowException, TypeError, OverflowError)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # as a pathlib.Path it has one slash


def is_integer(number: Any, least: float, most: float = math.inf) -> bool:
    """Whether this is an integer from ``least`` to ``most``; True and False are none."""
    integer = isinstance(number, Integral) and not isinstance(number, bool)
    return integer and least <= int(number) <= most


def check_flags(**given: Any) -> None:
    """Raise :class:`InputError` for what is neither True nor False: the text "no" would be true."""
    for name, flag in given.items():
        if not isinstance(flag, bool | np.bool_):
            raise InputError(f"{name} {flag!r}", hint="give True or False")


def check_stop(stop: Any) -> None:
    """Raise :class:`InputError` for what nobody can wait for: no event, and not None."""
    if stop is not None and not (hasattr(stop, "is_set") and hasattr(stop, "wait")):
        raise InputError(f"stop {stop!r}", hint="give a threading.Event, or None")


def is_text(text: Any) -> bool:
    """Whether this is a string that a file can hold: not one with half of a surrogate pair."""
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_of(path: Any) -> str:
    """A path as text; raises :class:`InputError` for what is neither text nor a path of Python.

    And for one that is empty, and for a URL, of which a directory of that name would be made.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path {path!r}", hint="give a string or a pathlib.Path")
    if not str(path).strip():
        raise InputError("a path is empty", hint="it may come of a variable that was not set")
    if url := _URL.match(str(path)):  # which may hold a password: only its beginning is told
        raise InputError(
            f"{url[0]}... is a URL", hint="give a path of a local or mounted file system"
        )
    return str(path)


def within(least: int, most: float = math.inf, /, **numbers: Any) -> None:
    """Raise :class:`InputError` for what is no integer from ``least`` to ``most``, by its name.

    None is let pass.
    """
    for name, number in numbers.items():
        if number is not None:
            integer(name, number, least, most)


def integer(name: str, number: Any, least: int, most: float = math.inf) -> int:
    """A number as an integer of Python: those of numpy are taken, but cannot become JSON.

    Raises :class:`InputError` for what is no integer from ``least`` to ``most``, by its name.
    """
    if not is_integer(number, least, most):
        said = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise InputError(f"{name} {number!r}", hint=f"give an integer {said}")
    return int(number)


def between(least: float, most: float, /, **numbers: Any) -> None:
    """Raise :class:`InputError` for what is no number from ``least`` to ``most``, by its name."""
    for name, number in numbers.items():
        real = isinstance(number, Real) and not isinstance(number, bool)
        if not real or not least <= number <= most:  # NaN compares with nothing
            raise InputError(f"{name} {number!r}", hint=f"give a number from {least} to {most}")


def seconds(poll_s: float) -> float:
    """How long to wait, in seconds; raises :class:`InputError` for what nobody can wait."""
    if not isinstance(poll_s, Real) or not 0 <= float(poll_s) <= threading.TIMEOUT_MAX:
        raise InputError(f"poll_s {poll_s!r}", hint="give a number of seconds, 0 or more")
    return float(poll_s)


def moment(name: str, time: Any) -> datetime:
    """A datetime of which it is known when it is.

    Raises :class:`InputError` for what is none, or has no time zone, by its name.
    """
    if not isinstance(time, datetime):
        raise InputError(f"{name} {time!r} is no datetime", hint="give one, as datetime.now(UTC)")
    if time.tzinfo is None or time.utcoffset() is None:
        raise InputError(
            f"{name} {time} has no time zone", hint="give it one, as datetime.now(UTC) has"
        )
    return time


def users_of(values: Any, what: str, kind: pa.DataType | None = None) -> pa.Array:
    """User ids as an int64 or string array; ``kind`` is that of the lake, where it has any.

    Raises :class:`InputError`, which says for what the users were given: also for one text, which
    would be taken for users of one letter each, and for numbers that are no integers, which would
    be cut off to other users.
    """
    if isinstance(values, str | bytes | bytearray):
        shown = on_one_line(repr(values), 80)
        raise InputError(f"users to {what}: {shown} is one id", hint=f"give a list: [{shown}]")
    hint = "give all of them as integers, or all as strings"
    if kind is not None:
        hint = f"give ids as the lake has them, {kind}"
    try:
        users = _plain(pa.array(values))
    except _UNFIT as error:
        raise InputError(f"users to {what}: {on_one_line(error)}", hint=hint) from error
    if len(users) == 0:
        raise InputError(f"no users to {what}", hint="name at least one")
    if users.type not in ((pa.int64(), pa.string()) if kind is None else (kind,)):
        raise InputError(f"users to {what}: they are {users.type}", hint=hint)
    if users.null_count:
        raise InputError(f"users to {what}: {users.null_count} of {len(users)} are null", hint=hint)
    return users


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Integers and strings of every type that Arrow has for them as int64 and string.

    All else as it is. Raises :class:`pyarrow.ArrowInvalid` where an integer is too large.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64())
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        return values.cast(pa.string())
    return values


def times_of(values: Any, users: int) -> pa.Array:
    """A time for each of so many users: one of all of them, or one each.

    Raises :class:`InputError`, also for a time without a zone: taken for one of UTC it would be off
    by that zone, and serving might see the future.
    """
    hint = "give one datetime for all users, or one each"
    several = isinstance(values, Iterable) and not isinstance(values, str)
    try:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            values = values.to_pylist()
        each = [moment("request_ts", time) for time in (values if several else [values] * users)]
        times = pa.array(each, TIME)
    except _UNFIT as error:
        raise InputError(f"times to serve at: {on_one_line(error)}", hint=hint) from error
    if len(times) != users:
        raise InputError(f"{len(times)} times for {users} users", hint=hint)
    return times

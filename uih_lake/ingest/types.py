"""Types of columns: what is kept as it is, what is narrowed, what is refused.

Delta Lake knows no unsigned integers and one kind of string, list and time; every type a source
may bring is mapped to one of the few that are stored, without losing a value.
"""

from __future__ import annotations

import pyarrow as pa
from pyarrow import types as is_

from uih_lake.ingest.columns import Role
from uih_lake.schema import TIME

SUPPORTED = "integers, floats, booleans, strings, times, and lists of those"

_NARROWED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
}


def is_text(kind: pa.DataType) -> bool:
    """Whether values are strings, whatever their layout."""
    return bool(is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind))


def is_listing(kind: pa.DataType) -> bool:
    """Whether values are lists, whatever their layout; a map is none."""
    return bool(
        is_.is_list(kind)
        or is_.is_large_list(kind)
        or is_.is_fixed_size_list(kind)
        or is_.is_list_view(kind)
        or is_.is_large_list_view(kind)
    )


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves: without dictionary encoding or extension name."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if is_.is_dictionary(kind):
        return plain(kind.value_type)
    return kind


def stored(kind: pa.DataType) -> pa.DataType | None:
    """The type a trait is kept as; None for a type that is not supported.

    A type that is not known (:func:`is_unknown`) is given back as it is: another file, or the lake,
    may know what it should be.
    """
    kind = plain(kind)
    if is_listing(kind):
        inner = stored(kind.value_type)
        return None if inner is None or is_.is_list(inner) else pa.list_(inner)
    if is_text(kind):
        return pa.string()
    if is_.is_timestamp(kind) or is_.is_date(kind):
        return TIME
    if is_.is_integer(kind) or is_.is_floating(kind):
        return _NARROWED.get(kind, kind)
    return kind if is_.is_boolean(kind) or is_.is_null(kind) else None


def is_unknown(kind: pa.DataType) -> bool:
    """Whether it is the type of a column without a single value, or of empty lists alone."""
    return bool(is_.is_null(kind.value_type if is_.is_list(kind) else kind))


def identity(kind: pa.DataType) -> pa.DataType | None:
    """The type a user or example id is kept as: int64, string, null (not known), or None."""
    kind = plain(kind)
    if is_.is_integer(kind) or is_.is_floating(kind):
        return pa.int64()
    if is_text(kind):
        return pa.string()
    return kind if is_.is_null(kind) else None


def moment(kind: pa.DataType) -> pa.DataType | None:
    """``timestamp[us, UTC]`` if a time can be read from the type, else None."""
    kind = plain(kind)
    readable = (
        is_.is_timestamp(kind)
        or is_.is_date(kind)
        or is_.is_integer(kind)
        or is_.is_floating(kind)
        or is_text(kind)
        or is_.is_null(kind)
    )
    return TIME if readable else None


def output_type(kind: pa.DataType, role: Role) -> pa.DataType | None:
    """The normalised type of a column of this role; None where it is not supported."""
    if role is Role.TRAIT:
        return stored(kind)
    return identity(kind) if role in (Role.USER, Role.EXAMPLE) else moment(kind)


def may_become(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one stored type may be cast to another, each checked to lose nothing.

    Numbers may become other numbers that are equal, ISO strings may become times; nothing else
    changes its meaning.
    """
    if found == wanted or is_.is_null(found):
        return True
    if is_.is_list(found) and is_.is_list(wanted):
        return may_become(found.value_type, wanted.value_type)
    if is_number(found) and is_number(wanted):
        return True
    return is_text(found) and bool(is_.is_timestamp(wanted))


def is_number(kind: pa.DataType) -> bool:
    """Whether values are integers or floats."""
    return bool(is_.is_integer(kind) or is_.is_floating(kind))

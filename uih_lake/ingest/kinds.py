"""What a text or JSON value can be read as, as SQL over the macros of ``sql/ingest``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyarrow import types as is_

from uih_lake.ingest.types import is_number, is_text
from uih_lake.schema import TIME

MACROS: Final = (
    "as_integer",
    "plain_integer",
    "as_number",
    "plain_number",
    "as_flag",
    "as_time",
    "json_number",
    "json_flag",
    "json_string",
    "json_elements",
)
"""Statements of ``sql/ingest`` that define the macros used here, in order of their definition."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A reading of values: ``value`` gives NULL where a value cannot be read so.

    ``value`` and ``given`` are SQL with ``{}`` for the column; ``given`` says whether there is a
    value at all.
    """

    arrow: pa.DataType
    value: str
    given: str
    is_list: bool = False

    def read(self, column: str) -> str:
        """SQL of the typed value."""
        return self.value.format(column)

    def has_value(self, column: str) -> str:
        """SQL condition: there is something to be read."""
        return self.given.format(column)

    def fits(self, column: str) -> str:
        """SQL condition: what is there can be read as this kind, every element of a list too."""
        read = self.read(column)
        if not self.is_list:
            return f"({read} IS NOT NULL)"
        return f"coalesce(list_count({read}) = list_count(json_elements({column})), false)"


# What each kind of scalar takes of a JSON value, and the macros that read a text as it: strictly
# where the type is to be found out, leniently where it is known.
_SCALARS: Final = (
    (pa.int64(), "json_number", "plain_integer({})", "as_integer({})"),
    (pa.float64(), "json_number", "plain_number({})", "as_number({})"),
    (pa.bool_(), "json_flag", "as_flag({})", "as_flag({})"),
    (TIME, "json_string", "as_time({})", "as_time({})"),
    (pa.string(), "json_string", "{}", "{}"),
)


def csv_kinds(*, known: bool) -> list[Kind]:
    """Readings of a delimited text's fields, the first that fits wins.

    An empty field in quotes is a value only to strings.
    """
    return [
        Kind(
            arrow,
            lenient if known else strict,
            "({} IS NOT NULL)" if is_text(arrow) else "({} <> '')",
        )
        for arrow, _, strict, lenient in _SCALARS
    ]


def json_kinds(*, known: bool) -> list[Kind]:
    """Readings of JSON values, the first that fits wins; a list's elements are read alike."""
    given = "({} IS NOT NULL)"
    kinds = []
    for arrow, take, strict, lenient in _SCALARS:
        read = lenient if known else strict
        kinds.append(Kind(arrow, read.format(f"{take}({{}})"), given))
    for arrow, take, strict, lenient in _SCALARS:
        element = (lenient if known else strict).format(f"{take}(element)")
        value = f"list_transform(json_elements({{}}), lambda element: {element})"
        kinds.append(Kind(pa.list_(arrow), value, given, is_list=True))
    return kinds


def known_kind(kinds: list[Kind], wanted: pa.DataType) -> Kind | None:
    """The reading that gives values of a stored type; None where the format has none."""
    return next((kind for kind in kinds if kind.arrow == _family(wanted)), None)


def _family(wanted: pa.DataType) -> pa.DataType:
    """The widest type of the same sort: int64, float64, or the type itself."""
    if is_.is_list(wanted):
        return pa.list_(_family(wanted.value_type))
    if is_number(wanted):
        return pa.int64() if is_.is_integer(wanted) else pa.float64()
    return wanted

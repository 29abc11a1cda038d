"""Values of one column to the type that is stored, refused where that would change one.

The common case, a column that already has its type, costs nothing; a check looks at the least and
the greatest value first and at single values only to name the row.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_

from uih_lake.arrays import running
from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest.refusal import Place
from uih_lake.ingest.times import to_times
from uih_lake.ingest.types import is_listing, is_text, plain
from uih_lake.schema import TIME

# Whole numbers up to this size are exact in a float of that many bits.
_EXACT: Final = {16: 2**11, 32: 2**24, 64: 2**53}
_CAST_HINT: Final = "change the values, or the column's type, to fit"


def decoded(values: pa.Array) -> pa.Array:
    """The values without dictionary encoding or extension type, all strings as ``string``."""
    if isinstance(values.type, pa.BaseExtensionType):
        return decoded(values.storage)
    if is_.is_dictionary(values.type):
        # Words first: Arrow cannot take from string views, which polars has for categories.
        return decoded(values.dictionary).take(values.indices)
    if is_text(values.type) and not is_.is_string(values.type):
        return values.cast(pa.string())
    return values


def to_type(values: pa.Array, wanted: pa.DataType, place: Place) -> pa.Array:
    """Cast to a stored type; raises :class:`SchemaError` at the first value that does not fit."""
    if is_listing(plain(values.type)):
        return _to_list(decoded(values), wanted, place)
    values = decoded(values)
    if wanted == TIME:
        return to_times(values, None, place)
    if values.type == wanted:
        return values
    if is_.is_null(values.type) or is_.is_boolean(wanted) or is_text(wanted):
        return values.cast(wanted)
    if is_.is_floating(values.type):
        return _from_floats(values, wanted, place)
    return _from_integers(values, wanted, place)


def to_ids(values: pa.Array, wanted: pa.DataType, place: Place) -> pa.Array:
    """User or example ids as int64 or string; NaN is null. Whole floats are taken as integers."""
    values = decoded(values)
    if is_.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    ids = to_type(values, wanted, place)
    if is_text(ids.type):
        place.refuse(
            pc.equal(pc.binary_length(ids), 0),
            ids,
            "with an empty string as id",
            "give those rows an id, or null and --on-null-user skip",
        )
    return ids


def refuse_nulls(values: pa.Array, problem: str, hint: str, place: Place) -> None:
    """Raise :class:`InputError` if there is a null."""
    if values.null_count:
        place.refuse(pc.is_null(values), values, problem, hint, InputError)


def _from_integers(values: pa.Array, wanted: pa.DataType, place: Place) -> pa.Array:
    if is_.is_floating(wanted):
        low, high = -_EXACT[wanted.bit_width], _EXACT[wanted.bit_width]
    else:
        low, high = -(2 ** (wanted.bit_width - 1)), 2 ** (wanted.bit_width - 1) - 1
    ends = pc.min_max(values)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    if least is not None and (least < low or most > high):
        bad = _outside(values, low, high)
        place.refuse(bad, values, f"with a value that is no {wanted}", _CAST_HINT, SchemaError)
    return values.cast(wanted, safe=False)


def _outside(values: pa.Array, low: int, high: int) -> pa.Array:
    """Which integers are below ``low`` or above ``high``, bounds clipped to their own type."""
    info = np.iinfo(values.type.to_pandas_dtype())
    under = pc.less(values, pa.scalar(max(low, int(info.min)), values.type))
    over = pc.greater(values, pa.scalar(min(high, int(info.max)), values.type))
    return pc.or_(under, over)


def _from_floats(values: pa.Array, wanted: pa.DataType, place: Place) -> pa.Array:
    if is_.is_float16(values.type):
        values = values.cast(pa.float32())
    if is_.is_floating(wanted):
        narrow = values.cast(wanted, safe=False)
        changed = pc.not_equal(narrow.cast(values.type), values)
        bad = pc.and_(changed, pc.invert(pc.is_nan(values)))
    else:
        exact = float(_EXACT[values.type.bit_width])
        whole = pc.and_(pc.is_finite(values), pc.equal(pc.floor(values), values))
        # The number after the last exact one is rounded to it, so that is no sure one either.
        fits = pc.and_(whole, pc.less(pc.abs(values), exact))
        bad = pc.invert(fits)
    place.refuse(bad, values, f"with a value that is no {wanted}", _CAST_HINT, SchemaError)
    if is_.is_floating(wanted):
        return narrow
    whole_numbers = values.cast(pa.int64(), safe=False)
    return to_type(whole_numbers, wanted, place)


def _to_list(values: pa.Array, wanted: pa.DataType, place: Place) -> pa.Array:
    kept = values.type == wanted and wanted.value_type != TIME
    if kept and values.type.value_field.name == wanted.value_field.name:
        return values
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = running(lengths)
    rows = np.repeat(np.arange(len(values), dtype=np.int64), lengths)
    elements = to_type(values.flatten(), wanted.value_type, place.at(rows))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()),
        elements,
        mask=pc.is_null(values) if values.null_count else None,
    )

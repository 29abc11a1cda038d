"""How a column of the lake becomes memory that tensors can lie on.

Everything the gather copies is of fixed width and without nulls. Numbers and times lie in Arrow's
own buffers and cost no copy; nulls among them are overwritten where they lie. Strings become codes,
once per bucket where their file does not have them as a dictionary. Booleans, packed to bits in
Arrow, cost a cast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import schema
from uih_lake.arrays import running, whole
from uih_lake.errors import InputError
from uih_lake.given import is_integer
from uih_lake.loader.dictionary import Dictionary
from uih_lake.loader.nulls import fill_in

Array = npt.NDArray[Any]
Fill = bool | int | float | str

_NUMPY = {
    pa.int8(): np.int8,
    pa.int16(): np.int16,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
    pa.bool_(): np.bool_,
    pa.string(): np.int32,
    schema.TIME: np.int64,
}


@dataclass(frozen=True)
class Stored:
    """A column in memory, one row per event or example.

    ``values`` are the rows themselves. Of a list column they are the elements of all rows, and row
    ``r`` is ``offsets[r]`` to ``offsets[r+1]``. ``valid`` is there where masks are asked for.
    """

    values: Array
    offsets: npt.NDArray[np.int64] | None = None
    valid: Array | None = None

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Elements of each row of a list column."""
        return np.diff(self.edges)

    @property
    def edges(self) -> npt.NDArray[np.int64]:
        """``offsets`` of a list column."""
        assert self.offsets is not None
        return self.offsets

    @property
    def mask(self) -> Array:
        """``valid`` of a masked column."""
        assert self.valid is not None
        return self.valid

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        parts = (self.values, self.offsets, self.valid)
        return sum(part.nbytes for part in parts if part is not None)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Stored:
        """The rows at the given places."""
        valid = None if self.valid is None else self.valid[rows]
        if self.offsets is None:
            return Stored(self.values[rows], None, valid)
        counts = np.diff(self.offsets)[rows]
        offsets = running(counts)
        elements = np.repeat(self.offsets[rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Stored(self.values[elements], offsets, valid)

    def slice(self, start: int, stop: int) -> Stored:
        """The rows from ``start`` to ``stop``; shares the memory."""
        valid = None if self.valid is None else self.valid[start:stop]
        if self.offsets is None:
            return Stored(self.values[start:stop], None, valid)
        offsets = self.offsets[start : stop + 1]
        values = self.values[offsets[0] : offsets[-1]]
        return Stored(values, offsets - offsets[0], valid)

    @classmethod
    def concatenated(cls, parts: list[Stored]) -> Stored:
        """The rows of all parts."""
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([part.values for part in parts])
        offsets = valid = None
        if parts[0].offsets is not None:
            counts = [np.diff(part.offsets) for part in parts if part.offsets is not None]
            offsets = running(np.concatenate(counts))
        if parts[0].valid is not None:
            valid = np.concatenate([part.valid for part in parts if part.valid is not None])
        return cls(values, offsets, valid)


@dataclass(frozen=True)
class Column:
    """One column to load: its stored type, what a null becomes, and the codes of its strings."""

    name: str
    kind: pa.DataType
    fill: Fill
    masked: bool
    dictionary: Dictionary | None

    @property
    def is_list(self) -> bool:
        """Whether a row is a list."""
        return bool(pa.types.is_list(self.kind))

    @property
    def element(self) -> pa.DataType:
        """Type of a value, which is that of an element where rows are lists."""
        return self.kind.value_type if self.is_list else self.kind

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of ``values`` in memory."""
        return np.dtype(_NUMPY[self.element])

    def loaded(self, values: pa.ChunkedArray) -> Stored:
        """A column as it is stored, as memory; strings may come as dictionaries.

        The memory of ``values`` is taken over: nulls are overwritten in it.
        """
        mask = _valid(values) if self.masked else None
        if self.is_list:
            return self._lists(whole(values), mask)
        coded = self.dictionary is not None
        return Stored(self._coded(values) if coded else self._filled(whole(values)), None, mask)

    def _coded(self, values: pa.ChunkedArray) -> Array:
        """Codes of strings, which may be coded already, chunk by chunk in other ways."""
        assert self.dictionary is not None
        # Arrow's pool, because it hands out memory that is warm from the bucket before.
        codes = np.frombuffer(pa.allocate_buffer(4 * len(values)), np.int32)
        start = 0
        for chunk in values.chunks:
            part = codes[start : start + len(chunk)]
            if pa.types.is_dictionary(chunk.type):
                known = self.dictionary.encode(chunk.dictionary)
                places = pc.fill_null(chunk.indices, len(known)).to_numpy()
                np.take(np.append(known, np.int32(self.fill)), places, out=part)
            else:
                part[:] = self._filled(chunk)
            start += len(chunk)
        return codes

    def _lists(self, values: pa.Array, mask: Array | None) -> Stored:
        # A null list keeps elements in Arrow's child that are no list's; flatten() leaves them out.
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)
        return Stored(self._filled(values.flatten()), running(lengths), mask)

    def _filled(self, values: pa.Array) -> Array:
        """Values whose nulls, if any, become the fill value; strings their codes."""
        if self.dictionary is not None:
            codes = self.dictionary.encode(values)
            if self.fill and values.null_count:
                codes = np.where(values.is_null().to_numpy(zero_copy_only=False), self.fill, codes)
            return codes.astype(np.int32, copy=False)
        if pa.types.is_timestamp(values.type):
            values = values.view(pa.int64())
        bitmap, buffer = values.buffers()
        packed = pa.types.is_boolean(values.type)
        # Of a column that is nothing but null, Arrow's bitmap and values can be the same memory.
        alone = buffer.is_mutable and values.null_count < len(values)
        if values.null_count and (packed or not alone):
            values = pc.fill_null(values, pa.scalar(self.fill, values.type))
        if packed:
            values = values.cast(pa.uint8())
        flat = _flat_values(values, self.dtype)
        if values.null_count:
            assert not isinstance(self.fill, str)  # that is for strings, which are codes by now
            fill_in(flat, bitmap, values.offset, self.fill)
        return flat


def _valid(values: pa.ChunkedArray) -> Array:
    found: Array = pc.is_valid(values).to_numpy(zero_copy_only=False)
    return found


class _Lent:
    """Someone else's memory as numpy would like to see it; keeps the owner alive."""

    def __init__(self, owner: Any, address: int, dtype: np.dtype[Any], count: int) -> None:
        self.owner = owner
        # Not marked read only, because torch complains; nobody here writes to it.
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "typestr": dtype.str,
            "shape": (count,),
        }


def _flat_values(values: pa.Array, dtype: np.dtype[Any]) -> Array:
    """The buffer of an array without nulls as numpy, shared with Arrow."""
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return np.zeros(len(values), dtype)
    address = buffer.address + values.offset * dtype.itemsize
    return np.asarray(_Lent(buffer, address, dtype, len(values)))


def columns(
    wanted: Iterable[str],
    known: pa.Schema,
    fills: Mapping[str, Fill],
    masks: bool,
    dictionaries: Mapping[str, Dictionary],
) -> list[Column]:
    """The columns to load.

    Raises :class:`InputError` for a fill value that does not fit the type of its column.
    """
    found = []
    for name in wanted:
        kind = known.field(name).type
        element = kind.value_type if pa.types.is_list(kind) else kind
        dictionary = dictionaries.get(name)
        fill = fill_of(name, element, fills.get(name, 0), dictionary)
        found.append(Column(name, kind, fill, masks, dictionary))
    return found


def fill_of(name: str, kind: pa.DataType, fill: Fill, dictionary: Dictionary | None) -> Fill:
    """The value that stands for a null in memory: of the column's type, or the code of a string.

    Raises :class:`InputError` for one that does not fit the type.
    """
    if dictionary is not None:
        if fill == 0:
            return 0
        if isinstance(fill, str) and (code := dictionary.code(fill)):
            return code
    elif pa.types.is_boolean(kind):
        if isinstance(fill, Real | np.bool_) and fill in (0, 1):
            return bool(fill)
    elif pa.types.is_floating(kind):
        if isinstance(fill, Real) and _is_told_by(fill, kind):
            return float(fill)
    elif is_integer(fill, *_ends(kind)):
        return int(fill)
    raise InputError(
        f"fill {fill!r} of column {name!r} does not fit its type {kind}",
        hint="give a value of that type; for a time, int microseconds",
    )


def _ends(kind: pa.DataType) -> tuple[int, int]:
    """The least and the greatest number of an integer type, or microseconds of a time."""
    if pa.types.is_timestamp(kind):
        return schema.MIN_TIME, schema.MAX_TIME - 1
    most = (1 << int(kind.bit_width) - 1) - 1
    return -most - 1, most


def _is_told_by(number: Any, kind: pa.DataType) -> bool:
    """Whether a floating type has the number; of a finite one too large it would make infinity."""
    try:
        value = float(number)
    except OverflowError:
        return False
    most = float(np.finfo(kind.to_pandas_dtype()).max)
    return not math.isfinite(value) or abs(value) <= most

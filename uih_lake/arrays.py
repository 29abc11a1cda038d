"""Columns in memory: the numpy arrays they come to, and how to get there without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake.errors import TooMuchText

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]


TEXT_BYTES = 2**31 - 1
"""What a column of texts or lists can hold in one piece: 32 bits tell where one ends."""


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, which is the one it has or a copy of several.

    Raises :class:`TooMuchText`.
    """
    try:
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    except pa.ArrowInvalid:  # Arrow's 32 bits overflow
        raise too_much_text("a column of texts or lists") from None


def in_one_piece(table: pa.Table) -> pa.Table:
    """A table of stored events with one chunk per column; raises :class:`TooMuchText`."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        long = pa.types.is_string(column.type) or pa.types.is_list(column.type)
        if long and column.nbytes > TEXT_BYTES:
            raise too_much_text(f"column {name!r}")
    return table.combine_chunks()


def too_much_text(column: str) -> TooMuchText:
    """What to raise for a column that is too long for one piece."""
    return TooMuchText(
        f"{column} has more than 2 GiB in the rows of one bucket",
        hint="make the lake with more buckets, or keep long texts elsewhere and ids here",
    )


def ints(table: pa.Table, name: str) -> Int64:
    """An int64 or timestamp column as numpy; times in microseconds."""
    values: Int64 = whole(table.column(name)).view(pa.int64()).to_numpy()
    return values


def places(values: pa.ChunkedArray, known: pa.Array) -> Int64:
    """The place of each of ``values`` in ``known``, where each is once; -1 where it is not."""
    found = pc.index_in(values, value_set=known)
    place: Int64 = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return place


def running(counts: npt.NDArray[Any]) -> Int64:
    """Running total of ``counts`` from 0 on; one element more."""
    total = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, dtype=np.int64, out=total[1:])
    return total

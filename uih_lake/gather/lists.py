"""Gather into Arrow: one list per example, with nulls kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake.arrays import Int64, running
from uih_lake.gather.moves import gather
from uih_lake.resolve.ranges import Ranges


def lists(column: pa.Array, ranges: Ranges) -> pa.ListArray:
    """``list<T>`` array with the values of ``column`` (type T) in the rows of each example."""
    offsets = pa.array(running(ranges.lengths).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, take(column, ranges))


def take(column: pa.Array, ranges: Ranges) -> pa.Array:
    """The values of ``column`` in the rows of ``ranges``, one after the other."""
    kind = column.type
    if pa.types.is_string(kind):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        return column.dictionary.take(take(column.indices, ranges))
    if pa.types.is_list(kind):
        return column.take(pa.array(_rows(ranges)))
    if pa.types.is_boolean(kind):
        return take(column.cast(pa.uint8()), ranges).cast(kind)
    return _take_fixed(column, ranges)


def _take_fixed(column: pa.Array, ranges: Ranges) -> pa.Array:
    """Numbers and times: their bits are copied, and the nulls where there are any."""
    kind = column.type
    width = np.dtype(f"u{kind.byte_width}")
    values = np.frombuffer(column.buffers()[1] or b"", width)
    total = int(ranges.lengths.sum())
    out = np.empty(total, width)
    gather(values[column.offset : column.offset + len(column)], ranges, out)
    valid = _gather_valid(column, ranges, total)
    return pa.Array.from_buffers(kind, total, [valid, pa.py_buffer(out)])


def _gather_valid(column: pa.Array, ranges: Ranges, total: int) -> pa.Buffer | None:
    """Packed validity of the gathered values; None where none is null."""
    if column.null_count == 0:
        return None
    valid = pc.is_valid(column).cast(pa.uint8()).to_numpy()
    out = np.empty(total, np.uint8)
    gather(valid, ranges, out)
    return pa.py_buffer(np.packbits(out, bitorder="little"))


def weights(column: pa.Array, ranges: Ranges) -> Int64:
    """What the sequence of each example comes to, counted in values of 8 bytes; int64."""
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_dictionary(kind) or pa.types.is_list(kind)):
        return ranges.lengths
    before = running(_weights(column))
    fragments = running(before[ranges.stops] - before[ranges.starts])
    return np.diff(fragments[ranges.offsets])


def _weights(column: pa.Array) -> Int64:
    """What each row comes to: a number or time to one, a text to its bytes, a list to its all."""
    kind = column.type
    if pa.types.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        return 1 + np.diff(running(_weights(column.flatten()))[running(lengths)])
    if pa.types.is_dictionary(kind):
        each = np.append(_weights(column.dictionary), np.int64(1))
        coded: Int64 = each[pc.fill_null(column.indices, len(each) - 1).to_numpy()]
        return coded
    if pa.types.is_string(kind):
        nbytes: Int64 = pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64)
        return 1 + nbytes // 8
    return np.ones(len(column), np.int64)


def _rows(ranges: Ranges) -> npt.NDArray[np.int64]:
    """Every row of ``ranges``, one after the other; int64."""
    counts = ranges.stops - ranges.starts
    ends = np.cumsum(counts)
    rows: npt.NDArray[np.int64] = np.repeat(ranges.starts - (ends - counts), counts)
    return rows + np.arange(len(rows))

"""Marked rows: a bit for each of many rows, and how many marked ones lie before a row.

Bits lie as in Arrow's arrays of booleans. A number per row would take 64 times their memory, whose
first touch costs more than all counting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake.arrays import Int64
from uih_lake.resolve.ranges import Ranges

_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
"""Bits that are set in a byte."""
_LOWEST = np.array([0, *((byte & -byte).bit_length() - 1 for byte in range(1, 256))], np.uint8)
"""The lowest of them."""

_kernel = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True, eq=False)
class Marked:
    """Bits of ``rows`` rows, the first in the lowest bit of the first byte; those behind are 0."""

    bits: npt.NDArray[np.uint8]
    rows: int

    @classmethod
    def covered(cls, found: Iterable[Ranges], rows: int) -> Marked:
        """The rows that lie in one of the ranges."""
        bits = np.zeros((rows + 7) // 8, np.uint8)
        for ranges in found:
            _cover(ranges.starts, ranges.stops, bits)
        return cls(bits, rows)

    @classmethod
    def of(cls, marks: pa.BooleanArray) -> Marked:
        """The rows that are true, and not null."""
        plain = pc.fill_null(marks, False)
        bits = np.zeros((len(plain) + 7) // 8, np.uint8)
        if len(plain):
            packed = np.frombuffer(plain.buffers()[1], np.uint8)
            _copy(packed, plain.offset, len(plain), bits)
        return cls(bits, len(plain))

    def of_kinds(self, coded: pa.ChunkedArray, answers: npt.NDArray[np.bool_]) -> Marked:
        """Those of the rows whose string is of a kind that is wanted.

        ``answers`` are for the dictionary of the first chunk, for its nulls, for the dictionary of
        the second chunk, and so on.
        """
        bits, row, kind = np.zeros_like(self.bits), 0, 0
        for chunk in coded.chunks:
            null, indices = len(chunk.dictionary), chunk.indices
            valid, codes = indices.buffers()
            known = np.frombuffer(valid if indices.null_count else b"", np.uint8)
            numbers = np.frombuffer(codes, np.int32)[: indices.offset + len(indices)]
            mine = answers[kind : kind + null + 1]
            _answer(numbers, known, indices.offset, mine, row, self.bits, bits)
            row, kind = row + len(indices), kind + null + 1
        return Marked(bits, self.rows)

    @property
    def array(self) -> pa.BooleanArray:
        """As Arrow has them; shares the memory."""
        return pa.Array.from_buffers(pa.bool_(), self.rows, [None, pa.py_buffer(self.bits)])

    @cached_property
    def _before(self) -> npt.NDArray[np.int32]:
        """Marked rows before each byte, and in the end all."""
        before = np.zeros(len(self.bits) + 1, np.int32)
        np.cumsum(_SET[self.bits], out=before[1:])
        return before

    @property
    def count(self) -> int:
        """How many are marked."""
        return int(self._before[-1])

    def before(self, rows: Int64) -> Int64:
        """How many marked ones lie before each of the ``rows``, which may be the one behind all."""
        found = np.empty(len(rows), np.int64)
        _rank(rows, self.bits, self._before, _SET, found)
        return found

    def among(self, ranges: Ranges) -> Ranges:
        """What is left of ranges where only marked rows are, counted among these."""
        return ranges.counted(self.before(ranges.starts), self.before(ranges.stops))

    def only(self, marked: Marked) -> Int64:
        """Which rows are marked here, of those the ones that are ``marked`` among them."""
        found = np.empty(marked.count, np.int64)
        _only(self.bits, marked.bits, _LOWEST, found)
        return found


@_kernel
def _cover(starts, stops, bits):  # type: ignore[no-untyped-def]
    """Set the bits of ranges: whole bytes where there are any."""
    for fragment in range(len(starts)):
        row, stop = starts[fragment], stops[fragment]
        while row < stop:
            if row & 7 == 0 and row + 8 <= stop:
                bits[row >> 3 : stop >> 3] = 255
                row = stop & ~7
            else:
                bits[row >> 3] |= np.uint8(1 << (row & 7))
                row += 1


@_kernel
def _copy(packed, offset, rows, bits):  # type: ignore[no-untyped-def]
    """Copy bits from behind an ``offset``."""
    if offset & 7 == 0:
        bits[:] = packed[offset >> 3 : (offset >> 3) + len(bits)]
        if rows & 7:
            bits[-1] &= np.uint8((1 << (rows & 7)) - 1)
        return
    for row in range(rows):
        at = offset + row
        bits[row >> 3] |= np.uint8((packed[at >> 3] >> (at & 7) & 1) << (row & 7))


@_kernel
def _answer(codes, known, offset, answers, first, asked, bits):  # type: ignore[no-untyped-def]
    """Set the bits of rows that are ``asked`` for, from ``first`` on, as their codes are answered.

    ``known`` are the bits of codes that are no nulls, of which the last answer is; empty where all
    are known.
    """
    for place in range(offset, len(codes)):
        row = first + place - offset
        byte, bit = row >> 3, row & 7
        if asked[byte] >> bit & 1:
            kind = len(answers) - 1
            if len(known) == 0 or known[place >> 3] >> (place & 7) & 1:
                kind = codes[place]
            bits[byte] |= np.uint8(answers[kind] << bit)


@_kernel
def _rank(rows, bits, before, set_in, found):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        byte, bit = rows[i] >> 3, rows[i] & 7
        found[i] = before[byte]
        if bit:
            found[i] += set_in[bits[byte] & ((1 << bit) - 1)]


@_kernel
def _only(bits, marked, lowest_of, found):  # type: ignore[no-untyped-def]
    slot, rank = 0, 0
    for byte in range(len(bits)):
        left = bits[byte]
        while left:
            if marked[rank >> 3] >> (rank & 7) & 1:
                found[slot] = 8 * byte + lowest_of[left]
                slot += 1
            rank += 1
            left &= left - np.uint8(1)

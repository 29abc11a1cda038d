"""Which rows to copy from where: fragments of several runs, laid out one after the other.

A batch mixes examples of several buckets, so each fragment says which run it lies in. The copy is
one compiled call for all the columns of a batch: addresses in, addresses out, no Python per row.
Whole cache lines are written past the caches: nothing has to be read that is overwritten, and what
is gathered is more than they hold until somebody wants it. The line that two fragments meet in is
put together beside, so that it is no exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from uih_lake.arrays import Int64, running
from uih_lake.resolve.ranges import Ranges

_kernel = numba.njit(cache=True, nogil=True)

_LINE = 64  # bytes of a cache line, or half of one
_PREFETCHED = 8  # lines: 11 to 16% of the time of fragments of 2 KB; more of them do not help


@dataclass(frozen=True)
class Moves:
    """Fragments in the order they are laid out; arrays of int64.

    Fragment ``f`` is the rows ``starts[f]`` to ``stops[f]`` of run ``runs[f]`` and comes to lie at
    row ``places[f]``; ``places`` has one element more, the number of rows in all.
    """

    runs: Int64
    starts: Int64
    stops: Int64
    places: Int64

    @classmethod
    def of(cls, runs: Int64, starts: Int64, stops: Int64) -> Moves:
        """Fragments laid out one after the other."""
        return cls(runs, starts, stops, running(stops - starts))

    def __len__(self) -> int:
        return len(self.starts)


def copy(addresses: Int64, widths: Int64, moves: Moves, first: int, last: int, out: Int64) -> None:
    """Copy the fragments ``first`` to ``last`` of every column.

    ``addresses[c, r]`` is where column ``c`` of run ``r`` begins, ``widths[c]`` its bytes per row
    and ``out[c]`` where the row ``moves.places[first]`` goes. The caller keeps all of that memory
    alive and large enough; the GIL is released.
    """
    held = np.empty(2 * _LINE, np.uint8)
    line = address(held) + -address(held) % _LINE
    _copy(addresses, widths, moves.runs, moves.starts, moves.stops, first, last, out, line)


def gather(values: npt.NDArray[Any], ranges: Ranges, out: npt.NDArray[Any]) -> None:
    """Copy the rows of ``ranges`` from one column to ``out``, example by example, oldest first.

    Both arrays are one-dimensional and of one dtype; ``out`` holds exactly the gathered events.
    """
    moves = Moves.of(np.zeros(len(ranges.starts), np.int64), ranges.starts, ranges.stops)
    width, place = np.array([values.dtype.itemsize]), np.array([address(out)])
    copy(np.array([[address(values)]]), width, moves, 0, len(moves), place)


def address(values: npt.NDArray[Any]) -> int:
    """Where an array begins in memory."""
    return int(values.__array_interface__["data"][0])


@intrinsic
def _move(typing_context, out, source, count):  # type: ignore[no-untyped-def]
    """``memcpy`` of ``count`` bytes between two addresses."""
    signature = types.void(types.int64, types.int64, types.int64)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        to, of, bytes_ = arguments
        pointer = cgutils.voidptr_t
        cgutils.raw_memcpy(  # type: ignore[no-untyped-call]
            builder, builder.inttoptr(to, pointer), builder.inttoptr(of, pointer), bytes_, 1
        )
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _prefetch(typing_context, address):  # type: ignore[no-untyped-def]
    """Have the cache line of an address fetched while something else is done."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer, number = cgutils.voidptr_t, ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        to_read, keep, data = number(0), number(3), number(1)
        builder.call(prefetch, [builder.inttoptr(arguments[0], pointer), to_read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def _stream(typing_context, out, source):  # type: ignore[no-untyped-def]
    """Copy a cache line to where one begins, past the caches."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        line = ir.VectorType(ir.IntType(8), _LINE).as_pointer()
        to, of = (builder.inttoptr(address, line) for address in arguments)
        store = builder.store(builder.load(of, align=1), to, align=_LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _settle(typing_context):  # type: ignore[no-untyped-def]
    """Have what was streamed be seen by other threads before anything that comes after it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@_kernel
def _copy(addresses, widths, runs, starts, stops, first, last, out, held):  # type: ignore[no-untyped-def]
    # ``held`` is the caller's: an array made here is freed as soon as only its address is used.
    for column in range(len(widths)):
        width = widths[column]
        place = out[column]
        # The line that the next byte goes to is held back until it is full: its bytes from
        # ``begin`` up to ``fill`` are there, those before are somebody else's.
        begin = fill = place % _LINE
        for f in range(first, last):
            if f + 1 < last:  # a fragment begins where no hardware expects it
                soon = addresses[column, runs[f + 1]] + starts[f + 1] * width
                for line in range(_PREFETCHED):
                    _prefetch(soon + line * _LINE)  # type: ignore[call-arg]
            count = (stops[f] - starts[f]) * width
            source = addresses[column, runs[f]] + starts[f] * width
            if fill + count < _LINE:
                _move(held + fill, source, count)  # type: ignore[call-arg]
                fill += count
                place += count
                continue
            if fill:
                head = _LINE - fill
                _move(held + fill, source, head)  # type: ignore[call-arg]
                if begin:
                    _move(place - fill + begin, held + begin, _LINE - begin)
                else:
                    _stream(place - fill, held)
                begin = 0
                place, source, count = place + head, source + head, count - head
            fill = count % _LINE
            for line in range(0, count - fill, _LINE):
                _stream(place + line, source + line)  # type: ignore[call-arg]
            _move(held, source + count - fill, fill)  # type: ignore[call-arg]
            place += count
        _move(place - fill + begin, held + begin, fill - begin)  # type: ignore[call-arg]
    _settle()  # type: ignore[call-arg]

"""Copy ranges of rows into one contiguous buffer, at memory speed, without Python per example."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from uih_lake.resolve.cut import Ranges

_kernel = numba.njit(cache=True, nogil=True)


def offsets(ranges: Ranges) -> npt.NDArray[np.int64]:
    """Where each example begins in the gathered values; int64, one more than examples."""
    out = np.zeros(len(ranges) + 1, np.int64)
    np.cumsum(ranges.lengths, out=out[1:])
    return out


def gather(values: npt.NDArray[Any], ranges: Ranges, out: npt.NDArray[Any]) -> None:
    """Copy the rows of ``ranges`` from ``values`` to ``out``, example by example, oldest first.

    Both arrays are one-dimensional and of one dtype; ``out`` holds exactly the gathered events.
    """
    if not len(ranges.starts):
        return
    size = values.dtype.itemsize
    word = np.dtype(f"u{size}")
    _copy(values.view(word), ranges.starts, ranges.stops, out.view(word))


@_kernel
def _copy(values, starts, stops, out):  # type: ignore[no-untyped-def]
    place = 0
    for i in range(len(starts)):
        count = stops[i] - starts[i]
        out[place : place + count] = values[starts[i] : stops[i]]
        place += count

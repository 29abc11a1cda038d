"""Nulls become the fill value where they lie, instead of in memory of their own.

Arrow's ``fill_null`` takes new memory for all rows, which was 6% of an epoch at L = 256.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True, nogil=True)
def overwrite(values: Any, bits: Any, first: int, fill: Any) -> None:
    """Write ``fill`` to each of the ``values`` (one-dimensional) that is null.

    ``bits`` are bytes of an Arrow validity bitmap; bit ``first + i`` is unset where ``values[i]``
    is null.
    """
    row = 0
    while row < len(values):
        place = first + row
        byte = bits[place >> 3]
        stop = min(row + 8 - (place & 7), len(values))
        if byte != 255:
            for i in range(row, stop):
                if not byte >> ((first + i) & 7) & 1:
                    values[i] = fill
        row = stop


def fill_in(values: npt.NDArray[Any], bitmap: Any, first: int, fill: float) -> None:
    """:func:`overwrite` with the bitmap as Arrow's buffer, and ``fill`` of any type of number."""
    overwrite(values, np.frombuffer(bitmap, np.uint8), first, values.dtype.type(fill))

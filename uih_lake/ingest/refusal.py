"""Where a value stands, and how a refused one is reported: file, column, count, row, remedy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake.errors import InputError


@dataclass(frozen=True, slots=True)
class Place:
    """A column of one batch of one source, and which of the source's rows its values are.

    ``first_row`` is the number, from 1, of the batch's first row in the source; ``rows`` maps a
    position in the array at hand to a row of the batch where the two differ (rows left out, or
    elements of lists).
    """

    where: str
    column: str
    first_row: int
    rows: npt.NDArray[np.int64] | None = None

    def at(self, rows: npt.NDArray[np.int64]) -> Place:
        """The same place seen by an array whose value ``i`` stands at position ``rows[i]``."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def row(self, position: int) -> int:
        """Row number, from 1, of a value."""
        return self.first_row + (position if self.rows is None else int(self.rows[position]))

    def refuse(
        self,
        bad: pa.Array,
        values: pa.Array,
        problem: str,
        hint: str,
        error: type[InputError] = InputError,
    ) -> None:
        """Raise ``error`` if any of the booleans ``bad`` (null counts as false) is true."""
        mask = bad.fill_null(False).to_numpy(zero_copy_only=False)
        positions = np.flatnonzero(mask)
        if not len(positions):
            return
        position = int(positions[0])
        count = len(positions if self.rows is None else np.unique(self.rows[positions]))
        raise error(
            f"{self.where}: column {self.column!r}: {counted(count)} {problem}, "
            f"first at row {self.row(position)}{_shown(values[position])}",
            hint=hint,
        )


def _shown(value: Any) -> str:
    """The offending value in brackets, short; nothing for a null."""
    if not value.is_valid:
        return ""
    if pa.types.is_timestamp(value.type) or pa.types.is_date(value.type):
        # Python's datetime does not hold every time that Arrow does: show what is stored.
        text = f"{value.value} as {value.type}"
    else:
        text = repr(value.as_py())
    return f" ({text if len(text) <= 60 else text[:57] + '...'})"


def counted(rows: int) -> str:
    """``1 row``, ``1,234 rows``."""
    return "1 row" if rows == 1 else f"{rows:,} rows"

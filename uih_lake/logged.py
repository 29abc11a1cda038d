"""What one log brought, counted while its pointers are cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names
from uih_lake.facts import plain


@dataclass(frozen=True)
class Logged:
    """What one log committed: how many examples, and what their pointers see.

    The ids are the least and the largest, ``mean_length`` is in events. All but the counts are None
    where there were no requests.
    """

    examples: int = 0
    lake_version: int | None = None
    first_id: int | str | None = None
    last_id: int | str | None = None
    mean_length: float | None = None
    without_history: int = 0
    first_request: datetime | None = None
    last_request: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """The facts as plain values that JSON has; times in ISO 8601."""
        return plain(self)


class Tally:
    """Counts pointers as they are told."""

    def __init__(self) -> None:
        self._examples = self._events = self._without = 0
        self._lake_version: int | None = None
        self._ids: list[Any] = []
        self._times: list[datetime] = []

    def add(self, pointers: pa.Table) -> None:
        """Count some more."""
        lengths = pointers.column(names.LENGTH)
        self._examples += pointers.num_rows
        self._events += pc.sum(lengths).as_py()
        self._without += pc.sum(pc.equal(lengths, 0)).as_py()
        self._lake_version = pointers.column(names.LAKE_VERSION)[-1].as_py()
        self._ids += pc.min_max(pointers.column(names.EXAMPLE_ID)).as_py().values()
        self._times += pc.min_max(pointers.column(names.REQUEST_TS)).as_py().values()

    def logged(self, first: int) -> Logged:
        """What there was, with ``first`` added to ids that were numbered from 0."""
        if not self._examples:
            return Logged()
        least, largest = min(self._ids), max(self._ids)
        return Logged(
            examples=self._examples,
            lake_version=self._lake_version,
            first_id=least + first if first else least,
            last_id=largest + first if first else largest,
            mean_length=self._events / self._examples,
            without_history=self._without,
            first_request=min(self._times),
            last_request=max(self._times),
        )

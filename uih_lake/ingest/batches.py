"""Events and requests from any source, normalised, checked, in batches of bounded size."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake.errors import InputError
from uih_lake.ingest.columns import Column, Columns, Role
from uih_lake.ingest.rechunk import rechunk
from uih_lake.ingest.refusal import Place
from uih_lake.ingest.schemas import Part
from uih_lake.ingest.source import Source, reading
from uih_lake.ingest.times import to_times
from uih_lake.ingest.values import decoded, refuse_nulls, to_ids, to_type

_LOG = logging.getLogger(__name__)
_DAMAGED: Final = "it may be damaged: write it again"
_USER_HINT: Final = 'pass --on-null-user skip (on_null_user="skip") to leave them out'


class Batches:
    """Normalised rows of all sources, in order; can be iterated once.

    ``schema`` is known before a row is read. Iterating gives ``pyarrow.RecordBatch`` of that
    schema with 1 to 2**20 rows and raises :class:`InputError` or :class:`SchemaError` at the first
    batch with a value that is refused. ``rows_read`` counts rows of the sources so far,
    ``rows_skipped`` those among them left out for want of a user id; ``sources_read`` of the
    ``sources`` have been read to their end.
    """

    def __init__(self, parts: Sequence[Part], schema: pa.Schema, columns: Columns) -> None:
        self.schema = schema
        self.where = parts[0][0].where if len(parts) == 1 else f"{len(parts)} files"
        self.rows_read = 0
        self.rows_skipped = 0
        self.sources = len(parts)
        self.sources_read = 0
        self._parts = parts
        self._columns = columns
        self._started = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._started:
            raise InputError(f"{self.where}: has been read already", hint="open it again")
        self._started = True
        return rechunk(batch for part in self._parts for batch in self._part(part))

    def tell_skipped(self) -> None:
        """Log a warning where rows were left out."""
        if self.rows_skipped:
            skipped, read = f"{self.rows_skipped:,}", f"{self.rows_read:,}"
            _LOG.warning("%s: skipped %s of %s rows, without a user id", self.where, skipped, read)

    def _part(self, part: Part) -> Iterator[pa.RecordBatch]:
        source, _ = part
        first_row = 1
        for batch in rechunk(_validated(source)):
            with reading(source.where, "a table", _DAMAGED):
                normalised = self._normalised(batch, part, first_row)
            first_row += batch.num_rows
            self.rows_read += batch.num_rows
            self.rows_skipped += batch.num_rows - normalised.num_rows
            yield normalised
        self.sources_read += 1

    def _normalised(self, batch: pa.RecordBatch, part: Part, first_row: int) -> pa.RecordBatch:
        source, layout = part
        batch, rows = self._with_users(batch, part, first_row)
        done: dict[tuple[str, Role], pa.Array] = {}
        for column in layout:
            # The arrival time is the event time where the source has no other.
            if (column.source, column.role) not in done:
                place = Place(source.where, column.source, first_row, rows)
                values = batch.column(column.source)
                done[column.source, column.role] = self._values(values, column, place)
        by_name = {column.name: done[column.source, column.role] for column in layout}
        return pa.RecordBatch.from_arrays(
            [by_name[name] for name in self.schema.names], schema=self.schema
        )

    def _with_users(
        self, batch: pa.RecordBatch, part: Part, first_row: int
    ) -> tuple[pa.RecordBatch, np.ndarray[Any, np.dtype[np.int64]] | None]:
        """The rows that have a user id and, where that leaves some out, their places."""
        source, layout = part
        name = next((column.source for column in layout if column.role is Role.USER), None)
        if name is None:
            return batch, None
        users = decoded(batch.column(name))
        absent = pc.is_null(users, nan_is_null=True)
        if not pc.any(absent).as_py():
            return batch, None
        if self._columns.on_null_user == "raise":
            place = Place(source.where, name, first_row)
            problem = f"of the first {first_row + len(batch) - 1:,} without a user id"
            place.refuse(absent, pa.nulls(len(batch)), problem, _USER_HINT)
        present = pc.invert(absent)
        return batch.filter(present), np.flatnonzero(present.to_numpy(zero_copy_only=False))

    def _values(self, values: pa.Array, column: Column, place: Place) -> pa.Array:
        wanted = self.schema.field(column.name).type
        if column.role is Role.TRAIT:
            return to_type(values, wanted, place)
        if column.role in (Role.USER, Role.EXAMPLE):
            ids = to_ids(values, wanted, place)
            refuse_nulls(ids, f"without {column.name}", "number them or drop the column", place)
            return ids
        times = to_times(decoded(values), self._columns.ts_unit, place)
        if column.role is Role.TIME:
            refuse_nulls(times, f"without {column.name}", "set it or drop those rows", place)
        return times


def _validated(source: Source) -> Iterator[pa.RecordBatch]:
    """The batches of a source, each checked to be sound before anything else touches it."""
    for batch in source.batches():
        with reading(source.where, "a table", _DAMAGED):
            batch.validate(full=True)
        yield batch

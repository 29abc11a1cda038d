"""The files a bucket is in, their rows counted one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.lake.snapshot import Chunk, Snapshot
from uih_lake.lake.stored import conformed, holding


@dataclass(frozen=True)
class Bucket:
    """Where the events of a bucket are, each file as it lies: its runs, then the mutable tier's.

    Of a file of the mutable tier only the rows of the bucket count. They are one row group here; of
    a run the row groups are those of the file.
    """

    snapshot: Snapshot
    number: int

    @property
    def runs(self) -> tuple[str, ...]:
        """Paths of the sorted runs."""
        return self.snapshot.runs.get(self.number, ())

    def row_groups(self, columns: Sequence[str]) -> list[tuple[int, int]] | None:
        """The row after each row group, and the stored bytes of ``columns`` in it.

        None where one of the columns is stored nowhere, but follows from others.
        """
        if not set(columns) <= set(self.snapshot.stored.names):
            return None
        counts, sizes = [], []
        for path in self.runs:
            footer = self.snapshot.pages.footer(path)
            groups = range(footer.num_row_groups)
            counts += [footer.row_group(number).num_rows for number in groups]
            sizes += _sizes(footer, columns, groups)
        for chunk in self.snapshot.recent:
            footer = self.snapshot.pages.footer(chunk.path)
            start, stop = self._rows(chunk, footer)
            counts.append(stop - start)
            sizes.append(sum(_sizes(footer, columns, holding(footer, self.number, self.number))))
        return list(zip(accumulate(counts), sizes, strict=True))

    def rows(self, columns: Sequence[str], groups: Sequence[int] | None = None) -> pa.Table:
        """Stored columns of all row groups, or of those that are named; every page is checked.

        Null where a file does not have a column. Raises :class:`CorruptionError`.
        """
        schema = pa.schema([self.snapshot.stored.field(name) for name in columns])
        parts, first = [], 0
        for path in self.runs:
            footer = self.snapshot.pages.footer(path)
            behind = first + footer.num_row_groups
            mine = None if groups is None else [g - first for g in groups if first <= g < behind]
            first = behind
            if mine is None or mine:
                here = _present(footer, columns)
                part = self.snapshot.pages.read(path, here, mine)
                parts.append(part if len(here) == len(columns) else conformed(part, schema, {}))
        for place, chunk in enumerate(self.snapshot.recent, first):
            if groups is None or place in groups:
                parts.append(self._of_chunk(chunk, columns, schema))
        return parts[0] if len(parts) == 1 else pa.concat_tables([schema.empty_table(), *parts])

    def _of_chunk(self, chunk: Chunk, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
        footer = self.snapshot.pages.footer(chunk.path)
        groups = holding(footer, self.number, self.number)
        part = self.snapshot.pages.read(chunk.path, _present(footer, columns), groups)
        start, stop = self._rows(chunk, footer)
        constants = {names.LAKE_VERSION: chunk.lake_version}
        return conformed(part.slice(start, stop - start), schema, constants)

    def _rows(self, chunk: Chunk, footer: pq.FileMetaData) -> tuple[int, int]:
        """The rows of the bucket in those row groups of the file that can hold some."""
        groups = holding(footer, self.number, self.number)
        found = self.snapshot.pages.read(chunk.path, [names.BUCKET], groups)
        buckets = found.column(names.BUCKET).to_numpy()
        start, stop = np.searchsorted(buckets, [self.number, self.number + 1]).tolist()
        return start, stop


def _present(footer: pq.FileMetaData, columns: Sequence[str]) -> list[str]:
    held = set(footer.schema.to_arrow_schema().names)
    return [name for name in columns if name in held]


def _sizes(footer: pq.FileMetaData, columns: Sequence[str], groups: Sequence[int]) -> list[int]:
    """Stored bytes of some columns in some row groups."""
    leaves = (footer.schema.column(number).path for number in range(footer.num_columns))
    places = [n for n, leaf in enumerate(leaves) if leaf.partition(".")[0] in columns]
    found = [footer.row_group(number) for number in groups]
    return [sum(group.column(n).total_compressed_size for n in places) for group in found]

"""The files a bucket is in, their rows counted one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.lake.prefixes import Prefixes
from uih_lake.lake.snapshot import Chunk, Snapshot, identity
from uih_lake.lake.stored import between, conformed, holding
from uih_lake.schema import UNBOUNDED


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

    def alone(self) -> Iterator[tuple[int, int, int]]:
        """Of each run its identity, the row it begins at, and how long it was alone.

        That is the lake version from which on another file of the bucket has events, too. Raises
        :class:`CorruptionError`.
        """
        pages, begin = self.snapshot.pages, 0
        newer = [chunk.lake_version for chunk in self.snapshot.recent]
        for path in self.runs:
            others = [self.snapshot.oldest(other) for other in self.runs if other != path]
            yield identity(path), begin, min(others + newer, default=UNBOUNDED)
            begin += pages.footer(path).num_rows if others else 0

    def prefixes(self) -> tuple[int, Prefixes] | None:
        """The row at which the run with the longest prefixes begins, and these.

        None where no run has any. Raises :class:`CorruptionError`.
        """
        found, begin = [], 0
        for path in self.runs:
            footer = self.snapshot.pages.footer(path)
            if prefixes := Prefixes.noted(footer):
                found.append((begin, prefixes))
            begin += footer.num_rows
        return max(found, key=lambda each: each[1].newest, default=None)

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
            counts.append(self._between(chunk, ()).num_rows)
            footer = self.snapshot.pages.footer(chunk.path)
            sizes.append(sum(_sizes(footer, columns, holding(footer, self.number, self.number))))
        return list(zip(accumulate(counts), sizes, strict=True))

    def rows(self, columns: Sequence[str], groups: Sequence[int] | None = None) -> pa.Table:
        """Stored columns of all row groups, or of those that are named; every page is checked.

        Null where a file does not have a column. Raises :class:`CorruptionError`.
        """
        schema = pa.schema([self.snapshot.stored.field(name) for name in columns])
        parts, first = [], 0
        for path in self.runs:
            behind = first + self.snapshot.pages.footer(path).num_row_groups
            mine = None if groups is None else [g - first for g in groups if first <= g < behind]
            first = behind
            if mine is None or mine:
                part = self.snapshot.pages.read(path, list(columns), mine)
                whole = part.column_names == list(columns)
                parts.append(part if whole else conformed(part, schema, {}))
        for place, chunk in enumerate(self.snapshot.recent, first):
            if groups is None or place in groups:
                constants = {names.LAKE_VERSION: chunk.lake_version}
                parts.append(conformed(self._between(chunk, columns), schema, constants))
        return parts[0] if len(parts) == 1 else pa.concat_tables([schema.empty_table(), *parts])

    def _between(self, chunk: Chunk, columns: Sequence[str]) -> pa.Table:
        return between(self.snapshot.pages, chunk.path, columns, self.number, self.number)


def _sizes(footer: pq.FileMetaData, columns: Sequence[str], groups: Sequence[int]) -> list[int]:
    """Stored bytes of some columns in some row groups."""
    leaves = (footer.schema.column(number).path for number in range(footer.num_columns))
    places = [n for n, leaf in enumerate(leaves) if leaf.partition(".")[0] in columns]
    found = [footer.row_group(number) for number in groups]
    return [sum(group.column(n).total_compressed_size for n in places) for group in found]

"""The files a bucket is in, their rows counted one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names, schema
from uih_lake.arrays import Int64
from uih_lake.lake import words
from uih_lake.lake.prefixes import Prefixes
from uih_lake.lake.snapshot import Chunk, Snapshot, identity
from uih_lake.lake.stored import between, conformed, holding
from uih_lake.schema import UNBOUNDED

_CODES = pa.dictionary(pa.int32(), pa.string())


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

    @property
    def edges(self) -> Int64:
        """The row after each row group. Raises :class:`CorruptionError`."""
        footers = (self.snapshot.pages.footer(path) for path in self.runs)
        counts = [f.row_group(group).num_rows for f in footers for group in range(f.num_row_groups)]
        counts += [self._between(chunk, ()).num_rows for chunk in self.snapshot.recent]
        return np.cumsum(np.array(counts, np.int64))

    def stored_bytes(self, columns: Sequence[str], groups: Sequence[int]) -> int:
        """What ``columns`` take in some row groups, as stored. Raises :class:`CorruptionError`."""
        found = 0
        runs, chunks = self._split(groups)
        for path, mine in runs:
            found += _stored_bytes(self.snapshot.pages.footer(path), columns, mine)
        for chunk in chunks:
            footer = self.snapshot.pages.footer(chunk.path)
            found += _stored_bytes(footer, columns, holding(footer, self.number, self.number))
        return found

    def rows(self, columns: Sequence[str], groups: Sequence[int] | None = None) -> pa.Table:
        """Stored columns of all row groups, or of those that are named; every page is checked.

        Null where a file does not have a column. Traits that are strings of few kinds in every run
        are dictionaries. Raises :class:`CorruptionError`.
        """
        coded = self._few(columns)
        fields = map(self.snapshot.stored.field, columns)
        wanted = pa.schema([f.with_type(_CODES) if f.name in coded else f for f in fields])
        runs: Iterable[tuple[str, list[int] | None]] = ((path, None) for path in self.runs)
        chunks: Iterable[Chunk] = self.snapshot.recent
        if groups is not None:
            runs, chunks = self._split(groups)
        parts = []
        for path, mine in runs:
            part = self.snapshot.pages.read(path, list(columns), mine, coded)
            whole = part.column_names == list(columns)
            parts.append(part if whole else conformed(part, wanted, {}))
        for chunk in chunks:
            constants = {names.LAKE_VERSION: chunk.lake_version}
            parts.append(conformed(self._between(chunk, columns), wanted, constants))
        return parts[0] if len(parts) == 1 else pa.concat_tables([wanted.empty_table(), *parts])

    def _few(self, columns: Sequence[str]) -> list[str]:
        """Those of ``columns`` that are traits of few strings, by the notes of all runs."""
        traits = schema.traits_of(self.snapshot.stored)
        texts = [f.name for f in traits if f.name in columns and pa.types.is_string(f.type)]
        if not texts or not self.runs:
            return []
        notes = [words.noted(self.snapshot.pages.footer(path)) for path in self.runs]
        # A column that a run with a note does not have came to the lake after it.
        return [t for t in texts if all(n is not None and n.get(t, {}) is not None for n in notes)]

    def _split(self, groups: Sequence[int]) -> tuple[list[tuple[str, list[int]]], list[Chunk]]:
        """The files that have some row groups: runs, with which of their own, and chunks."""
        runs, first = [], 0
        for path in self.runs:
            behind = first + self.snapshot.pages.footer(path).num_row_groups
            if mine := [group - first for group in groups if first <= group < behind]:
                runs.append((path, mine))
            first = behind
        return runs, [chunk for n, chunk in enumerate(self.snapshot.recent, first) if n in groups]

    def _between(self, chunk: Chunk, columns: Sequence[str]) -> pa.Table:
        return between(self.snapshot.pages, chunk.path, columns, self.number, self.number)


def _stored_bytes(footer: pq.FileMetaData, columns: Sequence[str], groups: Sequence[int]) -> int:
    """What some columns take in some row groups of a file."""
    leaves = (footer.schema.column(number).path for number in range(footer.num_columns))
    # A list is stored as its elements, and a name may have a dot of its own.
    places = [n for n, leaf in enumerate(leaves) if leaf.removesuffix(".list.element") in columns]
    found = map(footer.row_group, groups)
    return sum(group.column(n).total_compressed_size for group in found for n in places)

"""Which logs the examples of a file are of, wherever they were moved since.

A file that ``log`` writes is of one log. ``compact`` merges the files of logs that follow one
another, because each file that is opened costs a millisecond however few examples it has. Each row
of such a file says of which log it is, and the footer which files it was made of: by that note the
saved state of a loader recognises its examples.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa

from uih_lake import names, schema
from uih_lake.lake import parquet
from uih_lake.lake.integrity import Pages
from uih_lake.lake.store import Store
from uih_lake.lake.stored import conformed
from uih_lake.lake.tables import File, optimistic

NOTE = "uih_lake.logs"
"""Key in the footer of a file of several logs: JSON, a pair ``[log_version, contents]`` each."""
_MOST_ROWS = 1 << 20
_MOST_BYTES = 128 << 20
_MOST_LOGS = 4096  # in the note of one file
_MOST_MEMORY = 256 << 20
"""Of examples that are merged, in bytes; texts may take little of it on disk."""
_ORIGIN, _CONTENTS = 16, 24
_OWN_LOG = pa.field(names.OWN_LOG, pa.int64())
_ORDER = (names.BUCKET, names.USER_ID, names.REQUEST_TS)


class Part(NamedTuple):
    """Examples of one log as they were written into one file, by it or by an erasure among them.

    ``contents`` (hex) tells them from all others, labels included, and ``origin``, its first half,
    whatever their labels are.
    """

    log_version: int
    contents: str

    @classmethod
    def of(cls, path: str, log_version: int) -> Part:
        """What a file of one log is."""
        return cls(log_version, parquet.unique(path)[:_CONTENTS])

    @property
    def origin(self) -> str:
        """What tells them from all others, but from the same with other labels."""
        return self.contents[:_ORIGIN]

    def relabelled(self) -> Part:
        """The same examples with other labels."""
        return Part(self.log_version, (self.origin + uuid.uuid4().hex)[:_CONTENTS])

    def anew(self) -> Part:
        """Other examples, of the same log."""
        return Part(self.log_version, uuid.uuid4().hex[:_CONTENTS])


@dataclass(frozen=True, eq=False)
class LogFile:
    """A file of examples, which are of the logs ``first`` to ``last``."""

    file: File
    path: str
    first: int
    last: int

    @property
    def rows(self) -> int:
        """Examples in the file."""
        return self.file.rows

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.file.size

    @property
    def may_be_of_several(self) -> bool:
        """Whether its examples may be of several logs; the one before it may be gone, too."""
        return self.first < self.last

    def parts(self, pages: Pages) -> list[Part]:
        """What it was made of; raises :class:`CorruptionError`."""
        if self.may_be_of_several:
            note = (pages.footer(self.path).metadata or {}).get(NOTE.encode())
            if note is not None:
                return [Part(*each) for each in json.loads(note)]
        return [Part.of(self.path, self.last)]


Files = tuple[LogFile, ...]


def of(store: Store) -> Files:
    """The files of examples of the opened table, by log version.

    Logs that follow one another are merged, each of them whole, so a file begins where the one
    before it ends.
    """
    table, first, found = store.examples, 0, []

    def last(file: File) -> int:
        return file.partition[names.LOG_VERSION]

    files = sorted(table.files(), key=lambda file: (last(file), file.path))
    for newest, of_log in groupby(files, key=last):
        found += [LogFile(file, table.path(file), first, newest) for file in of_log]
        first = newest + 1
    return tuple(found)


def together(files: Files) -> Iterator[Files]:
    """Files to merge: those of logs that follow one another, up to what one file should hold.

    A log of several files is large, and each of them stays alone.
    """
    per_log = Counter(file.last for file in files)
    group: list[LogFile] = []
    rows = size = 0
    for file in files:
        rows, size = rows + file.rows, size + file.size
        alone = per_log[file.last] > 1 or bool(group and per_log[group[-1].last] > 1)
        is_full = rows > _MOST_ROWS or size > _MOST_BYTES
        if group and (alone or is_full or file.last - group[0].first >= _MOST_LOGS):
            yield tuple(group)
            group, rows, size = [], file.rows, file.size
        group.append(file)
    if group:
        yield tuple(group)


def merged(store: Store, files: Files) -> Iterator[tuple[Files, pa.Table]]:
    """The examples of some files as one of several logs has them, sorted, in one chunk.

    With the files they are of: not all, where they take too much memory. Raises
    :class:`CorruptionError`.
    """
    wanted, size = stored(store), 0
    some: Files = ()
    tables: list[pa.Table] = []
    for file in files:
        rows = with_log(store.pages.read(file.path, wanted.names), file)
        if size + rows.nbytes > _MOST_MEMORY and some:
            yield some, _sorted(tables)
            some, tables, size = (), [], 0
        some, size = (*some, file), size + rows.nbytes
        tables.append(conformed(rows, wanted, {}))
    yield some, _sorted(tables)


def _sorted(tables: Sequence[pa.Table]) -> pa.Table:
    order = [(name, "ascending") for name in _ORDER]
    return pa.concat_tables(tables).sort_by(order).combine_chunks()


def left(store: Store, file: LogFile, rest: pa.Table) -> list[Part]:
    """What a file was made of, once an erasure has left the ``rest`` of its examples.

    Of logs that lost none of them it is what it was.
    """
    before, after = (
        Counter(with_log(rows, file).column(names.OWN_LOG).to_pylist())
        for rows in (store.pages.read(file.path, [names.OWN_LOG]), rest)
    )
    parts = [part for part in file.parts(store.pages) if after[part.log_version]]
    return [
        part if after[part.log_version] == before[part.log_version] else part.anew()
        for part in parts
    ]


def with_log(rows: pa.Table, file: LogFile) -> pa.Table:
    """Rows of a file with ``_log_version``, which a file of one log does not have.

    One that only seems to be of several, since the log before it is gone, has none either.
    """
    if names.OWN_LOG in rows.column_names:
        return rows
    logs = pa.repeat(pa.scalar(file.last), rows.num_rows)
    return rows.append_column(_OWN_LOG, logs)


def stored(store: Store) -> pa.Schema:
    """Columns of a file of several logs."""
    known = schema.nullable(store.examples.schema)  # without Delta's notes
    return known if names.OWN_LOG in known.names else known.append(_OWN_LOG)


def widen(store: Store) -> None:
    """Give the table of examples the columns of a file of several logs.

    A commit of its own: one that replaces files cannot change the schema.
    """

    def attempt() -> None:
        known = store.examples.schema
        if names.OWN_LOG not in known.names:
            store.examples.commit(schema=known.append(_OWN_LOG))

    optimistic(attempt, "compact")


def write(store: Store, table: pa.Table, last: int, parts: Sequence[Part]) -> File:
    """Write examples of these ``parts``, the newest of which is of the log ``last``; not committed.

    Raises :class:`OutputError`.
    """
    # Of the newest alone a name tells as much; an erasure may have left another.
    alone = parts[0].contents if [part.log_version for part in parts] == [last] else ""
    notes = {} if alone else {NOTE: json.dumps(parts, separators=(",", ":"))}
    where = {names.LOG_VERSION: last}
    return parquet.write(store.examples.root, table, where, notes=notes, named=alone)

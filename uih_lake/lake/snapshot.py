"""One consistent view of both tiers, as files and as SQL.

A snapshot takes from ``uih`` what is sealed and from ``recent`` what is newer. Its :meth:`history`
is the only place where the two tiers become one relation in SQL; :mod:`uih_lake.lake.stored` makes
one table of them for who writes their events down again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import duckdb
import pyarrow as pa

from uih_lake import names, schema, sqlfile
from uih_lake.lake.integrity import Pages
from uih_lake.lake.parquet import unique
from uih_lake.lake.sqltypes import anchor, list_literal
from uih_lake.lake.store import Store
from uih_lake.session import fetch


class Chunk(NamedTuple):
    """A file of the mutable tier, which is part of one append."""

    path: str
    lake_version: int
    rows: int


@dataclass(frozen=True)
class Snapshot:
    """The events of a lake up to ``lake_version``, wherever they are stored; -1: there is none.

    ``generation``    Delta version of the immutable tier
    ``sealed``        lake version up to which that tier holds everything; -1: none. Where it is
                      after ``lake_version``, files of the tier may have newer events, too
    ``buckets``       number of hash buckets
    ``stored``        columns of an event as stored, ``lake_version`` among them
    ``runs``          bucket to the paths of its files in the immutable tier, in order of the paths;
                      a bucket that has none is left out
    ``recent``        the files of the mutable tier with what is not sealed, by lake version
    ``sealed_rows``   events in all files of the immutable tier, whatever their lake version
    ``retained_from`` start of the retention window in microseconds since the epoch, before which no
                      event is seen; :data:`uih_lake.schema.MIN_TIME` where there is no window
    ``pages``         reads the files, and knows which have been checked
    """

    lake_version: int
    generation: int
    sealed: int
    buckets: int
    stored: pa.Schema
    runs: dict[int, tuple[str, ...]]
    recent: tuple[Chunk, ...]
    sealed_rows: int
    retained_from: int
    pages: Pages

    @classmethod
    def of(
        cls, store: Store, lake_version: int | None = None, users: pa.DataType | None = None
    ) -> Snapshot:
        """The state of the opened tables, up to ``lake_version`` (default: the newest).

        ``users`` is the type of user ids where nothing stored tells; int64 by default.
        """
        newest = store.lake_version if lake_version is None else lake_version
        sealed = store.sealed
        runs: dict[int, list[str]] = defaultdict(list)
        sealed_files = store.uih.files()
        for file in sealed_files:
            runs[file.partition[names.BUCKET]].append(store.uih.path(file))
        tail = [
            f for f in store.recent.files() if sealed < f.partition[names.LAKE_VERSION] <= newest
        ]
        tail.sort(key=lambda f: f.partition[names.LAKE_VERSION])
        return cls(
            lake_version=newest,
            generation=store.uih.version,
            sealed=sealed,
            buckets=store.buckets,
            stored=_with_lake_version(store.recent.schema, _user_type(store, users)),
            runs={bucket: tuple(sorted(paths)) for bucket, paths in sorted(runs.items())},
            recent=tuple(
                Chunk(store.recent.path(f), f.partition[names.LAKE_VERSION], f.rows) for f in tail
            ),
            sealed_rows=sum(f.rows for f in sealed_files),
            retained_from=store.retained_from,
            pages=store.pages,
        )

    def through(self, lake_version: int) -> Snapshot:
        """The same without the files of the mutable tier that are newer than ``lake_version``.

        A pointer that pins that lake version, or one before it, sees nothing of those.
        """
        kept = tuple(chunk for chunk in self.recent if chunk.lake_version <= lake_version)
        return self if len(kept) == len(self.recent) else replace(self, recent=kept)

    def beyond(self, lake_version: int) -> Snapshot:
        """The same without files that have nothing newer than ``lake_version``."""
        kept = tuple(chunk for chunk in self.recent if chunk.lake_version > lake_version)
        if self.sealed > lake_version:
            return replace(self, recent=kept)
        return replace(self, runs={}, recent=kept, sealed_rows=0)

    def seen(self, pinned: Mapping[int, int]) -> Snapshot:
        """The same without files that are newer than all pointers into some buckets.

        ``pinned`` is the newest lake version, by bucket, that these pointers pin. Raises
        :class:`CorruptionError`.
        """
        runs = {bucket: self._up_to(bucket, version) for bucket, version in pinned.items()}
        return replace(self.through(max(pinned.values())), runs=self.runs | runs)

    def _up_to(self, bucket: int, lake_version: int) -> tuple[str, ...]:
        """The runs of a bucket with events up to a lake version; a single one has to do."""
        paths = self.runs.get(bucket, ())
        if len(paths) < 2:
            return paths
        return tuple(path for path in paths if self.oldest(path) <= lake_version)

    def only(self, buckets: Iterable[int]) -> Snapshot:
        """The same without the runs of other buckets."""
        kept = set(buckets)
        return replace(self, runs={b: paths for b, paths in self.runs.items() if b in kept})

    def oldest(self, path: str) -> int:
        """The oldest lake version of a run's events; raises :class:`CorruptionError`."""
        footer = self.pages.footer(path)
        place = footer.schema.names.index(names.LAKE_VERSION)
        groups = range(footer.num_row_groups)
        return int(min(footer.row_group(group).column(place).statistics.min for group in groups))

    def history(self, first: int = 0, last: int | None = None) -> str:
        """SQL for the stored events of the buckets ``first`` to ``last`` (inclusive), unordered."""
        last = self.buckets - 1 if last is None else last
        parts = [anchor(self.stored)]
        sealed = [path for b, paths in self.runs.items() if first <= b <= last for path in paths]
        if sealed:
            parts.append(sqlfile.fill("lake/sealed", files=list_literal(sealed)))
        if self.recent:
            parts.append(
                sqlfile.fill(
                    "lake/recent",
                    files=list_literal(chunk.path for chunk in self.recent),
                    versions=list_literal(chunk.lake_version for chunk in self.recent),
                    first_bucket=sqlfile.literal(first),
                    last_bucket=sqlfile.literal(last),
                )
            )
        return "\nUNION ALL BY NAME\n".join(parts)

    def events(self, first: int = 0, last: int | None = None, hidden: Iterable[str] = ()) -> str:
        """SQL for the events of some buckets: public columns, and some ``hidden`` ones."""
        traits = [field.name for field in schema.traits_of(self.stored)]

        def after_comma(columns: Iterable[str]) -> str:
            return "".join(f", {sqlfile.identifier(name)}" for name in columns)

        kept = "true"
        if self.retained_from > schema.MIN_TIME:
            kept = sqlfile.fill("lake/retained", cutoff=sqlfile.literal(self.retained_from))
        return sqlfile.fill(
            "lake/events",
            history=self.history(first, last),
            traits=after_comma(traits),
            hidden=after_comma(hidden),
            kept=kept,
        )

    def run(self, bucket: int) -> int | None:
        """:func:`identity` of the one run a bucket consists of; None where it is not one."""
        paths = self.runs.get(bucket, ())
        return None if self.recent or len(paths) != 1 else identity(paths[0])

    def whole(
        self, duck: duckdb.DuckDBPyConnection, bucket: int, columns: Sequence[str]
    ) -> pa.Table:
        """Public columns of every row of a bucket that is one file, in the order of the file.

        Also those that are derived, or came to the lake after the file.
        """
        alone = replace(self, recent=(), retained_from=schema.MIN_TIME)
        alone.check(bucket, bucket)
        events = alone.events(bucket, bucket)
        statement = sqlfile.fill("lake/whole", events=events, columns=sqlfile.columns(columns))
        return fetch(duck, statement)

    def check(self, first: int, last: int, columns: Iterable[str] | None = None) -> None:
        """Check the pages of some buckets' files; all columns, or those that are named.

        Raises :class:`CorruptionError`.
        """
        # Every scan of the mutable tier asks for the bucket as well.
        asked = None if columns is None else [*columns, names.BUCKET]
        self.pages.check(self.paths(first, last), asked)

    def paths(self, first: int, last: int) -> list[str]:
        """The files that hold events of some buckets."""
        sealed = [path for b, paths in self.runs.items() if first <= b <= last for path in paths]
        return [*sealed, *(chunk.path for chunk in self.recent)]

    @property
    def rows(self) -> int:
        """Events in the files, whatever their lake version."""
        return sum(chunk.rows for chunk in self.recent) + self.sealed_rows

    def is_one_run(self, bucket: int) -> bool:
        """Whether the bucket is a single sorted file, so that its rows need no sorting."""
        return not self.recent and len(self.runs.get(bucket, ())) <= 1

    def passes(self, rows: int) -> Iterator[tuple[int, int]]:
        """Cut the buckets into ranges (first, last) of about ``rows`` events each."""
        step = max(1, self.buckets * rows // max(self.rows, 1))
        for first in range(0, self.buckets, step):
            yield first, min(first + step, self.buckets) - 1


def identity(path: str) -> int:
    """Which run this is, int64, from the random part of its name; no two share it."""
    return int(unique(path)[:15], 16)


def _user_type(store: Store, otherwise: pa.DataType | None) -> pa.DataType:
    """Type of user ids, from the events or, before the first of them, from the examples."""
    for table in (store.recent.schema, store.examples.schema):
        if names.USER_ID in table.names:
            return table.field(names.USER_ID).type
    return otherwise or pa.int64()


def _with_lake_version(recent: pa.Schema, user: pa.DataType) -> pa.Schema:
    """Stored schema of an event: ``recent`` keeps the lake version as a partition value."""
    kept = [f for f in recent if f.name not in (names.BUCKET, names.USER_ID)]
    fields = [pa.field(names.USER_ID, user), *kept]
    place = [f.name for f in fields].index(names.DELAY) + 1
    return pa.schema([*fields[:place], pa.field(names.LAKE_VERSION, pa.int64()), *fields[place:]])

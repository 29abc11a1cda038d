"""What the sequences of a tenant refer to, counted without making a single one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from tempfile import NamedTemporaryFile, gettempdir
from typing import IO, Any

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, sqlfile
from uih_lake.arrays import Int64, running
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.materialize import Rebuild, Sequences
from uih_lake.output import failures_told
from uih_lake.pointers.examples import Examples
from uih_lake.progress import Progress
from uih_lake.resolve.ahead import ahead
from uih_lake.resolve.plan import Scan
from uih_lake.resolve.ranges import Ranges
from uih_lake.resolve.run import Cut, Resolver
from uih_lake.selection import Selection
from uih_lake.session import cursor, fetch
from uih_lake.tenant import Tenant

_Windows = tuple[pa.Table, dict[str, Ranges]]
"""The examples of a bucket, and the ranges of their sequences by group."""
_DAY_US = 86_400_000_000
_STRING_BYTES = 16


@dataclass(frozen=True)
class Population:
    """The examples of a tenant in clustered order: by bucket, user, request time, example id.

    Per example, int64: ``request_ts`` (microseconds), ``weight`` (bytes of its fat row in memory,
    about), ``fresh`` (those of its events that no earlier example of the user has), ``user`` (a
    number per user). ``starts`` has the first example of each bucket, and the number of examples at
    its end. ``referenced`` and ``distinct`` are events per group, ``newest`` those in the last
    sequence of each user, groups together; ``daily`` maps days since 1970 to both. All of this
    takes 32 bytes per example.
    """

    request_ts: Int64
    weight: Int64
    fresh: Int64
    user: Int64
    starts: Int64
    referenced: dict[str, int]
    distinct: dict[str, int]
    newest: int
    daily: dict[int, tuple[int, int]]

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def last(self) -> Int64:
        """The newest example of each user."""
        return np.flatnonzero(np.diff(self.user, append=-1))


@dataclass(frozen=True)
class Waiting:
    """A table that waits in a ``file``, to be taken from it in ``order`` (None: as it is)."""

    file: IO[bytes]
    order: Int64 | None

    def table(self) -> pa.Table:
        """Read it, in one piece; once, for the file is gone then."""
        # Read through Arrow: what Python reads is never given back by the allocator.
        with self.file, pa.OSFile(self.file.name) as source:
            table = pa.ipc.open_stream(source).read_all().combine_chunks()
        return table if self.order is None else table.take(pa.array(self.order)).combine_chunks()


@dataclass(frozen=True)
class Histories:
    """Reads what a tenant needs of the lake, bucket by bucket."""

    rebuild: Rebuild

    @classmethod
    def of(cls, store: Store, snapshot: Snapshot, examples: Examples, tenant: Tenant) -> Histories:
        """Of the examples of a lake; pointers at fault count as they would be rebuilt."""
        selection = Selection.of(store, snapshot, examples, policy="keep", context=tenant.context)
        return cls(Rebuild(selection, tenant))

    @property
    def schema(self) -> pa.Schema:
        """Columns of the fat rows."""
        return self.rebuild.schema

    @cached_property
    def _groups(self) -> list[str]:
        return [*self.rebuild.tenant.groups]

    def count(self, progress: Progress) -> Population:
        """Count windows; reads the keys of events and what conditions need, no trait besides."""
        plan = [replace(scan, traits=()) for scan in self.rebuild.plan]

        def windows(bucket: int) -> _Windows:
            with cursor(threads=1) as duck:
                asked, cuts = self._cut(duck, plan, bucket)
            return asked, {name: found for each in cuts for name, found in each.ranges.items()}

        tally = _Tally(self._groups, self._widths())
        buckets = range(self.rebuild.selection.snapshot.buckets)
        with cursor() as duck, closing(ahead(partial(windows, b) for b in buckets)) as found:
            for done, (asked, ranges) in enumerate(found):
                tally.add(duck, asked, ranges)
                progress(done + 1, len(buckets))
        return tally.population()

    def _cut(
        self,
        duck: duckdb.DuckDBPyConnection,
        plan: Sequence[Scan],
        bucket: int,
        places: Int64 | None = None,
    ) -> tuple[pa.Table, list[Cut]]:
        """The examples of a bucket, or those at ``places``, and every scan of ``plan`` cut."""
        selection = self.rebuild.selection
        asked = selection.asked(duck, bucket)
        if places is not None:
            asked = asked.take(pa.array(places)).combine_chunks()
        if not asked.num_rows:
            return asked, []
        return asked, Resolver(selection.snapshot, duck).cuts(plan, asked, bucket)

    def rows(self, population: Population, wanted: Sequence[Int64]) -> list[Waiting]:
        """Fat rows of examples, a table for each array of places of the clustered order.

        Rows come in the order of the places. A bucket is read once for all of ``wanted``; what it
        gives waits on disk.
        """
        ascending = [np.sort(places) for places in wanted]
        files: list[IO[bytes]] = [NamedTemporaryFile() for _ in wanted]  # noqa: SIM115
        self._spill(population, ascending, files)
        return [
            Waiting(file, None if np.array_equal(order, places) else np.searchsorted(order, places))
            for file, places, order in zip(files, wanted, ascending, strict=True)
        ]

    def _spill(
        self, population: Population, wanted: Sequence[Int64], files: Sequence[IO[bytes]]
    ) -> None:
        """Write the fat rows at ``wanted`` places, ascending, to a file each."""
        edges = [np.searchsorted(places, population.starts) for places in wanted]

        def batches(bucket: int) -> list[tuple[int, pa.RecordBatch]]:
            inside = [
                places[edge[bucket] : edge[bucket + 1]] - population.starts[bucket]
                for places, edge in zip(wanted, edges, strict=True)
            ]
            with cursor(threads=1) as duck:
                return [*self._bucket(duck, bucket, inside)]

        touched = np.flatnonzero(sum(np.diff(edge) for edge in edges))
        with ExitStack() as stack:
            stack.enter_context(failures_told(f"a temporary file in {gettempdir()}"))
            sinks = [stack.enter_context(pa.OSFile(file.name, "wb")) for file in files]
            writers = [stack.enter_context(pa.ipc.new_stream(s, self.schema)) for s in sinks]
            jobs = (partial(batches, bucket) for bucket in touched.tolist())
            for found in stack.enter_context(closing(ahead(jobs))):
                for place, batch in found:
                    writers[place].write_batch(batch)

    def _bucket(
        self, duck: duckdb.DuckDBPyConnection, bucket: int, inside: Sequence[Int64]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows of one bucket at the places ``inside`` it, each batch with which of those."""
        plan = self.rebuild.plan
        asked, cuts = self._cut(duck, plan, bucket, np.concatenate(inside))
        sequences = Sequences([*zip(plan, cuts, strict=True)])
        edges = running(np.array([len(each) for each in inside])).tolist()
        for start, stop in sequences.slices(asked.num_rows):
            batch = self.rebuild.batch(asked, sequences, start, stop)
            for place, (first, last) in enumerate(pairwise(edges)):
                if first < stop and start < last:
                    low, high = max(first, start), min(last, stop)
                    yield place, batch.slice(low - start, high - low)

    def _widths(self) -> dict[str, int]:
        """Bytes of an event of each group; under the name '' those of a row without events."""
        widths = {}
        for name in self._groups:
            fields = self.schema.field(name).type.fields
            widths[name] = sum(_width(field.type.value_type) for field in fields)
        flat = (f for f in self.schema if f.name not in widths)
        lists = 4 * sum(self.schema.field(name).type.num_fields for name in self._groups)
        return widths | {"": lists + sum(_width(field.type) for field in flat)}


@dataclass
class _Tally:
    """Adds up buckets."""

    groups: list[str]
    widths: Mapping[str, int]

    def __post_init__(self) -> None:
        self._sizes: list[int] = []
        self._columns: list[tuple[Int64, Int64, Int64, Int64]] = []
        self._users = self._newest = 0
        self._referenced: dict[str, int] = dict.fromkeys(self.groups, 0)
        self._distinct: dict[str, int] = dict.fromkeys(self.groups, 0)
        self._daily: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))

    def add(
        self, duck: duckdb.DuckDBPyConnection, asked: pa.Table, ranges: Mapping[str, Ranges]
    ) -> None:
        """Add a bucket: its examples, and the ranges of their sequences by group."""
        self._sizes.append(asked.num_rows)
        if not asked.num_rows:
            return
        request = asked.column(names.REQUEST_TS).cast(pa.int64()).to_numpy()
        days = request // _DAY_US
        fragments = [_fragments(place, ranges[g], days) for place, g in enumerate(self.groups)]
        duck.register("fragments", pa.concat_tables(fragments))
        windows = fetch(duck, sqlfile.statement("savings/windows"))
        duck.unregister("fragments")
        users = asked.column(names.USER_ID).combine_chunks().dictionary_encode()
        user = users.indices.to_numpy().astype(np.int64)
        last = np.flatnonzero(np.diff(user, append=-1))
        weight, fresh = self._windows(windows, days, last)
        self._columns.append((request, weight, fresh, user + self._users))
        self._users += len(users.dictionary)

    def _windows(self, windows: pa.Table, days: Int64, last: Int64) -> tuple[Int64, Int64]:
        """Weight and fresh bytes of each example of a bucket, which are of these ``days``.

        ``last`` are the users' last ones.
        """
        rows = len(days)
        weight = np.full(rows, self.widths[""], np.int64)
        fresh = np.zeros(rows, np.int64)
        group, example, referenced, first, that_day = (c.to_numpy() for c in windows.columns)
        self._add_days(days[example], referenced, that_day)
        for place, name in enumerate(self.groups):
            here = group == place
            events = np.zeros(rows, np.int64)
            events[example[here]] = referenced[here]
            weight += events * self.widths[name]
            fresh[example[here]] += first[here] * self.widths[name]
            self._newest += int(events[last].sum())
            self._referenced[name] += int(events.sum())
            self._distinct[name] += int(first[here].sum())
        return weight, fresh

    def _add_days(self, days: Int64, referenced: Int64, distinct: Int64) -> None:
        each, place = np.unique(days, return_inverse=True)
        sums = (np.bincount(place, counts).astype(np.int64) for counts in (referenced, distinct))
        for day, *more in zip(each.tolist(), *(found.tolist() for found in sums), strict=True):
            before = self._daily[day]
            self._daily[day] = before[0] + more[0], before[1] + more[1]

    def population(self) -> Population:
        """What was added."""
        columns = [np.concatenate(each) for each in zip(*self._columns, strict=True)]
        request, weight, fresh, user = columns or [np.zeros(0, np.int64)] * 4
        return Population(
            request_ts=request,
            weight=weight,
            fresh=fresh,
            user=user,
            starts=running(np.array(self._sizes)),
            referenced=self._referenced,
            distinct=self._distinct,
            newest=self._newest,
            daily=dict(sorted(self._daily.items())),
        )


def _fragments(place: int, ranges: Ranges, days: Int64) -> pa.Table:
    count = np.diff(ranges.offsets)
    columns: dict[str, Any] = {
        "grp": np.full(len(ranges.starts), place, np.int64),
        "day": np.repeat(days, count),
        "example": np.repeat(np.arange(len(count)), count),
        "start": ranges.starts,
        "stop": ranges.stops,
    }
    return pa.table(columns)


def _width(kind: pa.DataType) -> int:
    """Bytes of a value, about."""
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return _STRING_BYTES

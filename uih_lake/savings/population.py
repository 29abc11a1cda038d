"""What the sequences of a tenant refer to, counted without making a single one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import names, sqlfile
from uih_lake.lake.erase import Tombstones
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.materialize import Rebuild, Selection, Sequences
from uih_lake.pointers.examples import Examples
from uih_lake.pointers.policy import Counts, Judge
from uih_lake.resolve.cut import Ranges
from uih_lake.resolve.run import Cut, Resolver
from uih_lake.session import connect, fetch
from uih_lake.tenant import Tenant

Int64 = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
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


@dataclass(frozen=True)
class Histories:
    """Reads what a tenant needs of the lake, bucket by bucket."""

    rebuild: Rebuild

    @classmethod
    def of(cls, store: Store, snapshot: Snapshot, examples: Examples, tenant: Tenant) -> Histories:
        """Of the examples of a lake; pointers at fault count as they would be rebuilt."""
        judge = Judge(Tombstones.of(store), snapshot.retained_from, "keep", Counts())
        return cls(Rebuild(Selection(snapshot, examples, judge, tuple(tenant.context)), tenant))

    @property
    def schema(self) -> pa.Schema:
        """Columns of the fat rows."""
        return self.rebuild.schema

    @cached_property
    def _groups(self) -> list[str]:
        return [*self.rebuild.tenant.groups]

    def count(self, progress: Progress) -> Population:
        """Count windows; reads the keys of events and what conditions need, no trait besides."""
        selection = self.rebuild.selection
        plan = [replace(scan, traits=()) for scan in self.rebuild.plan]
        tally = _Tally(self._groups, self._widths())
        with connect() as duck:
            resolver = Resolver(selection.snapshot, duck)
            for bucket in range(selection.snapshot.buckets):
                asked = selection.asked(duck, bucket)
                if asked.num_rows:
                    cuts = resolver.resolve(plan, asked, bucket).cuts
                    tally.add(duck, asked, cuts)
                tally.sizes.append(asked.num_rows)
                progress(bucket + 1, selection.snapshot.buckets)
        return tally.population()

    def rows(self, population: Population, places: Int64) -> pa.Table:
        """Fat rows of the examples at ``places`` of the clustered order, in the order given."""
        selection = self.rebuild.selection
        parts: list[pa.RecordBatch] = []
        ascending = np.sort(places)
        edges = np.searchsorted(ascending, population.starts)
        with connect() as duck:
            resolver = Resolver(selection.snapshot, duck)
            for bucket in np.flatnonzero(np.diff(edges)).tolist():
                inside = ascending[edges[bucket] : edges[bucket + 1]] - population.starts[bucket]
                asked = selection.asked(duck, bucket).take(pa.array(inside)).combine_chunks()
                parts += self._bucket(resolver, asked, bucket)
        table = pa.Table.from_batches(parts, self.schema).combine_chunks()
        if np.array_equal(ascending, places):
            return table
        return table.take(pa.array(np.searchsorted(ascending, places))).combine_chunks()

    def _bucket(self, resolver: Resolver, asked: pa.Table, bucket: int) -> Iterator[pa.RecordBatch]:
        found = resolver.resolve(self.rebuild.plan, asked, bucket)
        sequences = Sequences.of(self.rebuild.plan, found)
        for start, stop in sequences.slices(asked.num_rows):
            flat = asked.slice(start, stop - start).select(self.rebuild.selection.columns)
            structs = sequences.structs(start, stop)
            arrays = [*flat.combine_chunks().to_batches()[0].columns]
            arrays += [structs[name] for name in self._groups]
            yield pa.record_batch(arrays, names=self.schema.names).cast(self.schema)

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
        self.sizes: list[int] = []
        self._columns: list[tuple[Int64, Int64, Int64, Int64]] = []
        self._users = self._newest = 0
        self._referenced: dict[str, int] = dict.fromkeys(self.groups, 0)
        self._distinct: dict[str, int] = dict.fromkeys(self.groups, 0)
        self._daily: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))

    def add(self, duck: duckdb.DuckDBPyConnection, asked: pa.Table, cuts: list[Cut]) -> None:
        """Add a bucket: its examples, and the ranges of their sequences."""
        request = asked.column(names.REQUEST_TS).cast(pa.int64()).to_numpy()
        ranges = {name: found for each in cuts for name, found in each.ranges.items()}
        days = request // _DAY_US
        fragments = [_fragments(place, ranges[g], days) for place, g in enumerate(self.groups)]
        duck.register("fragments", pa.concat_tables(fragments))
        users = asked.column(names.USER_ID).combine_chunks().dictionary_encode()
        user = users.indices.to_numpy().astype(np.int64)
        last = np.flatnonzero(np.diff(user, append=-1))
        weight, fresh = self._windows(duck, asked.num_rows, last)
        self._columns.append((request, weight, fresh, user + self._users))
        self._users += len(users.dictionary)
        for row in fetch(duck, sqlfile.statement("savings/daily")).to_pylist():
            referenced, distinct = self._daily[row["day"]]
            found = referenced + row["referenced"], distinct + row["distinct_events"]
            self._daily[row["day"]] = found
        duck.unregister("fragments")

    def _windows(
        self, duck: duckdb.DuckDBPyConnection, rows: int, last: Int64
    ) -> tuple[Int64, Int64]:
        """Weight and fresh bytes of each example of a bucket; ``last`` are the users' last ones."""
        weight = np.full(rows, self.widths[""], np.int64)
        fresh = np.zeros(rows, np.int64)
        found = fetch(duck, sqlfile.statement("savings/windows"))
        group, example, referenced, first = (column.to_numpy() for column in found.columns)
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

    def population(self) -> Population:
        """What was added."""
        columns = [np.concatenate(each) for each in zip(*self._columns, strict=True)]
        request, weight, fresh, user = columns or [np.zeros(0, np.int64)] * 4
        return Population(
            request_ts=request,
            weight=weight,
            fresh=fresh,
            user=user,
            starts=np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64),
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

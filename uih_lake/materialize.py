"""Rebuild: examples with their sequences, streamed bucket by bucket as Arrow record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa

from uih_lake import names, schema, sqlfile
from uih_lake.gather.lists import lists
from uih_lake.lake.snapshot import Snapshot
from uih_lake.pointers.examples import Examples
from uih_lake.pointers.policy import PROOF, Judge
from uih_lake.resolve.plan import Scan, scans
from uih_lake.resolve.run import Cut, Resolver
from uih_lake.session import connect, fetch
from uih_lake.tenant import Tenant

BATCH_VALUES = 4_000_000
"""Values a record batch is cut at, so that memory does not grow with the examples of a bucket."""

_KEYS = (names.EXAMPLE_ID, names.USER_ID, names.REQUEST_TS)
_POINTER = (names.AS_OF_TS, names.LAKE_VERSION)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rebuild:
    """What to rebuild: the ``examples`` that meet ``where``, for ``tenant``, from ``snapshot``."""

    snapshot: Snapshot
    examples: Examples
    tenant: Tenant
    judge: Judge
    where: str = "true"

    @property
    def schema(self) -> pa.Schema:
        """``example_id, user_id, request_ts``, the context, then a struct of lists per group."""
        events = schema.public_events(self.snapshot.stored)
        stored = self.examples.stored
        fields = [stored.field(name) for name in (*_KEYS, *self._context)]
        for name, group in self.tenant.groups.items():
            traits = [pa.field(t, pa.list_(events.field(t).type)) for t in group.traits]
            fields.append(pa.field(name, pa.struct(traits)))
        return pa.schema(fields)

    @property
    def _context(self) -> list[str]:
        return [name for name in self.tenant.context if name not in _KEYS]

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Record batches of :attr:`schema`; ordered by bucket, user, request time, example id."""
        with connect() as duck:
            resolver = Resolver(self.snapshot, duck)
            for bucket in range(self.snapshot.buckets):
                asked = self.proven(resolver, duck, bucket)
                if asked.num_rows:
                    yield from self._bucket(resolver, asked, bucket)
                progress(bucket + 1, self.snapshot.buckets)

    def proven(self, resolver: Resolver, duck: duckdb.DuckDBPyConnection, bucket: int) -> pa.Table:
        """The examples of one bucket whose history is the one they were logged with.

        Columns: keys, pointer bounds and proof, context. What differs is judged by the policy.
        """
        asked = self._asked(duck, bucket)
        if asked.num_rows == 0:
            return asked
        passed = self.judge.passed(asked, resolver.prove(asked, bucket))
        return asked if passed.all() else asked.filter(pa.array(passed)).combine_chunks()

    def _asked(self, duck: duckdb.DuckDBPyConnection, bucket: int) -> pa.Table:
        columns = dict.fromkeys([*_KEYS, *_POINTER, *PROOF, *self._context])
        statement = sqlfile.fill(
            "pointers/bucket",
            examples=self.examples.sql,
            columns=sqlfile.columns(columns),
            where=self.where,
        )
        parameters = {"bucket": bucket, "newest": self.snapshot.lake_version}
        return fetch(duck, statement, parameters).combine_chunks()

    def _bucket(self, resolver: Resolver, asked: pa.Table, bucket: int) -> Iterator[pa.RecordBatch]:
        plan = scans(self.tenant, schema.public_events(self.snapshot.stored))
        cuts = [(scan, resolver.cut(scan, asked, bucket)) for scan in plan]
        for start, stop in _slices(cuts, asked.num_rows):
            yield self._batch(cuts, asked.slice(start, stop - start), start, stop)

    def _batch(
        self, cuts: list[tuple[Scan, Cut]], asked: pa.Table, start: int, stop: int
    ) -> pa.RecordBatch:
        groups = {}
        for scan, resolved in cuts:
            for name, group in scan.groups:
                ranges = resolved.ranges[name].slice(start, stop)
                columns = [lists(resolved.column(trait), ranges) for trait in group.traits]
                groups[name] = pa.StructArray.from_arrays(columns, list(group.traits))
        flat = asked.select([*_KEYS, *self._context]).combine_chunks().to_batches()[0]
        arrays = [*flat.columns, *(groups[name] for name in self.tenant.groups)]
        return pa.record_batch(arrays, names=self.schema.names).cast(self.schema)


def _slices(cuts: list[tuple[Scan, Cut]], rows: int) -> Iterator[tuple[int, int]]:
    """Cut the examples so that no slice has many more than :data:`BATCH_VALUES` values."""
    values = np.zeros(rows, np.int64)
    for scan, resolved in cuts:
        for name, group in scan.groups:
            values += resolved.ranges[name].lengths * len(group.traits)
    share = np.cumsum(values) // BATCH_VALUES
    edges = [0, *(np.flatnonzero(np.diff(share)) + 1).tolist(), rows]
    yield from pairwise(edges)

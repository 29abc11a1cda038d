"""Rebuild: examples with their sequences, streamed bucket by bucket as Arrow record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, pairwise
from threading import Event

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import schema
from uih_lake.errors import TooMuchText
from uih_lake.gather.lists import lists, weights
from uih_lake.progress import Progress
from uih_lake.resolve.ahead import ahead, together
from uih_lake.resolve.plan import Scan, scans
from uih_lake.resolve.run import Cut, Located, Resolution, Resolver
from uih_lake.resolve.visible import Asked, seen_by
from uih_lake.selection import Selection
from uih_lake.session import cursor
from uih_lake.tenant import Tenant

BATCH_VALUES = 4_000_000
"""Values a record batch is cut at, so that memory does not grow with the examples of a bucket."""
_MOST_VALUES = 2**31 // 8 - 2 * BATCH_VALUES  # 32 bits tell where a list or a text of it ends


@dataclass(frozen=True)
class Rebuild:
    """What to rebuild: the sequences of ``tenant`` for the examples of ``selection``."""

    selection: Selection
    tenant: Tenant

    @property
    def schema(self) -> pa.Schema:
        """``example_id, user_id, request_ts``, the context, then a struct of lists per group."""
        events = schema.public_events(self.selection.snapshot.stored)
        stored = self.selection.examples.stored
        fields = [stored.field(name) for name in self.selection.columns]
        for name, group in self.tenant.groups.items():
            traits = [pa.field(t, pa.list_(events.field(t).type)) for t in group.traits]
            fields.append(pa.field(name, pa.struct(traits)))
        return pa.schema(fields)

    @cached_property
    def plan(self) -> list[Scan]:
        """The scans of a bucket that the tenant needs."""
        return scans(self.tenant, schema.public_events(self.selection.snapshot.stored))

    def reader(self, progress: Progress) -> pa.RecordBatchReader:
        """:meth:`batches`, to be read one by one."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches(progress))

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Record batches of :attr:`schema`; ordered by bucket, user, request time, example id."""
        buckets = self.selection.snapshot.buckets
        with cursor() as duck:
            asked = together(self.selection.by_bucket(duck))
            with closing(ahead(partial(self._located, some) for some in asked)) as located:
                each = chain.from_iterable(located)
                with closing(ahead(partial(self._resolved, *one) for one in each)) as resolved:
                    for bucket, examples, found in resolved:
                        yield from self._gathered(examples, found)
                        progress(bucket + 1, buckets)
        progress(buckets, buckets)

    def _located(self, asked: list[Asked]) -> list[tuple[int, pa.Table, Located | None]]:
        """Some buckets, their examples, and where those that are one file have them."""
        with cursor(threads=1) as duck:
            snapshot = seen_by(self.selection.snapshot, asked)
            located = Resolver(snapshot, duck).locate(self.plan, asked)
        return [(*each, found) for each, found in zip(asked, located, strict=True)]

    def _resolved(
        self, bucket: int, asked: pa.Table, located: Located | None
    ) -> tuple[int, pa.Table, Resolution]:
        """A bucket, its examples, and what their pointers come to."""
        with cursor(threads=1) as duck:
            resolver = Resolver(seen_by(self.selection.snapshot, [(bucket, asked)]), duck)
            return bucket, asked, resolver.resolve(self.plan, asked, bucket, located=located)

    def _gathered(self, asked: pa.Table, found: Resolution) -> Iterator[pa.RecordBatch]:
        passed = self.selection.judge.passed(asked, found.proof)
        sequences = Sequences.of(self.plan, found)
        if not passed.all():
            asked, sequences = asked.filter(pa.array(passed)), sequences.only(passed)
        for start, stop in sequences.slices(asked.num_rows):
            yield self.batch(asked, sequences, start, stop)

    def batch(self, asked: pa.Table, sequences: Sequences, start: int, stop: int) -> pa.RecordBatch:
        """The examples ``start`` to ``stop`` of those ``asked``, with their ``sequences``."""
        flat = asked.slice(start, stop - start).select(self.selection.columns)
        groups = sequences.structs(start, stop)
        arrays = [*flat.combine_chunks().to_batches()[0].columns]
        arrays += [groups[name] for name in self.tenant.groups]
        return pa.record_batch(arrays, names=self.schema.names).cast(self.schema)


@dataclass(frozen=True)
class Sequences:
    """The resolved scans of one bucket, to be gathered a slice of the examples at a time."""

    cuts: list[tuple[Scan, Cut]]

    @classmethod
    def of(cls, plan: list[Scan], found: Resolution) -> Sequences:
        """The sequences of a resolution of ``plan``."""
        return cls(list(zip(plan, found.cuts, strict=True)))

    def only(self, kept: npt.NDArray[np.bool_]) -> Sequences:
        """The sequences of the examples that are ``kept``, one bool each."""
        return Sequences([(scan, resolved.only(kept)) for scan, resolved in self.cuts])

    def structs(self, start: int, stop: int) -> dict[str, pa.StructArray]:
        """Per group, one struct of lists for each of the examples ``start`` to ``stop``."""
        groups = {}
        for scan, resolved in self.cuts:
            for name, group in scan.groups:
                ranges = resolved.ranges[name].slice(start, stop)
                columns = [lists(resolved.column(trait), ranges) for trait in group.traits]
                groups[name] = pa.StructArray.from_arrays(columns, list(group.traits))
        return groups

    def slices(self, rows: int) -> Iterator[tuple[int, int]]:
        """Cut ``rows`` examples so that no slice has many more than :data:`BATCH_VALUES` values.

        A text counts by its bytes. Raises :class:`TooMuchText` for an example that no list can
        hold.
        """
        values = np.zeros(rows, np.int64)
        for scan, resolved in self.cuts:
            for name, group in scan.groups:
                for trait in group.traits:
                    values += weights(resolved.column(trait), resolved.ranges[name])
        if rows and values.max() > _MOST_VALUES:
            raise TooMuchText(
                f"the sequences of an example come to {8 * values.max() / 2**30:.1f} GiB",
                hint="give the groups a shorter max_len, or leave long texts out of their traits",
            )
        share = np.cumsum(values) // BATCH_VALUES
        edges = [0, *(np.flatnonzero(np.diff(share)) + 1).tolist(), rows]
        yield from ((start, stop) for start, stop in pairwise(edges) if start < stop)


def committed(
    newest: Callable[[], int], after: int, stop: Event | None, poll_s: float
) -> Iterator[int]:
    """The log versions behind ``after``, as they are committed, each once and in order.

    ``newest`` tells the newest there is: asked once without ``stop``, else every ``poll_s`` seconds
    until that is set.
    """
    while stop is None or not stop.is_set():
        last = newest()
        yield from range(after + 1, last + 1)
        after = max(after, last)
        if stop is None:
            return
        stop.wait(poll_s)

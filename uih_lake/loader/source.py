"""Buckets in memory: examples with their resolved ranges, and the columns they are gathered from.

Resolving reads the key columns and is done once: the ranges are small, kept for later epochs, and
stay valid because a loader sees one snapshot. Reading the columns is all that a later epoch does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import names
from uih_lake.arrays import Int64, ints, whole
from uih_lake.lake.stretches import Stretches
from uih_lake.loader.columns import Stored
from uih_lake.loader.meters import Meters
from uih_lake.loader.neighbours import Neighbours
from uih_lake.loader.plan import Plan
from uih_lake.pointers.policy import Counts
from uih_lake.resolve.placed import RowGroups, rows_of
from uih_lake.resolve.plan import Bounds
from uih_lake.resolve.ranges import Ranges
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.visible import seen_by
from uih_lake.selection import Selection
from uih_lake.session import IN_ONE_PIECE, fetch
from uih_lake.tenant import evaluating

RESOLVED_BYTES = 256 << 20
"""Resolved ranges kept for later epochs."""
TEXT_ROWS = 1 << 17
"""Rows fetched in one chunk where some are texts, of which a chunk holds 2 GiB."""

Read = tuple[str, dict[str, Any]] | RowGroups
"""A statement and its parameters, or row groups of the bucket."""


@dataclass(frozen=True, eq=False)
class Resolved:
    """The examples of one bucket, by user, request time and id, and what their sequences are.

    ``passed`` is False for an example the policy drops, ``visible`` the number of events visible to
    each, ``ranges`` per sequence the rows of the scan it is cut from, ``reads`` per scan what those
    rows are read by.
    """

    bucket: int
    example_id: pa.Array
    user_id: pa.Array
    request_ts: Int64
    log_version: Int64
    visible: Int64
    passed: npt.NDArray[np.bool_]
    context: tuple[Stored, ...]
    ranges: dict[str, Ranges]
    reads: tuple[Read, ...]

    def __len__(self) -> int:
        return len(self.request_ts)

    @cached_property
    def user(self) -> Int64:
        """A number per user."""
        mine = Stretches.of(self.user_id)
        return np.repeat(np.arange(len(mine)), mine.stops - mine.starts)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        ranges = sum(r.offsets.nbytes + 2 * r.starts.nbytes for r in self.ranges.values())
        context = sum(stored.nbytes for stored in self.context)
        ids = int(self.example_id.nbytes + self.user_id.nbytes)
        reads = sum(read.rows_nbytes for read in self.reads if isinstance(read, RowGroups))
        return ranges + context + ids + reads + 40 * len(self)


@dataclass(frozen=True, eq=False)
class Opened:
    """A bucket ready to gather from: per scan the columns of its rows."""

    resolved: Resolved
    columns: tuple[tuple[Stored, ...], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return sum(stored.nbytes for scan in self.columns for stored in scan)


class Source:
    """Opens buckets; used by several threads, each with a session of its own."""

    def __init__(self, selection: Selection, plan: Plan, meters: Meters) -> None:
        context = tuple(column.name for column in plan.context)
        self.selection = replace(selection, context=(*context, names.LOG_VERSION))
        self.plan = plan
        self.meters = meters
        self._lock = threading.Lock()
        self.neighbours = Neighbours(self.selection)
        self._kept: dict[int, Resolved] = {}
        self._kept_bytes = 0
        self._judged: set[int] = set()

    def open(self, duck: duckdb.DuckDBPyConnection, bucket: int) -> Opened:
        """Read one bucket that has examples."""
        resolved = self._kept.get(bucket)
        if resolved is None:
            resolved = self._resolve(duck, bucket)
            self._keep(resolved)
        places = range(len(self.plan.scans))
        opened = Opened(resolved, tuple(self._read(duck, resolved, place) for place in places))
        self.meters.note_reads()
        return opened

    def _keep(self, resolved: Resolved) -> None:
        with self._lock:
            if self._kept_bytes + resolved.nbytes <= RESOLVED_BYTES:
                self._kept_bytes += resolved.nbytes
                self._kept[resolved.bucket] = resolved

    def _resolve(self, duck: duckdb.DuckDBPyConnection, bucket: int) -> Resolved:
        asked = self.neighbours.examples(duck, bucket, self._kept)
        ranges, proof, reads = self._found(duck, asked, bucket)
        passed = self._passed(bucket, asked, proof)
        mine = _copied(asked.select([*self.selection.columns, names.LENGTH]))
        return Resolved(
            bucket,
            example_id=whole(mine.column(names.EXAMPLE_ID)),
            user_id=whole(mine.column(names.USER_ID)),
            request_ts=ints(mine, names.REQUEST_TS),
            log_version=ints(mine, names.LOG_VERSION),
            visible=ints(mine, names.LENGTH),
            passed=passed,
            context=tuple(c.loaded(mine.column(c.name)) for c in self.plan.context),
            ranges=ranges,
            reads=tuple(reads),
        )

    def _passed(self, bucket: int, asked: pa.Table, proof: pa.Table) -> npt.NDArray[np.bool_]:
        """What the policy lets pass; a bucket that was not kept is not counted once more."""
        judge = self.selection.judge
        with self._lock:
            if bucket in self._judged:
                judge = replace(judge, counts=Counts())
            self._judged.add(bucket)
            return judge.passed(asked, proof)

    def _found(
        self, duck: duckdb.DuckDBPyConnection, asked: pa.Table, bucket: int
    ) -> tuple[dict[str, Ranges], pa.Table, list[Read]]:
        """Ranges per sequence, what proves them, and how to read their rows per scan."""
        snapshot, scans = seen_by(self.selection.snapshot, [(bucket, asked)]), self.plan.scans
        resolver = Resolver(snapshot, duck)
        located = resolver.recall(scans, asked, bucket)
        ranges: dict[str, Ranges] = {}
        reads: list[Read] = []
        if located is None:
            found = resolver.resolve([replace(s, traits=()) for s in scans], asked, bucket)
            ranges |= {name: each for cut in found.cuts for name, each in cut.ranges.items()}
            proof = found.proof
        else:
            proof = located.proof
        for scan in scans:
            read = None if located is None else resolver.read(scan, asked, located, bucket)
            if read is not None:
                reads.append(read[0])
                ranges |= read[1]
                continue
            # The scan that resolved them once more, with columns to gather from.
            users = asked.column(names.USER_ID)
            sql = resolver.statement(scan, scan.traits, users, bucket)
            reads.append((sql, Bounds.of(asked).reach(scan)))
            if located is not None:
                (cut,) = resolver.cuts([replace(scan, traits=())], asked, bucket)
                ranges |= cut.ranges
        return ranges, proof, reads

    def _read(
        self, duck: duckdb.DuckDBPyConnection, resolved: Resolved, place: int
    ) -> tuple[Stored, ...]:
        """The columns of one scan."""
        read, scan = resolved.reads[place], self.plan.scans[place]
        columns = self.plan.columns[place]
        if isinstance(read, RowGroups):
            rows = rows_of(duck, scan, read)
            self.meters.mapped(read.nbytes)
        else:
            self.selection.snapshot.check(resolved.bucket, resolved.bucket, scan.traits)
            texts = any(column.dictionary is not None for column in columns)
            with evaluating(scan.where):
                rows = fetch(duck, *read, rows=TEXT_ROWS if texts else IN_ONE_PIECE)
        return tuple(column.loaded(rows.column(column.name)) for column in columns)


def _copied(rows: pa.Table) -> pa.Table:
    """The same in memory of their own: what is kept must not keep all that was read with it."""
    # A third of the time that take takes.
    return pa.concat_tables([rows, rows.slice(0, 0)]).combine_chunks()

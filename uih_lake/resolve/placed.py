"""Pointers that know their place: resolved when they were cut, with no join and no key read again.

A pointer cut from a sealed bucket remembers which file it was cut from (``_run``), the row after
its last event (``_end``) and the rows in between that are not its own (``_gaps``): events that were
not visible to it, and whatever lies between the bands of the file (:mod:`uih_lake.lake.bands`).
Files never change: while that one is there, and all others of the bucket are newer than the
pointer, the newest N events are N rows before ``_end``, and the file's page checksums stand for the
digest. A compaction or an erasure makes another file; pointers into the old one are then resolved
by the ASOF join as ever, like those that are of too many gaps to be kept light.

Gaps are int64 pairs, first row and row after the last, as bytes: those are copied when they are
read, where a list is put together element by element, in three times the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import duckdb
import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import names
from uih_lake.arrays import Int64, ints, running
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.pointers.policy import expired
from uih_lake.resolve.plan import Scan
from uih_lake.resolve.ranges import Ranges, packed, touched

PLACE = (names.RUN, names.END, names.GAPS)
"""Columns that hold the place of a pointer."""
NOWHERE = -1
"""``_run`` and ``_end`` of a pointer without a place."""
MOST_GAPS = 256
"""A pointer with more gaps has no place."""
TAKEN_OF = 3 << 17
"""Rows that are decoded at once where few of them are needed: what a cache holds."""
_PAIR = 16  # bytes


def standing(snapshot: Snapshot, pointers: pa.Table, bucket: int) -> Int64:
    """The row of the bucket at which the file begins that a pointer has its place in.

    ``pointers`` has ``start_ts, lake_version, _run, _end``. :data:`NOWHERE` where the place does
    not stand: the file is gone or there was none, the pointer pins a lake version of which another
    file has events, or it reaches past the retention window.
    """
    runs, pinned = ints(pointers, names.RUN), ints(pointers, names.LAKE_VERSION)
    able = (ints(pointers, names.END) >= 0) & ~expired(pointers, snapshot.retained_from)
    begins = np.full(len(runs), NOWHERE)
    for run, begin, until in Bucket(snapshot, bucket).alone():
        begins[able & (runs == run) & (pinned < until)] = begin
    return begins


def placed(pointers: pa.Table, begins: Int64, longest: int) -> Ranges:
    """The newest ``longest`` rows of the bucket that pointers see whose places stand.

    ``pointers`` has ``length, _end, _gaps``; ``begins`` is where their files begin.
    """
    ends, length = ints(pointers, names.END) + begins, ints(pointers, names.LENGTH)
    edges, rows = _gaps(pointers.column(names.GAPS).combine_chunks())
    if begins.any():
        rows = rows + np.repeat(begins, np.diff(edges))
    return _newest(ends, length, edges, rows, longest)


def place(whole: Ranges, run: int) -> pa.Table:
    """Columns ``_run, _end, _gaps`` of pointers whose visible events are the ranges ``whole``.

    The ranges are rows of the file ``run``. A pointer that sees nothing ends at row 0, one of more
    than :data:`MOST_GAPS` gaps is nowhere.
    """
    counts = np.diff(whole.offsets)
    light, some = counts <= MOST_GAPS + 1, counts > 0
    ends = np.where(light, np.int64(0), NOWHERE)
    ends[light & some] = whole.stops[whole.offsets[1:][light & some] - 1]
    # Between the fragments of an example lie its gaps; there is one less of them.
    inner = np.repeat(light, counts)
    inner[whole.offsets[:-1][some]] = False
    before = np.flatnonzero(inner)
    pairs = np.stack([whole.stops[before - 1], whole.starts[before]], axis=1)
    sizes = np.where(light & some, counts - 1, 0) * _PAIR
    gaps = [None, pa.py_buffer(running(sizes).astype(np.int32)), pa.py_buffer(pairs)]
    columns = [
        pa.array(np.where(light, run, NOWHERE)),
        pa.array(ends),
        pa.Array.from_buffers(pa.binary(), len(whole), gaps),
    ]
    return pa.table(columns, names=list(PLACE))


def nowhere(count: int) -> dict[str, pa.Array]:
    """The place columns of ``count`` pointers that have none."""
    no = pa.array(np.full(count, NOWHERE))
    return dict(zip(PLACE, (no, no, pa.repeat(pa.scalar(b""), count)), strict=True))


def _gaps(stored: pa.BinaryArray) -> tuple[Int64, Int64]:
    """The gaps of each pointer: offsets in the rows, first and behind the last, that they are."""
    if not len(stored):
        return np.zeros(1, np.int64), np.zeros(0, np.int64)
    _, ends, data = stored.buffers()
    bytes_ = np.frombuffer(ends, np.int32)[stored.offset : stored.offset + len(stored) + 1]
    edges = bytes_.astype(np.int64) // (_PAIR // 2)
    rows = np.zeros(0, np.int64) if data is None else np.frombuffer(data, np.int64, int(edges[-1]))
    return edges - edges[0], rows[edges[0] :]


@dataclass(frozen=True)
class Few:
    """The rows that are needed of some row groups, int32, ascending, counted where only those are.

    ``edges`` are the row that each of the row groups begins at, and the one behind all.
    """

    rows: npt.NDArray[np.int32]
    edges: Int64


@dataclass(frozen=True)
class RowGroups:
    """Row groups of a bucket, and the bytes of the columns to read of them.

    No ``numbers``: all of its one file, with traits that are not stored but follow from others;
    their bytes are not counted. ``few`` are the rows that are needed of these, unless all are.
    """

    bucket: Bucket
    numbers: list[int] | None
    nbytes: int
    few: Few | None = None

    @property
    def rows_nbytes(self) -> int:
        """Bytes of memory of ``few``."""
        return 0 if self.few is None else self.few.rows.nbytes


def needed(
    snapshot: Snapshot, scan: Scan, ranges: Mapping[str, Ranges], bucket: int
) -> tuple[RowGroups, dict[str, Ranges]]:
    """The row groups of a bucket with rows of a scan's ranges, and the ranges in their rows."""
    files = Bucket(snapshot, bucket)
    mine = {name: ranges[name] for name, _ in scan.groups}
    if not set(scan.traits) <= set(snapshot.stored.names):
        return RowGroups(files, None, 0), mine
    edges = files.edges
    row_groups = touched(mine.values(), edges)
    packs = {name: packed(one, edges, row_groups) for name, one in mine.items()}
    numbers = row_groups.tolist()
    return RowGroups(files, numbers, files.stored_bytes(scan.traits, numbers)), packs


def rows_of(duck: duckdb.DuckDBPyConnection, scan: Scan, groups: RowGroups) -> pa.Table:
    """The traits of a scan in the rows that are needed; strings perhaps as dictionaries."""
    bucket = groups.bucket
    if groups.numbers is None:
        return bucket.snapshot.whole(duck, bucket.number, scan.traits)
    if groups.few is None:
        return bucket.rows(scan.traits, groups.numbers)
    return _taken(bucket, scan.traits, groups.numbers, groups.few)


def _taken(bucket: Bucket, columns: Sequence[str], numbers: list[int], few: Few) -> pa.Table:
    """Few rows: of some row groups at a time, whose memory the next ones get."""
    marks = np.arange(0, few.edges[-1], TAKEN_OF)
    steps = np.unique([*np.searchsorted(few.edges, marks), len(numbers)])
    taken = []
    for first, last in pairwise(steps.tolist()):
        low, high = np.searchsorted(few.rows, few.edges[[first, last]])
        rows = bucket.rows(columns, numbers[first:last])
        # Arrow takes half the time that numpy does.
        taken.append(rows.take(pa.array(few.rows[low:high] - np.int32(few.edges[first]))))
    return pa.concat_tables(taken) if taken else bucket.rows(columns, numbers)


def _newest(
    ends: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    edges: npt.NDArray[np.int64],
    gaps: npt.NDArray[np.int64],
    max_len: int,
) -> Ranges:
    """The newest ``max_len`` visible rows of each pointer; ``edges`` cuts ``gaps`` by pointer."""
    taken = np.minimum(length, max_len)
    offsets, nothing = np.zeros(len(ends) + 1, np.int64), np.zeros(0, np.int64)
    _walk(ends, taken, edges, gaps, False, offsets, nothing, nothing)
    np.cumsum(offsets, out=offsets)
    starts, stops = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    _walk(ends, taken, edges, gaps, True, offsets, starts, stops)
    return Ranges(offsets, starts, stops, taken)


@numba.njit(cache=True, nogil=True)
def _walk(ends, taken, edges, gaps, fill, offsets, starts, stops):  # type: ignore[no-untyped-def]
    """Walk each pointer from its end backwards over its gaps; count fragments, or fill them in."""
    for i in range(len(ends)):
        left, stop, gap = taken[i], ends[i], edges[i + 1]
        slot = offsets[i + 1] if fill else 0
        count = 0
        while left > 0:
            low = gaps[gap - 1] if gap > edges[i] else stop - left
            start = max(low, stop - left)
            if start < stop:
                count += 1
                if fill:
                    starts[slot - count], stops[slot - count] = start, stop
                left -= stop - start
            if gap > edges[i]:
                stop = gaps[gap - 2]
                gap -= 2
        if not fill:
            offsets[i + 1] = count

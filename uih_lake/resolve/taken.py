"""What a group takes of the rows that a pointer sees: by its window, lag and length.

Rows of a fragment are in order of time, so that its edges are binary searches. Only event times of
row groups that come into question are read: none for a group without window or lag, for one without
lag those of its newest rows, which a window can but shorten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from uih_lake import names
from uih_lake.arrays import Int64, ints
from uih_lake.lake.bucket import Bucket
from uih_lake.resolve.plan import Bounds, Scan
from uih_lake.resolve.ranges import Ranges, first_not_before, packed, touched
from uih_lake.schema import UNBOUNDED
from uih_lake.tenant import Group


def reach(scans: Sequence[Scan]) -> int:
    """How many of the newest rows that a pointer sees the groups of ``scans`` may need."""
    groups = [group for scan in scans for _, group in scan.groups]
    return max((_newest(group) for group in groups), default=0)


def freely(
    files: Bucket, scans: Sequence[Scan], visible: Ranges, pointers: pa.Table
) -> dict[str, Ranges]:
    """The ranges of every group of ``scans``, none of which has a condition, in rows of ``files``.

    ``visible`` are the newest :func:`reach` rows that each of the ``pointers`` sees, or more of
    them. Raises :class:`CorruptionError`.
    """
    groups = {name: group for scan in scans for name, group in scan.groups}
    found = timely(files, groups, visible, pointers)
    return {name: found[name].newest(group.max_len or UNBOUNDED) for name, group in groups.items()}


def timely(
    files: Bucket, groups: Mapping[str, Group], visible: Ranges, pointers: pa.Table
) -> dict[str, Ranges]:
    """As :func:`freely`, but not yet cut to the length of a group where that makes a difference."""
    found = {name: visible.newest(_newest(group)) for name, group in groups.items()}
    some = {name: group for name, group in groups.items() if group.lag_us or group.window_us}
    if some:
        bounds = Bounds.of(pointers)
        times = _Times.read(files, [found[name] for name in some])
        for name, group in some.items():
            at = packed(found[name], times.edges, times.blocks).starts
            found[name] = _between(found[name], at, times.event_ts, *bounds.span(group))
    return found


def _newest(group: Group) -> int:
    """How many of the newest rows are enough; nobody knows what a condition or lag leaves out."""
    limited = group.where is None and not group.lag_us
    return (group.max_len or UNBOUNDED) if limited else UNBOUNDED


@dataclass(frozen=True)
class _Times:
    """Event times of some row groups of a bucket, ``blocks`` of its ``edges``."""

    event_ts: Int64
    edges: Int64
    blocks: Int64

    @classmethod
    def read(cls, files: Bucket, ranges: Iterable[Ranges]) -> _Times:
        """Those of all row groups that some of the ``ranges`` reach into."""
        edges = files.edges
        blocks = touched(ranges, edges)
        events = files.rows([names.EVENT_TS], blocks.tolist()).combine_chunks()
        return cls(ints(events, names.EVENT_TS), edges, blocks)


def _between(ranges: Ranges, at: Int64, times: Int64, since: Int64, before: Int64) -> Ranges:
    """The rows with ``since <= event_ts < before`` of each example.

    Fragment ``f`` begins at place ``at[f]`` of ``times``.
    """
    offsets, lengths = np.zeros_like(ranges.offsets), np.zeros_like(ranges.lengths)
    starts, stops = np.empty_like(ranges.starts), np.empty_like(ranges.stops)
    count = _walk(
        ranges.offsets, ranges.starts, ranges.stops, at, times, since, before,
        offsets, starts, stops, lengths,
    )  # fmt: skip
    return Ranges(offsets, starts[:count].copy(), stops[:count].copy(), lengths)


@numba.njit(cache=True, nogil=True)
def _walk(  # type: ignore[no-untyped-def]
    offsets, starts, stops, at, times, since, before, edges, begun, ended, lengths
):
    """Fill in what is left; returns how many fragments that is."""
    slot = 0
    for i in range(len(since)):
        for fragment in range(offsets[i], offsets[i + 1]):
            first, size = at[fragment], stops[fragment] - starts[fragment]
            low, high = first, first + size
            if times[low] < since[i]:
                low = first_not_before(times, low, high, since[i])
            if low < high and times[high - 1] >= before[i]:
                high = first_not_before(times, low, high, before[i])
            if low < high:
                begun[slot] = starts[fragment] + low - first
                ended[slot] = starts[fragment] + high - first
                lengths[i] += high - low
                slot += 1
        edges[i + 1] = slot
    return slot

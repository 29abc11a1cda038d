"""Pointers by their places alone, for the tests that compare that with what a join finds."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from uih_lake.lake.bucket import Bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.placed import NOWHERE, placed, standing
from uih_lake.resolve.plan import Scan
from uih_lake.resolve.ranges import Ranges
from uih_lake.resolve.taken import freely, reach


def by_place(
    snapshot: Snapshot, plan: Sequence[Scan], pointers: pa.Table, bucket: int
) -> dict[str, Ranges] | None:
    """Ranges per group; None where a place does not stand, or a group has a condition."""
    begins = standing(snapshot, pointers, bucket)
    if (begins == NOWHERE).any() or any(scan.where for scan in plan):
        return None
    visible = placed(pointers, begins, reach(plan))
    return freely(Bucket(snapshot, bucket), plan, visible, pointers)

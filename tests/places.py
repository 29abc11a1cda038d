"""Pointers by their places alone, for the tests that compare that with what a join finds."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from uih_lake.lake.snapshot import Snapshot
from uih_lake.resolve.placed import NOWHERE, placed, standing, takes_newest
from uih_lake.resolve.plan import Scan
from uih_lake.resolve.ranges import Ranges


def by_place(
    snapshot: Snapshot, plan: Sequence[Scan], pointers: pa.Table, bucket: int
) -> dict[str, Ranges] | None:
    """Ranges per group; None where a place does not stand, or a group takes more than that."""
    begins = standing(snapshot, pointers, bucket)
    if (begins == NOWHERE).any() or not all(map(takes_newest, plan)):
        return None
    return placed(plan, pointers, begins)

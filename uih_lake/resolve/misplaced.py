"""Places held against the proof: nobody who goes by a place looks at the keys it leads to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from uih_lake.lake.bucket import Bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.pointers.policy import differs
from uih_lake.resolve.placed import NOWHERE, placed, standing
from uih_lake.resolve.rows import PROVEN, Proof
from uih_lake.schema import UNBOUNDED


def misplaced(snapshot: Snapshot, pointers: pa.Table, bucket: int) -> tuple[int, int]:
    """How many places stand, and how many of them do not hold the history that was logged.

    ``pointers`` have their proof and place as they were logged. Raises :class:`CorruptionError`.
    """
    begins = standing(snapshot, pointers, bucket)
    stand = begins != NOWHERE
    mine = pointers.filter(pa.array(stand)).combine_chunks()
    if not mine.num_rows:
        return 0, 0
    ranges = placed(mine, begins[stand], UNBOUNDED)
    events = Bucket(snapshot, bucket).rows(PROVEN).combine_chunks()
    outside = np.flatnonzero((ranges.starts < 0) | (ranges.stops > events.num_rows))
    inside = np.ones(mine.num_rows, bool)
    inside[np.searchsorted(ranges.offsets, outside, "right") - 1] = False
    proof = Proof.of(ranges.only(inside), events).table
    wrong = np.count_nonzero(differs(mine.filter(pa.array(inside)), proof))
    return len(inside), int(wrong + np.count_nonzero(~inside))

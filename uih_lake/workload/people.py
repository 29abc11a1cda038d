"""Who the users of a block are: since when, in which time zone, on what clock, with what taste."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from uih_lake.workload.catalogue import CATEGORIES
from uih_lake.workload.shape import Block
from uih_lake.workload.streams import Stage, draws, stream
from uih_lake.workload.tables import Array, Ints, Zipf, threshold

FAVOURITES = 8
JOINED_LATER = 0.3
COARSE_CLOCKS = 0.7
ZONES = np.array([0, 0, 0, 0, 1, 1, 2, -5], dtype=np.int64)
"""Offsets in hours, an eighth of the users each."""

_CATEGORY_TASTE = Zipf(CATEGORIES, shift=4)


@dataclass(frozen=True)
class People:
    """Columns ``[users]``; ``favourites`` is ``[users, FAVOURITES]`` categories."""

    ids: pa.Array
    number: Ints
    joined_day: Ints
    zone: Ints
    millisecond_clock: Array
    favourites: Ints


def people(block: Block, ids: Ints, seed: int, days: int, string_users: bool) -> People:
    """The users of a block; ``ids`` are all users' numbers, in the order of the blocks."""
    number = ids[block.first : block.first + block.users]
    draw = draws(stream(seed, Stage.USERS, block.number), block.users, 4 + 2 * FAVOURITES)
    later = draw[:, 0] < threshold(JOINED_LATER)
    # Nobody joins in the second half: the heaviest history must still fit behind the join.
    joined_day = np.where(later, draw[:, 1].astype(np.int64) * (days // 2) >> 16, 0)
    return People(
        ids=pa.array([f"u{user:07d}" for user in number.tolist()] if string_users else number),
        number=number,
        joined_day=joined_day,
        zone=ZONES[draw[:, 2] & 7],
        millisecond_clock=draw[:, 3] < threshold(COARSE_CLOCKS),
        favourites=_CATEGORY_TASTE(draw[:, 4 : 4 + FAVOURITES], draw[:, 4 + FAVOURITES :]),
    )

"""Requests of the last days: who asks follows activity, when follows the user's sessions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from uih_lake.arrays import running
from uih_lake.workload.catalogue import CATEGORIES, Catalogue
from uih_lake.workload.people import People
from uih_lake.workload.shape import Block
from uih_lake.workload.streams import Stage, draws, stream
from uih_lake.workload.tables import LEVELS, Array, Draws, Ints, lognormal, threshold
from uih_lake.workload.times import DAY, SECOND, Timeline
from uih_lake.workload.traits import surface_names

FIELDS = (
    pa.field("label", pa.float32()),
    pa.field("surface", pa.string()),
    pa.field("candidates", pa.list_(pa.int64())),
)
"""``label`` is 1 where the first candidate was clicked; 2 to 5 candidates."""

CLICK_RATE = np.array([0.06, 0.35])
"""Of a first candidate outside and inside the user's favourite categories."""

_LEAD = lognormal(0.8 * SECOND, 1.0, 1, 60 * SECOND)
_ON_EVENT = 0.1
_CANDIDATES = 5
_COLUMNS = 8 + 3 * _CANDIDATES + 1


def request_counts(lengths: Ints, requests: int, seed: int) -> Ints:
    """Requests per user ``[users]``, drawn in proportion to the number of events."""
    ends = np.cumsum(lengths)
    points = stream(seed, Stage.REQUEST_COUNTS).integers(0, int(ends[-1]), requests)
    return np.bincount(np.searchsorted(ends, points, side="right"), minlength=len(lengths))


def block_requests(
    block: Block,
    counts: Ints,
    when: Timeline,
    who: People,
    items: Catalogue,
    *,
    seed: int,
    days: int,
    request_days: int,
) -> tuple[Array, Ints, list[pa.Array]]:
    """User inside the block, time in microseconds since the start, and context columns, by user."""
    user = np.repeat(np.arange(block.users), counts)
    draw = draws(stream(seed, Stage.REQUESTS, block.number), len(user), _COLUMNS)
    opens = (days - request_days) * DAY
    request_us = _moments(block, user, when, draw, opens, days * DAY)
    candidates, label = _candidates(draw[:, 7:], user, who, items)
    return user, request_us, [label, surface_names(draw[:, 4]), candidates]


def _moments(
    block: Block, user: Array, when: Timeline, draw: Draws, opens: int, closes: int
) -> Ints:
    """A request comes shortly before, or at the instant of, one of the user's events in the window.

    A user without events in the window asks at any time of it.
    """
    ends = np.cumsum(block.lengths)
    inside = running(when.event_us >= opens)
    # Sessions ascend, so the events inside the window are the user's last, but for an overlap.
    active = (inside[ends] - inside[ends - block.lengths])[user]
    position = draw[:, 0].astype(np.int64) << 16 | draw[:, 1]
    event = ends[user] - 1 - (position * active >> 32)
    lead = np.where(draw[:, 2] < threshold(_ON_EVENT), 0, _LEAD[draw[:, 3]])
    anywhere = opens + (position * ((closes - opens) // LEVELS) >> 16)
    moment = np.where(active > 0, when.event_us[event] - lead, anywhere)
    return np.clip(moment, opens, closes - 1)


def _candidates(
    draw: Draws, user: Array, who: People, items: Catalogue
) -> tuple[pa.Array, pa.Array]:
    """Candidate items, a list each, and whether the first was clicked."""
    wide = draw[:, 2 : 2 + 3 * _CANDIDATES].reshape(-1, 3)
    rank = items.choose(wide, who.favourites, np.repeat(user, _CANDIDATES))
    rank = rank.reshape(-1, _CANDIDATES)
    sizes = 2 + draw[:, 0] % (_CANDIDATES - 1)
    offsets = running(sizes).astype(np.int32)
    kept = items.item_id[rank][np.arange(_CANDIDATES) < sizes[:, None]]
    liked = (who.favourites[user] == (rank[:, :1] % CATEGORIES)).any(axis=1)
    clicked = draw[:, 1] < (CLICK_RATE * LEVELS)[liked.astype(np.int8)]
    return pa.ListArray.from_arrays(offsets, kept), pa.array(clicked.astype(np.float32))

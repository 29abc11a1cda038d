"""What happened in an event: item, action, dwell time, surface and what follows from them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from uih_lake.workload.catalogue import Catalogue
from uih_lake.workload.people import People
from uih_lake.workload.tables import Array, Draws, categorical, lognormal
from uih_lake.workload.times import Timeline

COLUMNS = 8
"""16-bit draws an event takes."""

ACTIONS = ("impression", "click", "like", "share", "purchase")
ACTION_SHARES = (0.70, 0.21, 0.06, 0.015, 0.015)
DWELL_FACTOR = np.array([0, 1, 1.5, 1, 3], dtype=np.float32)
SURFACES = ("feed", "search", "profile", "notifications", "stories")
SURFACE_SHARES = (0.55, 0.18, 0.10, 0.07, 0.10)

FIELDS = (
    pa.field("item_id", pa.int64()),
    pa.field("action", pa.string()),
    pa.field("dwell", pa.float32()),
    pa.field("surface", pa.string()),
    pa.field("author_id", pa.int64()),
    pa.field("category", pa.int32()),
    pa.field("price", pa.float64()),
    pa.field("is_follow", pa.bool_()),
)
"""``dwell`` in seconds, null for an impression; ``price`` null for an item that is not for sale."""

_ACTION = categorical(ACTION_SHARES)
_SURFACE = categorical(SURFACE_SHARES)
_DWELL = (lognormal(9_000, 1.3, 100, 3_600_000) / 1000).astype(np.float32)


def columns(
    draw: Draws, rows: Array, when: Timeline, who: People, items: Catalogue, *, nulls: bool
) -> list[pa.Array]:
    """Trait columns ``[rows]`` of the events at these rows of a block, in the order of FIELDS.

    ``draw`` are the draws ``[rows, COLUMNS]`` of those events.
    """
    user = when.user[rows]
    rank = items.choose(draw[:, :3], who.favourites, user)
    action = _ACTION[draw[:, 3]]
    author = items.author_id[rank]
    cents = items.cents[rank]
    return [
        pa.array(items.item_id[rank]),
        names(ACTIONS, action),
        pa.array(_DWELL[draw[:, 4]] * DWELL_FACTOR[action], mask=(action == 0) if nulls else None),
        names(SURFACES, _SURFACE[when.surface[when.session[rows]]]),
        pa.array(author),
        pa.array(items.category[rank]),
        pa.array(cents / 100, mask=(cents == 0) if nulls else None),
        pa.array(_follows(who.number[user], author)),
    ]


def surface_names(draw: Draws) -> pa.Array:
    """Surfaces as strings, one per draw."""
    return names(SURFACES, _SURFACE[draw])


def names(texts: tuple[str, ...], codes: Array) -> pa.Array:
    """Strings ``[rows]`` by code."""
    return pa.array(texts).take(pa.array(codes))


def _follows(user: Array, author: Array) -> Array:
    """Whether a user follows an author: a property of the pair, true for one pair in eight."""
    mixed = user.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= author.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(32)
    follows: Array = (mixed * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(61) == 0
    return follows

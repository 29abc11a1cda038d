"""When events happen and when they arrive: sessions by day and night, bursts, ties, late events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uih_lake.workload.people import People
from uih_lake.workload.shape import Block
from uih_lake.workload.streams import Stage, draws, stream
from uih_lake.workload.tables import LEVELS, Array, Ints, lognormal, ramp, threshold

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
SESSION_EVENTS = 12

HOURS = (6, 4, 3, 2, 2, 3, 6, 10, 12, 12, 12, 13, 15, 14, 12, 12, 13, 15, 18, 22, 25, 24, 18, 11)
"""Weight of each hour of the day: quiet at night, busy in the evening."""

_TIME_OF_DAY = ramp(HOURS, HOUR)
_DELAY = lognormal(4 * SECOND, 2.4, 50_000, DAY)


@dataclass(frozen=True)
class Timeline:
    """Events ``[events]`` of a block, by user and session; times in microseconds since the start.

    ``user`` counts inside the block, ``session`` too; ``surface`` is a draw per session.
    """

    user: Array
    session: Array
    event_us: Ints
    arrival_us: Ints
    surface: Array


def gaps(tie_share: float) -> Ints:
    """Gaps ``[LEVELS]`` between events of a session: none for ties, else up to 20 minutes."""
    some = lognormal(3.5 * SECOND, 1.3, 1000, 1200 * SECOND)
    ties = min(threshold(tie_share), LEVELS)
    spread = np.arange(LEVELS - ties) * LEVELS // max(LEVELS - ties, 1)
    return np.concatenate([np.zeros(ties, np.int64), some[spread]])


def timeline(
    block: Block, who: People, *, seed: int, days: int, tie_share: float, late_share: float
) -> Timeline:
    """The times of a block. Sessions begin within ``days`` days; the last may run on beyond."""
    draw = draws(stream(seed, Stage.EVENTS, block.number), block.events, 4)
    user = np.repeat(np.arange(block.users, dtype=np.int32), block.lengths)
    begins = draw[:, 0] < LEVELS // SESSION_EVENTS
    begins[np.cumsum(block.lengths) - block.lengths] = True
    session = np.cumsum(begins, dtype=np.int32) - np.int32(1)
    first = np.flatnonzero(begins)
    start, surface = _sessions(block, user[first], who, seed, days)
    run = np.cumsum(gaps(tie_share)[draw[:, 1]])
    event_us = run + (start - run[first])[session]
    # Many clients stamp milliseconds: one more way to equal times.
    event_us -= event_us % 1000 * who.millisecond_clock[user]
    arrival_us = event_us.copy()
    late = np.flatnonzero(draw[:, 2] < threshold(late_share))
    arrival_us[late] += _DELAY[draw[late, 3]]
    return Timeline(user, session, event_us, arrival_us, surface)


def _sessions(block: Block, user: Array, who: People, seed: int, days: int) -> tuple[Ints, Array]:
    """Start times, ascending per user, and surface draws of sessions, given their users."""
    random = stream(seed, Stage.SESSIONS, block.number)
    draw = draws(random, len(user), 4)
    joined = who.joined_day[user]
    position = draw[:, 0].astype(np.int64) << 16 | draw[:, 1]
    day = joined + (position * (days - joined) >> 32)
    moment = _TIME_OF_DAY[draw[:, 2]] + random.integers(0, SECOND, len(user))
    start = day * DAY + (moment + who.zone[user] * HOUR) % DAY
    return start[np.lexsort((start, user))], draw[:, 3]

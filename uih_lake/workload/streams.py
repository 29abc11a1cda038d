"""Where the random numbers come from: one independent stream per stage and block of users.

A block can be made again, alone and in any order, and always comes out the same. The generator is
PCG64 and only raw 64-bit words and bounded integers are drawn, cut into 16-bit draws.
"""

from __future__ import annotations

from enum import IntEnum
from typing import cast

import numpy as np

from uih_lake.workload.tables import Draws


class Stage(IntEnum):
    """What a stream is for; the numbers are part of what a seed means."""

    SHAPE = 0
    CATALOGUE = 1
    USERS = 2
    SESSIONS = 3
    EVENTS = 4
    TRAITS = 5
    REQUEST_COUNTS = 6
    REQUESTS = 7
    REQUEST_ORDER = 8
    USER_NUMBERS = 9


def stream(seed: int, stage: Stage, block: int = 0) -> np.random.Generator:
    """The stream of a stage, of one block of users where the stage has blocks."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(int(stage), block))
    return np.random.Generator(np.random.PCG64(sequence))


def draws(random: np.random.Generator, rows: int, columns: int) -> Draws:
    """16-bit draws ``[rows, columns]``; ``columns`` is a multiple of four."""
    words = random.integers(0, 2**64, size=(rows, columns // 4), dtype=np.uint64)
    return cast(Draws, words.astype("<u8", copy=False).view("<u2"))

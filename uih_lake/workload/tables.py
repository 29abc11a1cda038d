"""Distributions as tables: a 16-bit draw is looked up, not computed.

A lookup is faster than a logarithm per event, and the tables hold integers, so that the last bit of
some machine's ``exp`` never shows: the same seed gives the same workload everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from uih_lake.arrays import running

LEVELS = 1 << 16
"""Number of equally likely draws, 0 to 65,535."""

Ints = npt.NDArray[np.int64]
Draws = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]


@cache
def _normal() -> npt.NDArray[np.float64]:
    """Quantiles of the standard normal distribution at the middle of every level."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((level + 0.5) / LEVELS) for level in range(LEVELS)])


def lognormal(median: float, sigma: float, low: int, high: int) -> Ints:
    """Rounded quantiles ``[LEVELS]`` of a log-normal distribution, clipped to [low, high]."""
    quantiles = np.rint(median * np.exp(sigma * _normal()))
    return np.clip(quantiles, low, high).astype(np.int64)


def threshold(share: float) -> int:
    """Draws below this number make up the share."""
    return round(share * LEVELS)


def categorical(shares: Sequence[float]) -> npt.NDArray[np.int8]:
    """Codes ``[LEVELS]``: code k takes ``shares[k]`` of the draws, the last what is left."""
    edges = [threshold(sum(shares[: code + 1])) for code in range(len(shares) - 1)]
    return np.searchsorted(np.array(edges), np.arange(LEVELS), side="right").astype(np.int8)


class Zipf:
    """Ranks 0 to ``size - 1`` with weight ``1 / (rank + shift)``, from two draws each.

    The first draw picks a band of ranks of probability 1/65,536, the second a rank inside it.
    """

    def __init__(self, size: int, shift: int) -> None:
        reached = np.cumsum(1.0 / (np.arange(size) + shift))
        levels = np.arange(LEVELS) / LEVELS * reached[-1]
        self._first = np.searchsorted(reached, levels, side="right").astype(np.int64)
        self._width = np.maximum(np.append(self._first[1:], size) - self._first, 1)

    def __call__(self, band: Draws, within: Draws) -> Ints:
        """Ranks of the shape of the draws."""
        ranks: Ints = self._first[band] + (self._width[band] * within >> 16)
        return ranks


def ramp(weights: Sequence[int], step: int) -> Ints:
    """Positions ``[LEVELS]`` along slots of length ``step``; a slot gets draws by weight."""
    edges = running(np.array(weights))
    points = np.arange(LEVELS) * int(edges[-1])
    slot = np.searchsorted(edges * LEVELS, points, side="right") - 1
    beyond = points - edges[slot] * LEVELS
    positions: Ints = slot * step + beyond * step // (np.asarray(weights)[slot] * LEVELS)
    return positions

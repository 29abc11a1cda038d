"""Stochastic length: long histories are cut short at random, so that long sequences cost less.

After Zhai et al., "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for
Generative Recommendations" (2024, arXiv:2402.17152), where it is called Stochastic Length:
with N the longest sequence, one of n > N^(alpha/2) events is shortened to N^(alpha/2) with
probability 1 - N^alpha / n^2. The paper draws which events stay by their age; here the newest
stay, so that a shortened sequence is still one piece of memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uih_lake.arrays import Int64
from uih_lake.errors import InputError


@dataclass(frozen=True)
class StochasticLength:
    """``alpha`` in (1, 2]: 2 shortens nothing, 1.5 is close to the paper's choice.

    Raises :class:`InputError` for any other.
    """

    alpha: float

    def __post_init__(self) -> None:
        if not 1 < self.alpha <= 2:
            raise InputError(f"stochastic_length {self.alpha}", hint="it is above 1 and at most 2")

    def keep(self, lengths: Int64, longest: int, draw: npt.NDArray[np.float64]) -> Int64:
        """How many events of each sequence are kept; ``draw`` is uniform in [0, 1)."""
        short = round(longest ** (self.alpha / 2))
        whole = np.minimum(1.0, longest**self.alpha / np.maximum(lengths, 1).astype(float) ** 2)
        shortened = (lengths > short) & (draw >= whole)
        kept: Int64 = np.where(shortened, short, lengths)
        return kept

"""Who gets which example: batches of one rank out of the order all ranks share.

A *step* is one batch per rank. Steps are cut from the order one after the other, so what has been
consumed is always a first part of it, whatever the number of ranks: that part is all a resume
needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uih_lake.arrays import Int64


@dataclass(frozen=True)
class Deal:
    """What decides the batches of one rank.

    ``max_tokens`` None is batches of ``batch_size`` examples; else batches are as many examples, at
    most ``batch_size``, as cost at most ``max_tokens`` together. ``balanced`` deals the examples of
    a step by cost, else they stay in order.
    """

    rank: int
    ranks: int
    batch_size: int
    max_tokens: int | None = None
    balanced: bool = True
    drop_last: bool = False
    pad_last: bool = False

    @property
    def weighs(self) -> bool:
        """Whether it matters what examples cost."""
        return self.max_tokens is not None or (self.balanced and self.ranks > 1)

    @property
    def cut(self) -> list[int | None]:
        """What steps are cut by: the number of ranks, the batch size and the most tokens."""
        return [self.ranks, self.batch_size, self.max_tokens]

    def end(self, examples: int) -> int:
        """Where in an order of so many examples this rank has had its last batch.

        With ``max_tokens`` the end of the order, which the last batch reaches unless it is dropped,
        or another rank's.
        """
        if self.max_tokens is not None:
            return examples
        rest = examples % (self.ranks * self.batch_size)
        left = steps(np.zeros(rest, np.int64), self, last=True)
        return examples if any(len(step.examples) for step in left) else examples - rest


@dataclass(frozen=True)
class Step:
    """This rank's part of a step: places in the order; ``after`` is where the next step begins.

    The last ``padding`` of ``examples`` are repeats. No examples: the rank has no batch.
    """

    examples: Int64
    after: int
    padding: int = 0


def steps(costs: Int64, share: Deal, last: bool) -> list[Step]:
    """The steps that can be cut from the next examples of the order, which cost ``costs`` each.

    Places in the steps count from the first of these. What is left over after the last step waits
    for more examples, unless these are the ``last``.
    """
    cut = _fixed if share.max_tokens is None else _packed
    return cut(costs, share, last)


def _fixed(costs: Int64, share: Deal, last: bool) -> list[Step]:
    size = share.ranks * share.batch_size
    full = len(costs) // size
    mine = _dealt(costs[: full * size].reshape(full, size), share) if full else costs
    found = [Step(mine[number] + number * size, (number + 1) * size) for number in range(full)]
    rest = np.arange(full * size, len(costs))
    if last and len(rest) and not share.drop_last:
        found.append(_remainder(rest, costs, share))
    return found


def _remainder(rest: Int64, costs: Int64, share: Deal) -> Step:
    """The step of what does not fill one."""
    mine = rest[_dealt(costs[rest][None, :], share)[0]]
    if not share.pad_last:
        return Step(mine, len(costs))
    missing = share.batch_size - len(mine)
    repeats = np.resize(mine if len(mine) else rest, missing)
    return Step(np.concatenate([mine, repeats]), len(costs), missing)


def _dealt(costs: Int64, share: Deal) -> Int64:
    """Places of this rank's examples, ``[steps, batch]``; ``costs`` is ``[steps, examples]``.

    The costliest example goes to the first rank, the next to the second, and back again from the
    last: sums differ little and every rank has as many examples.
    """
    count = costs.shape[1]
    place = np.arange(count)
    if share.ranks == 1:
        return np.broadcast_to(place, costs.shape)
    if not share.balanced:
        edges = np.arange(share.ranks + 1) * count // share.ranks
        mine = place[edges[share.rank] : edges[share.rank + 1]]
        return np.broadcast_to(mine, (len(costs), len(mine)))
    there, back = place % share.ranks, share.ranks - 1 - place % share.ranks
    owner = np.where(place // share.ranks % 2 == 0, there, back)
    costliest = np.argsort(-costs, axis=1, kind="stable")
    return np.sort(costliest[:, owner == share.rank], axis=1)


def _packed(costs: Int64, share: Deal, last: bool) -> list[Step]:
    edges = _pack(costs, share, last)
    batches = len(edges) - 1
    found = []
    for first in range(0, batches, share.ranks):
        taken = min(first + share.ranks, batches)
        whole = taken - first == share.ranks
        if not whole and (not last or share.drop_last):
            break
        mine, padding = first + share.rank, 0
        if mine >= taken and share.pad_last:
            mine, padding = first, edges[first + 1] - edges[first]
        examples = np.arange(edges[mine], edges[mine + 1]) if mine < taken else np.arange(0)
        found.append(Step(examples, edges[taken], padding))
    return found


def _pack(costs: Int64, share: Deal, last: bool) -> list[int]:
    """Where batches begin and end: as many examples as fit, at least one."""
    total = np.cumsum(costs)
    edges = [0]
    while edges[-1] < len(costs):
        start = edges[-1]
        spent = int(total[start - 1]) if start else 0
        fits = int(np.searchsorted(total, spent + (share.max_tokens or 0), side="right"))
        stop = min(max(fits, start + 1), start + share.batch_size)
        if stop >= len(costs) and not last:  # the next example might fit as well
            break
        edges.append(min(stop, len(costs)))
    return edges

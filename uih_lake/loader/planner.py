"""From opened windows to blocks of batches, window after window; what is left over waits."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from uih_lake.arrays import Int64
from uih_lake.errors import LakeError
from uih_lake.loader import order
from uih_lake.loader.block import Block, Chosen, edges_of, lay_out
from uih_lake.loader.deal import Deal, Step, steps
from uih_lake.loader.lengths import StochasticLength
from uih_lake.loader.order import Order, Window
from uih_lake.loader.plan import Plan
from uih_lake.loader.source import Opened, Resolved


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the batches of an epoch are."""

    plan: Plan
    deal: Deal
    order: Order
    seed: int
    span_us: int
    shorten: StochasticLength | None
    share: bool

    def cost(self, resolved: Resolved) -> Int64:
        """Events that each example may have, over all sequences: a bound known without reading."""
        visible, total = resolved.visible, np.zeros(len(resolved), np.int64)
        for cutting in self.plan.sequences:
            longest = cutting.group.max_len
            total += visible if longest is None else np.minimum(visible, longest)
        return total

    def places(self, resolved: Resolved, slot: int) -> Int64:
        """The examples of a bucket that are in a slot."""
        if self.order == "time":
            return np.flatnonzero(resolved.request_ts // self.span_us == slot)
        if self.order == "log":
            return np.flatnonzero(resolved.log_version == slot)
        return np.arange(len(resolved))


@dataclass(frozen=True)
class Worker:
    """One of ``workers`` processes that share a rank's steps; ``skip`` steps are before its own."""

    number: int = 0
    workers: int = 1
    skip: int = 0


class Planner:
    """Lays out the windows of one epoch, in order, from position ``start`` on."""

    def __init__(self, recipe: Recipe, epoch: int, start: int, worker: Worker) -> None:
        self._recipe = recipe
        self._epoch = epoch
        self._start = start
        self._worker = worker
        self._pending: Chosen | None = None
        self._steps = 0

    @property
    def plan(self) -> Plan:
        """What is read."""
        return self._recipe.plan

    def use(self, recipe: Recipe) -> None:
        """Go on with a recipe whose dictionaries have grown."""
        self._recipe = recipe

    def lay(self, window: Window, opened: dict[int, Opened]) -> list[Block]:
        """The batches that can be cut now that ``window`` is open, in order.

        Those with examples that were left over are a block of their own, so that the buckets of the
        windows before are let go with them.
        """
        fresh, pending = self._chosen(window, opened), self._pending
        if pending is None:
            self._pending = fresh
            return self._cut(0, False)
        if not len(fresh):
            pending = pending.up_to(window.first + window.count)
        self._pending = pending.then(fresh)
        return self._cut(len(pending), False)

    def rest(self) -> list[Block]:
        """The batches of what is left over when no window is to come."""
        return self._cut(0, True)

    def _cut(self, old: int, last: bool) -> list[Block]:
        """Blocks of what is pending, whose first ``old`` examples were left over."""
        pending = self._pending
        if pending is None or not len(pending):
            return []
        cut = steps(self._costs(pending), self._recipe.deal, last)
        if not cut:
            return []
        mixed = bisect_left([0, *(step.after for step in cut[:-1])], old)
        blocks = [
            self._block(pending, part, number)
            for part, number in ((cut[:mixed], self._steps), (cut[mixed:], self._steps + mixed))
        ]
        end = cut[-1].after
        self._steps += len(cut)
        self._pending = pending.take(slice(end, None)) if end < len(pending) else None
        return [block for block in blocks if block is not None]

    def _costs(self, pending: Chosen) -> Int64:
        """What the examples cost; 0 where the deal does not ask."""
        if self._recipe.deal.weighs:
            return pending.of_each(self._recipe.cost)
        return np.broadcast_to(np.int64(0), len(pending))

    def _block(self, pending: Chosen, cut: list[Step], number: int) -> Block | None:
        """The block of those of some steps, ``number`` and on, that are this process's."""
        mine = [step for place, step in enumerate(cut, number) if self._is_mine(place, step)]
        if not mine:
            return None
        recipe = self._recipe
        return lay_out(pending, mine, recipe.plan, recipe.shorten, recipe.share)

    def _is_mine(self, number: int, step: Step) -> bool:
        behind = number - self._worker.skip
        return len(step.examples) > 0 and behind >= 0 and behind % self._worker.workers == 0

    def _chosen(self, window: Window, opened: dict[int, Opened]) -> Chosen:
        """The examples of a window, shuffled: those behind the start that the policy lets through.

        What it drops is left out before examples are dealt, so that every rank has as many steps.
        """
        recipe = self._recipe
        sources = tuple(opened[bucket] for bucket in window.buckets)
        places = [recipe.places(source.resolved, window.slot) for source in sources]
        if sum(map(len, places)) != window.count:
            raise LakeError(
                f"buckets {', '.join(map(str, window.buckets))} have {sum(map(len, places))} "
                f"examples, {window.count} were counted",
                hint="make a new loader: examples were erased while this one was at work",
            )
        begins = edges_of(sources)[:-1]
        rows = np.concatenate([place + first for place, first in zip(places, begins, strict=True)])
        users = None
        if recipe.order == "user":  # numbers that tell the users of all buckets apart
            each = zip(sources, begins, strict=True)
            users = np.concatenate([source.resolved.user + first for source, first in each])[rows]
        skip = max(0, self._start - window.first)
        shuffled = order.shuffled(window, recipe.seed, self._epoch, users)[skip:]
        rows = rows[shuffled]
        passed = np.concatenate([source.resolved.passed for source in sources])[rows]
        kept = np.flatnonzero(passed)
        behind = window.first + skip + np.append(kept, len(rows))[1:]
        draw = None
        if recipe.shorten is not None:
            draw = order.draws(window, recipe.seed, self._epoch)[shuffled][kept]
        return Chosen(sources, rows[kept], behind, draw)

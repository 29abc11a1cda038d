"""The arguments of a loader: what they are, and which of them make no sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from uih_lake.errors import UihError
from uih_lake.loader import deal
from uih_lake.loader.columns import Fill
from uih_lake.loader.lengths import StochasticLength
from uih_lake.loader.order import Order
from uih_lake.loader.plan import Plan
from uih_lake.loader.planner import Recipe
from uih_lake.tenant import Tenant
from uih_lake.tenant.duration import microseconds

BUDGET = 1 << 30
"""Bytes that buckets and buffers may take."""


@dataclass(frozen=True)
class Options:
    """The arguments of a loader, checked."""

    tenants: tuple[Tenant, ...]
    deal: deal.Share
    order: Order
    seed: int
    open_buckets: int
    span_us: int
    shorten: StochasticLength | None
    share: bool
    masks: bool
    fill: dict[str, Fill]
    words: dict[str, list[str]]
    device: torch.device | str | None
    prefetch: int
    threads: int | None
    budget: int

    def recipe(self, plan: Plan) -> Recipe:
        """What decides the batches."""
        return Recipe(
            plan,
            self.deal,
            self.order,
            self.seed,
            self.span_us,
            self.shorten,
            self.share,
        )


def check_positive(**given: int | None) -> None:
    """Raise :class:`UihError` for a number below 1."""
    for name, value in given.items():
        if value is not None and value < 1:
            raise UihError(f"{name} {value}", hint="it is at least 1")


def distinct_words(column: str, words: Sequence[str]) -> list[str]:
    """Words as a list; each is a string and has one code."""
    found = list(words)
    if isinstance(words, str) or not all(isinstance(word, str) for word in found):
        raise UihError(f"words: those of {column!r} are no list of strings", hint="give strings")
    if len({*found}) < len(found):
        raise UihError(f"words: one of {column!r} is there twice", hint="a string has one code")
    return found


def span_of(time_window: str) -> int:
    """A duration in microseconds."""
    try:
        span = microseconds(time_window)
    except ValueError as error:
        raise UihError(f"time_window: {error}") from None
    check_positive(time_window=span)
    return span


def shortening(alpha: float | None, tenants: Sequence[Tenant]) -> StochasticLength | None:
    """How sequences are shortened at random; None where they are not."""
    if alpha is None:
        return None
    for tenant in tenants:
        for name, group in tenant.groups.items():
            if group.max_len is None:
                raise UihError(
                    f"stochastic_length: group {name!r} of tenant {tenant.name!r} has no max_len",
                    hint="it is what long histories are measured against; give it one",
                )
    return StochasticLength(alpha)

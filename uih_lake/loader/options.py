"""The arguments of a loader: what they are, and which of them make no sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch

from uih_lake.api import Lake
from uih_lake.errors import InputError
from uih_lake.given import is_text, within
from uih_lake.loader import deal
from uih_lake.loader.columns import Fill
from uih_lake.loader.lengths import StochasticLength
from uih_lake.loader.order import Order
from uih_lake.loader.plan import Plan
from uih_lake.loader.planner import Recipe
from uih_lake.tenant import Tenant, check_tenants
from uih_lake.tenant.duration import canonical, microseconds

BUDGET = 1 << 30
"""Bytes that buckets and buffers may take."""

MOST = 10**12
"""Examples or events that a batch may be told to have: far from what 64 bits count."""


_NO_TEXT = "it has half of a surrogate pair, which no file can hold; leave it out"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of a loader, checked."""

    tenants: tuple[Tenant, ...]
    deal: deal.Deal
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


def check_lake(lake: Any) -> None:
    """Raise :class:`InputError` for what is no lake, such as the path of one."""
    if not isinstance(lake, Lake):
        raise InputError(f"{lake!r} is no lake", hint="open it first: Lake.open(path)")


def tenants_of(given: Any) -> tuple[Tenant, ...]:
    """One tenant or several as a tuple; raises :class:`TenantError` for anything else."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    tenants = tuple(given) if several else (given,)
    check_tenants(tenants)
    return tenants


def check_last(drop_last: bool, pad_last: bool) -> None:
    """Raise :class:`InputError` where one of them would silently win over the other."""
    if drop_last and pad_last:
        raise InputError(
            "drop_last and pad_last contradict each other",
            hint="what fills no step is either dropped or filled up; give one of them",
        )


def fills_of(given: Mapping[str, Fill] | None) -> dict[str, Fill]:
    """What a null becomes, per column; raises :class:`InputError` for what is no such mapping."""
    found = _by_column("fill", given)
    for name, fill in found.items():
        if isinstance(fill, str) and not is_text(fill):
            raise InputError(f"fill {fill!r} of column {name!r} is no text", hint=_NO_TEXT)
    return found


def words_given(given: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    """Words per column, as lists; raises :class:`InputError` unless each is a string, and once."""
    return {name: _distinct(name, words) for name, words in _by_column("words", given).items()}


def _by_column(argument: str, given: Any) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"{argument} {given!r}", hint="give a dict by the names of columns")
    return dict(given or {})


def _distinct(column: str, words: Any) -> list[str]:
    found = list(words) if isinstance(words, Iterable) else [words]
    if isinstance(words, str) or not all(isinstance(word, str) for word in found):
        raise InputError(f"words: those of {column!r} are no list of strings", hint="give strings")
    for word in found:
        if not is_text(word):
            raise InputError(f"words: {word!r} of {column!r} is no text", hint=_NO_TEXT)
    if len({*found}) < len(found):
        raise InputError(f"words: one of {column!r} is there twice", hint="a string has one code")
    return found


def span_of(time_window: str) -> int:
    """A duration in microseconds; raises :class:`InputError` for what is none."""
    try:
        span = microseconds(canonical(time_window))
    except ValueError as error:
        raise InputError(f"time_window: {error}") from None
    within(1, time_window=span)
    return span


def shortening(alpha: float | None, tenants: Sequence[Tenant]) -> StochasticLength | None:
    """How sequences are shortened at random; None where they are not.

    Raises :class:`InputError` for an ``alpha`` that is out of range and a group without a max_len.
    """
    if alpha is None:
        return None
    if not isinstance(alpha, Real):
        raise InputError(f"stochastic_length {alpha!r}", hint="give a number, such as 1.5")
    for tenant in tenants:
        for name, group in tenant.groups.items():
            if group.max_len is None:
                raise InputError(
                    f"stochastic_length: group {name!r} of tenant {tenant.name!r} has no max_len",
                    hint="it is what long histories are measured against; give it one",
                )
    return StochasticLength(float(alpha))  # numpy's floats cannot become JSON

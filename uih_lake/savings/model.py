"""What would be saved elsewhere: with more requests, other lengths, more tenants.

Everything is linear in what was measured: bytes per row, per event written first, per further copy
of it. Only the number of different events is not: a user's requests are taken to be spread evenly,
so that K of them span (K - 1) / (K + 1) of the time, and what happens in that span is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from uih_lake.given import between, integer, within
from uih_lake.savings.twin import Rates

LENGTHS: Final = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
REQUESTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
MOST_REQUESTS: Final = 1_000_000
_MOST_DAYS: Final = 36_500  # a century
_MOST_TENANTS: Final = 1_000_000
_MOST_USERS: Final = 10**12
_HIGHEST_PRICE: Final = 10**12


@dataclass(frozen=True)
class Demand:
    """What sequences ask for: ``rows`` of ``users``, events in them, different ones among those.

    ``newest`` is the events in the newest sequence of each user.
    """

    rows: float
    users: float
    referenced: float
    distinct: float
    newest: float

    @property
    def per_user(self) -> float:
        """Requests per user."""
        return self.rows / max(self.users, 1)

    def at(self, per_user: float) -> Demand:
        """The same users over the same time with another number of requests each."""
        more = per_user / self.per_user if self.rows else 1.0
        spread = _span(self.per_user)
        fresh = (self.distinct - self.newest) / spread if spread else 0.0
        referenced = self.referenced * more
        distinct = min(referenced, self.newest + fresh * _span(per_user))
        return Demand(self.rows * more, self.users, referenced, distinct, self.newest)


def _span(per_user: float) -> float:
    """The share of the time between a user's first and last of so many requests."""
    return max(0.0, (per_user - 1) / (per_user + 1))


@dataclass(frozen=True)
class Cost:
    """Bytes of the lake: a part that is there once, and a part per row."""

    once: float
    per_row: float

    def bytes(self, rows: float) -> float:
        """Bytes with so many rows."""
        return self.once + rows * self.per_row


def share(lake: Cost, fat: Rates, demand: Demand) -> float:
    """Bytes of the lake over bytes of fat rows; infinite where fat rows take nothing."""
    theirs = fat.bytes(demand.rows, demand.referenced, demand.distinct)
    return lake.bytes(demand.rows) / theirs if theirs else float("inf")


def break_even(lake: Cost, fat: Rates, demand: Demand) -> int | None:
    """From how many requests per user the lake takes fewer bytes; None: never.

    A whole number that agrees with the log at hand: 5 where it pays at 5.1 and not yet at 5.0.
    """
    if not demand.rows or not demand.referenced:
        return None
    known = int(demand.per_user) if share(lake, fat, demand) < 1 else None
    before = 0
    for candidate in _growing():
        if share(lake, fat, demand.at(candidate)) < 1:
            found = _first_below(lake, fat, demand, before, candidate)
            return found if known is None else min(found, known)
        before = candidate
    return known


def _growing() -> Iterator[int]:
    candidate = 1
    while candidate <= MOST_REQUESTS:
        yield candidate
        candidate = max(candidate + 1, candidate * 5 // 4)


def _first_below(lake: Cost, fat: Rates, demand: Demand, low: int, high: int) -> int:
    """The least in (low, high] at which it pays, given that it does at ``high``."""
    while high - low > 1:
        middle = (low + high) // 2
        if share(lake, fat, demand.at(middle)) < 1:
            high = middle
        else:
            low = middle
    return high


@dataclass(frozen=True)
class Plan:
    """A future to project to: requests per user per day, for ``days``, of ``users``.

    ``tenants`` models read the newest ``length`` events; ``price_per_tb`` is per TB at rest. None
    for ``users`` is as many as there are. Raises :class:`InputError` for numbers that no plan can
    mean: what they come to could not be told.
    """

    per_day: float
    tenants: int
    length: int
    days: float
    users: int | None = None
    price_per_tb: float | None = None

    def __post_init__(self) -> None:
        between(0.001, MOST_REQUESTS, per_day=self.per_day)
        integer("tenants", self.tenants, 1, _MOST_TENANTS)
        integer("length", self.length, 1, 2**31 - 1)
        between(1, _MOST_DAYS, days=self.days)
        within(1, _MOST_USERS, users=self.users)
        if self.price_per_tb is not None:
            between(0, _HIGHEST_PRICE, price_per_tb=self.price_per_tb)


@dataclass(frozen=True)
class Basis:
    """What a projection rests on: demand at the planned length, rates per layout, the lake.

    ``events_per_day`` is of a user; ``at_rest`` and ``read`` are the lake's costs;
    ``history_per_day`` the bytes of history written in a day, sealing included.
    """

    demand: Demand
    rates: Mapping[str, Rates]
    at_rest: Cost
    read: Cost
    events_per_day: float
    history_per_day: float


def project(plan: Plan, basis: Basis) -> dict[str, Any]:
    """Bytes at rest, written per day and read per epoch of all tenants, by who keeps them.

    Fat rows are one table per tenant, or one union table that all of them read; tenants are alike.
    """
    users = basis.demand.users if plan.users is None else plan.users
    grown = users / max(basis.demand.users, 1)
    per_user = max(1.0, plan.per_day * plan.days)
    rows = users * per_user
    mean = basis.demand.referenced / max(basis.demand.rows, 1)
    newest = basis.demand.newest * grown
    fresh = users * basis.events_per_day * plan.days * _span(per_user)
    distinct = min(rows * mean, newest + min(fresh, rows * mean))
    lake = Cost(basis.at_rest.once * grown, basis.at_rest.per_row)
    read = Cost(basis.read.once * grown, basis.read.per_row)
    found = {"uih_lake": _kept(lake.bytes(rows), read.bytes(rows) * plan.tenants, plan)}
    written = rows * lake.per_row / plan.days + grown * basis.history_per_day
    found["uih_lake"]["written_per_day"] = written
    for layout, rates in basis.rates.items():
        table = rates.bytes(rows, rows * mean, distinct)
        found[layout] = _kept(table * plan.tenants, table * plan.tenants, plan)
        found[layout]["written_per_day"] = table * plan.tenants / plan.days
        found[f"{layout}_union"] = _kept(table, table * plan.tenants, plan)
        found[f"{layout}_union"]["written_per_day"] = table / plan.days
    return {
        "told": _told(plan, users, mean),
        "rows": rows,
        "events_referenced": rows * mean * plan.tenants,
        "kept_as": found,
    }


def _told(plan: Plan, users: float, mean: float) -> str:
    """What the projection is of, in words."""
    price = "" if plan.price_per_tb is None else f" A TB at rest costs {plan.price_per_tb:,.2f}."
    like = f"{plan.tenants:,} tenants" if plan.tenants > 1 else "a tenant"
    return (
        f"{users:,.0f} users with {plan.per_day:g} requests a day each for {plan.days:g} days; "
        f"{like} like the first one, each of the newest {plan.length:,} events "
        f"({mean:,.0f} on average, as histories are).{price}"
    )


def _kept(at_rest: float, read: float, plan: Plan) -> dict[str, float]:
    found = {"at_rest": at_rest, "read_per_epoch": read}
    if plan.price_per_tb is not None:
        found["price_at_rest"] = at_rest / 1e12 * plan.price_per_tb
    return found

"""What a measurement found, as values that JSON has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from uih_lake.savings.figures import Figure
from uih_lake.savings.footprint import Epoch, Footprint


@dataclass(frozen=True)
class GroupFacts:
    """A group of a tenant: events in all its sequences, and different ones among them."""

    name: str
    referenced: Figure
    distinct: Figure

    @property
    def redundancy(self) -> float:
        """How often fat rows hold each event."""
        return self.referenced.value / self.distinct.value if self.distinct.value else 0.0


@dataclass(frozen=True)
class FatFacts:
    """Fat rows of a tenant in one layout, in bytes; what is written is what is at rest.

    ``exact`` says whether they were written in full; ``settings`` how.
    """

    exact: bool
    at_rest: Figure
    read: Figure
    decoded: Figure
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether the lake pays for a tenant against a layout.

    Shares are bytes of the lake over bytes of the fat rows: ``at_rest`` counts the whole lake,
    ``read`` an epoch, ``written`` all that was ever committed, ``primary_written`` and
    ``primary_read`` the examples alone, ``lookup`` the histories looked up. ``break_even`` is the
    requests per user from which it pays, at rest and read; None where it never does.
    """

    at_rest: float
    written: float
    primary_written: float
    read: float
    primary_read: float
    lookup: float
    break_even_at_rest: int | None
    break_even_read: int | None

    @property
    def pays_at_rest(self) -> bool:
        """Whether the whole lake is smaller than this one tenant's fat rows."""
        return self.at_rest < 1

    @property
    def pays_read(self) -> bool:
        """Whether an epoch reads less."""
        return self.read < 1


@dataclass(frozen=True)
class TenantFacts:
    """One tenant: its groups, an epoch on the lake, its fat rows and the verdict by layout."""

    name: str
    groups: tuple[GroupFacts, ...]
    lake: Epoch
    fat: Mapping[str, FatFacts]
    verdict: Mapping[str, Verdict]
    by_length: Mapping[str, list[dict[str, float]]]
    break_even_map: Mapping[str, list[dict[str, float]]]
    daily: list[dict[str, Any]]


@dataclass(frozen=True)
class UnionFacts:
    """One fat table that serves all tenants; ``read`` has bytes per tenant by layout."""

    fat: Mapping[str, FatFacts]
    read: Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True)
class Report:
    """What a lake saves against fat rows.

    ``mode`` is ``"exact"`` or ``"estimate"``; an estimate of few rows is exact all the same.
    ``union`` is there where tenants are several.
    """

    mode: str
    lake: str
    lake_version: int
    seed: int
    rows: Figure
    users: Figure
    events: Figure
    event_users: Figure
    footprint: Footprint
    tenants: tuple[TenantFacts, ...]
    union: UnionFacts | None
    histories: list[dict[str, int]]
    plan: Mapping[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values; every figure with the statement that gives it."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    """Without the bounds of what has none, and without infinities, which JSON has not."""
    if isinstance(value, dict):
        bare = "statement" in value and "sql" in value
        return {key: _plain(v) for key, v in value.items() if not (bare and v is None)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if value == float("inf") else value

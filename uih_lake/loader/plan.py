"""What to read for all tenants of a loader at once: one plan, so that every scan is shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from uih_lake.errors import InputError
from uih_lake.loader.columns import Column, Fill, columns
from uih_lake.loader.words import Words
from uih_lake.resolve.plan import Scan, scans
from uih_lake.tenant import Group, Tenant, context_of, traits_of


@dataclass(frozen=True)
class Cutting:
    """One group of one tenant: which scan it is cut from, and which of its columns it has."""

    key: str
    tenant: int
    name: str
    group: Group
    scan: int
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Scans with their columns, the sequences cut from them, and the context of the examples."""

    tenants: tuple[Tenant, ...]
    scans: tuple[Scan, ...]
    columns: tuple[tuple[Column, ...], ...]
    sequences: tuple[Cutting, ...]
    context: tuple[Column, ...]

    @classmethod
    def of(
        cls,
        tenants: Sequence[Tenant],
        events: pa.Schema,
        examples: pa.Schema,
        fills: Mapping[str, Fill],
        masks: bool,
        words: Words,
    ) -> Plan:
        """The plan for tenants that have been checked against these public schemas."""
        merged = _merged(tenants, events)
        loaded = [
            tuple(columns(scan.traits, events, fills, masks, words["events"])) for scan in merged
        ]
        places = {key: place for place, scan in enumerate(merged) for key, _ in scan.groups}
        sequences = []
        for number, tenant in enumerate(tenants):
            for name, group in tenant.groups.items():
                key = _key(number, name)
                place = places[key]
                which = tuple(merged[place].traits.index(trait) for trait in group.traits)
                sequences.append(Cutting(key, number, name, group, place, which))
        context = columns(context_of(tenants), examples, fills, masks, words["context"])
        return cls(tuple(tenants), tuple(merged), tuple(loaded), tuple(sequences), tuple(context))


def check_loaded(argument: str, columns: Iterable[str], tenants: Sequence[Tenant]) -> None:
    """Raise :class:`InputError` where ``columns``, given as ``argument``, are not all loaded."""
    known = [*traits_of(tenants), *context_of(tenants)]
    for name in columns:
        if name not in known:
            raise InputError(
                f"{argument}: column {name!r} is neither a trait nor a context column of the "
                "tenant",
                hint=f"those are {', '.join(known)}",
            )


def _key(tenant: int, group: str) -> str:
    return f"{tenant}.{group}"


def _merged(tenants: Sequence[Tenant], events: pa.Schema) -> list[Scan]:
    """The scans of all tenants, those with the same condition as one."""
    traits: dict[str | None, list[str]] = defaultdict(list)
    groups: dict[str | None, list[tuple[str, Group]]] = defaultdict(list)
    for number, tenant in enumerate(tenants):
        for scan in scans(tenant, events):
            traits[scan.where] += scan.traits
            groups[scan.where] += [(_key(number, name), group) for name, group in scan.groups]
    return [
        Scan(where, tuple(dict.fromkeys(traits[where])), tuple(groups[where])) for where in groups
    ]

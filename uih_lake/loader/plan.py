"""What to read for all tenants of a loader at once: one plan, so that every scan is shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa

from uih_lake import names, schema, sqlfile
from uih_lake.errors import InputError
from uih_lake.loader.columns import Column, Fill, columns
from uih_lake.loader.dictionary import Dictionary, distinct
from uih_lake.materialize import Selection
from uih_lake.resolve.plan import Scan, scans
from uih_lake.session import cursor
from uih_lake.tenant import Group, Tenant, context_of

Words = dict[str, dict[str, Dictionary]]
"""``events`` and ``context`` -> column -> dictionary."""


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


def traits_of(tenants: Iterable[Tenant]) -> list[str]:
    """The traits of all groups of all tenants."""
    groups = (group for tenant in tenants for group in tenant.groups.values())
    return list(dict.fromkeys(trait for group in groups for trait in group.traits))


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


def words_of(
    selection: Selection,
    tenants: Sequence[Tenant],
    fills: Mapping[str, Fill],
    known: Mapping[str, Mapping[str, Sequence[str]]],
    shared: Iterable[str],
    numbered: int = -1,
) -> Words:
    """The dictionary of every string column; ``known`` ones keep their codes and grow.

    Those have all strings of events up to lake version ``numbered``, which are not looked for.
    A trait and a context column of a name that is ``shared`` have one dictionary. Files are checked
    when events are read from them, not here: a string that is not really there only takes a code.
    Raises :class:`InputError` for a shared name that no string column has.
    """
    snapshot, examples = selection.snapshot.beyond(numbered), selection.examples
    events = schema.public_events(snapshot.stored)
    found: Words = {"events": {}, "context": {}}
    with cursor() as duck:
        for place, wanted, types, rows, version in (
            ("events", traits_of(tenants), events, snapshot.events(), names.LAKE_VERSION),
            ("context", context_of(tenants), examples.public, examples.sql, names.LOG_VERSION),
        ):
            for name in (n for n in wanted if _is_text(types.field(n).type)):
                is_list = pa.types.is_list(types.field(name).type)
                listed = distinct(duck, rows, name, version, is_list)
                fill = [f for f in [fills.get(name)] if isinstance(f, str)]
                first = Dictionary(known.get(place, {}).get(name, []))
                found[place][name] = first.with_words([*listed, *fill])
    for name in shared:
        places = [words for words in found.values() if name in words]
        if not places:
            raise InputError(f"words: column {name!r} holds no strings", hint="leave it out")
        one = reduce(Dictionary.with_words, (p[name].words for p in places), places[0][name])
        for words in places:
            words[name] = one
    return found


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind.value_type if pa.types.is_list(kind) else kind))


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


def statement(rows: str, loaded: Sequence[Column]) -> tuple[str, dict[str, list[str]]]:
    """SQL that reads columns of the statement ``rows``, and the parameters it adds."""
    expressions: list[str] = []
    parameters: dict[str, list[str]] = {}
    for place, column in enumerate(loaded):
        sql, added = column.expressions(place)
        expressions += sql
        parameters |= added
    return sqlfile.fill("loader/columns", columns=", ".join(expressions), rows=rows), parameters

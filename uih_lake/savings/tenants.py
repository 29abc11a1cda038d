"""The data set that serves several tenants at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from uih_lake import names
from uih_lake.schema import UNBOUNDED
from uih_lake.tenant import Group, Tenant

UNION = "union"


def union(tenants: Sequence[Tenant]) -> Tenant:
    """The smallest tenant whose fat rows serve all ``tenants``.

    Groups with the same condition and lag become one, with the traits of all, the longest length
    and the widest window: what each of them wants is the newest part of it. Its name is none of
    theirs.
    """
    taken = {tenant.name for tenant in tenants}
    name = next(name for name in (UNION + "_" * more for more in count()) if name not in taken)
    groups: dict[tuple[str | None, int], Group] = {}
    for tenant in tenants:
        for group in tenant.groups.values():
            reach = (group.where, group.lag_us)
            known = groups.get(reach)
            groups[reach] = group if known is None else _widened(known, group)
    named = {f"group_{place}": group for place, group in enumerate(groups.values())}
    context = tuple(dict.fromkeys(column for tenant in tenants for column in tenant.context))
    return Tenant(name=name, groups=named, context=context)


def columns(tenant: Tenant) -> list[str]:
    """Columns of the tenant's fat rows; a trait of a group is written ``'group, trait'``."""
    traits = (f"{name}, {t}" for name, group in tenant.groups.items() for t in group.traits)
    return [*_keys(tenant), *traits]


def columns_of_union(whole: Tenant, tenant: Tenant) -> list[str]:
    """Columns of the fat rows of a union that one of its tenants reads."""
    found = _keys(tenant)
    for wanted in tenant.groups.values():
        name, group = next(
            (name, group)
            for name, group in whole.groups.items()
            if (group.where, group.lag_us) == (wanted.where, wanted.lag_us)
        )
        # Of a wider window, only the times tell which part was asked for.
        times = () if group.window_us == wanted.window_us else (names.EVENT_TS,)
        found |= dict.fromkeys(f"{name}, {trait}" for trait in (*wanted.traits, *times))
    return [*found]


def _keys(tenant: Tenant) -> dict[str, None]:
    return dict.fromkeys((*names.ROW_KEYS, *tenant.context))


def _widened(one: Group, other: Group) -> Group:
    wider = max(one, other, key=lambda group: group.window_us or UNBOUNDED)
    lengths = [group.max_len or UNBOUNDED for group in (one, other)]
    times = () if one.window_us == other.window_us else (names.EVENT_TS,)
    return replace(
        one,
        traits=tuple(dict.fromkeys([*one.traits, *other.traits, *times])),
        max_len=None if UNBOUNDED in lengths else max(lengths),
        window=wider.window,
    )

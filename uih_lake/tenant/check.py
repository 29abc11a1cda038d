"""Holds a tenant against the columns of a lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from uih_lake import names
from uih_lake.errors import SqlRefused, TenantError
from uih_lake.tenant.condition import check_condition
from uih_lake.wording import guess, listed

if TYPE_CHECKING:
    from uih_lake.tenant.model import Group, Tenant


def check_tenant(tenant: Tenant, events: pa.Schema, requests: pa.Schema) -> None:
    """Raise :class:`TenantError` for the first column or condition that does not fit."""
    context = [name for name in requests.names if name not in names.EXAMPLE_COLUMNS]
    for name in tenant.context:
        if name not in context:
            raise TenantError(
                f"tenant '{tenant.name}': context column '{name}' is in no request",
                hint=_what_exists(name, context)
                if context
                else "no request logged so far has any: log some that bring it",
            )
    for name, group in tenant.groups.items():
        for problem, hint in _problems(group, events):
            raise TenantError(f"tenant '{tenant.name}': group '{name}': {problem}", hint=hint)


def _problems(group: Group, events: pa.Schema) -> Iterator[tuple[str, str | None]]:
    for trait in group.traits:
        if trait not in events.names:
            yield f"trait '{trait}' does not exist", _what_exists(trait, events.names)
    if group.where is not None:
        try:
            check_condition(group.where, events)
        except SqlRefused as refused:
            yield f"where: {refused.message}", refused.hint


def _what_exists(name: str, known: Iterable[str]) -> str:
    return f"{guess(name, known)}columns are {listed(known)}"

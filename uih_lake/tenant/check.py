"""Holds a tenant against the columns of a lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from uih_lake import names
from uih_lake.errors import SqlRefused, TenantError
from uih_lake.tenant.condition import check_condition
from uih_lake.wording import fold, guess, listed

if TYPE_CHECKING:
    from uih_lake.tenant.model import Group, Tenant


def check_tenant(tenant: Tenant, events: pa.Schema, requests: pa.Schema) -> None:
    """Raise :class:`TenantError` for the first column or condition that does not fit."""
    context = [name for name in requests.names if name not in names.EXAMPLE_COLUMNS]
    for name in tenant.context:
        if name not in context:
            say = "no request logged so far has any: log some that bring it"
            if name in events.names and name not in requests.names:
                say = "it is a column of the events: take it as a trait of a group"
            elif context:
                say = _what_exists(name, context)
            raise TenantError(
                f"tenant '{tenant.name}': context column '{name}' is in no request", hint=say
            )
    for name, group in tenant.groups.items():
        for problem, hint in _problems(group, events, requests):
            raise TenantError(f"tenant '{tenant.name}': group '{name}': {problem}", hint=hint)


def check_where(where: str, events: pa.Schema, requests: pa.Schema) -> str:
    """The condition by which examples are chosen; raises as :func:`check_condition`."""
    try:
        return check_condition(where, requests)
    except SqlRefused as refused:
        say = "it is a column of the events, of which a group's `where` may speak"
        raise SqlRefused(refused.message, hint=_hint(refused, events, say)) from None


def _problems(
    group: Group, events: pa.Schema, requests: pa.Schema
) -> Iterator[tuple[str, str | None]]:
    for trait in group.traits:
        if trait in events.names:
            continue
        there = trait in requests.names and trait not in names.EXAMPLE_COLUMNS
        say = "it is a column of the requests: take it as context"
        yield f"trait '{trait}' does not exist", say if there else _what_exists(trait, events.names)
    if group.where is not None:
        try:
            check_condition(group.where, events)
        except SqlRefused as refused:
            say = "it is a column of the requests, of which a loader's `where` may speak"
            yield f"where: {refused.message}", _hint(refused, requests, say)


def _hint(refused: SqlRefused, others: pa.Schema, say: str) -> str | None:
    """What to do about a condition: what there is to ``say`` if it speaks of one of ``others``."""
    mistaken = refused.column is not None and fold(refused.column) in map(fold, others.names)
    return say if mistaken else refused.hint


def _what_exists(name: str, known: Iterable[str]) -> str:
    return f"{guess(name, known)}columns are {listed(known)}"

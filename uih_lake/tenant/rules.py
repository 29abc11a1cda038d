"""What names in a tenant must be; each rule raises ``ValueError`` with the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from uih_lake import names
from uih_lake.wording import fold, listed

_TENANT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_GROUP_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def tenant_name(name: str) -> str:
    """A tenant's name can be part of a file name."""
    if not _TENANT_NAME.fullmatch(name):
        raise ValueError(
            f"'{name}' is not a name; use the letters a to z, digits, '_', '-' and '.', "
            "as in 'ranker-v2'"
        )
    return name


def condition_text(where: str) -> str:
    """A condition says something."""
    if not where.strip():
        raise ValueError("it is empty; leave it out to keep every event")
    return where.strip()


def trait_names(traits: Sequence[str]) -> tuple[str, ...]:
    """A group has traits, each once."""
    if not traits:
        raise ValueError("it is empty; name at least one event column")
    return _distinct(traits)


def context_names(context: Sequence[str]) -> tuple[str, ...]:
    """Context is what a request brought, each column once, and no part of the pointer."""
    for name in context:
        if fold(name) in names.ROW_KEYS:
            raise ValueError(f"'{name}' always travels along; leave it out")
        if fold(name) in names.EXAMPLE_COLUMNS:
            raise ValueError(f"'{name}' is part of the pointer, not of the request; leave it out")
    return _distinct(context)


def _distinct(found: Iterable[str]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for name in found:
        if fold(name) in seen:
            raise ValueError(f"'{name}' is there twice (case does not count); leave one out")
        seen[fold(name)] = name
    return tuple(seen.values())


def group_names(groups: Iterable[str], context: Iterable[str]) -> None:
    """Every group becomes a column beside the context, so their names must differ."""
    taken = dict.fromkeys(names.ROW_KEYS, "a column of every example")
    taken |= {fold(name): "a context column" for name in context}
    found = list(groups)
    if not found:
        raise ValueError("groups: there is none; add at least one, as [groups.clicks]")
    for name in found:
        if not _GROUP_NAME.fullmatch(name):
            raise ValueError(
                f"groups: '{name}' is not a name; begin with one of the letters a to z "
                "and go on with those, digits, '_' or '-'"
            )
        if fold(name) in taken:
            raise ValueError(
                f"groups: '{name}' has the name of {taken[fold(name)]}; call it something else, "
                f"taken are {listed(taken)}"
            )
        taken[fold(name)] = f"group '{name}'"

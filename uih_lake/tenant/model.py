"""A tenant: the projection of the history that one model is trained on."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import xxhash
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from uih_lake.errors import TenantError
from uih_lake.given import is_text, path_of
from uih_lake.tenant import rules
from uih_lake.tenant.check import check_tenant
from uih_lake.tenant.duration import canonical, microseconds
from uih_lake.tenant.groups import Named
from uih_lake.tenant.refusal import refuses_in_one_line

_CLOSED = ConfigDict(extra="forbid")
_Duration = Annotated[str | timedelta, BeforeValidator(canonical)]
_Length = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]


def check_tenants(tenants: Sequence[Tenant], least: int = 1) -> None:
    """Raise :class:`TenantError` for too few, for what is no tenant, and for two of one name."""
    if not isinstance(tenants, Sequence):
        raise TenantError(
            f"a {type(tenants).__name__} is no list of tenants", hint="give a list: [tenant]"
        )
    if len(tenants) < least:
        raise TenantError("no tenant is given", hint="name at least one")
    for tenant in tenants:
        if not isinstance(tenant, Tenant):
            raise TenantError(f"{tenant!r} is no tenant", hint="load it first: Tenant.load(path)")
    names = [tenant.name for tenant in tenants]
    for name in names:
        if names.count(name) > 1:
            raise TenantError(f"two tenants have the same name, {name!r}", hint="give each its own")


def traits_of(tenants: Iterable[Tenant]) -> list[str]:
    """The traits of all groups of all ``tenants``, each once."""
    groups = (group for tenant in tenants for group in tenant.groups.values())
    return list(dict.fromkeys(trait for group in groups for trait in group.traits))


def context_of(tenants: Iterable[Tenant]) -> list[str]:
    """The context columns of all tenants."""
    return list(dict.fromkeys(name for tenant in tenants for name in tenant.context))


@refuses_in_one_line()
@dataclass(frozen=True, config=_CLOSED)
class Group:
    """One sequence of a tenant.

    ``traits``  event columns, at least one, in the order of the output
    ``max_len`` the newest N visible events that match; None for all of them
    ``where``   an SQL condition over event columns; an event for which it is NULL is not kept
    ``window``  how far back, request_ts - window <= event_ts; None for the whole history
    ``lag``     how near, event_ts < request_ts - lag

    Durations are texts such as ``"90d"``, ``"30m"``, ``"250us"`` or a ``timedelta``, and are kept
    in one spelling. Raises :class:`TenantError`.
    """

    traits: Annotated[Sequence[str], AfterValidator(rules.trait_names)]
    max_len: _Length | None = None
    where: Annotated[str, AfterValidator(rules.condition_text)] | None = None
    window: _Duration | None = None
    lag: _Duration = "0s"

    @model_validator(mode="after")
    def _window_reaches_beyond_lag(self) -> Group:
        if self.window_us is not None and self.window_us <= self.lag_us:
            raise ValueError(
                f"window {self.window} does not reach back beyond lag {self.lag}, so no event "
                "could match; make it longer"
            )
        return self

    @property
    def window_us(self) -> int | None:
        """``window`` in microseconds, None for the whole history."""
        return None if self.window is None else microseconds(str(self.window))

    @property
    def lag_us(self) -> int:
        """``lag`` in microseconds."""
        return microseconds(str(self.lag))


@refuses_in_one_line(*Group.__annotations__)
@dataclass(frozen=True, config=_CLOSED)
class Tenant:
    """One model's view: request columns that travel along, and one or more groups.

    Tenants are equal if they say the same, the order of groups included. Raises
    :class:`TenantError` for what is malformed; :meth:`check` holds it against a lake.
    """

    name: Annotated[str, AfterValidator(rules.tenant_name)]
    groups: Annotated[Mapping[str, Group], AfterValidator(Named)]
    context: Annotated[Sequence[str], AfterValidator(rules.context_names)] = ()

    @model_validator(mode="after")
    def _columns_differ(self) -> Tenant:
        rules.group_names(self.groups, self.context)
        return self

    @classmethod
    def load(cls, path: str | Path) -> Tenant:
        """Read a tenant from a TOML file; errors name the file."""
        try:
            return cls.from_toml(Path(path_of(path)).read_text(encoding="utf-8-sig"))
        except OSError as error:
            why = error.strerror or str(error)
            raise TenantError(f"tenant file {path}: {why}", hint="check the path") from None
        except UnicodeDecodeError as error:
            raise TenantError(
                f"tenant file {path}: byte {error.start} is not UTF-8", hint="save it as UTF-8"
            ) from None
        except TenantError as error:
            raise TenantError(f"tenant file {path}: {error.message}", hint=error.hint) from None

    @classmethod
    def from_toml(cls, text: str) -> Tenant:
        """Read a tenant from TOML text."""
        if not is_text(text):
            raise TenantError(f"not TOML: a {type(text).__name__}", hint="give it as a string")
        try:
            keys = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TenantError(f"not TOML: {error}", hint="texts need quotes") from None
        return cls(**keys)

    def check(self, events: pa.Schema, requests: pa.Schema) -> None:
        """Raise :class:`TenantError` if a column or condition does not fit these schemas.

        ``events`` has user_id, event_ts, arrival_ts, lake_version, seq and the traits;
        ``requests`` has the columns of the stored examples.
        """
        check_tenant(self, events, requests)

    def fingerprint(self) -> str:
        """16 hex digits (xxh64) of the tenant's canonical JSON; equal tenants have equal ones."""
        groups = [[name, asdict(group)] for name, group in self.groups.items()]
        said = {"name": self.name, "context": list(self.context), "groups": groups}
        return xxhash.xxh64(json.dumps(said, sort_keys=True).encode()).hexdigest()

"""Tenants: what one model wants of the history, checked before anything is read."""

from uih_lake.tenant.condition import check_condition, evaluating, spoken_of
from uih_lake.tenant.model import Group, Tenant, check_tenants, context_of, traits_of

__all__ = [
    "Group",
    "Tenant",
    "check_condition",
    "check_tenants",
    "context_of",
    "evaluating",
    "spoken_of",
    "traits_of",
]

"""User interaction histories kept once, rebuilt for training just in time.

A :class:`Lake` holds events and examples in Delta tables; a :class:`Tenant` says what one model
wants of the history. Names that need the engine are imported when first used, so that importing
the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from uih_lake.errors import (
    ConflictError,
    CorruptionError,
    GroupError,
    InputError,
    LakeError,
    OutputError,
    PointerError,
    SchemaError,
    SqlRefused,
    TenantError,
    UihError,
)

if TYPE_CHECKING:
    from uih_lake.api import Lake
    from uih_lake.info import Info
    from uih_lake.lake.publish import Published, publish
    from uih_lake.loader import Batch, Jagged, Loader, Meters, Nested, Shared
    from uih_lake.pointers.policy import Counts
    from uih_lake.serving import Served
    from uih_lake.tenant import Group, Tenant
    from uih_lake.verify import Report

    __version__: str

_LAZY = {
    "Batch": "uih_lake.loader",
    "Counts": "uih_lake.pointers.policy",
    "Group": "uih_lake.tenant",
    "Info": "uih_lake.info",
    "Jagged": "uih_lake.loader",
    "Lake": "uih_lake.api",
    "Loader": "uih_lake.loader",
    "Meters": "uih_lake.loader",
    "Nested": "uih_lake.loader",
    "Published": "uih_lake.lake.publish",
    "Report": "uih_lake.verify",
    "Served": "uih_lake.serving",
    "Shared": "uih_lake.loader",
    "Tenant": "uih_lake.tenant",
    "publish": "uih_lake.lake.publish",
}
"""Exported name -> the module that is imported when it is first asked for."""

__all__ = [
    "Batch",
    "ConflictError",
    "CorruptionError",
    "Counts",
    "Group",
    "GroupError",
    "Info",
    "InputError",
    "Jagged",
    "Lake",
    "LakeError",
    "Loader",
    "Meters",
    "Nested",
    "OutputError",
    "PointerError",
    "Published",
    "Report",
    "SchemaError",
    "Served",
    "Shared",
    "SqlRefused",
    "Tenant",
    "TenantError",
    "UihError",
    "__version__",
    "publish",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version(__name__)
    elif name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Arguments and options that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class TimeUnit(StrEnum):
    """Unit of times given as numbers."""

    s = "s"
    ms = "ms"
    us = "us"


class OnNullUser(StrEnum):
    """What to do with rows that have no user id."""

    RAISE = "raise"
    SKIP = "skip"


Lake = Annotated[str, typer.Argument(metavar="LAKE", help="Directory of the lake.")]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Parquet, CSV, JSON lines or Arrow, by its ending; quoted globs work too.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Report as one JSON object.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only count what would go; change nothing.")
]
At = Annotated[
    int | None,
    typer.Option("--at", metavar="N", min=0, help="Read the lake as of lake version N."),
]
UserId = Annotated[str, typer.Option("--user-id", metavar="COL", help="Column of the user id.")]
Unit = Annotated[
    TimeUnit | None,
    typer.Option("--ts-unit", help="Unit of times given as numbers: s, ms or us since 1970."),
]
NullUser = Annotated[
    OnNullUser,
    typer.Option("--on-null-user", help="Refuse rows without a user id, or skip them."),
]
AddColumns = Annotated[
    bool, typer.Option("--add-columns", help="Accept columns that the lake did not have.")
]
Tenant = Annotated[str, typer.Option("--tenant", metavar="FILE", help="The tenant, a TOML file.")]

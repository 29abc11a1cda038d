"""``uihlake forget``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def forget(
    terminal: Terminal,
    lake: options.Lake,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ID", help="A user to erase; may be repeated."),
    ] = None,
    users_from: Annotated[
        str | None,
        typer.Option("--users-from", metavar="FILE", help="A text file with one user a line."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Erase users: their events in both tiers, and their examples.

    What remains is a keyed hash, so that pointers kept elsewhere are reported as forgotten and not
    as a mismatch. All other pointers stay valid. The bytes leave the disk with
    [bold]vacuum --retain-hours 0[/bold].

      uihlake forget shop --user 4711 --user 4712
      uihlake forget shop --users-from erasure-requests.txt

    Exit codes: 0 erased, or there was nothing to erase; 1 refused; 2 wrong usage.
    """
    import pyarrow as pa

    from uih_lake import InputError, Lake

    asked = [*(user or []), *(_lines(users_from) if users_from else [])]
    if not asked:
        raise typer.BadParameter("name users with --user or --users-from")
    opened = Lake.open(lake)
    whole_numbers = pa.types.is_integer(opened.event_schema.field("user_id").type)
    try:
        users = [int(one) if whole_numbers else one for one in asked]
    except ValueError as error:
        raise InputError(f"users of this lake are integers: {error}") from error
    erased = opened.forget(users)
    events = erased["recent"] + erased["uih"]
    text = (
        f"erased {amount(events, 'event')} and {amount(erased['examples'], 'example')} of "
        f"{amount(len(set(users)), 'user')}; `uihlake vacuum --retain-hours 0` clears the disk"
    )
    terminal.report(text, {"users": len(set(users)), "erased": erased}, as_json)


def _lines(path: str) -> list[str]:
    text = Path(path).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]

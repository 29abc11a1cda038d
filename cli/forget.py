"""``uihlake forget``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount
from uih_lake.errors import InputError


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
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Erase users: their events in both tiers, and their examples.

    What remains is a keyed hash, so that pointers kept elsewhere are reported as forgotten and not
    as a mismatch. All other pointers stay valid. The bytes leave the disk with
    [bold]vacuum --retain-hours 0[/bold].

      uihlake forget shop --user 4711 --user 4712
      uihlake forget shop --users-from erasure-requests.txt --dry-run

    Exit codes: 0 erased, or there was nothing to erase; 1 refused; 2 wrong usage.
    """
    import pyarrow as pa

    from uih_lake import Lake

    named = [("--user", one) for one in user or []]
    asked = [*named, *(_lines(users_from) if users_from else [])]
    if not asked:
        raise typer.BadParameter("name users with --user or --users-from")
    opened = Lake.open(lake)
    whole_numbers = pa.types.is_integer(opened.event_schema.field("user_id").type)
    users = [_whole_number(*one) if whole_numbers else one[1] for one in asked]
    erased = opened.forget(users, dry_run=dry_run)
    events = erased["recent"] + erased["uih"]
    text = (
        f"{amount(events, 'event')} and {amount(erased['examples'], 'example')} of "
        f"{amount(len(set(users)), 'user')}"
    )
    if dry_run:
        text = f"would erase {text}; nothing was changed"
    else:
        text = f"erased {text}; `uihlake vacuum --retain-hours 0` clears the disk"
    found = {"users": len(set(users)), "erased": erased, "dry_run": dry_run}
    terminal.report(text, found, as_json)


def _whole_number(where: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{where}: {text!r} is no user: users of this lake are integers",
            hint="give ids as the lake has them",
        ) from None


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """The users that a file names, each with its place."""
    text = Path(path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()

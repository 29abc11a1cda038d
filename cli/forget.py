"""``uihlake forget``."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Final

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount
from uih_lake.errors import InputError

_INTEGER: Final = re.compile("-?[0-9]+")
"""An integer id, in ASCII: int() takes 4_711, blanks around it and digits of any script, too."""


def forget(
    terminal: Terminal,
    lake: options.Lake,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ID", help="A user to erase; may be repeated."),
    ] = None,
    users_from: Annotated[
        str | None,
        typer.Option(
            "--users-from", metavar="FILE", help="A UTF-8 text file with one user a line."
        ),
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Erase users: their events in both tiers, and their examples.

    What remains is a keyed hash, by which pointers kept elsewhere are known: they are refused, or
    reported as forgotten and not as a mismatch. All other pointers stay valid. The bytes leave the
    disk with [bold]vacuum --retain-hours 0[/bold].

      uihlake forget shop --user 4711 --user 4712
      uihlake forget shop --users-from erasure-requests.txt --dry-run

    Exit codes: 0 erased, or there was nothing to erase; 1 refused; 2 wrong usage.
    """
    import pyarrow as pa

    from uih_lake.lake import erase
    from uih_lake.lake.snapshot import Snapshot
    from uih_lake.lake.store import Store

    named = [("--user", one) for one in user or []]
    asked = [*named, *(_lines(users_from) if users_from else [])]
    if not asked:
        if users_from is None:
            raise typer.BadParameter("name users with --user or --users-from")
        raise InputError(f"{users_from} names no user", hint="it has an id per line")
    store = Store.open(lake)
    whole_numbers = pa.types.is_integer(Snapshot.of(store).stored.field("user_id").type)
    users = [_whole_number(*one) if whole_numbers else one[1] for one in asked]
    asked_for, known = len(set(users)), erase.known(store, users)
    erased = erase.to_forget(store, users) if dry_run else erase.forget(store, users)
    events = erased["recent"] + erased["uih"]
    text = (
        f"{amount(events, 'event')} and {amount(erased['examples'], 'example')} of "
        f"{amount(known, 'user')}"
    )
    if dry_run:
        text = f"would erase {text}; nothing was changed"
    elif not any(erased.values()):
        text = f"nothing to erase: the lake has nothing of {amount(asked_for, 'such user')}"
    else:
        text = f"erased {text}; `uihlake vacuum LAKE --retain-hours 0` clears the disk"
    if 0 < known < asked_for:
        text += f"\nthe lake has nothing of {amount(asked_for - known, 'other')} that was given"
    found = {"users": asked_for, "known": known, "erased": erased, "dry_run": dry_run}
    terminal.report(text, found, as_json)


def _whole_number(where: str, text: str) -> int:
    """The id that ``text`` spells; raises :class:`InputError` where it spells none."""
    if _INTEGER.fullmatch(text):
        with suppress(ValueError):  # more digits than Python reads
            if -(2**63) <= int(text) < 2**63:
                return int(text)
    raise InputError(
        f"{where}: {text!r} is no user: users of this lake are integers (int64)",
        hint="give ids as the lake has them",
    )


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """The users that a file names, each with its place.

    An id is a line as it stands, blanks and all. Only a line feed ends one, for an id may hold any
    other separator that Python knows; a carriage return before it and a byte order mark at the
    start are how some systems write text, and no part of an id. Raises :class:`InputError` for a
    line that is not UTF-8.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            raw = line.removeprefix(BOM_UTF8) if number == 1 else line
            try:
                user = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{where}: it is not UTF-8", hint="save it as UTF-8") from error
            if user:
                yield where, user

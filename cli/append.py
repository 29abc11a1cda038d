"""``uihlake append``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount, span

if TYPE_CHECKING:
    from uih_lake.append import Appended


def append(
    terminal: Terminal,
    lake: options.Lake,
    files: options.Files,
    user_id: options.UserId = "user_id",
    event_ts: Annotated[
        str, typer.Option(metavar="COL", help="Column of the time of the event.")
    ] = "event_ts",
    arrival_ts: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the time the event became known; by default arrival_ts where "
            "there is one, else the time of the event.",
        ),
    ] = None,
    ts_unit: options.Unit = None,
    on_null_user: options.NullUser = options.OnNullUser.RAISE,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Idempotency key: an append repeated with it adds nothing."
        ),
    ] = None,
    add_columns: options.AddColumns = False,
    as_json: options.Json = False,
) -> None:
    """Add the events of files to a lake, as one new lake version.

    The columns named by the options become user_id, event_ts and arrival_ts; all others are traits
    and keep their names. All files go in or none: nothing of what is refused becomes visible. Under
    a --key that was used before nothing is read, whatever is in the files.

      uihlake append shop 'events/*.parquet' --user-id member --event-ts at
      uihlake append shop today.csv --ts-unit ms --key kafka:0:4711

    Exit codes: 0 added, or added before under the same key; 1 refused; 2 wrong usage.
    """
    from uih_lake.append import append as add
    from uih_lake.ingest import EventColumns
    from uih_lake.lake.store import Store

    unit = None if ts_unit is None else ts_unit.value
    columns = EventColumns(user_id, event_ts, arrival_ts, unit, on_null_user.value)
    store = Store.open(lake)
    with terminal.progress("appending") as progress:
        brought = add(store, files, columns, key=key, add_columns=add_columns, progress=progress)
    version = brought.lake_version
    if brought.added:
        text = f"lake version {version}: {_told(brought)}"
    else:
        text = f"the key {key!r} was used before, by lake version {version}: nothing read or added"
    terminal.report(text, brought.as_dict(), as_json)


def _told(brought: Appended) -> str:
    text = amount(brought.events, "event")
    if brought.first_event and brought.last_event:
        text += f", {span(brought.first_event, brought.last_event)}"
    return text

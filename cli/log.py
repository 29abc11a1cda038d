"""``uihlake log``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount

if TYPE_CHECKING:
    from uih_lake.logged import Logged


def log(
    terminal: Terminal,
    lake: options.Lake,
    files: options.Files,
    user_id: options.UserId = "user_id",
    request_ts: Annotated[
        str, typer.Option(metavar="COL", help="Column of the time of the request.")
    ] = "request_ts",
    as_of_ts: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the time up to which arrivals count; by default as_of_ts where "
            "there is one, else the time of the request. Not with --live.",
        ),
    ] = None,
    example_id: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the id of the request; by default example_id where there is one, else "
            "requests are numbered on.",
        ),
    ] = None,
    ts_unit: options.Unit = None,
    on_null_user: options.NullUser = options.OnNullUser.RAISE,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Do not bound by arrival time: see all that the lake holds now."
        ),
    ] = False,
    add_columns: options.AddColumns = False,
    as_json: options.Json = False,
) -> None:
    """Store requests as examples, each with a versioned pointer.

    A pointer pins which history was visible: events before the request, known by then, in the lake
    as it is now. Other columns (labels, features of the request) travel along as context: the same
    with every log, but for what uihlake label sets. An example_id is taken where the column
    exists, else numbered on; it is kept once.

      uihlake log shop requests.csv --user-id member --request-ts at --ts-unit s
      uihlake log shop served.parquet --live --example-id impression

    Exit codes: 0 logged, 1 refused (then nothing is written), 2 wrong usage.
    """
    from uih_lake.ingest import RequestColumns
    from uih_lake.lake.store import Store
    from uih_lake.log import log_files

    unit = None if ts_unit is None else ts_unit.value
    columns = RequestColumns(user_id, request_ts, as_of_ts, unit, on_null_user.value, example_id)
    store = Store.open(lake)
    with terminal.progress("logging") as progress:
        logged = log_files(store, files, columns, live, add_columns, progress)
    text = amount(logged.examples, "example")
    if logged.examples:
        text += (
            f" at lake version {logged.lake_version}{_ids(logged)}\n"
            f"{logged.mean_length:,.1f} events visible on average;"
            f" {amount(logged.without_history, 'example')} without any"
        )
    terminal.report(text, logged.as_dict(), as_json)


def _ids(logged: Logged) -> str:
    """The ids where they are numbers; strings from the first to the last would tell nothing."""
    if isinstance(logged.first_id, str):
        return ""
    last = "" if logged.first_id == logged.last_id else f" to {logged.last_id}"
    return f", example_id {logged.first_id}{last}"

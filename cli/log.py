"""``uihlake log``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount

if TYPE_CHECKING:
    import pyarrow as pa

_MANY = 100
"""So many requests at once are hardly all the first of their users."""


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
    import pyarrow.compute as pc

    from uih_lake import Lake

    opened = Lake.open(lake)
    with terminal.progress("logging") as progress:
        pointers = opened.log(
            files,
            live=live,
            user_id=user_id,
            request_ts=request_ts,
            as_of_ts=as_of_ts,
            example_id=example_id,
            ts_unit=None if ts_unit is None else ts_unit.value,
            on_null_user=on_null_user.value,
            add_columns=add_columns,
            progress=progress,
        )
    facts = _facts(pointers)
    text = amount(facts["examples"], "example")
    if facts["examples"]:
        text += (
            f" at lake version {facts['lake_version']}, example_id {facts['first_id']} to"
            f" {facts['last_id']}\n{facts['mean_length']:,.1f} events visible on average;"
            f" {amount(facts['without_history'], 'example')} without any"
        )
    terminal.report(text, facts, as_json)
    span = pc.min_max(pointers.column("request_ts")).as_py()
    terminal.doubt("request", span["min"], span["max"])
    if facts.get("without_history") == facts["examples"] >= _MANY:
        terminal.say("warning: no request sees any event: are users and times those of the events?")


def _facts(pointers: pa.Table) -> dict[str, Any]:
    """Counts over the pointers just cut."""
    import pyarrow.compute as pc

    if pointers.num_rows == 0:
        return {"examples": 0}
    ids = pc.min_max(pointers.column("example_id"))
    lengths = pointers.column("length")
    return {
        "examples": pointers.num_rows,
        "lake_version": pointers.column("lake_version")[0].as_py(),
        "first_id": ids["min"].as_py(),
        "last_id": ids["max"].as_py(),
        "mean_length": pc.mean(lengths).as_py(),
        "without_history": pc.sum(pc.equal(lengths, 0)).as_py(),
    }

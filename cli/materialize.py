"""``uihlake materialize``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from uih_lake.bytesize import size
from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


class Format(StrEnum):
    """File format of the fat rows."""

    parquet = "parquet"
    arrow = "arrow"


class OnMismatch(StrEnum):
    """What to do with a pointer that does not resolve to what was logged."""

    RAISE = "raise"
    DROP = "drop"
    KEEP = "keep"


def materialize(
    terminal: Terminal,
    lake: options.Lake,
    tenant: options.Tenant,
    out: Annotated[str, typer.Option(metavar="DIR", help="Directory to write, not there yet.")],
    format: Annotated[Format, typer.Option(help="Format of the files.")] = Format.parquet,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="Only the examples that meet this condition."),
    ] = None,
    on_mismatch: Annotated[
        OnMismatch,
        typer.Option(help="What to do where a history is no longer the one that was logged."),
    ] = OnMismatch.RAISE,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace DIR, once the new one is complete.")
    ] = False,
    at: options.At = None,
    as_json: options.Json = False,
) -> None:
    """Rebuild the sequences of all examples and write them.

    The tenant says which events, traits and lengths its model wants. A row has example_id, user_id,
    request_ts, the context, and per group a struct of lists, oldest event first. Every history is
    checked against its pointer. DIR appears when it is complete and not before.

      uihlake materialize shop --tenant ranker.toml --out training
      uihlake materialize shop --tenant ranker.toml --out week --where "label = 1"

    Exit codes: 0 written, 1 refused (DIR is as it was), 2 wrong usage.
    """
    from uih_lake import Counts, Lake, Tenant, output

    # Refuse what can be refused before the work begins.
    output.check(out, overwrite=overwrite, lake=lake)
    opened, counts = Lake.open(lake, version=at), Counts()
    with terminal.progress("materializing") as progress:
        reader = opened.materialize(
            Tenant.load(tenant),
            where=where,
            on_mismatch=on_mismatch.value,
            counts=counts,
            progress=progress,
        )
        written = output.write(reader, out, format=format.value, overwrite=overwrite, lake=lake)
    for fault in ("mismatch", "forgotten", "expired"):
        if found := getattr(counts, fault):
            terminal.say(f"{fault}: {amount(found, 'example')} ({on_mismatch.value})")
    if not counts.examples:
        what = "no example" if where is None else f"no example that meets [{where}]"
        terminal.say(f"warning: there is {what}")
    files = amount(len(written.files), "file")
    text = f"{out}: {amount(written.rows, 'row')} in {files}, {size(written.bytes)}"
    facts = {"out": out, "rows": written.rows, "bytes": written.bytes, "files": written.files}
    terminal.report(text, facts | counts.as_dict(), as_json)

"""``uihlake create``."""

from __future__ import annotations

from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def create(
    terminal: Terminal,
    lake: options.Lake,
    buckets: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=4096,
            help="Hash buckets of users; fixed for good. A bucket is read at once.",
        ),
    ] = 64,
    as_json: options.Json = False,
) -> None:
    """Create an empty lake in a new directory.

    Users are spread over a fixed number of hash buckets, and memory use is bounded by a few of the
    largest: take so many that a bucket holds a few million events. Columns are fixed by the first
    append.

      uihlake create shop --buckets 64

    Exit codes: 0 created, 1 the directory is not empty, 2 wrong usage.
    """
    from uih_lake import Lake

    Lake.create(lake, buckets=buckets)
    text = f"created {lake} with {amount(buckets, 'bucket')}"
    terminal.report(text, {"lake": lake, "buckets": buckets}, as_json)

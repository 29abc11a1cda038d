"""``uihlake publish``."""

from __future__ import annotations

from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def publish(
    terminal: Terminal,
    lake: options.Lake,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where to: s3://, gs://, az:// or abfss://.")
    ],
    as_json: options.Json = False,
) -> None:
    """Bring a lake, or what is new of it, to an object store.

    Every command that only reads then takes the URL in the place of LAKE, on any machine: it keeps
    a copy in ~/.cache/uih_lake, or where UIH_LAKE_CACHE says, and fetches what is new. Credentials
    and endpoint come from the environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.

    A reader finds what was published last, whole. What a vacuum has taken from the lake is deleted
    in the store, and in each copy when it is next opened.

      uihlake publish shop s3://training/shop
      uihlake materialize s3://training/shop --tenant ranker.toml --out training

    Exit codes: 0 done; 1 refused or failed; 2 wrong usage.
    """
    from uih_lake.facts import plain
    from uih_lake.lake.publish import publish as run

    with terminal.progress("sending files") as progress:
        done = run(lake, url, progress=progress)
    sent = f"{amount(done.files, 'file')} of {done.bytes:,} bytes sent, {done.deleted:,} deleted"
    text = f"published lake version {done.lake_version} at {done.url}: {sent}"
    terminal.report(text, plain(done), as_json)

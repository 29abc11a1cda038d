"""``uihlake label``."""

from __future__ import annotations

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def label(
    terminal: Terminal,
    lake: options.Lake,
    files: options.Files,
    as_json: options.Json = False,
) -> None:
    """Set on examples what became known after the request.

    A label is known late, its example is logged early. The files have a column example_id; every
    other column is set on the example of that id, and added where the examples did not have it.
    Pointers stay as they are.

      uihlake label shop purchases.parquet

    Exit codes: 0 set; 1 refused; 2 wrong usage.
    """
    from uih_lake import Lake

    found = Lake.open(lake).label(files)
    terminal.report(f"labelled {amount(found, 'example')}", {"labelled": found}, as_json)

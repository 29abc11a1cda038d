"""``uihlake vacuum``."""

from __future__ import annotations

from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def vacuum(
    terminal: Terminal,
    lake: options.Lake,
    retain_hours: Annotated[
        int,
        typer.Option(
            "--retain-hours", metavar="N", min=0, help="Keep what was in use in the last N hours."
        ),
    ] = 168,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Delete data files that nothing needs any more.

    Sealing, compacting and erasing write new files and leave the old ones for readers that are at
    work. No pointer ever needs those. After [bold]forget[/bold], --retain-hours 0 takes the erased
    bytes off the disk; do that while nobody reads.

      uihlake vacuum shop --dry-run
      uihlake vacuum shop --retain-hours 0

    Exit codes: 0 done; 1 failed; 2 wrong usage.
    """
    from uih_lake import Lake

    files = Lake.open(lake).vacuum(retain_hours=retain_hours, dry_run=dry_run)
    facts = {"deleted": 0 if dry_run else len(files), "files": files, "dry_run": dry_run}
    counted = amount(len(files), "file")
    text = f"would delete {counted}; nothing was changed" if dry_run else f"deleted {counted}"
    terminal.report(text, facts, as_json)

"""``uihlake retain``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def retain(
    terminal: Terminal,
    lake: options.Lake,
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, help="Keep the events of N days.")
    ],
    now: Annotated[
        datetime | None,
        typer.Option("--now", help="Count back from this time (UTC) in place of the clock's."),
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Drop events older than a number of days.

    From then on no reader sees them; pointers that reached past the window are reported as expired.
    The window moves on and never back: events before it that are appended later are not seen
    either. Old files leave the disk with [bold]vacuum[/bold].

      uihlake retain shop --days 400 --dry-run

    Exit codes: 0 dropped, or there was nothing to drop; 1 failed; 2 wrong usage.
    """
    from uih_lake import Lake
    from uih_lake.lake.store import Store

    start = None if now is None else now.replace(tzinfo=now.tzinfo or UTC)
    if start is not None and start > datetime.now(UTC):
        raise typer.BadParameter(
            f"{start:%Y-%m-%d %H:%M:%S} UTC is in the future; it would drop what is younger than "
            f"{amount(days, 'day')}, for good",
            param_hint="--now",
        )
    dropped = Lake.open(lake).retain(days=days, now=start, dry_run=dry_run)
    window = Store.open(lake).retention_start
    text = f"{amount(sum(dropped.values()), 'event')} older than {amount(days, 'day')}"
    text = f"would drop {text}; nothing was changed" if dry_run else f"dropped {text}"
    if window is not None:
        text += f"\nthe lake retains events from {window:%Y-%m-%d %H:%M:%S} UTC on"
    facts = {
        "days": days,
        "dropped": dropped,
        "retained_from": window and window.isoformat(),
        "dry_run": dry_run,
    }
    terminal.report(text, facts, as_json)

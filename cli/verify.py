"""``uihlake verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def verify(
    terminal: Terminal,
    lake: options.Lake,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Resolve about N pointers, not all."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same seed takes the same sample.")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Prove that a lake is whole and its pointers good.

    Reads every page of every file, checks order, keys, buckets, lake versions and contents, and
    resolves every pointer and compares its length and digest. Expired and forgotten pointers are
    counted, and are no failure.

      uihlake verify shop
      uihlake verify shop --sample 10000 --json

    Exit codes: 0 all checks passed; 1 one failed; 2 wrong usage.
    """
    from uih_lake import Lake

    opened = Lake.open(lake)
    with terminal.progress("verifying") as progress:
        report = opened.verify(sample=sample, seed=seed, progress=progress)
    if as_json:
        terminal.report("", report.as_dict(), as_json)
    else:
        rows = [
            (
                check.name,
                f"{check.looked_at:,}",
                f"{check.failed:,} failed" if check.failed else "ok",
            )
            for check in report.checks
        ]
        counts = report.pointers
        known = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        with terminal.reporting():
            terminal.table(("check", "looked at", "result"), rows, right=(1, 2))
            terminal.tell(f"pointers: {known or 'none'}")
    for check in report.checks:
        for what in check.first_failures:
            terminal.say(f"{check.name}: {what}")
    if not report.passed:
        failed = sum(1 for check in report.checks if check.failed)
        terminal.say(f"{amount(failed, 'check')} failed")
        raise typer.Exit(1)

"""``uihlake info``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uih_lake.bytesize import size
from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount, span

if TYPE_CHECKING:
    from uih_lake.info import Info


def info(
    terminal: Terminal, lake: options.Lake, at: options.At = None, as_json: options.Json = False
) -> None:
    """Tell what a lake holds: versions, counts, bytes, columns.

    Counts are those of the lake version looked at; bytes are what the tables take on disk now,
    without files that wait for [bold]vacuum[/bold], which are told apart.
    Columns are listed as they are stored: _delay is the time from event_ts to arrival_ts, _tie the
    order among equal times, _fingerprint a hash that digests are made from.

      uihlake info shop
      uihlake info shop --json | jq .tables

    Exit codes: 0 told, 1 no lake or a broken one, 2 wrong usage.
    """
    from uih_lake import Lake

    facts = Lake.open(lake, version=at).info()
    if as_json:
        terminal.report("", facts.as_dict(), as_json)
        return
    terminal.table((), _overview(facts))
    tables = [(t.name, f"{t.files:,}", f"{t.rows:,}", size(t.bytes)) for t in facts.tables]
    terminal.table(("table", "files", "rows", "bytes"), tables, right=(1, 2, 3))
    columns = [
        (table.name, column.name, column.type, size(column.bytes))
        for table in facts.tables
        for column in table.columns
    ]
    terminal.table(("table", "column", "type", "bytes"), columns, right=(3,))


def _versions(facts: Info) -> str:
    if facts.lake_version < 0:
        return "none yet"
    sealed = (
        "nothing sealed" if facts.sealed_version < 0 else f"sealed up to {facts.sealed_version}"
    )
    return f"{facts.lake_version}, {sealed}"


def _overview(facts: Info) -> list[tuple[str, str]]:
    left = f", and {size(facts.unused_bytes)} left for vacuum" if facts.unused_bytes else ""
    tiers = f"{facts.sealed_events:,} sealed, {facts.recent_events:,} recent"
    rows = [
        ("lake", facts.lake),
        ("lake version", _versions(facts)),
        ("generation", str(facts.generation)),
        ("buckets", f"{facts.buckets:,}"),
        ("events", f"{facts.events:,} ({tiers}) of {amount(facts.users, 'user')}"),
        ("examples", f"{facts.examples:,}"),
        ("on disk", f"{size(facts.bytes)}{left}"),
    ]
    if facts.first_event and facts.last_event:
        rows.insert(5, ("event times", span(facts.first_event, facts.last_event)))
    if facts.retained_from:
        rows.insert(-2, ("retained from", f"{facts.retained_from:%Y-%m-%d %H:%M:%S} UTC"))
    return rows

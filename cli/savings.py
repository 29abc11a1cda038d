"""``uihlake savings``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.rawlog import RawLog
from uih_lake.cli.terminal import Terminal

if TYPE_CHECKING:
    from uih_lake.savings import Report


def savings(
    terminal: Terminal,
    lake: Annotated[
        str | None,
        typer.Argument(metavar="LAKE", help="Directory of the lake; not with --events."),
    ] = None,
    tenants: Annotated[
        list[str],
        typer.Option("--tenant", metavar="FILE", help="A tenant, a TOML file; give several."),
    ] = [],  # noqa: B006  typer copies it
    exact: Annotated[
        bool,
        typer.Option("--exact/--estimate", help="Write all fat rows, or a sample (the default)."),
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the sample.")] = 0,
    events: Annotated[
        list[str],
        typer.Option("--events", metavar="FILE", help="Raw events instead of a lake; repeatable."),
    ] = [],  # noqa: B006
    requests: Annotated[
        list[str], typer.Option("--requests", metavar="FILE", help="Raw requests; repeatable.")
    ] = [],  # noqa: B006
    user_id: options.UserId = "user_id",
    event_ts: Annotated[
        str, typer.Option(metavar="COL", help="Time column of raw events.")
    ] = "event_ts",
    arrival_ts: Annotated[
        str | None, typer.Option(metavar="COL", help="Arrival column of raw events.")
    ] = None,
    request_ts: Annotated[
        str, typer.Option(metavar="COL", help="Time column of raw requests.")
    ] = "request_ts",
    ts_unit: options.Unit = None,
    on_null_user: options.NullUser = options.OnNullUser.RAISE,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")
    ] = None,
    png: Annotated[
        str | None, typer.Option("--png", metavar="FILE", help="Draw a slide (needs matplotlib).")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="DIR", help="Keep the fat rows that were written."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE where it exists.")
    ] = False,
    per_day: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.001, help="Plan for N requests per user per day."),
    ] = None,
    plan_tenants: Annotated[
        int, typer.Option("--tenants", metavar="M", min=1, help="Plan for M tenants.")
    ] = 1,
    length: Annotated[
        int, typer.Option(metavar="S", min=1, help="Plan for the newest S events.")
    ] = 4096,
    days: Annotated[float, typer.Option(metavar="D", min=1, help="Plan for D days.")] = 30,
    users: Annotated[
        int | None, typer.Option(metavar="U", min=1, help="Plan for U users; default: as many.")
    ] = None,
    price_per_tb: Annotated[
        float | None, typer.Option(metavar="P", min=0, help="Price of a TB at rest.")
    ] = None,
    at: options.At = None,
    as_json: options.Json = False,
) -> None:
    """Tell what the lake saves against fat rows, or that it does not.

    The same training data as fat rows, a copy of the history in every row, is written beside it:
    in request order and clustered by user, each with the best settings found for it. With
    --estimate only a sample of them is, and the report says how sure it is. Bytes written, at rest,
    read in an epoch and decoded are compared, and how many requests per user it takes to pay.
    With --json every figure names the statement that gives it.

      uihlake savings shop --tenant ranker.toml --tenant short.toml --html savings.html
      uihlake savings --events 'log/*.parquet' --requests req.parquet --tenant ranker.toml
      uihlake savings shop --tenant ranker.toml --per-day 20 --length 16384 --price-per-tb 23

    Exit codes: 0 told, 1 refused or failed, 2 wrong usage.
    """
    if not tenants:
        raise typer.BadParameter("name at least one tenant", param_hint="--tenant")
    if (lake is None) == (not events) or bool(events) != bool(requests):
        raise typer.BadParameter("give either LAKE, or --events and --requests", param_hint="LAKE")
    raw = RawLog(
        events,
        requests,
        user_id=user_id,
        event_ts=event_ts,
        arrival_ts=arrival_ts,
        request_ts=request_ts,
        ts_unit=None if ts_unit is None else ts_unit.value,
        on_null_user=on_null_user.value,
    )

    from uih_lake import Tenant
    from uih_lake.savings import Plan
    from uih_lake.savings import savings as measure
    from uih_lake.savings.text import text

    plan = None
    if per_day is not None:
        plan = Plan(per_day, plan_tenants, length, days, users, price_per_tb)
    loaded = [Tenant.load(path) for path in tenants]
    with _lake(lake, raw, terminal) as path, terminal.progress("measuring") as progress:
        report = measure(
            path,
            loaded,
            exact=exact,
            seed=seed,
            plan=plan,
            keep=keep,
            version=at,
            progress=progress,
        )
    if lake is None:
        report = replace(report, lake=f"a lake made of {', '.join(events)}")
    _draw(report, html, png, overwrite, terminal)
    terminal.report(text(report), report.as_dict(), as_json)


@contextmanager
def _lake(lake: str | None, raw: RawLog, terminal: Terminal) -> Iterator[str]:
    """The lake, or one made of raw logs that is gone afterwards."""
    if lake is not None:
        yield lake
        return
    with TemporaryDirectory(prefix="uihlake-savings-") as place:
        with terminal.progress("reading the logs") as progress:
            raw.fill(place, progress)
        yield place


def _draw(
    report: Report, html: str | None, png: str | None, overwrite: bool, terminal: Terminal
) -> None:
    from uih_lake import output

    if html is not None:
        from uih_lake.savings.page import page

        with output.writing(html, overwrite=overwrite) as file:
            file.write(page(report).encode())
        terminal.say(f"wrote {html}")
    if png is not None:
        from uih_lake.savings.slide import slide

        with output.writing(png, overwrite=overwrite) as file:
            file.write(slide(report))
        terminal.say(f"wrote {png}")

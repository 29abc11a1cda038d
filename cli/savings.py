"""``uihlake savings``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from uih_lake.cli import options
from uih_lake.cli.rawlog import RawLog
from uih_lake.cli.terminal import Terminal

if TYPE_CHECKING:
    from uih_lake.savings import Plan, Report

Lake = Annotated[
    str | None,
    typer.Argument(metavar="LAKE", help="Directory of the lake; not with --events."),
]
Tenants = Annotated[
    list[str],
    typer.Option("--tenant", metavar="FILE", help="A tenant, a TOML file; give several."),
]
Exact = Annotated[
    bool,
    typer.Option("--exact/--estimate", help="Write all fat rows, or a sample (the default)."),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the sample.")]
Events = Annotated[
    list[str],
    typer.Option("--events", metavar="FILE", help="Raw events instead of a lake; repeatable."),
]
Requests = Annotated[
    list[str], typer.Option("--requests", metavar="FILE", help="Raw requests; repeatable.")
]
EventTs = Annotated[str, typer.Option(metavar="COL", help="Time column of raw events.")]
ArrivalTs = Annotated[str | None, typer.Option(metavar="COL", help="Arrival column of raw events.")]
RequestTs = Annotated[str, typer.Option(metavar="COL", help="Time column of raw requests.")]
Html = Annotated[
    str | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")
]
Png = Annotated[
    str | None, typer.Option("--png", metavar="FILE", help="Draw a slide (needs matplotlib).")
]
Keep = Annotated[
    str | None,
    typer.Option("--keep", metavar="DIR", help="Keep the fat rows that were written."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace FILE, and fat rows in DIR, where they exist.")
]
PerDay = Annotated[
    float | None,
    typer.Option(metavar="N", min=0.001, help="Plan for N requests per user per day."),
]
PlanTenants = Annotated[
    int, typer.Option("--tenants", metavar="M", min=1, help="Plan for M tenants.")
]
Length = Annotated[int, typer.Option(metavar="S", min=1, help="Plan for the newest S events.")]
Days = Annotated[float, typer.Option(metavar="D", min=1, help="Plan for D days.")]
Users = Annotated[
    int | None, typer.Option(metavar="U", min=1, help="Plan for U users; default: as many.")
]
Price = Annotated[float | None, typer.Option(metavar="P", min=0, help="Price of a TB at rest.")]

_OF_RAW_FILES = {
    "--user-id": "user_id",
    "--event-ts": "event_ts",
    "--arrival-ts": "arrival_ts",
    "--request-ts": "request_ts",
    "--ts-unit": "ts_unit",
    "--on-null-user": "on_null_user",
}
"""Options that speak of raw files, and their parameters."""
_OF_A_LAKE = {"--at": "at"}
"""Options that speak of a lake that is there, and their parameters."""
_OF_A_PLAN = {
    "--tenants": "plan_tenants",
    "--length": "length",
    "--days": "days",
    "--users": "users",
    "--price-per-tb": "price_per_tb",
}
"""Options that speak of a plan, and their parameters."""


def savings(
    terminal: Terminal,
    lake: Lake = None,
    tenants: Tenants = [],  # noqa: B006  typer copies it
    exact: Exact = False,
    seed: Seed = 0,
    events: Events = [],  # noqa: B006
    requests: Requests = [],  # noqa: B006
    user_id: options.UserId = "user_id",
    event_ts: EventTs = "event_ts",
    arrival_ts: ArrivalTs = None,
    request_ts: RequestTs = "request_ts",
    ts_unit: options.Unit = None,
    on_null_user: options.NullUser = options.OnNullUser.RAISE,
    html: Html = None,
    png: Png = None,
    keep: Keep = None,
    overwrite: Overwrite = False,
    per_day: PerDay = None,
    plan_tenants: PlanTenants = 1,
    length: Length = 4096,
    days: Days = 30,
    users: Users = None,
    price_per_tb: Price = None,
    at: options.At = None,
    as_json: options.Json = False,
) -> None:
    """Tell what the lake saves against fat rows, or that it does not.

    A sample of the same training data as fat rows, a copy of the history in every row, is written
    beside it: in request order and clustered by user, with zstd at level 9 and the smallest
    encoding of each column. The report says how sure that makes it; with --exact all fat rows are
    written. Bytes written, at rest, read in an epoch and decoded are compared, and how many
    requests per user it takes to pay.
    With --json every figure names the statement that gives it.

      uihlake savings shop --tenant ranker.toml --tenant short.toml \\
          --html savings.html
      uihlake savings --events 'log/*.parquet' --requests req.parquet \\
          --tenant ranker.toml
      uihlake savings shop --tenant ranker.toml --per-day 20 --length 16384 \\
          --price-per-tb 23

    Exit codes: 0 told, 1 refused or failed, 2 wrong usage.
    """
    given = locals()
    if not tenants:
        raise typer.BadParameter("name at least one tenant", param_hint="--tenant")
    if (lake is None) == (not events) or bool(events) != bool(requests):
        raise typer.BadParameter("give either LAKE, or --events and --requests", param_hint="LAKE")
    if lake is not None:
        _refuse_idle(_OF_RAW_FILES, given, "--events and --requests")
    else:
        _refuse_idle(_OF_A_LAKE, given, "LAKE")
    if per_day is None:
        _refuse_idle(_OF_A_PLAN, given, "--per-day")
    unit = None if ts_unit is None else ts_unit.value
    columns = (user_id, event_ts, arrival_ts, request_ts, unit, on_null_user.value)
    source = Source(lake, RawLog(events, requests, *columns), at)
    planned = None
    if per_day is not None:
        planned = _plan(per_day, plan_tenants, length, days, users, price_per_tb)
    pictures = Pictures(html, png, overwrite, lake)
    pictures.check()
    report = _measured(terminal, source, tenants, exact, seed, planned, keep, overwrite)
    pictures.draw(report, terminal)

    from uih_lake.savings.text import text

    terminal.report(text(report), report.as_dict(), as_json)


def _refuse_idle(options: Mapping[str, str], given: Mapping[str, Any], missing: str) -> None:
    """Refuse an option that would change nothing, for want of others."""
    for option, name in options.items():
        if given[name] != signature(savings).parameters[name].default:
            raise typer.BadParameter(f"it says nothing without {missing}", param_hint=option)


@dataclass(frozen=True)
class Source:
    """A lake, as of lake version ``at``, or a raw log to make one of."""

    lake: str | None
    raw: RawLog
    at: int | None

    @contextmanager
    def opened(self, terminal: Terminal) -> Iterator[str]:
        """Where the lake is; one made of a raw log is gone afterwards."""
        if self.lake is not None:
            yield self.lake
            return
        with TemporaryDirectory(prefix="uihlake-savings-") as place:
            with terminal.progress("reading the logs") as progress:
                self.raw.fill(place, progress)
            yield place

    def named(self, report: Report) -> Report:
        """The report, which does not name a lake that is gone."""
        if self.lake is not None:
            return report
        return replace(report, lake=f"a lake made of {', '.join(self.raw.events)}")


def _plan(
    per_day: float, tenants: int, length: int, days: float, users: int | None, price: float | None
) -> Plan:
    from uih_lake.savings import Plan

    return Plan(per_day, tenants, length, days, users, price)


def _measured(
    terminal: Terminal,
    source: Source,
    tenants: list[str],
    exact: bool,
    seed: int,
    plan: Plan | None,
    keep: str | None,
    overwrite: bool,
) -> Report:
    from uih_lake import Tenant
    from uih_lake.savings import savings as measure

    loaded = [Tenant.load(path) for path in tenants]
    with source.opened(terminal) as path, terminal.progress("measuring") as progress:
        report = measure(
            path,
            loaded,
            exact=exact,
            seed=seed,
            plan=plan,
            keep=keep,
            overwrite=overwrite,
            version=source.at,
            progress=progress,
        )
    return source.named(report)


@dataclass(frozen=True)
class Pictures:
    """The files that a report is drawn into, each of them only where it is asked for."""

    html: str | None
    png: str | None
    overwrite: bool
    lake: str | None

    def check(self) -> None:
        """Refuse what cannot be drawn, before anything is measured."""
        from uih_lake import output
        from uih_lake.savings import slide

        html, png = self.html, self.png
        if html is not None and png is not None and Path(html).resolve() == Path(png).resolve():
            raise typer.BadParameter(f"{png} is the file of --html too", param_hint="--png")
        if png is not None:
            slide.check()
        for path in filter(None, (html, png)):
            output.check_writing(path, overwrite=self.overwrite, lake=self.lake)
        if png is not None and not png.lower().endswith(".png"):
            raise typer.BadParameter(f"{png} does not end in .png", param_hint="--png")

    def draw(self, report: Report, terminal: Terminal) -> None:
        """Write the files, and say so."""
        from uih_lake import output
        from uih_lake.savings import page, slide

        drawn = {}
        if self.html is not None:
            drawn[self.html] = page.page(report).encode()
        if self.png is not None:
            drawn[self.png] = slide.slide(report)
        for path, data in drawn.items():
            with output.writing(path, overwrite=self.overwrite, lake=self.lake) as file:
                file.write(data)
            terminal.say(f"wrote {path}")

"""The report as one page: charts with a table behind each, and the statements behind it all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from html import escape
from typing import Any

from uih_lake.bytesize import size
from uih_lake.savings import charts
from uih_lake.savings.charts import Axis, Bar, Line
from uih_lake.savings.figures import Figure
from uih_lake.savings.report import Report, TenantFacts
from uih_lake.savings.style import STYLE
from uih_lake.savings.text import LAYOUTS, heading, overview, percent, verdicts
from uih_lake.schema import EPOCH

_LAKE, _SERIES = 0, {layout: place for place, layout in enumerate(LAYOUTS, 1)}
_DECADES = {0.0001: "0.01%", 0.001: "0.1%", 0.01: "1%", 0.1: "10%", 1.0: "100%"} | {
    float(10**n): f"{10**n:,}x" for n in range(1, 7)
}
_DATES = 6
"""Dates along an axis, at most: so many have room beside each other."""


def page(report: Report) -> str:
    """A self-contained HTML page."""
    name = escape(heading(report))
    body = [
        f"<h1>{name}</h1>",
        f'<p class="faint">{escape(overview(report))}</p>',
        *(part for facts in report.tenants for part in _tenant(report, facts)),
        *_together(report),
        *_plan(report),
        *_histories(report),
        *_redundancy(report),
        *_statements(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{name}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{chr(10).join(body)}\n</body>\n</html>\n"
    )


def _tenant(report: Report, facts: TenantFacts) -> Iterator[str]:
    yield f"<h2>Tenant {escape(facts.name)}</h2>"
    for layout, told in zip(LAYOUTS, verdicts(report, facts), strict=True):
        found = facts.verdict[layout]
        style = "verdict" if found.pays_at_rest and found.pays_read else "verdict no"
        yield f'<p class="{style}">{escape(" ".join(told.split()))}</p>'
    yield from _bytes(report, facts)
    yield from _lengths(facts)
    for layout in LAYOUTS:
        yield from _map(facts, layout)


def _bytes(report: Report, facts: TenantFacts) -> Iterator[str]:
    lake, epoch = report.footprint, facts.lake
    kinds = {
        "at rest": (lake.history.value + lake.examples.value, "at_rest"),
        "read per epoch": (epoch.primary.value + epoch.lookup.value, "read"),
        "decoded": (epoch.decoded_primary.value + epoch.decoded_lookup.value, "decoded"),
    }
    for kind, (mine, field) in kinds.items():
        rows = [Bar("uih_lake", mine, 0, _LAKE)]
        for layout, name in LAYOUTS.items():
            figure: Figure = getattr(facts.fat[layout], field)
            margin = 0 if figure.high is None else figure.high - figure.value
            rows.append(Bar(f"fat rows {name}", figure.value, margin, _SERIES[layout]))
        yield f"<h3>Bytes {kind}</h3>"
        yield from _compared(f"Bytes {kind} of tenant {facts.name}", rows)


def _compared(title: str, rows: Sequence[Bar]) -> Iterator[str]:
    """Bars, the lake's the first, and their table."""
    mine, estimated = rows[0].value, any(bar.margin for bar in rows)
    yield charts.bars(title, rows, size)
    yield _table(
        ("kept as", "bytes", *(["± (95%)"] if estimated else []), "uih_lake takes"),
        (
            (
                bar.label,
                f"{bar.value:,.0f}",
                *([f"{bar.margin:,.0f}"] if estimated else []),
                percent(mine / bar.value),
            )
            for bar in rows
            if bar.value
        ),
    )


def _lengths(facts: TenantFacts) -> Iterator[str]:
    drawn, rows = [], []
    longest = _longest(facts)
    for layout, name in LAYOUTS.items():
        found = [p for p in facts.by_length[layout] if p["max_len"] <= longest]
        for what, dashed in (("at_rest", False), ("read", True)):
            label = f"{what.replace('_', ' ')}, {name}"
            points = [(p["max_len"], p[what]) for p in found]
            drawn.append(Line(label, points, _SERIES[layout], dashed))
        rows += [
            (
                name,
                f"{point['max_len']:,.0f}",
                f"{point['referenced']:,.0f}",
                percent(point["at_rest"]),
                percent(point["read"]),
            )
            for point in found
        ]
    ticks = [(p["max_len"], _length(p["max_len"])) for p in found]
    yield "<h3>Savings against sequence length</h3>"
    yield (
        '<p class="faint">What the lake takes, in percent of fat rows of the newest so many events '
        "with the traits of this tenant; projected from measured bytes per event. Below the dotted "
        "line it pays.</p>"
    )
    if longest < facts.by_length["request_order"][-1]["max_len"]:
        yield (
            f'<p class="faint">No history is longer than {_length(longest)} events: the charts of '
            "lengths end there.</p>"
        )
    across = Axis("newest events in a sequence", ticks)
    rule = (1.0, "break-even, 100%")
    up = _decades([y for line in drawn for _, y in line.points])
    yield charts.lines("Savings against sequence length", drawn, across, up, rule)
    yield _table(("against fat rows", "length", "events referenced", "at rest", "read"), rows)


def _longest(facts: TenantFacts) -> int:
    """The first of the lengths that no history exceeds: longer sequences would hold the same."""
    points = facts.by_length["request_order"]
    whole = points[-1]["referenced"]
    return next(int(point["max_len"]) for point in points if point["referenced"] == whole)


def _decades(shares: Sequence[float]) -> Axis:
    """Powers of ten around all shares, and one on either side of break-even."""
    low, high = min([*shares, 0.1]), max([*shares, 10])
    below = [at for at in _DECADES if at <= low] or [min(_DECADES)]
    above = [at for at in _DECADES if at >= high] or [max(_DECADES)]
    ticks = [(at, name) for at, name in _DECADES.items() if max(below) <= at <= min(above)]
    return Axis("bytes of uih_lake, % of fat rows", ticks)


def _map(facts: TenantFacts, layout: str) -> Iterator[str]:
    cells: dict[float, dict[float, float]] = {}
    longest = _longest(facts)
    for point in (p for p in facts.break_even_map[layout] if p["max_len"] <= longest):
        cells.setdefault(point["max_len"], {})[point["per_user"]] = point["at_rest"]
    across = [f"{per_user:g}" for per_user in next(iter(cells.values()))]
    shares = [list(row.values()) for row in cells.values()]
    name = LAYOUTS[layout]
    yield f"<h3>Where it pays at rest, against fat rows {name}</h3>"
    yield (
        '<p class="faint">Bytes of the lake in percent of fat rows, projected.'
        '<span class="key" style="background:var(--pays)"></span>it pays'
        '<span class="key" style="background:var(--loses)"></span><b>it does not</b></p>'
    )
    down = [_length(length) for length in cells]
    axes = ("requests per user", "length")
    title = f"Break-even map against fat rows {name}"
    yield charts.heat(title, across, down, shares, _short, axes)
    rows = [(length, *map(percent, row)) for length, row in zip(down, shares, strict=True)]
    yield _table(("length \\ requests per user", *across), rows)


def _together(report: Report) -> Iterator[str]:
    """All tenants at once, where there are several: a fat table each, or one for all."""
    if report.union is None:
        return
    yield "<h2>All tenants together</h2>"
    lake, union = report.footprint, report.union
    mine = {
        "at rest": lake.history.value + lake.examples.value,
        "read": sum(t.lake.primary.value + t.lake.lookup.value for t in report.tenants),
    }
    for kind, total in mine.items():
        rows = [Bar("uih_lake", total, 0, _LAKE)]
        for layout, name in LAYOUTS.items():
            if kind == "at rest":
                each = sum(t.fat[layout].at_rest.value for t in report.tenants)
                one: float = union.fat[layout].at_rest.value
            else:
                each = sum(t.fat[layout].read.value for t in report.tenants)
                one = sum(union.read[t.name][layout].value for t in report.tenants)
            rows.append(Bar(f"a table each, {name}", each, 0, _SERIES[layout]))
            rows.append(Bar(f"one for all, {name}", one, 0, _SERIES[layout]))
        told = kind if kind == "at rest" else "read, one epoch of each tenant"
        yield f"<h3>Bytes {told}</h3>"
        yield from _compared(f"Bytes {kind} of all tenants", rows)


def _plan(report: Report) -> Iterator[str]:
    """The projection, where one was asked for."""
    if report.plan is None:
        return
    kept = report.plan["kept_as"]
    yield "<h2>Plan</h2>"
    yield f"<p>{escape(report.plan['told'])}</p>"
    names = {"uih_lake": ("uih_lake", _LAKE)} | {
        f"{layout}{ending}": (f"{told}, {name}", _SERIES[layout])
        for layout, name in LAYOUTS.items()
        for ending, told in (("", "a table each"), ("_union", "one for all"))
    }
    for field, told in (("at_rest", "at rest"), ("read_per_epoch", "read per epoch")):
        yield f"<h3>Bytes {told}, as planned</h3>"
        rows = [Bar(name, kept[key][field], 0, series) for key, (name, series) in names.items()]
        yield from _compared(f"Bytes {told}, as planned", rows)


def _histories(report: Report) -> Iterator[str]:
    yield "<h2>How long histories are</h2>"
    rows = [(_length(found["at_least"]), found["users"]) for found in report.histories]
    yield charts.columns("Users by length of history", rows, "events, from ... on", "users")
    yield _table(
        ("events, from", "users", "events in all"),
        ((f"{f['at_least']:,}", f"{f['users']:,}", f"{f['events']:,}") for f in report.histories),
    )


def _redundancy(report: Report) -> Iterator[str]:
    yield "<h2>Redundancy over time</h2>"
    yield (
        '<p class="faint">How often the fat rows of one day of requests hold each event of it.</p>'
    )
    drawn = [
        Line(
            facts.name,
            [
                (day["day"], day["referenced"] / day["distinct"])
                for day in facts.daily
                if day["distinct"]
            ],
            place,
            dashed=place % 2 == 1,
        )
        for place, facts in enumerate(report.tenants[:4])
    ]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        yield "<p>No sequence holds an event.</p>"
        return
    days = sorted({x for line in drawn for x, _ in line.points})
    gaps = min(_DATES, len(days)) - 1 or 1
    some = dict.fromkeys(days[round(n * (len(days) - 1) / gaps)] for n in range(gaps + 1))
    ends = [(day, _date(day)) for day in some]
    most = max(y for line in drawn for _, y in line.points)
    step = max(1, round(most / 5))
    levels = [(float(n), f"{n}x") for n in range(0, int(most) + 2 * step, step)]
    across, up = Axis("day of the request", ends, log=False), Axis("copies", levels, log=False)
    yield charts.lines("Redundancy over time", drawn, across, up)
    yield _table(
        ("day", "tenant", "events referenced", "different ones", "redundancy"),
        (
            (
                _date(day["day"]),
                facts.name,
                f"{day['referenced']:,}",
                f"{day['distinct']:,}",
                f"{day['referenced'] / max(day['distinct'], 1):.2f}x",
            )
            for facts in report.tenants
            for day in facts.daily
        ),
    )


def _statements(report: Report) -> Iterator[str]:
    """Each statement once, with what it gave."""
    yield "<h2>Where the figures come from</h2>"
    found: dict[tuple[str, str], list[str]] = {}
    for path, figure in _figures(report.as_dict(), ""):
        run = (f"{figure['statement']}.sql, in {figure['run_in']}", figure["sql"])
        found.setdefault(run, []).append(f"{path} = {figure['value']:,.0f}")
    for (name, sql), values in found.items():
        yield (
            f"<details><summary>{escape('; '.join(values))}</summary>"
            f"<p>sql/{escape(name)}</p><pre>{escape(sql)}</pre></details>"
        )


def _figures(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if "statement" in value and "sql" in value:
            yield path, value
            return
        for key, each in value.items():
            yield from _figures(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for each in value:
            name = each.get("name", "") if isinstance(each, dict) else ""
            yield from _figures(each, f"{path}.{name}")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    cells = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        '<details><summary>Table</summary><div class="scroll"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div></details>"
    )


def _length(events: float) -> str:
    """``256``, ``4K``."""
    return f"{events / 1024:g}K" if events >= 1024 and events % 1024 == 0 else f"{events:g}"


def _short(share: float) -> str:
    """A share in a cell."""
    if share >= 9.95:
        return f"{share:,.0f}x" if share < 10_000 else ">9999x"
    return f"{share:.0%}" if share >= 0.0095 else f"{share:.1%}"


def _date(day: float) -> str:
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"

"""The report as text, 80 columns wide, in the form of the table of the paper."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from uih_lake.bytesize import size
from uih_lake.savings.figures import Figure
from uih_lake.savings.footprint import Footprint
from uih_lake.savings.report import Report, TenantFacts, UnionFacts, Verdict

WIDTH: Final = 80
LAYOUTS: Final = {
    "request_order": "in request order",
    "clustered_by_user": "clustered by user",
}
_TIMES: Final = 10
"""From so many times the bytes on, a share is told as a multiple."""
_MANY: Final = 10**7
"""From so much on, a price is told in three digits: with all of them it would fill its column."""
_HEAD = f"{'':26}{'uih_lake':>12}{'fat rows in':>21}{'fat rows clustered':>21}"
_HEAD_2 = f"{'':26}{'':12}{'request order':>21}{'by user':>21}"


def text(report: Report) -> str:
    """The whole report."""
    head = [*_wrapped(heading(report)), *_wrapped(overview(report))]
    blocks = [head, *(_tenant(report, facts) for facts in report.tenants)]
    if report.union is not None:
        blocks.append(_together(report, report.union))
    if report.plan is not None:
        blocks.append(plan_table(report.plan))
    return "\n\n".join("\n".join(block) for block in blocks)


def percent(share: float) -> str:
    """A share: ``0.74%``, ``27.4%``, ``182%``, ``31x`` from tenfold on."""
    if share == float("inf"):
        return "more"
    if share >= _TIMES:
        return f"{share:,.0f}x"
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}" if share < 1 else f"{share:.0%}"


def heading(report: Report) -> str:
    """What the report is about."""
    return f"Savings of {report.lake}, lake version {report.lake_version}"


def overview(report: Report) -> str:
    """What was compared, and how."""
    measured = all(fat.exact for facts in report.tenants for fat in facts.fat.values())
    how = (
        "Fat rows were written in full and measured."
        if measured
        else "Fat rows are estimated from a written sample; ± is with 95% confidence."
    )
    rows, users = report.rows.value, max(report.users.value, 1)
    return (
        f"{report.events.value:,} events of {report.event_users.value:,} users; "
        f"{rows:,} examples of {users:,} users, {rows / users:,.1f} each. {how}"
    )


def _tenant(report: Report, facts: TenantFacts) -> list[str]:
    return [
        *_title(f"Tenant {facts.name}"),
        f"{'group':26}{'events referenced':>20}{'different ones':>17}{'redundancy':>14}",
        *(
            f"{_cut(g.name, 25):26}{g.referenced.value:>20,}{g.distinct.value:>17,}"
            f"{g.redundancy:>13,.1f}x"
            for g in facts.groups
        ),
        "",
        *_bytes(report.footprint, facts),
        "",
        *_left(facts.verdict),
        "",
        *(line for told in verdicts(report, facts) for line in _wrapped(told, "  ")),
    ]


def _bytes(lake: Footprint, facts: TenantFacts) -> Iterator[str]:
    fat = [facts.fat[layout] for layout in LAYOUTS]
    epoch = facts.lake
    yield _HEAD
    yield _HEAD_2
    stored = [each.at_rest for each in fat]
    yield _row("written", _sum(lake.written_examples, lake.written_history), stored)
    yield _row("  examples", lake.written_examples)
    yield _row("  history, sealing too", lake.written_history)
    yield _row("at rest", _sum(lake.examples, lake.history), stored)
    yield _row("  examples", lake.examples)
    yield _row("    of it pointers", lake.pointers)
    yield _row("  history, all traits", lake.history)
    read = [each.read for each in fat]
    yield _row("read per epoch", _sum(epoch.primary, epoch.lookup), read)
    yield _row("  primary", epoch.primary)
    yield _row(f"  look-up, {epoch.row_groups.value:,} row groups", epoch.lookup)
    decoded = [each.decoded for each in fat]
    yield _row("decoded", _sum(epoch.decoded_primary, epoch.decoded_lookup), decoded)


def _left(verdict: Mapping[str, Verdict]) -> Iterator[str]:
    """The form of the paper: what is left of the bytes of fat rows."""
    yield f"{'left of fat rows':38}{'in request order':>21}{'clustered by user':>21}"
    wanted = {
        "primary write": "primary_written",
        "write, history too": "written",
        "primary read": "primary_read",
        "look-up": "lookup",
        "read, total left": "read",
        "at rest, total left": "at_rest",
    }
    for name, field in wanted.items():
        shares = (percent(getattr(verdict[layout], field)) for layout in LAYOUTS)
        yield f"{name:38}" + "".join(f"{share:>21}" for share in shares)


def verdicts(report: Report, facts: TenantFacts) -> Iterator[str]:
    """Whether it pays, a paragraph for each layout."""
    each = report.rows.value / max(report.users.value, 1)
    for layout, name in LAYOUTS.items():
        found = facts.verdict[layout]
        lines = [
            _verdict("at rest", found.at_rest, found.break_even_at_rest),
            _verdict("read", found.read, found.break_even_read),
        ]
        yield f"Against fat rows {name}: {'; '.join(lines)}. This log has {each:,.1f} per user."


def _verdict(what: str, share: float, at_least: int | None) -> str:
    if share < 1:
        told = f"{what} it pays, {percent(share)} of the bytes are left"
    else:
        of = "the" if share >= _TIMES else "of the"
        told = f"{what} it does NOT pay, it takes {percent(share)} {of} bytes"
    if at_least is None:
        return f"{told}, and more requests per user would not change that"
    return f"{told} (it pays from {_requests(at_least)} per user on)"


def _requests(count: int) -> str:
    return f"{count:,} request" + ("" if count == 1 else "s")


def _together(report: Report, union: UnionFacts) -> list[str]:
    """All tenants: each with fat rows of its own, or all on one union table."""
    lake = report.footprint
    at_rest = lake.history.value + lake.examples.value
    read = sum(t.lake.primary.value + t.lake.lookup.value for t in report.tenants)
    own = {x: [t.fat[x] for t in report.tenants] for x in LAYOUTS}
    own_rest = [sum(f.at_rest.value for f in own[x]) for x in LAYOUTS]
    own_read = [sum(f.read.value for f in own[x]) for x in LAYOUTS]
    shared = [union.fat[x].at_rest for x in LAYOUTS]
    shared_read = [sum(union.read[t.name][x].value for t in report.tenants) for x in LAYOUTS]
    lines = [
        *_title("All tenants together"),
        _HEAD,
        _HEAD_2,
        _plain_row("at rest, a table each", at_rest, own_rest),
        _plain_row("at rest, one union table", at_rest, [f.value for f in shared]),
        _plain_row("read, a table each", read, own_read),
        _plain_row("read, one union table", read, shared_read),
    ]
    for facts in report.tenants:
        one = facts.lake.primary.value + facts.lake.lookup.value
        theirs = [union.read[facts.name][x].value for x in LAYOUTS]
        lines.append(_plain_row(_cut(f"  {facts.name}", 26), one, theirs))
    lines.append("")
    for place, name in enumerate(LAYOUTS.values()):
        told = [
            f"{what} {'pays' if mine < theirs else 'does NOT pay'} ({percent(mine / theirs)})"
            for what, mine, theirs in (
                ("at rest, a table each,", at_rest, own_rest[place]),
                ("at rest, one union table,", at_rest, shared[place].value),
                ("reading the union", read, shared_read[place]),
            )
        ]
        lines += _wrapped(f"Against fat rows {name}: {'; '.join(told)}.", "  ")
    return lines


def plan_table(plan: Mapping[str, object]) -> list[str]:
    """What a plan comes to, by who keeps it."""
    kept = plan["kept_as"]
    assert isinstance(kept, Mapping)
    named = {
        "uih_lake": "uih_lake",
        "request_order": "fat rows in request order",
        "request_order_union": "  one table for all",
        "clustered_by_user": "fat rows clustered by user",
        "clustered_by_user_union": "  one table for all",
    }
    priced = "price_at_rest" in kept["uih_lake"]
    head = f"{'':28}{'at rest':>13}{'written/day':>13}{'read/epoch':>13}"
    lines = [
        *_title("Plan"),
        *_wrapped(f"{plan['told']}"),
        "",
        head + (f"{'price':>13}" if priced else ""),
    ]
    for key, name in named.items():
        found = kept[key]
        lines.append(
            f"{name:28}{size(found['at_rest']):>13}{size(found['written_per_day']):>13}"
            f"{size(found['read_per_epoch']):>13}"
            + (f"{_price(found['price_at_rest']):>13}" if priced else "")
        )
    return lines


def _price(value: float) -> str:
    """Two decimals, or two digits of what is less than that shows; of very much, three digits."""
    if 0 < value < 0.0001:
        return "< 0.0001"
    if value >= _MANY:
        return f"{value:.3g}"
    return f"{value:,.2f}" if value >= 0.1 or not value else f"{value:.2g}"


def _sum(*figures: Figure) -> float:
    return sum(map(float, figures))


def _row(name: str, lake: Figure | float, fat: list[Figure] | None = None) -> str:
    cells = "".join(f"{_told(figure):>21}" for figure in fat or [])
    return f"{name:26}{size(float(lake)):>12}{cells}"


def _plain_row(name: str, lake: float, fat: list[float]) -> str:
    return f"{name:26}{size(lake):>12}" + "".join(f"{size(each):>21}" for each in fat)


def _told(figure: Figure) -> str:
    """Bytes, with the margin of an estimate."""
    if figure.high is None or not figure.value:
        return size(figure.value)
    return f"{size(figure.value)} ±{(figure.high - figure.value) / figure.value:.1%}"


def _title(name: str) -> list[str]:
    shown = _cut(name, WIDTH)
    return [shown, "-" * len(shown)]


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def _wrapped(told: str, indent: str = "") -> list[str]:
    return textwrap.wrap(told, WIDTH, subsequent_indent=indent, break_on_hyphens=False)

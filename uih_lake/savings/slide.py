"""The report as a picture for a slide."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from uih_lake.bytesize import size
from uih_lake.errors import UihError
from uih_lake.savings.report import Report
from uih_lake.savings.text import LAYOUTS, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072b2", "#d55e00", "#1f4d2b")


def slide(report: Report) -> bytes:
    """A PNG, 1920 by 1080: bytes at rest and read per epoch of each tenant, by layout.

    Raises as :func:`check`.
    """
    check()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.8, 7.2), dpi=150, layout="constrained")
    title = f"Bytes of {report.lake} (in brackets: what uih_lake takes of them)"
    figure.suptitle("\n".join(wrap(title, 90)), fontsize=16, parse_math=False)
    left, right = figure.subplots(1, 2)
    lake = report.footprint
    at_rest = [lake.history.value + lake.examples.value] * len(report.tenants)
    read = [t.lake.primary.value + t.lake.lookup.value for t in report.tenants]
    _draw(left, "at rest", report, at_rest, "at_rest")
    _draw(right, "read per epoch", report, read, "read")
    handles, layouts = left.get_legend_handles_labels()
    figure.legend(handles, layouts, loc="outside lower center", ncols=3, fontsize=12)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def check() -> None:
    """Raise :class:`UihError` where matplotlib, which draws the slide, is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UihError(
            "a slide needs matplotlib", hint="pip install 'uih_lake[plots]', or take --html"
        ) from error


def _draw(axes: Axes, title: str, report: Report, mine: Sequence[float], field: str) -> None:
    """Three bars per tenant: the lake's bytes, and those of fat rows in ``field``."""
    series = {"uih_lake": mine} | {
        f"fat rows {name}": [getattr(t.fat[layout], field).value for t in report.tenants]
        for layout, name in LAYOUTS.items()
    }
    for place, (name, values) in enumerate(series.items()):
        spots = [number + (place - 1) * 0.27 for number in range(len(values))]
        drawn = axes.bar(spots, values, 0.25, label=name, color=_COLOURS[place])
        told = [
            size(value) if values is mine else f"{size(value)}\n({percent(own / value)})"
            for value, own in zip(values, mine, strict=True)
        ]
        axes.bar_label(drawn, told, fontsize=9, padding=2)
    room = max(8, 40 // len(report.tenants))  # characters of a name that have room
    names = ["\n".join(wrap(t.name, room)) for t in report.tenants]
    axes.set_title(title, fontsize=15)
    axes.set_xticks(range(len(names)), names, fontsize=12, parse_math=False)
    axes.set_yticks([])
    axes.margins(y=0.12)
    axes.spines[["top", "right", "left"]].set_visible(False)

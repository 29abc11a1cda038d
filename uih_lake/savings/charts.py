"""Charts as inline SVG, drawn by hand: no library, no script, no network.

Colours are classes that the page styles, for light and dark. Nothing is told by colour alone: lines
differ in marker and dash, and every value can be read as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 34, 46
_MARKERS = ("circle", "square", "triangle", "diamond")


@dataclass(frozen=True)
class Bar:
    """A bar: its label, value, margin on either side, and which series it is."""

    label: str
    value: float
    margin: float
    series: int


@dataclass(frozen=True)
class Line:
    """A line of points (x, y), its name, which series it is, and whether it is dashed."""

    name: str
    points: Sequence[tuple[float, float]]
    series: int
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """Ticks of an axis with their texts, its title, and whether it is logarithmic."""

    title: str
    ticks: Sequence[tuple[float, str]]
    log: bool = True

    def place(self, value: float, start: float, stop: float) -> float:
        """Where ``value`` lies between two pixels; values outside go to the edge."""
        low, high = self._scale(self.ticks[0][0]), self._scale(self.ticks[-1][0])
        part = (self._scale(value) - low) / ((high - low) or 1)
        return start + (stop - start) * min(max(part, 0), 1)

    def _scale(self, value: float) -> float:
        return math.log(max(value, 1e-12)) if self.log else value


def bars(title: str, rows: Sequence[Bar], told: Callable[[float], str]) -> str:
    """Horizontal bars, each with its value written at its end."""
    left, step = 232, 30
    room = WIDTH - left - 132
    largest = max((bar.value + bar.margin for bar in rows), default=0) or 1
    parts = []
    for place, bar in enumerate(rows):
        y = 12 + place * step
        width = max(1.0, bar.value / largest * room)
        parts.append(_text(left - 8, y + 15, bar.label, "end"))
        parts.append(_rect(left, y, width, step - 9, f"fill s{bar.series}"))
        end = left + width
        reach = bar.margin / largest * room
        if reach >= 1:  # less than a pixel is no thicker than the end of the bar
            parts += _margin(end, reach, y + (step - 9) / 2)
            end += reach
        parts.append(_text(end + 6, y + 15, told(bar.value), "start", "value"))
    return _svg(title, len(rows) * step + 20, parts)


def columns(title: str, rows: Sequence[tuple[str, float]], across: str, up: str) -> str:
    """Vertical bars with their values above them."""
    height = 260
    floor = height - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / max(len(rows), 1)
    largest = max((value for _, value in rows), default=0) or 1
    parts = [_text(LEFT - 40, TOP - 16, up), _text(WIDTH / 2, height - 6, across, "middle")]
    for place, (label, value) in enumerate(rows):
        x = LEFT + place * step
        tall = value / largest * (floor - TOP)
        parts.append(_rect(x + 2, floor - tall, step - 4, tall, "fill s0"))
        parts.append(_text(x + step / 2, floor - tall - 5, f"{value:,.0f}", "middle", "small"))
        parts.append(_text(x + step / 2, floor + 16, label, "middle", "small"))
    parts.append(_path(f"M{LEFT} {floor}H{WIDTH - RIGHT}", "axis"))
    return _svg(title, height, parts)


def lines(
    title: str, drawn: Sequence[Line], x: Axis, y: Axis, rule: tuple[float, str] | None = None
) -> str:
    """Lines over two axes, named in a legend; ``rule`` is a level to compare with."""
    legend = 22 * ((len(drawn) + (rule is not None) + 1) // 2)
    height = 320 + legend
    floor = height - BOTTOM - legend
    parts = [*_frame(x, y, floor)]
    if rule is not None:
        level = y.place(rule[0], floor, TOP)
        parts.append(_path(f"M{LEFT} {level:.1f}H{WIDTH - RIGHT}", "rule"))
        a, b = _legend(len(drawn), floor)
        parts += [_path(f"M{a} {b - 4}h34", "rule"), _text(a + 42, b, rule[1])]
    for place, line in enumerate(drawn):
        spots = [(x.place(a, LEFT, WIDTH - RIGHT), y.place(b, floor, TOP)) for a, b in line.points]
        way = "L".join(f"{a:.1f} {b:.1f}" for a, b in spots)
        style = f"line s{line.series}{' dashed' if line.dashed else ''}"
        parts.append(_path(f"M{way}", style))
        parts += [_marker(a, b, line.series) for a, b in spots if len(spots) <= 40]
        a, b = _legend(place, floor)
        parts.append(_path(f"M{a} {b - 4}h34", style))
        parts.append(_marker(a + 17, b - 4, line.series))
        parts.append(_text(a + 42, b, line.name))
    return _svg(title, height, parts)


def heat(
    title: str,
    across: Sequence[str],
    down: Sequence[str],
    cells: Sequence[Sequence[float]],
    told: Callable[[float], str],
    axes: tuple[str, str],
) -> str:
    """A grid of shares: below one in one colour, above it in another, deeper the further off."""
    left, top, tall = 92, 46, 30
    wide = (WIDTH - left - RIGHT) / len(across)
    middle = (left + WIDTH - RIGHT) / 2
    parts = [_text(middle, 14, axes[0], "middle", "small")]
    parts.append(_text(left - 10, top - 8, axes[1], "end", "small"))
    for place, name in enumerate(across):
        parts.append(_text(left + (place + 0.5) * wide, top - 8, name, "middle", "small"))
    for row, (name, shares) in enumerate(zip(down, cells, strict=True)):
        y = top + row * tall
        parts.append(_text(left - 10, y + 20, name, "end", "small"))
        for place, share in enumerate(shares):
            depth = min(5, 1 + int(abs(math.log2(max(share, 1e-6))) / 1.2))
            side = "pays" if share < 1 else "loses"
            x = left + place * wide
            parts.append(_rect(x, y, wide - 2, tall - 2, f"{side} depth{depth}"))
            parts.append(_text(x + wide / 2 - 1, y + 19, told(share), "middle", f"cell {side}"))
    return _svg(title, top + tall * len(down) + 8, parts)


def _legend(place: int, floor: float) -> tuple[float, float]:
    """Where an entry of the legend begins."""
    row, side = divmod(place, 2)
    return LEFT + side * 320, floor + BOTTOM + 16 + row * 22


def _frame(x: Axis, y: Axis, floor: float) -> Iterator[str]:
    for value, name in y.ticks:
        level = y.place(value, floor, TOP)
        yield _path(f"M{LEFT} {level:.1f}H{WIDTH - RIGHT}", "grid")
        yield _text(LEFT - 8, level + 4, name, "end", "small")
    for value, name in x.ticks:
        place = x.place(value, LEFT, WIDTH - RIGHT)
        room = 3.4 * len(name) - RIGHT + 2  # how far half of the text would reach out
        beyond = place > WIDTH - RIGHT - 1 and room > 0
        yield _text(place - (room if beyond else 0), floor + 18, name, "middle", "small")
    yield _path(f"M{LEFT} {floor}H{WIDTH - RIGHT}", "axis")
    yield _text((LEFT + WIDTH - RIGHT) / 2, floor + 38, x.title, "middle", "small")
    yield _text(8, 16, y.title, "start", "small")


def _margin(end: float, reach: float, middle: float) -> list[str]:
    """A margin around the end of a bar, on a halo that sets it off from any colour."""
    low, high = end - reach, end + reach
    way = f"M{low:.1f} {middle - 4}v8M{low:.1f} {middle}H{high:.1f}M{high:.1f} {middle - 4}v8"
    return [_path(way, "halo"), _path(way, "margin")]


def _marker(x: float, y: float, series: int) -> str:
    style = f'class="fill s{series}"'
    shape = _MARKERS[series % len(_MARKERS)]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {style}/>'
    steps = {
        "square": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
        "triangle": f"M{x:.1f} {y - 5:.1f}l5 9h-10z",
        "diamond": f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z",
    }
    return f'<path d="{steps[shape]}" {style}/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    name = escape(title)
    return (
        f'<div class="chart"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{name}"><title>{name}</title>{"".join(parts)}</svg></div>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">'
        f"{escape(text)}</text>"
    )


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="2" class="{style}"/>'


def _path(way: str, style: str) -> str:
    return f'<path d="{way}" class="{style}"/>'

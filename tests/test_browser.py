"""The page of `uihlake savings --html` in a real browser: drawn whole, in light and in dark.

A script put at the end of a copy of the page tells what the browser made of it; the page itself
has none. Pixels come from a screenshot.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from savings_lakes import RANKER, SHORT, demo_lake

from uih_lake.savings import Plan, savings
from uih_lake.savings.page import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"
)

WIDE, PHONE, HEIGHT = 1000, 500, 12_000
SCHEMES = {"dark": 0, "light": 1}
PROBE = """<script>
const box = (e) => {
  const b = e.getBoundingClientRect();
  return [b.left, b.top, b.right, b.bottom];
};
const ink = (e) => { const s = getComputedStyle(e); return [s.fill, Number(s.fillOpacity)]; };
const seen = {
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  width: document.documentElement.scrollWidth,
  height: document.documentElement.scrollHeight,
  ground: getComputedStyle(document.body).backgroundColor,
  series: ["--s0", "--s1", "--s2", "--s3"].map(
    (name) => getComputedStyle(document.documentElement).getPropertyValue(name)),
  charts: [...document.querySelectorAll("svg")].map((svg) => ({
    name: svg.getAttribute("aria-label"),
    box: box(svg),
    rows: svg.parentElement.nextElementSibling.querySelectorAll("details tbody tr").length,
    texts: [...svg.querySelectorAll("text")].map((e) => ({ text: e.textContent, box: box(e),
      ink: ink(e), under: e.matches(".cell") ? ink(e.previousElementSibling) : null })),
  })),
};
document.body.append(Object.assign(document.createElement("pre"),
  { id: "seen", textContent: JSON.stringify(seen) }));
</script>"""


@dataclass(frozen=True)
class Shown:
    """What a browser made of a page: messages of its console, facts of the probe, pixels."""

    console: list[str]
    facts: Any
    pixels: Any


def show(text: str, place: Path, scheme: str = "light", width: int = WIDE) -> Shown:
    """Open ``text`` in a browser that reaches no network."""
    (place / "page.html").write_text(text, encoding="utf-8")
    assert BROWSER is not None
    command = [
        BROWSER,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--hide-scrollbars", "--force-device-scale-factor=1", "--enable-logging=stderr"),
        *("--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND"),
        f"--user-data-dir={place / 'profile'}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--window-size={width},{HEIGHT}",
        f"--screenshot={place / 'page.png'}",
        "--dump-dom",
        (place / "page.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    facts = json.loads(html.unescape(found[1])) if found else None
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Shown(console, facts, image.imread(place / "page.png")[..., :3])


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of two tenants and a plan."""
    lake = demo_lake(tmp_path_factory.mktemp("lake") / "lake", users=60, mean=120, per_user=6)
    plan = Plan(per_day=5, tenants=2, length=1024, days=30, price_per_tb=20)
    return page(savings(lake.path, [RANKER, SHORT], plan=plan, seed=1))


@pytest.fixture(scope="module", params=SCHEMES)
def shown(
    text: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Shown:
    place = tmp_path_factory.mktemp(request.param)
    found = show(text.replace("</body>", f"{PROBE}</body>"), place, request.param)
    assert found.facts["dark"] == (request.param == "dark")
    return found


def charts_expected() -> Iterator[str]:
    for tenant in (RANKER, SHORT):
        yield from (f"Bytes {kind} of tenant {tenant.name}" for kind in ("at rest", "decoded"))
        yield f"Bytes read per epoch of tenant {tenant.name}"
        yield "Savings against sequence length"
        yield "Break-even map against fat rows in request order"
        yield "Break-even map against fat rows clustered by user"
    yield from ("Bytes at rest of all tenants", "Bytes read of all tenants")
    yield from ("Bytes at rest, as planned", "Bytes read per epoch, as planned")
    yield from ("Users by length of history", "Redundancy over time")


def test_an_error_on_the_console_would_be_found(tmp_path: Path) -> None:
    (line,) = show("<!DOCTYPE html><script>nothing_like_it()</script>", tmp_path).console
    assert "nothing_like_it is not defined" in line


def test_the_page_stands_alone(text: str) -> None:
    assert "<script" not in text
    assert set(re.findall(r'(?:href|src)="([^"]*)"|url\(', text)) == {"data:,"}
    assert "@import" not in text


def test_every_chart_is_drawn_with_a_table_behind_it(shown: Shown) -> None:
    assert shown.console == []
    charts = shown.facts["charts"]
    assert sorted(chart["name"] for chart in charts) == sorted(charts_expected())
    for chart in charts:
        left, top, right, bottom = chart["box"]
        assert right - left > 600 and bottom - top > 80, chart["name"]
        assert chart["rows"] >= 3, chart["name"]


def test_no_text_of_a_chart_is_cut_off_or_covered(shown: Shown) -> None:
    assert shown.facts["width"] <= WIDE
    for chart in shown.facts["charts"]:
        left, top, right, bottom = chart["box"]
        for found in chart["texts"]:
            a, b, c, d = found["box"]
            inside = left - 1 <= a and c <= right + 1 and top - 1 <= b and d <= bottom + 1
            assert inside, (chart["name"], found["text"])
            assert d - b >= 12, (chart["name"], found["text"], "is too small to read")
        for one, other in combinations(chart["texts"], 2):
            assert not overlap(one["box"], other["box"]), (chart["name"], one, other)


def overlap(one: list[float], other: list[float]) -> bool:
    """Whether two boxes share more than their rims: a line of text has air above and below it."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return wide > 1 and tall > 5


def colour(told: str) -> Any:
    """Red, green and blue from 0 to 1 of a colour as a browser tells it."""
    if told.startswith("#"):
        return np.array([*bytes.fromhex(told[1:])]) / 255
    return np.array([int(part) for part in re.findall(r"\d+", told)[:3]]) / 255


def linear(rgb: Any) -> Any:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: Any, other: Any) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted(float(linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_from_what_is_behind_it(shown: Shown) -> None:
    ground = colour(shown.facts["ground"])
    cells = 0
    for chart in shown.facts["charts"]:
        for found in chart["texts"]:
            behind = ground
            if found["under"] is not None:
                cells += 1
                fill, opacity = found["under"]
                behind = opacity * colour(fill) + (1 - opacity) * ground
            ratio = contrast(colour(found["ink"][0]), behind)
            assert ratio >= 4.5, (chart["name"], found["text"], ratio)
    assert cells >= 100
    for told in shown.facts["series"]:
        assert contrast(colour(told), ground) >= 3, told


# Machado, Oliveira & Fernandes (2009), severity 1: what is left of linear red, green and blue.
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def lab(rgb: Any) -> Any:
    """CIELAB of linear RGB, white at D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", [None, *BLINDNESS])
def test_series_differ_for_the_colour_blind(shown: Shown, blindness: str | None) -> None:
    sees = np.array(BLINDNESS[blindness]) if blindness else np.eye(3)
    seen = {told: lab(sees @ linear(colour(told))) for told in shown.facts["series"]}
    assert len(seen) == 4
    for one, other in combinations(seen, 2):
        assert float(np.linalg.norm(seen[one] - seen[other])) > 20, (one, other)


def test_pixels_are_on_the_screen(shown: Shown) -> None:
    height, width, _ = shown.pixels.shape
    assert (height, width) == (HEIGHT, WIDE)
    assert shown.facts["height"] <= HEIGHT, "the window must hold the whole page"
    ground = colour(shown.facts["ground"])
    assert np.allclose(shown.pixels[0, 0], ground, atol=0.01)
    for chart in shown.facts["charts"]:
        left, top, right, bottom = map(round, chart["box"])
        part = shown.pixels[top:bottom, left:right]
        drawn = (np.abs(part - ground) > 0.05).any(axis=2).mean()
        assert 0.01 < drawn < 0.95, chart["name"]
        series = [colour(told) for told in shown.facts["series"]]
        bars = any((np.abs(part - each) < 0.02).all(axis=2).any() for each in series)
        assert bars or chart["name"].startswith("Break-even map"), chart["name"]


def test_a_phone_needs_no_sideways_scrolling_but_in_charts(text: str, tmp_path: Path) -> None:
    found = show(text.replace("</body>", f"{PROBE}</body>"), tmp_path, width=PHONE)
    assert found.facts["width"] <= PHONE
    assert min(chart["box"][2] - chart["box"][0] for chart in found.facts["charts"]) > 600

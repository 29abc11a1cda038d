"""The documentation: every example runs and prints what it shows, every page is complete."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import house
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from house import ROOT
from pages import Reader, blocks, fits

from uih_lake.cli.app import app

DOCS = ROOT / "docs"
PAGES = {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "README.md", *DOCS.glob("*.md"))}
TEXTS = {name: path.read_text("utf-8") for name, path in PAGES.items()}
WITH_EXAMPLES = sorted(n for n, text in TEXTS.items() if any(b.is_example for b in blocks(text)))
PICTURES = sorted((DOCS / "img").glob("*.svg"))


def made() -> ModuleType:
    """The module that makes parts of the pages from the code."""
    spec = importlib.util.spec_from_file_location("_pages", DOCS / "_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given_to_the_readme() -> dict[str, Any]:
    """The log that the README speaks of as the reader's own: files, and tables in Python."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    times = [start + timedelta(hours=n) for n in range(12)]
    traits = {
        "item_id": list(range(100, 112)),
        "action": ["view", "click"] * 6,
        "dwell": [n / 4 for n in range(12)],
    }
    Path("events").mkdir()
    log = pa.table({"member": [0, 1, 2] * 4, "clicked_at": times, **traits})
    pq.write_table(log, "events/part-0.parquet")
    Path("requests.csv").write_text("member,served_at,label\n1,2026-03-02T00:00:00Z,1\n")
    request = {"user_id": [1], "request_ts": [start + timedelta(days=1)], "label": [1]}
    events = log.rename_columns({"member": "user_id", "clicked_at": "event_ts"})
    return {"events": events, "requests": pa.table(request)}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_every_example_runs_as_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = given_to_the_readme() if name == "README.md" else {}
    Reader(name, names).read(TEXTS[name])


@pytest.mark.parametrize(
    "page",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```",
        "```python\nassert False\n```",
        "```sh\nuihlake info nowhere\n```",
        "```sh\nls\n```",
        "<!-- refused: -->\n```sh\nuihlake create shop\n```",
        "```sh\nuihlake create shop\n```\n```sql\nSELECT 1 AS one\n```\n```text\ntwo\n```",
    ],
)
def test_an_example_that_goes_another_way_is_found(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        Reader("sample").read(page)


def test_what_may_differ_is_left_open_and_nothing_else() -> None:
    assert fits("a 12 b \n\nc\n", "a ... b\n\nc")
    assert not fits("a 12 b\nd", "a ... b")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_example_that_is_not_run_has_a_reason(name: str) -> None:
    for block in blocks(TEXTS[name]):
        if block.remark.startswith("not run: "):
            assert len(block.remark.split()) > 4, f"{name}, line {block.line}"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_lead_somewhere(name: str) -> None:
    page = PAGES[name]
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_page_is_in_the_navigation() -> None:
    # a plain search, because the tests do without a reader of YAML
    listed = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_the_reference_has_every_statement_with_its_whole_header() -> None:
    page = made().statements()
    sections = dict(re.findall(r"^### (\S+)\n(.+?)(?=^###? |\Z)", page, re.MULTILINE | re.DOTALL))
    found = house.statements(ROOT)
    assert sections.keys() == found.keys()
    for name, text in found.items():
        told = re.findall(r"^\| (\w+) \| (.+) \|$", sections[name], re.MULTILINE)
        assert tuple(part for part, _ in told) == house.HEADER, name
        body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        assert body.strip() in sections[name]


def test_a_header_over_several_lines_is_read_whole() -> None:
    text = "-- What it\n-- does.\n-- grain: a\n--   b\n-- inputs: none\nSELECT 1;\n-- end\n"
    told, parts, body = made().read_header(text)
    assert (told, parts) == ("What it does.", {"grain": "a b", "inputs": "none"})
    assert body == "SELECT 1;\n-- end"


def test_the_reference_has_every_verb_with_every_option() -> None:
    page = made().commands()
    sections = dict(re.findall(r"^### (\S+)\n(.+?)(?=^###? |\Z)", page, re.MULTILINE | re.DOTALL))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert sections.keys() == commands.keys()
    for verb, command in commands.items():
        for parameter in command.params:
            for option in parameter.opts:
                if parameter.param_type_name == "option":
                    assert option in sections[verb].split(), (verb, option)


@pytest.mark.parametrize("name", ["cli.md", "sql-reference.md"])
def test_a_page_gets_the_part_made_for_it(name: str) -> None:
    pages = made()
    text = (DOCS / name).read_text("utf-8")
    assert text.count(pages.MARK) == 1


def test_the_python_page_has_every_public_name() -> None:
    import uih_lake

    page = (DOCS / "python.md").read_text("utf-8")
    shown = set(re.findall(r"^::: uih_lake\.(?:\w+\.)*(\w+)$", page, re.MULTILINE))
    assert {*uih_lake.__all__} - {"__version__"} <= shown


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_pictures_are_told_in_words_and_drawn_for_light_and_dark(path: Path) -> None:
    text = path.read_text("utf-8")
    root = ElementTree.fromstring(text)
    names = {child.tag.rpartition("}")[2]: child for child in root}
    assert len("".join(names["desc"].itertext()).split()) > 15
    assert "prefers-color-scheme: dark" in text
    outside = re.findall(r"(?:href|src)=\"(?!#)|url\((?!#)", text)
    assert outside == [], "a picture needs nothing beside it"


def test_golden_hashes_are_the_ones_of_the_code() -> None:
    """The table of buckets in the page on the lake; its other values are examples that run."""
    from uih_lake import hashing

    page = (DOCS / "lake.md").read_text("utf-8")
    rows = re.findall(r"^\| (int64|string) \| `(.+?)` \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert len(rows) >= 6
    for kind, text, of_64, of_1000 in rows:
        users = pa.array([int(text) if kind == "int64" else text])
        found = [int(hashing.bucket_of(users, n)[0]) for n in (64, 1000)]
        assert found == [int(of_64), int(of_1000)], text

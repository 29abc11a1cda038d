"""Parts of the pages that are made from the code whenever the site is built: a hook of mkdocs.

A page says ``<!-- made from the code -->`` where such a part goes, so it can never be out of date.
Only ``mkdocs build`` needs this module; it imports nothing of mkdocs, so that tests can read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

SQL = Path(__file__).resolve().parent.parent / "sql"
MARK = "<!-- made from the code -->"
FOLDERS = {
    "ingest": "Reading files of events and requests.",
    "lake": "The two tiers as one history; sealing and erasing.",
    "tenant": "Checking a tenant's condition.",
    "pointers": "Examples and their pointers.",
    "resolve": "From pointers to rows: the path of every rebuild.",
    "loader": "Columns as the loader gathers them.",
    "savings": "What the lake saves against fat rows.",
    "adhoc": "The views of ad hoc SQL.",
    "info": "Facts about a lake.",
    "verify": "The audit.",
    "demo": "The demonstration.",
}
"""Folder of ``sql/`` -> what its statements are for, in the order data flows."""

_PART = re.compile(r"^(grain|inputs|parameters|output|order): *")
_PARAGRAPH = re.compile(r"<p>(<code>.*?)</p>", re.DOTALL)
_ROLE = re.compile(r":(?:class|meth|func|mod|data|attr|exc|ref):<code>~?([^<]*)</code>")


def statements() -> str:
    """Every statement of ``sql/`` with the parts of its header, a section per folder."""
    found: dict[str, list[Path]] = {}
    for path in sorted(SQL.rglob("*.sql")):
        found.setdefault(path.relative_to(SQL).parts[0], []).append(path)
    order = [*(name for name in FOLDERS if name in found), *sorted(found.keys() - FOLDERS.keys())]
    sections = []
    for folder in order:
        sections.append(f"## {folder}\n\n{FOLDERS.get(folder, '')}")
        sections += [_statement(path) for path in found[folder]]
    return "\n\n".join(sections)


def _statement(path: Path) -> str:
    told, parts, body = read_header(path.read_text("utf-8"))
    rows = [f"| {name} | {_safe(text)} |" for name, text in parts.items()]
    table = "\n".join(["| | |", "|---|---|", *rows])
    name = path.relative_to(SQL).with_suffix("").as_posix()
    return f"### {name}\n\n{_safe(told)}\n\n{table}\n\n```sql\n{body}\n```"


def read_header(text: str) -> tuple[str, dict[str, str], str]:
    """What a statement is for, the parts of its header by name, and the statement itself."""
    lines = text.splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    told, parts, last = [], {}, ""
    for line in lines[:end]:
        said = line.removeprefix("--").strip()
        part = _PART.match(said)
        if part:
            last = part.group(1)
            parts[last] = said[part.end() :]
        elif last:
            parts[last] += f" {said}"
        else:
            told.append(said)
    return " ".join(told), parts, "\n".join(lines[end:]).strip()


def _safe(text: str) -> str:
    """A comment as Markdown that shows it as it is written."""
    return re.sub(r"([<*_\[\]|])", r"\\\1", text)


def commands() -> str:
    """The help of ``uihlake`` and of every verb, as a terminal of 80 columns shows it."""
    from typer.testing import CliRunner

    from uih_lake.cli.app import VERBS, app

    def shown(*words: str) -> str:
        plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
        text = CliRunner().invoke(app, [*words, "--help"], env=plain).stdout
        lines = (line.rstrip().removeprefix(" ") for line in text.strip().splitlines())
        return "```text\n" + "\n".join(lines) + "\n```"

    sections = [shown()]
    for panel, verbs in VERBS.items():
        sections.append(f"## {panel}")
        sections += [f"### {verb}\n\n{shown(verb)}" for verb in verbs]
    return "\n\n".join(sections)


MAKERS: dict[str, Callable[[], str]] = {"cli.md": commands, "sql-reference.md": statements}
"""Page -> what goes where it has the mark."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the made part into a page that has one."""
    make = MAKERS.get(page.file.src_uri)
    return markdown if make is None else markdown.replace(MARK, make())


def on_page_content(html: str, **_: Any) -> str:
    """Show the roles of docstrings, ``:class:`Lake```, as code, and their arguments as lists."""
    return _PARAGRAPH.sub(_listed, _ROLE.sub(r"<code>\1</code>", html))


def _listed(paragraph: re.Match[str]) -> str:
    """A list, if each line is an argument in code with its meaning, or goes on with the last."""
    lines = paragraph[1].split("\n")
    items = paragraph[1].split("\n<code>")
    if len(items) < 2 or not all(line.startswith(("<code>", " ")) for line in lines):
        return paragraph[0]
    told = (f"<li><code>{item.removeprefix('<code>')}</li>" for item in items)
    return "\n".join(["<ul>", *told, "</ul>"])

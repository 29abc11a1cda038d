"""Runs the examples of a page, one after the other, as a reader would who starts at its top.

Blocks in ``python`` share one namespace, blocks in ``sh`` hold commands of `uihlake`, and a block
in ``sql`` is asked of the lake ``shop``. One with a title is a file of that name, there from the
start. All of a page happens in one directory. A ``text`` block right behind an example is what it
prints, with ``...`` for whatever may differ. A comment before an example says that it is refused,
or why it is not run.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from uih_lake.cli import app

EXAMPLES = ("python", "sh", "sql")
_FENCE = re.compile(r"^```(\w*)(?: +title=\"([^\"]+)\")?\s*$")
_REMARK = re.compile(r"^<!-- (refused|not run): ?(.*?) ?-->$")


@dataclass
class Block:
    """One fenced block of a page; ``line`` is where its text starts."""

    kind: str
    title: str
    text: str
    line: int
    remark: str = ""
    shows: str | None = None

    @property
    def is_example(self) -> bool:
        """Whether it is to be run."""
        return self.kind in EXAMPLES and not self.title


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in order, each with the remark before it and what it shows."""
    found: list[Block] = []
    remark, near = "", False
    lines = iter(enumerate(page.splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if line.startswith("```") and not fence:
            raise AssertionError(f"line {number}: no block can start with {line!r}")
        if fence:
            inside = _until_end(lines)
            block = Block(fence[1], fence[2] or "", "\n".join(inside), number + 1, remark)
            if block.kind == "text" and near:
                found[-1].shows = block.text
            else:
                found.append(block)
            remark, near = "", block.is_example
        elif said := _REMARK.match(line):
            remark = f"{said[1]}: {said[2]}"
        elif line.strip():
            remark, near = "", False
    return found


def _until_end(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == "```":
            return
        yield line
    raise AssertionError("the last block has no end")


class Reader:
    """Someone who types in every example of a page, in the directory they are in."""

    def __init__(self, page: str, names: Mapping[str, Any] | None = None) -> None:
        self._page = page
        self._names: dict[str, Any] = {"__name__": "__main__", **(names or {})}

    def read(self, text: str) -> None:
        """Follow the whole page, in the current directory."""
        found = blocks(text)
        for block in found:
            if block.title:
                Path(block.title).parent.mkdir(parents=True, exist_ok=True)
                Path(block.title).write_text(block.text + "\n", encoding="utf-8")
        for block in found:
            self._follow(block)

    def _follow(self, block: Block) -> None:
        """Do what a block says; raises AssertionError where it goes another way than it tells."""
        if not block.is_example or block.remark.startswith("not run: "):
            return
        printed = getattr(self, f"_{block.kind}")(block)
        where = f"{self._page}, line {block.line}"
        assert block.shows is None or fits(printed, block.shows), f"{where} prints:\n{printed}"

    def _python(self, block: Block) -> str:
        padding = "\n" * (block.line - 1)  # so that a traceback names the line of the page
        with redirect_stdout(io.StringIO()) as out:
            exec(compile(padding + block.text, self._page, "exec"), self._names)
        return out.getvalue()

    def _sh(self, block: Block) -> str:
        commands = block.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(command, comments=True) for command in commands]
        return "".join(self._run(each, block) for each in words if each)

    def _sql(self, block: Block) -> str:
        words = ["uihlake", "sql", "shop", "-", "--format", "table"]
        return self._run(words, block, block.text)

    def _run(self, words: list[str], block: Block, given: str | None = None) -> str:
        where = f"{self._page}, line {block.line}: {shlex.join(words)}"
        assert words[0] == "uihlake", f"{where}: examples run uihlake, nothing else"
        result = CliRunner().invoke(app, words[1:], input=given)
        expected = 1 if block.remark.startswith("refused: ") else 0
        assert result.exit_code == expected, f"{where}\n{result.output}\n{result.exception!r}"
        return result.output


def fits(printed: str, told: str) -> bool:
    """Whether the output is the one told, empty lines and spaces at line ends aside."""
    pieces = re.split(r"\.\.\.", _trimmed(told))
    return bool(re.fullmatch(".*?".join(map(re.escape, pieces)), _trimmed(printed), re.DOTALL))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()).strip()

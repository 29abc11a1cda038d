"""What reaches the user: data on stdout; messages and progress on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from uih_lake.cli.process import Untold
from uih_lake.progress import Progress, quiet


@dataclass(frozen=True)
class Terminal:
    """How talkative this run is; a verb tells what it has to tell through it and nowhere else.

    But for rows of a query, which go to stdout as bytes, and for the shell of a terminal.
    """

    quiet: bool = False
    bars: bool = True

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where stdout is none."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else 80

    def say(self, message: str) -> None:
        """A message to the user, on stderr."""
        if not self.quiet:
            with suppress(OSError):  # a message that nobody gets is no fault of the work
                print(message, file=sys.stderr)

    def tell(self, text: str, end: str = "\n") -> None:
        """A text on stdout."""
        print(text, end=end, flush=True)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Tell in the block what comes of work that is done.

        A failure to do so must not be taken for one of the work.
        """
        try:
            yield
        except Untold as error:
            raise Untold(f"{error}; the work is done") from None

    def report(self, text: str, facts: Mapping[str, Any], as_json: bool) -> None:
        """What comes of work that is done, as text for people or as one JSON object."""
        with self.reporting():
            self.tell(json.dumps(facts, default=str, allow_nan=False) if as_json else text)

    def table(
        self, headers: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()
    ) -> None:
        """A table on stdout, as wide as the terminal, or 80 columns where there is none.

        Without ``headers`` it is a list of names and values. Columns ``right`` are aligned right.
        """
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD if headers else None, show_header=bool(headers))
        rows = [*rows]
        for place in range(len(headers) or 2):
            header = headers[place] if headers else ""
            table.add_column(header, justify="right" if place in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console = Console(width=self.width, markup=False, emoji=False, highlight=False)
        console.print(table)

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """A bar on stderr while the block runs, on a terminal only; gone afterwards."""
        if self.quiet or not self.bars or not sys.stderr.isatty():
            yield quiet
            return
        from rich.console import Console
        from rich.progress import Progress as Bars

        with Bars(console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(title, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def amount(count: int, noun: str) -> str:
    """``1 event``, ``12,345 events``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def span(first: datetime, last: datetime) -> str:
    """``2026-05-01 08:00:00 to 2026-05-02 09:30:00 UTC``."""
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"

"""The interactive shell of ``uihlake sql``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uih_lake.cli import results
from uih_lake.cli.results import Format
from uih_lake.cli.rows import rows
from uih_lake.cli.signals import heeded
from uih_lake.cli.terminal import Terminal
from uih_lake.errors import UihError

if TYPE_CHECKING:
    from uih_lake import Lake, Tenant
    from uih_lake.adhoc import Session

PROMPT, MORE = "uih> ", "...> "
HISTORY_LINES = 5000
HELP = """\
A statement ends with ; and may take several lines. Ctrl-C gives it up, Ctrl-D leaves.
  .tables          views, and macros with what they answer
  .schema [NAME]   columns of a view, or of all
  .mode [FORMAT]   table, csv or json; without FORMAT the one in use
  .refresh         look at the newest state of the lake
  .help            this
  .quit            leave"""
KEYWORDS = (
    "ALL AND ANTI AS ASC ASOF BETWEEN BY CASE CAST COLUMNS COUNT CROSS DESC DESCRIBE DISTINCT "
    "ELSE END EXCEPT EXCLUDE EXISTS EXPLAIN FALSE FILTER FIRST FROM FULL GROUP HAVING ILIKE "
    "IN INNER INTERSECT INTERVAL IS JOIN LAST LATERAL LEFT LIKE LIMIT MAX MIN NOT NULL NULLS "
    "OFFSET ON OR ORDER OUTER OVER PARTITION QUALIFY RIGHT ROWS SAMPLE SELECT SEMI SHOW SUM "
    "SUMMARIZE TABLES THEN TIMESTAMPTZ TRUE UNION UNNEST USING VALUES WHEN WHERE WINDOW WITH"
)
"""Words that a question is made of; DuckDB has hundreds more, which would bury the columns."""


class Shell:
    """Reads statements from a terminal and shows their results until told to leave."""

    def __init__(
        self,
        terminal: Terminal,
        lake: Lake,
        tenants: Sequence[Tenant],
        format: Format | None,
        max_rows: int,
    ) -> None:
        self._terminal = terminal
        self._lake = lake
        self._tenants = tenants
        self._format = format or Format.table
        self._max_rows = max_rows
        self._session: Session = lake.sql_session(tenants=tenants)
        self._commands: dict[str, Callable[[str], None]] = {
            ".tables": self._tables,
            ".schema": self._schema,
            ".mode": self._mode,
            ".refresh": self._refresh,
            ".help": lambda _: print(HELP),
        }

    def run(self) -> None:
        """Read, evaluate and print until the end of the input or ``.quit``."""
        where = f"{self._lake.path}, lake version {self._lake.version}"
        self._terminal.say(f"{where}; .help helps, .quit leaves")
        with _Editing(self._words()):
            while (statement := self._read()) is not None:
                self._answer(statement)
        self._session.close()

    def _read(self) -> str | None:
        """The next statement or command; None at the end."""
        lines: list[str] = []
        while True:
            try:
                line = input(MORE if lines else PROMPT)
            except EOFError:
                print()
                return None
            except KeyboardInterrupt:
                print()
                lines.clear()
                continue
            if not lines and line.strip().startswith("."):
                command = line.strip()
                return None if command.split()[0] in (".quit", ".exit") else command
            lines += [line] if line.strip() else []
            if lines and line.rstrip().endswith(";"):
                return "\n".join(lines)

    def _answer(self, statement: str) -> None:
        try:
            with heeded():
                if statement.startswith("."):
                    self._command(statement)
                else:
                    self._show(statement)
        except UihError as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
        except KeyboardInterrupt:
            print("given up", file=sys.stderr)

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = self._commands.get(name)
        if command is None:
            raise UihError(f"no command {name}", hint=".help lists them")
        command(rest.strip())

    def _show(self, statement: str) -> None:
        relation = self._session.sql(statement)
        with results.failures_told():
            reader = rows(relation)
            if self._format is Format.table:
                results.write_table(reader, self._terminal, self._max_rows)
            else:
                sys.stdout.flush()
                results.WRITERS[self._format](reader, sys.stdout.buffer)
                sys.stdout.buffer.flush()

    def _tables(self, _: str) -> None:
        from uih_lake.adhoc import MACROS, VIEWS

        print(*VIEWS, *MACROS.values(), sep="\n")

    def _schema(self, name: str) -> None:
        from uih_lake.adhoc import VIEWS

        if name and name not in VIEWS:
            raise UihError(f"no view {name}", hint=f"there are {', '.join(VIEWS)}")
        for view in [name] if name else VIEWS:
            relation = self._session.sql(f"FROM {view}")
            columns = zip(relation.columns, relation.types, strict=True)
            print(view, *(f"  {column} {kind}" for column, kind in columns), sep="\n")

    def _mode(self, name: str) -> None:
        known = [format.value for format in Format if format is not Format.parquet]
        if name and name not in known:
            raise UihError(f"no mode {name}", hint=f"there are {', '.join(known)}")
        if name:
            self._format = Format(name)
        print(self._format.value)

    def _refresh(self, _: str) -> None:
        newer = self._lake.sql_session(tenants=self._tenants)
        self._session.close()
        self._session = newer
        self._terminal.say(f"lake version {self._lake.version}")

    def _words(self) -> list[str]:
        """What can be completed beside keywords: commands, views, macros, columns."""
        from uih_lake.adhoc import MACROS, VIEWS

        columns = {name for view in VIEWS for name in self._session.sql(f"FROM {view}").columns}
        macros = [f"{name}(" for name in MACROS]
        formats = [format.value for format in Format]
        commands = [*self._commands, ".quit"]
        return sorted({*commands, *VIEWS, *macros, *columns, *formats})


class _Editing:
    """Line editing, history and completion for as long as a shell runs, where there is readline."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._matches: list[str] = []

    def __enter__(self) -> None:
        try:
            import readline
        except ImportError:
            return
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n,()=<>+-*/;'\"")
        edits = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if edits else "tab: complete")
        try:
            readline.read_history_file(history_file())
        except OSError:
            return  # the first time, or nowhere to keep it

    def __exit__(self, *raised: object) -> None:
        try:
            import readline

            path = history_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(HISTORY_LINES)
            readline.write_history_file(path)
            readline.set_completer(None)
        except (ImportError, OSError):
            return

    def _complete(self, begun: str, place: int) -> str | None:
        if place == 0:
            keywords = KEYWORDS.lower() if begun.islower() else KEYWORDS
            words = dict.fromkeys([*self._words, *keywords.split()])
            folded = begun.lower()
            self._matches = [word for word in words if word.lower().startswith(folded)]
        return self._matches[place] if place < len(self._matches) else None


def history_file() -> Path:
    """Where lines are remembered: ``uihlake/history`` in the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state, "uihlake", "history")

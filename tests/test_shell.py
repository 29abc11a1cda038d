"""The shell of ``uihlake sql`` as someone at a terminal has it: a process behind a pty."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ENDLESS, environment, make_lake, process, works_for

PROMPT, MORE = "uih> ", "...> "
TAB, UP, END, INTERRUPT = "\t", "\x1b[A", "\x04", "\x03"
PATIENCE = 60.0
"""Seconds until a shell that says nothing is taken for stuck; no test waits for them to pass."""
_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x07\r]")


def _take_terminal() -> None:
    """Make standard input the terminal that controls this process, so that Ctrl-C reaches it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def drawn(shown: str) -> str:
    """What is to be read on the screen: without colours, and with what steps back overwrote."""
    screen: list[str] = []
    place = 0
    for character in _CODES.sub("", shown):
        if character == "\b":
            place -= 1
        else:
            screen[place : place + 1] = [character]
            place += 1
    return "".join(screen)


class Typist:
    """Types into a shell of its own and reads what it shows."""

    def __init__(self, *words: str | Path, home: Path) -> None:
        self._screen, theirs = pty.openpty()
        env = environment(XDG_STATE_HOME=str(home), COLUMNS="120")
        ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        self._child = process(
            *("sql", *words), env=env, start_new_session=True, preexec_fn=_take_terminal, **ends
        )
        os.close(theirs)
        self.greeting = self.until(PROMPT)

    def until(self, awaited: str) -> str:
        """What is shown up to ``awaited``, without colours; raises AssertionError at the end."""
        shown, stop = "", time.monotonic() + PATIENCE
        while not drawn(shown).endswith(awaited):
            ready, _, _ = select.select([self._screen], [], [], stop - time.monotonic())
            part = self._read() if ready else b""
            assert part, f"waited for {awaited!r}, and it said {shown!r}"
            shown += part.decode()
        return drawn(shown)

    def types(self, keys: str, awaited: str = PROMPT) -> str:
        """What is shown after ``keys``, themselves and ``awaited`` left out."""
        os.write(self._screen, keys.encode())
        return self.until(awaited).removesuffix(awaited)

    def answers(self, statement: str) -> str:
        """What a line is answered with."""
        return self.types(f"{statement}\n").partition("\n")[2]

    def interrupts(self) -> None:
        """Press Ctrl-C while it waits for keys.

        Between showing a prompt and waiting, Python loses an interrupt until the next key.
        """
        stop = time.monotonic() + PATIENCE
        while not self._waits():
            assert time.monotonic() < stop, "it never waits for keys"
        self.types(INTERRUPT)

    def gives_up(self, statement: str) -> str:
        """What is shown after Ctrl-C in the midst of a statement."""
        os.write(self._screen, f"{statement}\n".encode())
        works_for(self._child, 1.0)
        return self.types(INTERRUPT)

    def leaves(self, keys: str) -> int:
        """The exit code after ``keys`` that end it."""
        os.write(self._screen, keys.encode())
        while self._read():
            pass
        os.close(self._screen)
        return self._child.wait()

    def stop(self) -> None:
        """End it, in whatever state it is."""
        if self._child.poll() is None:
            self._child.kill()
            self.leaves("")

    def _waits(self) -> bool:
        """Whether its first thread sleeps, as it does when it waits for keys."""
        told = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/stat").read_text()
        return told.rpartition(")")[2].split()[0] == "S"

    def _read(self) -> bytes:
        try:
            return os.read(self._screen, 65536)
        except OSError:  # how Linux says that the other end is closed
            return b""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(tmp_path_factory.mktemp("shell"))


@pytest.fixture
def shell(lake: Path, tmp_path: Path) -> Iterator[Typist]:
    typist = Typist(lake, home=tmp_path)
    yield typist
    typist.stop()


def test_it_greets_answers_and_ends_with_ctrl_d(shell: Typist, lake: Path) -> None:
    assert shell.greeting.startswith(f"{lake}, lake version 1; .help helps, .quit leaves")
    told = shell.answers("SELECT user_id, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL;")
    rows = [line.split() for line in told.splitlines() if line.strip()]
    assert rows[0] == ["user_id", "n"]
    assert rows[2:] == [["0", "6"], ["1", "6"], ["2", "5"]]
    assert shell.leaves(END) == 0


@pytest.mark.parametrize("word", [".quit", ".exit"])
def test_it_ends_with_a_command(shell: Typist, word: str) -> None:
    assert shell.leaves(f"{word}\n") == 0


def test_wrong_sql_is_told_in_one_line_and_it_goes_on(shell: Typist) -> None:
    for wrong, says in {
        "SELEC 1;": 'syntax error at or near "SELEC"',
        "FROM nothing;": "Table with name nothing does not exist",
        "SELECT nothing FROM events;": '"nothing" not found',
        "SELECT action::INT FROM events;": "to INT32",
        "DROP VIEW events;": "DROP is not a query",
        "SELECT 1; SELECT 2;": "2 statements",
        "FROM read_csv('/etc/passwd');": "read_csv() is not open",
        ".nothing": "no command .nothing",
        ".schema nothing": "no view nothing",
        ".mode nothing": "no mode nothing",
    }.items():
        told = shell.answers(wrong)
        assert told.startswith("error: ") and told.count("\n") == 1 and says in told, told
    assert "17" in shell.answers("SELECT count(*) AS n FROM events;")


def test_commands(shell: Typist) -> None:
    tables = shell.answers(".tables")
    assert tables.splitlines()[:3] == ["events", "uih", "examples"]
    assert "history_as_of(user, time): what was known of a user at a time" in tables
    assert "  event_ts TIMESTAMP WITH TIME ZONE\n" in shell.answers(".schema events")
    assert ".refresh" in shell.answers(".help")
    assert shell.answers(".mode json") == "json\n"
    assert shell.answers("SELECT 1 AS one;") == '[\n{"one": 1}\n]\n'
    assert shell.answers(".mode csv") == "csv\n"
    assert shell.answers("SELECT 1 AS one, NULL AS none;") == "one,none\n1,\n"
    assert shell.answers(".refresh") == "lake version 1\n"


def test_a_statement_may_take_several_lines_and_be_given_up(shell: Typist) -> None:
    shell.answers(".mode csv")
    shell.types("SELECT count(*) AS n\n", MORE)
    shell.types("\n", MORE)
    assert shell.answers("FROM uih;") == "n\n12\n"
    shell.types("SELECT something long\n", MORE)
    shell.interrupts()
    assert shell.answers("SELECT 2 AS two;") == "two\n2\n"


def test_ctrl_c_gives_up_what_runs_and_nothing_else(shell: Typist) -> None:
    shell.answers(".mode csv")
    for _ in range(3):
        assert shell.gives_up(f"{ENDLESS};").endswith("given up\n")
        assert shell.answers("SELECT 2 AS two;") == "two\n2\n"
    assert shell.leaves(END) == 0


@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("FROM ui", "FROM uih"),
        ("FROM column_c", "FROM column_chunks"),
        ("FROM longest", "FROM longest_histories("),
        ("SELECT arri", "SELECT arrival_ts"),
        ("SELECT max(item", "SELECT max(item_id"),
        ("SELECT ACT", "SELECT action"),
        ("SUMM", "SUMMARIZE"),
        ("summ", "summarize"),
        (".tab", ".tables"),
    ],
)
def test_names_are_completed(shell: Typist, begun: str, whole: str) -> None:
    assert shell.types(f"{begun}{TAB}", whole) == ""


def test_what_completes_in_several_ways_is_listed(shell: Typist) -> None:
    shell.types(f"SELECT even{TAB}", "event")
    listed = shell.types(f"{TAB}{TAB}", "SELECT event")
    assert {"event_ts", "events"} <= set(listed.split())


def test_lines_are_remembered_from_one_shell_to_the_next(lake: Path, tmp_path: Path) -> None:
    first = Typist(lake, home=tmp_path)
    first.answers(".mode csv")
    first.answers("SELECT 41 + 1 AS answer;")
    assert first.leaves(END) == 0
    lines = (tmp_path / "uihlake" / "history").read_text().splitlines()
    assert lines == [".mode csv", "SELECT 41 + 1 AS answer;"]
    second = Typist(lake, home=tmp_path)
    second.types(f"{UP}{UP}", ".mode csv")
    second.types("\n")
    assert second.types(f"{UP}{UP}\n").endswith("answer\n42\n")
    assert second.leaves(END) == 0

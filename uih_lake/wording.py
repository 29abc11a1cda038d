"""How errors are worded: one line, with what exists and a guess at what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_SHOWN: Final = 40
_COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")


def fold(name: str) -> str:
    """``name`` as DuckDB compares it: ASCII letters in lower case, all others as they are."""
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def on_one_line(text: object, limit: int = 400) -> str:
    """``text`` with runs of white space joined, unprintable characters escaped, and cut to size."""
    joined = " ".join(_COLOR.sub("", str(text)).split())
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in joined)
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def guess(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` with a trailing space, or nothing where no known name is close."""
    by_folded = {fold(each): each for each in known}
    close = get_close_matches(fold(name), by_folded, n=1)
    return f"did you mean '{by_folded[close[0]]}'? " if close else ""


def listed(names: Iterable[str], total: int | None = None) -> str:
    """Names joined by commas; of very many only the first, with the number of the others.

    ``total`` is how many there are where ``names`` are but the first of them.
    """
    given = list(names)
    shown = given[:_SHOWN]
    left = (len(given) if total is None else total) - len(shown)
    return (", ".join(shown) or "(none)") + (f" and {left:,} more" if left else "")


def quoted(names: Iterable[str], total: int | None = None) -> str:
    """Names as :func:`listed`, each in quotes: those of a user's file may hold anything."""
    return listed(map(repr, names), total)


def columns_are(names: Iterable[str]) -> str:
    """``column 'x' is`` or ``columns 'x', 'y' are``."""
    given = list(names)
    return f"column {quoted(given)} is" if len(given) == 1 else f"columns {quoted(given)} are"


_DETAIL: Final = re.compile(
    r"\n\n|\nLINE |\n.*\n *\^|\s+Candidate functions|\s+You might need|(?<=[.])\s+Use TRY"
)


def engine_says(error: Exception) -> str:
    """The first sentence of a DuckDB error, without its class, candidates and source line."""
    text = _DETAIL.split(str(error), maxsplit=1)[0]
    head, _, rest = text.partition("Error: ")
    return on_one_line(rest if rest and "\n" not in head else text).rstrip(".!")

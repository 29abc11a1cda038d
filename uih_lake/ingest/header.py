"""The first record of a delimited text: names, and how lines end."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from uih_lake.errors import InputError
from uih_lake.given import is_text


@dataclass(frozen=True, slots=True)
class Header:
    """``newline`` is what ends the first record; ``has_rows`` whether anything follows it."""

    names: list[str]
    newline: str
    has_rows: bool


def read_header(path: Path, delimiter: str) -> Header:
    """Read the first record, which may span lines; raises :class:`InputError`.

    What is no UTF-8 further down is left to the parser, which knows the line.
    """
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    file = cast(
        IO[str],
        opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""),
    )
    with file:
        seen: list[str] = []
        try:
            names = next(csv.reader(_noting(file, seen), delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise InputError(
                f"{path}: line 1: {error}", hint="check that its quotes are closed"
            ) from error
        has_rows = any(line.strip("\r\n") for line in file)
    if not names:
        raise InputError(f"{path}: has no header", hint="name the columns in its first line")
    if not all(map(is_text, names)):
        raise InputError(f"{path}: line 1 is no UTF-8", hint="save it as UTF-8")
    last = seen[-1]
    return Header(names, last[len(last.rstrip("\r\n")) :] or "\n", has_rows)


def _noting(lines: Iterable[str], seen: list[str]) -> Iterator[str]:
    """The lines as they are, each noted when it is taken."""
    for line in lines:
        seen.append(line)
        yield line

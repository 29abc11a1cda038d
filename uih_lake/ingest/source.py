"""What a reader offers, and how the errors of the libraries below become ours."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import duckdb
import pyarrow as pa

from uih_lake.errors import InputError

TABLE: Final = "the table"
"""How messages name a source that is no file."""

_FOREIGN: Final = (
    pa.ArrowException,
    duckdb.Error,
    OSError,
    EOFError,
    ValueError,
    MemoryError,
    OverflowError,
    zlib.error,
)

_MALFORMED: Final = re.compile(r"^(Malformed JSON in file .*, at byte \d+ in) line (\d+)")
"""DuckDB counts the lines it has begun, the next one with them, and leaves out blank ones."""
_BLANK: Final = " (not counting blank ones)"


class Source(Protocol):
    """One file or table, read once from front to back."""

    @property
    def where(self) -> str:
        """How messages name it."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Columns as they stand in the source; known without reading a row."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches of any size."""
        ...


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema without metadata; raises ``UnicodeDecodeError`` for a name that is no text."""
    return pa.schema([schema.field(i).remove_metadata() for i in range(len(schema.names))])


@contextmanager
def reading(where: str, as_what: str, hint: str) -> Iterator[None]:
    """Turn errors of pyarrow, DuckDB and the file system into :class:`InputError`."""
    try:
        yield
    except PermissionError as error:  # nothing is wrong with the file
        raise InputError(f"{where}: permission denied", hint="check who may read it") from error
    except _FOREIGN as error:
        raise InputError(
            f"{where}: cannot be read as {as_what}: {cause_of(error)}", hint=hint
        ) from error


def cause_of(error: BaseException) -> str:
    """What a long message says of the cause, on one line, without the text of the input."""
    text = re.sub(r"^\w[\w ]* Error: ", "", str(error)) or type(error).__name__
    text = re.sub(
        r"^Original Line:.*?\n(?=Expected Number|Value with|Invalid unicode)",
        "",
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    text = _MALFORMED.sub(lambda found: f"{found[1]} line {int(found[2]) - 1}{_BLANK}", text)
    stripped = (line.strip() for line in text.splitlines())
    # What the engine would have one try are options of its own, which nobody can set here.
    lines = [line for line in stripped if line and not line.startswith("Try setting ")]
    return ", ".join(lines[:2])[:300].rstrip(". ")

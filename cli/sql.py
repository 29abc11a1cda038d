"""``uihlake sql``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from uih_lake.cli import options, results
from uih_lake.cli.results import Format
from uih_lake.cli.terminal import Terminal

if TYPE_CHECKING:
    import pyarrow as pa


def sql(
    terminal: Terminal,
    lake: options.Lake,
    query: Annotated[
        str, typer.Argument(metavar="SQL", help="One SELECT statement; - reads it from stdin.")
    ],
    format: Annotated[
        Format | None,
        typer.Option(help="By default a table on a terminal and csv in a pipe or file."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write here instead of to stdout."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE where it exists.")
    ] = False,
    max_rows: Annotated[
        int, typer.Option(metavar="N", min=1, help="Rows of a table; other formats have them all.")
    ] = 100,
    at: options.At = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Ask in SQL: one read-only statement over the lake.

    It is DuckDB's SQL, over three views: events has the events of both tiers, uih those of the
    immutable tier, examples the requests with their context and pointers. A statement can write
    nothing, and read nothing outside the lake.

      uihlake sql shop "SELECT action, count(*) FROM events GROUP BY ALL"
      uihlake sql shop - --format parquet -o users.parquet < users.sql

    Exit codes: 0 done, 1 a statement that is refused or fails, 2 wrong usage.
    """
    if as_json:
        format = Format.json
    if format is None:
        format = Format.table if out is None and sys.stdout.isatty() else Format.csv
    if format is Format.parquet and out is None:
        raise typer.BadParameter("parquet needs a file to go to: -o FILE", param_hint="--format")
    if format is Format.table and out is not None:
        raise typer.BadParameter("a table goes to a terminal, not to FILE", param_hint="--format")
    if query == "-":
        query = sys.stdin.read()

    from uih_lake import Lake

    relation = Lake.open(lake, version=at).sql(query)
    with results.failures_told():
        reader = relation.to_arrow_reader()
        if format is Format.table and out is None:
            results.write_table(reader, terminal, max_rows)
        elif out is None:
            results.WRITERS[format](reader, sys.stdout.buffer)
        else:
            _to_file(reader, format, out, overwrite, lake)


def _to_file(
    reader: pa.RecordBatchReader, format: Format, out: str, overwrite: bool, lake: str
) -> None:
    from uih_lake import output

    with output.writing(out, overwrite=overwrite, lake=lake) as file:
        results.WRITERS[format](reader, file)

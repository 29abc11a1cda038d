"""``uihlake sql``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uih_lake.cli import options, results
from uih_lake.cli.results import Format
from uih_lake.cli.rows import rows
from uih_lake.cli.terminal import Terminal

if TYPE_CHECKING:
    import duckdb

Query = Annotated[
    str | None,
    typer.Argument(
        metavar="SQL",
        help="One SELECT statement; - reads it from stdin. Without one, a shell on a terminal.",
    ),
]
Form = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="By default that of the ending of FILE, else a table on a terminal and csv elsewhere.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write here instead of to stdout."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FILE where it exists.")]
MaxRows = Annotated[
    int, typer.Option(metavar="N", min=1, help="Rows of a table; other formats have them all.")
]
Tenants = Annotated[
    list[str],
    typer.Option("--tenant", metavar="FILE", help="A tenant to show in the view tenants."),
]
Script = Annotated[
    bool,
    typer.Option("--script", help="Print the views and macros for a DuckDB session of your own."),
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def sql(
    terminal: Terminal,
    lake: options.Lake,
    query: Query = None,
    format: Form = None,
    out: Out = None,
    overwrite: Overwrite = False,
    max_rows: MaxRows = 100,
    tenants: Tenants = [],  # noqa: B006  typer copies it
    script: Script = False,
    at: options.At = None,
    as_json: AsJson = False,
) -> None:
    """Ask in SQL: one read-only statement over the lake, or a shell.

    It is DuckDB's SQL, over views: events has the events of both tiers, uih those of the immutable
    tier, examples the requests with their context and pointers; files, column_chunks and
    generations tell how that is stored. Macros answer common questions: history_as_of(user, time),
    sequence_of(example_id, max_len), changed_between(after, to), longest_histories(n),
    redundancy(max_len) and freshness(). A statement can write nothing, and read nothing outside the
    lake.

      uihlake sql shop "SELECT action, count(*) FROM events GROUP BY ALL"
      uihlake sql shop "FROM history_as_of(4711, '2026-05-01')" --format json
      uihlake sql shop - -o users.parquet < users.sql
      uihlake sql shop --script > lake.sql   # then: duckdb -init lake.sql

    Exit codes: 0 done, 1 a statement that is refused or fails, 2 wrong usage.
    """
    form = _format(Format.json if as_json else format, out)
    shell = out is None and sys.stdin.isatty() and sys.stdout.isatty()
    if query is None and not script and not shell:
        raise typer.BadParameter("give a statement, or - to read one", param_hint="SQL")
    if script and (query is not None or out is not None):
        raise typer.BadParameter("it goes to stdout, and takes no statement", param_hint="--script")

    from uih_lake import Lake, Tenant

    opened, named = Lake.open(lake, version=at), [Tenant.load(path) for path in tenants]
    if script:
        terminal.tell(opened.sql_script(tenants=named), end="")
    elif query is None:
        from uih_lake.cli.shell import Shell

        Shell(terminal, opened, named, form, max_rows).run()
    else:
        relation = opened.sql(sys.stdin.read() if query == "-" else query, tenants=named)
        if out is None:
            _show(relation, form, terminal, max_rows)
        else:
            _to_file(relation, form, out, overwrite, lake)


def _format(asked: Format | None, out: str | None) -> Format:
    """The form of the rows; raises where it cannot go where it shall."""
    named = None if out is None else results.ENDINGS.get(Path(out).suffix.lower())
    if asked is None:
        return named or (Format.table if out is None and sys.stdout.isatty() else Format.csv)
    if asked is Format.parquet and out is None:
        raise typer.BadParameter("parquet needs a file to go to: -o FILE", param_hint="--format")
    if asked is Format.table and out is not None:
        raise typer.BadParameter("a table goes to a terminal, not to FILE", param_hint="--format")
    if named not in (None, asked):
        raise typer.BadParameter(f"{asked} does not go into {out}", param_hint="--format")
    return asked


def _show(
    relation: duckdb.DuckDBPyRelation, format: Format, terminal: Terminal, max_rows: int
) -> None:
    with results.failures_told():
        reader = rows(relation)
        if format is Format.table:
            results.write_table(reader, terminal, max_rows)
        else:
            results.WRITERS[format](reader, sys.stdout.buffer)


def _to_file(
    relation: duckdb.DuckDBPyRelation, format: Format, out: str, overwrite: bool, lake: str
) -> None:
    from uih_lake import output

    with results.failures_told(), output.writing(out, overwrite=overwrite, lake=lake) as file:
        results.WRITERS[format](rows(relation), file)

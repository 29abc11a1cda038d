"""``uihlake label``."""

from __future__ import annotations

from typing import Annotated

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount
from uih_lake.wording import quoted


def label(
    terminal: Terminal,
    lake: options.Lake,
    files: options.Files,
    example_id: Annotated[
        str, typer.Option("--example-id", metavar="COL", help="Column of the id of the example.")
    ] = "example_id",
    as_json: options.Json = False,
) -> None:
    """Set on examples what became known after the request.

    A label is known late, its example is logged early. The files have a column of its id; every
    other column is set on the example of that id, and added where the examples did not have it.
    Ids that no example has are counted and passed over. Pointers stay as they are.

      uihlake label shop purchases.parquet
      uihlake label shop purchases.csv --example-id impression

    Exit codes: 0 set; 1 refused; 2 wrong usage.
    """
    from uih_lake.lake.store import Store
    from uih_lake.pointers.label import label as set_labels
    from uih_lake.pointers.label import read_labels

    store = Store.open(lake)
    labels = read_labels(store, files, example_id)
    new = [name for name in labels.column_names if name not in store.examples.schema.names]
    found, given = set_labels(store, labels), labels.num_rows
    new = new if found else []
    facts = {"labelled": found, "given": given, "new_columns": new}
    terminal.report(_told(found, given, new), facts, as_json)


def _told(found: int, given: int, new: list[str]) -> str:
    """How many were labelled, how many were meant to be where those are more, and by what."""
    unknown = given - found
    said = f"labelled {amount(found, 'example')}"
    if unknown:
        verb = "is" if unknown == 1 else "are"
        of_given = f"{found:,} of {amount(given, 'example')}"
        said = f"labelled {of_given}; {amount(unknown, 'example_id')} {verb} unknown"
    return f"{said}; new: {quoted(new)}" if new else said

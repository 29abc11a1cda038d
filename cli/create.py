"""``uihlake create``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBERS: Final = ("int8", "int16", "int32", "int64", "float", "double")


def create(
    terminal: Terminal,
    lake: options.Lake,
    buckets: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=4096,
            help="Hash buckets of users; fixed for good. A bucket is read at once.",
        ),
    ] = 64,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=TYPE",
            help="A column of the events, user_id or a trait; give all of them. TYPE is bool, "
            "int8 to int64, float, double, string or timestamp, and TYPE[] a list.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Create an empty lake in a new directory.

    Users are spread over a fixed number of hash buckets, and memory use is bounded by a few of the
    largest: take so many that a bucket holds a few million events. Columns are fixed by the first
    append, or here: a text file does not tell that 4711 is a name and no number.

      uihlake create shop --buckets 64
      uihlake create shop --column user_id=int64 --column sku=string

    Exit codes: 0 created, 1 the directory is not empty or a column refused, 2 wrong usage.
    """
    from uih_lake import Lake

    Lake.create(lake, buckets=buckets, schema=_schema(columns) if columns else None)
    text = f"created {lake} with {amount(buckets, 'bucket')}"
    terminal.report(text, {"lake": lake, "buckets": buckets}, as_json)


def _schema(columns: Iterable[str]) -> pa.Schema:
    """The columns as Arrow has them; raises :class:`typer.BadParameter`."""
    import pyarrow as pa

    from uih_lake.schema import TIME

    known = {name: pa.type_for_alias(name) for name in ("bool", *_NUMBERS, "string")}
    known |= {"timestamp": TIME}
    fields = []
    for column in columns:
        name, _, word = column.rpartition("=")
        kind = known.get(word.removesuffix("[]"))
        if not name or kind is None:
            raise typer.BadParameter(
                f"{column} is no NAME=TYPE; TYPE is one of {', '.join(known)}, "
                "or one of them with [] behind",
                param_hint="--column",
            )
        fields.append(pa.field(name, pa.list_(kind) if word.endswith("[]") else kind))
    return pa.schema(fields)

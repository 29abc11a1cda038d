"""Labels that become known after the request: joined to the examples, pointers left alone."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uih_lake import names, schema, sqlfile
from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest import LabelColumns, check_types, open_labels
from uih_lake.lake import locks, logs
from uih_lake.lake.sqltypes import list_literal
from uih_lake.lake.store import Store
from uih_lake.lake.tables import File, optimistic
from uih_lake.pointers.examples import Examples
from uih_lake.session import cursor, fetch
from uih_lake.wording import quoted


def read_labels(store: Store, labels: Any, example_id: str) -> pa.Table:
    """Labels of any source as a table with the types of the examples of the opened table.

    Their column ``example_id`` is called as the argument says. Raises :class:`InputError`.
    """
    opened = open_labels(labels, LabelColumns(example_id), Examples.known(store))
    return pa.Table.from_batches(opened, opened.schema)


def label(store: Store, labels: pa.Table) -> int:
    """Set the columns of ``labels`` on the examples with its ``example_id``; how many were found.

    They are as :func:`read_labels` gives them. A new column is null for all other examples. Raises
    :class:`InputError` where an id is given twice, :class:`SchemaError` where a column has another
    type than the examples have by now.
    """
    _check(labels)
    with locks.maintenance(store.root), cursor() as duck:
        store.refresh()  # whoever was waited for may have changed files and columns
        duck.register("labels", labels)
        return optimistic(lambda: _relabel(store, duck, labels.schema), "label")


def _relabel(store: Store, duck: duckdb.DuckDBPyConnection, labels: pa.Schema) -> int:
    if names.EXAMPLE_ID not in store.examples.schema.names:
        raise InputError("there are no examples to label", hint="log requests first")
    check_types(labels, store.examples.schema, where="the labels")
    files = logs.of(store)
    if not files:
        return 0
    paths = [file.path for file in files]
    store.pages.check(paths, [names.EXAMPLE_ID])
    places, rows = fetch(duck, sqlfile.fill("pointers/to_label", files=list_literal(paths))).columns
    found = list(zip(places.to_pylist(), rows.to_pylist(), strict=True))
    new: list[File] = []
    with store.examples.discarding(new):
        for place, _ in found:
            file = files[place]
            store.pages.check([file.path])
            table = fetch(duck, _statement(file.path, labels)).combine_chunks()
            parts = [part.relabelled() for part in file.parts(store.pages)]
            new.append(logs.write(store, table, file.last, parts))
        if new:
            known = store.examples.schema
            noted = _noted(known, labels)
            if not noted.equals(known, check_metadata=True):
                # A commit of its own: one that replaces files cannot change the schema.
                store.examples.commit(schema=noted)
            store.examples.commit(new, [files[place].file for place, _ in found])
    return sum(rows for _, rows in found)


def _noted(stored: pa.Schema, labels: pa.Schema) -> pa.Schema:
    """The columns of the examples with those of ``labels``, which the next log may lack."""
    set_here = [f.with_metadata(schema.LABEL) for f in labels if f.name != names.EXAMPLE_ID]
    by_name = {field.name: field for field in [*stored, *set_here]}
    return pa.schema(list(by_name.values()))


def _statement(path: str, labels: pa.Schema) -> str:
    stored = pq.read_schema(path).names
    set_here = [name for name in labels.names if name != names.EXAMPLE_ID]
    columns = []
    for name in dict.fromkeys([*stored, *set_here]):
        quoted = sqlfile.identifier(name)
        kept = f"stored.{quoted}" if name in stored else "NULL"
        if name in set_here:
            kept = f"CASE WHEN labels.example_id IS NULL THEN {kept} ELSE labels.{quoted} END"
        columns.append(f"{kept} AS {quoted}")
    return sqlfile.fill("pointers/labelled", files=list_literal([path]), columns=", ".join(columns))


def _check(labels: pa.Table) -> None:
    if names.EXAMPLE_ID not in labels.column_names or labels.num_columns < 2:
        raise SchemaError(
            f"labels have the columns {', '.join(labels.column_names)}",
            hint="give example_id and at least one column to set",
        )
    given = labels.column(names.EXAMPLE_ID).value_counts()
    twice = given.filter(pc.greater(given.field("counts"), 1)).field("values")
    if twice:
        told = quoted(twice[:5].to_pylist(), len(twice))
        raise InputError(
            f"column 'example_id' of the labels: {told} given twice",
            hint="give one row per example",
        )

"""The same rows through every format, under odd names and in any chunks, give the same table."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingested import TIME, read

from uih_lake import names

ODD_NAMES = [
    'a "quoted" name',
    "it's",
    "two  spaces ",
    "comma, semicolon; tab\t",
    "line\nend",
    "select",
    "order by",
    "c0",
    "element",
    "value",
    "ünïcødé",
    "数字",
    "😀",
    "$1",
    "{slot}",
    "%s?",
    "a.b.c",
    "--x",
    "/* y */",
    "\\",
    "null",
    "True",
    "1",
]


def is_free(name: str) -> bool:
    """Whether a trait may be called so."""
    taken = (*names.EVENT_COLUMNS, *names.VIRTUAL_COLUMNS)
    return not name.startswith("_") and name.casefold() not in taken


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
column_names = st.one_of(
    st.sampled_from(ODD_NAMES),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6
    ),
).filter(is_free)
instants = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
VALUES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    (pa.bool_(), st.booleans()),
    (pa.string(), texts),
    (TIME, instants),
]
LISTS = [(pa.list_(kind), st.lists(st.none() | values, max_size=3)) for kind, values in VALUES]


@st.composite
def tables(draw: st.DrawFn, *, lists: bool) -> pa.Table:
    """Events with up to five traits of any supported type and any name."""
    rows = draw(st.integers(1, 6))
    users = draw(st.sampled_from([VALUES[0], (pa.string(), texts.filter(bool))]))

    def column(kind: pa.DataType, values: st.SearchStrategy[Any]) -> pa.Array:
        return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)

    found = {"user_id": column(*users), "event_ts": column(TIME, instants)}
    found["arrival_ts"] = column(TIME, instants)
    for name in draw(st.lists(column_names, max_size=5, unique_by=str.casefold)):
        kind, values = draw(st.sampled_from(VALUES + (LISTS if lists else [])))
        found[name] = column(kind, st.none() | values)
    return pa.table(found)


def as_json(value: Any) -> Any:
    """What a value is in JSON: times as ISO strings, all else as it is."""
    if isinstance(value, list):
        return [as_json(element) for element in value]
    return value.isoformat() if isinstance(value, datetime) else value


def write_json(table: pa.Table, path: Path) -> None:
    rows = [{name: as_json(value) for name, value in row.items()} for row in table.to_pylist()]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def write_ipc(table: pa.Table, path: Path, *, stream: bool) -> None:
    start = pa.ipc.new_stream if stream else pa.ipc.new_file
    with start(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


WRITERS: dict[str, tuple[str, Callable[[pa.Table, Path], None]]] = {
    "parquet": ("e.parquet", lambda table, path: pq.write_table(table, path, row_group_size=2)),
    "arrow file": ("e.arrow", lambda table, path: write_ipc(table, path, stream=False)),
    "arrow stream": ("e.ipc", lambda table, path: write_ipc(table, path, stream=True)),
    "json": ("e.jsonl", write_json),
    "csv": ("e.csv", lambda table, path: pyarrow.csv.write_csv(table, path)),
}


def same(found: pa.Table, table: pa.Table) -> None:
    """Equal names, types and values, in order."""
    assert found.column_names == table.column_names
    assert found.schema.types == table.schema.types
    assert found.to_pylist() == table.to_pylist()


@pytest.mark.parametrize("form", WRITERS)
@given(data=st.data())
@settings(max_examples=25)
def test_every_format_gives_the_rows_back(form: str, data: st.DataObject) -> None:
    table = data.draw(tables(lists=form != "csv"))
    name, write = WRITERS[form]
    with tempfile.TemporaryDirectory() as folder:
        write(table, Path(folder) / name)
        same(read(Path(folder) / name, expected=table.schema), table)


@given(table=tables(lists=True))
@settings(max_examples=25)
def test_every_library_gives_the_rows_back(table: pa.Table) -> None:
    same(read(pl.from_arrow(table)), table)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("given", table)
        same(read(con.sql("SELECT * FROM given")), table)


@given(table=tables(lists=True), cuts=st.lists(st.integers(0, 6), max_size=4))
@settings(max_examples=40)
def test_chunks_do_not_matter(table: pa.Table, cuts: list[int]) -> None:
    """Slices share the buffers of the whole table and start anywhere in them."""
    ends = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    pieces = [table.slice(a, b - a) for a, b in pairwise(ends)]
    dictionaries = pa.concat_tables(pieces)
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            encoded = pa.chunked_array(
                [chunk.dictionary_encode() for chunk in dictionaries.column(i).chunks],
                pa.dictionary(pa.int32(), pa.string()),
            )
            dictionaries = dictionaries.set_column(i, field.name, encoded)
    same(read(pa.concat_tables(pieces)), table)
    same(read(dictionaries), table)


@pytest.mark.parametrize("form", WRITERS)
def test_three_hundred_columns(tmp_path: Path, form: str) -> None:
    """Without a lake's schema: types are told from the values."""
    odd = {f"{name} {i}": [i, None, -i] for i, name in enumerate(ODD_NAMES * 13)}
    first = {"user_id": [3, 1, 2], "event_ts": pa.array([0, 1, 2], TIME)}
    arrival = {"arrival_ts": pa.array([5, 5, 5], TIME)}
    table = pa.table(first | arrival | odd)
    assert table.num_columns > 300
    name, write = WRITERS[form]
    write(table, tmp_path / name)
    same(read(tmp_path / name), table)


def test_a_csv_larger_than_a_block_keeps_its_order(tmp_path: Path) -> None:
    """Quoted line ends at every place of the parser's parallel blocks."""
    rows = 60_000
    note = pa.array([f'n{i}\n{"x" * (i % 97)}\n"{i}"' for i in range(rows)])
    table = pa.table(
        {"user_id": range(rows), "event_ts": pa.array(range(rows), TIME), "note": note}
    )
    pyarrow.csv.write_csv(table, tmp_path / "e.csv")
    found = read(tmp_path / "e.csv")
    assert found["user_id"].to_pylist() == list(range(rows))
    assert found["note"].combine_chunks().equals(note)

"""Tables in memory: whatever gives an Arrow stream, and pandas frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from uih_lake.errors import InputError
from uih_lake.ingest.source import TABLE, cause_of, plain_schema, reading

_ACCEPTED = (
    "give a path, a list of paths, or a table: pyarrow, polars, DuckDB, pandas "
    "or anything with __arrow_c_stream__"
)


class Table:
    """A table or stream in memory; it is not copied."""

    def __init__(self, source: Any, where: str = TABLE) -> None:
        self.where = where
        self._reader = _reader(source)
        with reading(TABLE, "a table", _ACCEPTED):
            self.schema = plain_schema(self._reader.schema)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order; an error of the producer comes through where it is not Arrow's."""
        try:
            yield from self._reader
        except (pa.ArrowException, duckdb.Error) as error:
            raise InputError(
                f"{TABLE}: the stream broke: {cause_of(error)}",
                hint="check what produces it",
            ) from error


def _reader(source: Any) -> pa.RecordBatchReader:
    """A stream of record batches over any kind of table."""
    package = type(source).__module__.partition(".")[0]
    if package == "polars" and type(source).__name__ == "LazyFrame":
        raise InputError(f"{TABLE}: is a lazy polars query", hint="call .collect() on it first")
    try:
        if package == "pandas" and type(source).__name__ == "DataFrame":
            return _of_pandas(source).to_reader()
        if hasattr(source, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(source)
        if hasattr(source, "__arrow_c_array__"):
            return pa.Table.from_batches([pa.record_batch(source)]).to_reader()
    except (pa.ArrowException, duckdb.Error, TypeError, ValueError) as error:
        raise InputError(
            f"{TABLE}: a {type(source).__name__} that is no Arrow table: {cause_of(error)}",
            hint=_ACCEPTED,
        ) from error
    hint = "wrap it: pyarrow.table(...)" if isinstance(source, Mapping) else _ACCEPTED
    raise InputError(f"{TABLE}: a {type(source).__name__} cannot be read", hint=hint)


def _of_pandas(frame: Any) -> pa.Table:
    """A pandas frame; of one without rows, floats are columns whose type nobody knows."""
    named = any(name is not None for name in frame.index.names)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=named)
    except pa.ArrowException as error:
        raise InputError(
            f"{TABLE}: {': '.join(map(str, reversed(error.args)))}",
            hint="give each column values of one type",
        ) from error
    if table.num_rows:
        return table
    unknown = pa.types.is_floating
    fields = [f.with_type(pa.null()) if unknown(f.type) else f for f in table.schema]
    return pa.schema(fields).empty_table()

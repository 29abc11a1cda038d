"""CSV, TSV and JSON lines: types told from the whole of all files, then rows read with them.

A file is read twice. The first pass counts, column by column, how many values can be read as
what; a sample rules most readings out, so that the whole file is only asked about the rest.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import duckdb
import pyarrow as pa

from uih_lake import session
from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest.header import Header, read_header
from uih_lake.ingest.kinds import MACROS, Kind, csv_kinds, json_kinds
from uih_lake.ingest.refusal import counted
from uih_lake.ingest.source import reading
from uih_lake.sqlfile import fill, identifier, literal, statement

_SAMPLE_VALUES: Final = 100_000
_BATCH_ROWS: Final = 2**16
# How the parser spells what ends a line.
_NEWLINES: Final = {"\n": "\\n", "\r\n": "\\r\\n", "\r": "\\r"}
_ONE_SORT: Final = (
    "give one sort of value: numbers of 64 bits, strings, booleans, times, or lists of one of them"
)
_LAKES_TYPE: Final = (
    "the lake has had that type since the column came; give such values, or another column"
)
_DAMAGED: Final = "check that it is whole, UTF-8, and what its ending says"

Reading = tuple[bool, list[Kind]]
"""Whether a column holds a value, and the kinds that all its values can be read as."""


class Misfits(NamedTuple):
    """How many values cannot be read as a kind, and the first of them with its row, from 1."""

    rows: int
    row: int
    value: str


class TextFile:
    """A delimited or JSON lines file: its columns are known, their types only once settled."""

    def __init__(self, path: Path, ending: str) -> None:
        self.where = str(path)
        self._path = path
        self._is_json = "json" in ending
        self._delimiter = "\t" if ending.startswith(".tsv") else ","
        self._kinds: dict[str, Kind | None] = {}
        if ending.endswith(".gz"):
            self._check_gzip()
        self._header = None if self._is_json else self._read_header()
        self.names = self._header.names if self._header else self._keys()

    @property
    def has_keys(self) -> bool:
        """Whether it is of objects, each with a key for what it has."""
        return self._is_json

    def may_lack(self, keys: Iterable[str]) -> None:
        """Have columns of these keys too, null where no object has them."""
        self.names = list(dict.fromkeys([*self.names, *keys]))

    @property
    def schema(self) -> pa.Schema:
        """Columns with the types settled on; null where no value was seen."""
        fields = [(name, kind.arrow if kind else pa.null()) for name, kind in self._kinds.items()]
        return pa.schema(fields)

    def _check_gzip(self) -> None:
        """Read the whole file once: only then is its checksum compared."""
        with reading(self.where, "gzip", _DAMAGED), gzip.open(self._path) as file:
            while file.read(2**20):
                pass

    def _read_header(self) -> Header:
        with reading(self.where, "delimited text", _DAMAGED):
            return read_header(self._path, self._delimiter)

    def _keys(self) -> list[str]:
        with self._session() as con:
            rows = con.sql(fill("ingest/json_keys", path=literal(self._glob()))).fetchall()
        if not rows:
            raise InputError(
                f"{self.where}: holds no objects", hint="JSON lines are one object a line"
            )
        return [str(key) for (key,) in rows]

    def _glob(self) -> str:
        """The path with its wildcard characters made plain."""
        return re.sub(r"([*?\[])", r"[\1]", self.where)

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with (
            reading(self.where, "JSON lines" if self._is_json else "delimited text", _DAMAGED),
            session.connect() as con,
        ):
            for macro in MACROS:
                con.execute(statement(f"ingest/{macro}"))
            yield con

    def _scan(self) -> str:
        path = literal(self._glob())
        if self._header:
            columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(self.names)))
            return fill(
                "ingest/scan_csv",
                path=path,
                delimiter=literal(self._delimiter),
                newline=literal(_NEWLINES[self._header.newline]),
                columns=f"{{{columns}}}",
            )
        columns = ", ".join(f"{literal(name)}: 'JSON'" for name in self.names)
        renamed = ", ".join(f"{identifier(name)} AS c{i}" for i, name in enumerate(self.names))
        return fill("ingest/scan_json", path=path, columns=f"{{{columns}}}", renamed=renamed)

    def readings(self, *, known: bool) -> list[Kind]:
        """Ways to read a value of this format."""
        return json_kinds(known=known) if self._is_json else csv_kinds(known=known)

    def candidates(self, columns: Sequence[str]) -> dict[str, Reading]:
        """For each column whether it holds a value, and the readings that fit all of them."""
        if not columns:
            return {}
        with self._session() as con:
            whole, sample = self._sample(con, columns)
            return sample if whole else self._profile(con, sample)

    def _sample(
        self, con: duckdb.DuckDBPyConnection, names: Sequence[str]
    ) -> tuple[bool, dict[str, Reading]]:
        """Whether the first rows are the whole file, and what they can be read as."""
        kinds = self.readings(known=False)
        limit = max(100, _SAMPLE_VALUES // len(names))
        conditions = _conditions("value", kinds)
        query = fill(
            "ingest/sample",
            scan=self._scan(),
            rows=str(limit),
            columns=", ".join(self._columns(names).values()),
            width=str(len(names)),
            counts=_counting(conditions),
        )
        found = {name: (False, kinds) for name in names}
        samples = con.sql(query).fetchall()
        for place, _, *counts in samples:
            seen = dict(zip(conditions, counts, strict=True))
            found[names[place]] = _fitting("value", kinds, seen)
        return not samples or samples[0][1] < limit, found

    def _profile(
        self, con: duckdb.DuckDBPyConnection, candidates: Mapping[str, Reading]
    ) -> dict[str, Reading]:
        """Those of each column's candidates that fit the whole file."""
        columns = self._columns(candidates)
        conditions = [
            condition
            for name, (_, kinds) in candidates.items()
            for condition in _conditions(columns[name], kinds)
        ]
        query = fill("ingest/profile", scan=self._scan(), counts=_counting(conditions))
        seen = dict(zip(conditions, con.sql(query).fetchall()[0], strict=True))
        return {
            name: _fitting(columns[name], kinds, seen) for name, (_, kinds) in candidates.items()
        }

    def _columns(self, names: Iterable[str]) -> dict[str, str]:
        """What the statements call each of the columns."""
        return {name: f"c{self.names.index(name)}" for name in names}

    def check_fit(self, wanted: Mapping[str, tuple[Kind, pa.DataType]]) -> None:
        """Refuse the first value of a column that cannot be read as the type it must have."""
        if not wanted:
            return
        readings: dict[str, Reading] = {name: (False, [kind]) for name, (kind, _) in wanted.items()}
        with self._session() as con:
            kept = self._profile(con, readings)
            for name, (kind, arrow) in wanted.items():
                values, fitting = kept[name]
                misfits = self._misfits(con, name, kind) if values and not fitting else None
                if misfits is not None:
                    raise self._refusal(name, misfits, str(arrow), _LAKES_TYPE)

    def refuse_mixed(self, name: str) -> NoReturn:
        """Refuse a column that no reading fits, by the value that ends the longest fit."""
        kinds = self.readings(known=False)
        with self._session() as con:
            found = [(kind, self._misfits(con, name, kind)) for kind in kinds]
        kind, misfits = max(
            ((kind, misfits) for kind, misfits in found if misfits is not None),
            key=lambda pair: pair[1].row,
        )
        alike = (
            f"{kind.arrow} like those before"
            if misfits.row > 1
            else "number, string, boolean or list"
        )
        raise self._refusal(name, misfits, alike, _ONE_SORT)

    def _refusal(self, name: str, misfits: Misfits, wanted: str, hint: str) -> SchemaError:
        return SchemaError(
            f"{self.where}: column {name!r}: {counted(misfits.rows)} with a value that is no "
            f"{wanted}, first at row {misfits.row} ({misfits.value[:60]!r})",
            hint=hint,
        )

    def _misfits(self, con: duckdb.DuckDBPyConnection, name: str, kind: Kind) -> Misfits | None:
        column = self._columns([name])[name]
        query = fill(
            "ingest/misfit",
            scan=self._scan(),
            value=column,
            given=kind.has_value(column),
            fits=kind.fits(column),
        )
        count, row, value = con.sql(query).fetchall()[0]
        return Misfits(int(count), int(row), str(value)) if count else None

    def settle(self, types: Mapping[str, pa.DataType]) -> None:
        """Fix what each column is read as: a type of :meth:`readings`, or null for no value."""
        readings = {kind.arrow: kind for kind in self.readings(known=True)}
        self._kinds = {name: readings.get(types[name]) for name in self.names}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, columns typed as settled."""
        values = ", ".join(
            f"{kind.read(f'c{i}')} AS c{i}" if kind else f"NULL AS c{i}"
            for i, kind in enumerate(self._kinds.values())
        )
        schema = self.schema
        rows = 0
        with self._session() as con:
            reader = con.sql(fill("ingest/values", scan=self._scan(), values=values))
            for batch in reader.to_arrow_reader(_BATCH_ROWS):
                rows += len(batch)
                yield _typed(batch, schema)
        if not rows and self._header and self._header.has_rows:
            raise InputError(
                f"{self.where}: its lines do not end as its first does",
                hint="end all lines alike",
            )


def _conditions(column: str, kinds: Sequence[Kind]) -> list[str]:
    """What to count of a column: that there is something, that it is a value, that it fits."""
    conditions = [_something(column)]
    for kind in kinds:
        conditions += [kind.has_value(column), kind.fits(column)]
    return list(dict.fromkeys(conditions))


def _something(column: str) -> str:
    return f"({column} IS NOT NULL)"


def _counting(conditions: Sequence[str]) -> str:
    return ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions)


def _fitting(column: str, kinds: Sequence[Kind], seen: Mapping[str, int]) -> Reading:
    """The kinds that fit as often as they should; empty strings alone are no numbers."""
    values = seen[_something(column)]
    fitting = [
        kind
        for kind in kinds
        if seen[kind.fits(column)] == seen[kind.has_value(column)]
        and (seen[kind.has_value(column)] or not values)
    ]
    return values > 0, fitting


def _typed(batch: Any, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under its columns' own names; a column without values has no type of its own."""
    columns = [
        pa.nulls(len(batch), field.type)
        if pa.types.is_null(field.type)
        else values.cast(field.type)
        for values, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

"""CSV, TSV and JSON lines: types told from the whole of all files, then rows read with them.

A file is read twice. The first pass counts, column by column, how many values can be read as
what; a sample rules most readings out, so that the whole file is only asked about the rest.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import duckdb
import pyarrow as pa

from uih_lake import session
from uih_lake.errors import InputError, SchemaError
from uih_lake.ingest.kinds import MACROS, Kind, csv_kinds, json_kinds, known_kind
from uih_lake.ingest.refusal import counted
from uih_lake.ingest.source import reading
from uih_lake.sqlfile import fill, identifier, literal, statement

_SAMPLE_ROWS: Final = 10_000
_BATCH_ROWS: Final = 2**16
_DAMAGED: Final = "check that it is whole, UTF-8, and what its ending says"


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
        self.names = self._keys() if self._is_json else self._header()

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

    def _header(self) -> list[str]:
        opened = gzip.open if self._path.suffix.lower() == ".gz" else open
        with reading(self.where, "delimited text", _DAMAGED):
            file = cast(IO[str], opened(self._path, "rt", encoding="utf-8-sig", newline=""))
            with file:
                try:
                    header = next(csv.reader(file, delimiter=self._delimiter, strict=True), [])
                except csv.Error as error:
                    raise InputError(f"{self.where}: line 1: {error}", hint=_DAMAGED) from error
        if not header:
            raise InputError(
                f"{self.where}: has no header", hint="name the columns in its first line"
            )
        return header

    def _keys(self) -> list[str]:
        with self._session() as con:
            rows = con.sql(fill("ingest/json_keys", path=literal(self._glob()))).fetchall()
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
        if not self._is_json:
            columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(self.names)))
            delimiter = literal(self._delimiter)
            return fill("ingest/scan_csv", path=path, delimiter=delimiter, columns=f"{{{columns}}}")
        columns = ", ".join(f"{literal(name)}: 'JSON'" for name in self.names)
        renamed = ", ".join(f"{identifier(name)} AS c{i}" for i, name in enumerate(self.names))
        return fill("ingest/scan_json", path=path, columns=f"{{{columns}}}", renamed=renamed)

    def readings(self, *, known: bool) -> list[Kind]:
        """Ways to read a value of this format."""
        return json_kinds(known=known) if self._is_json else csv_kinds(known=known)

    def candidates(self, columns: Sequence[str]) -> dict[str, tuple[bool, list[Kind]]]:
        """For each column whether it holds a value, and the readings that fit all of them."""
        found = {name: (False, self.readings(known=False)) for name in columns}
        if not found:
            return found
        with self._session() as con:
            rows, sample = self._profile(con, found, f"LIMIT {_SAMPLE_ROWS}")
            return sample if rows < _SAMPLE_ROWS else self._profile(con, sample, "")[1]

    def _profile(
        self,
        con: duckdb.DuckDBPyConnection,
        candidates: Mapping[str, tuple[bool, list[Kind]]],
        limit: str,
    ) -> tuple[int, dict[str, tuple[bool, list[Kind]]]]:
        """Count the values each candidate has and fits; keep those that fit all they have."""
        counts = []
        for name, (_, kinds) in candidates.items():
            column = f"c{self.names.index(name)}"
            counts.append(f"count({column})")
            for kind in kinds:
                counts.append(f"count_if({kind.has_value(column)})")
                counts.append(f"count_if({kind.has_value(column)} AND {kind.fits(column)})")
        query = fill("ingest/profile", scan=self._scan(), limit=limit, counts=", ".join(counts))
        rows, *numbers = con.sql(query).fetchall()[0]
        kept: dict[str, tuple[bool, list[Kind]]] = {}
        for name, (_, kinds) in candidates.items():
            values, pairs = numbers[0], numbers[1 : 1 + 2 * len(kinds)]
            numbers = numbers[1 + 2 * len(kinds) :]
            fitting = [
                kind
                for kind, given, fits in zip(kinds, pairs[::2], pairs[1::2], strict=True)
                if given == fits and (given or not values)
            ]
            kept[name] = (values > 0, fitting)
        return int(rows), kept

    def check_fit(self, wanted: Mapping[str, tuple[Kind, pa.DataType]]) -> None:
        """Refuse the first value of a column that cannot be read as the type it must have."""
        if not wanted:
            return
        with self._session() as con:
            readings = {name: (False, [kind]) for name, (kind, _) in wanted.items()}
            kept = self._profile(con, readings, "")[1]
            for name, (kind, arrow) in wanted.items():
                values, fitting = kept[name]
                if values and not fitting:
                    self._refuse_misfit(con, name, kind, arrow)

    def _refuse_misfit(
        self, con: duckdb.DuckDBPyConnection, name: str, kind: Kind, wanted: pa.DataType
    ) -> None:
        column = f"c{self.names.index(name)}"
        query = fill(
            "ingest/misfit",
            scan=self._scan(),
            value=column,
            given=kind.has_value(column),
            fits=kind.fits(column),
        )
        count, row, value = con.sql(query).fetchall()[0]
        if count:
            raise SchemaError(
                f"{self.where}: column {name!r}: {counted(count)} hold a value that is no "
                f"{wanted}, first at row {row} ({str(value)[:60]!r})",
                hint="correct them: the lake keeps this column's type",
            )

    def settle(self, kinds: Mapping[str, Kind | None]) -> None:
        """Fix how each column is read."""
        self._kinds = {name: kinds[name] for name in self.names}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, columns typed as settled."""
        values = ", ".join(
            f"{kind.read(f'c{i}')} AS c{i}" if kind else f"NULL AS c{i}"
            for i, kind in enumerate(self._kinds.values())
        )
        schema = self.schema
        with self._session() as con:
            reader = con.sql(fill("ingest/values", scan=self._scan(), values=values))
            for batch in reader.to_arrow_reader(_BATCH_ROWS):
                yield _typed(batch, schema)


def _typed(batch: Any, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under its columns' own names; a column without values has no type of its own."""
    columns = [
        pa.nulls(len(batch), field.type)
        if pa.types.is_null(field.type)
        else values.cast(field.type)
        for values, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def settle(files: Sequence[TextFile], wanted: Mapping[str, pa.DataType]) -> None:
    """Find one type per column over all files of one format family, and fix it for each.

    ``wanted`` gives types that are known beforehand, by source column; values that do not fit are
    refused with their row. Columns that mix readings are strings in delimited text and refused in
    JSON lines.
    """
    if not files:
        return
    unknown = [name for name in files[0].names if name not in wanted]
    profiles = [file.candidates(unknown) for file in files]
    found = {
        name: _common(name, files, [profile[name] for profile in profiles]) for name in unknown
    }
    for file in files:
        known = {name: _known(file, name, wanted[name]) for name in file.names if name in wanted}
        file.check_fit(known)
        file.settle(found | {name: kind for name, (kind, _) in known.items()})


def _known(file: TextFile, name: str, wanted: pa.DataType) -> tuple[Kind, pa.DataType]:
    kind = known_kind(file.readings(known=True), wanted)
    if kind is None:
        raise SchemaError(
            f"{file.where}: column {name!r}: the lake has {wanted}, no type of delimited text",
            hint="give it as JSON lines, Parquet or Arrow",
        )
    return kind, wanted


def _common(
    name: str, files: Sequence[TextFile], profiles: Sequence[tuple[bool, list[Kind]]]
) -> Kind | None:
    """The first reading that fits a column in every file that has values of it."""
    having = [
        (file, kinds) for file, (values, kinds) in zip(files, profiles, strict=True) if values
    ]
    if not having:
        return None
    file, kinds = having[0]
    for other, others in having[1:]:
        common = [kind for kind in kinds if kind in others]
        if not common:
            raise SchemaError(
                f"{other.where}: column {name!r} is not what it is in {file.where}",
                hint="give one sort of value in all files",
            )
        kinds = common
    if kinds:
        return kinds[0]
    raise SchemaError(
        f"{file.where}: column {name!r} mixes sorts of values, or holds numbers beyond 64 bits or "
        "objects",
        hint="write numbers, strings, booleans or lists of one of them throughout",
    )

"""One type per column, told from all values of all text files, or given by the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from uih_lake.errors import SchemaError
from uih_lake.ingest.kinds import Kind, known_kind
from uih_lake.ingest.text import Reading, TextFile


def settle(files: Sequence[TextFile], wanted: Mapping[str, pa.DataType]) -> None:
    """Find one type per column over all files, delimited and JSON lines alike, and fix it.

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
        file.settle(found | {name: kind.arrow for name, (kind, _) in known.items()})


def _known(file: TextFile, name: str, wanted: pa.DataType) -> tuple[Kind, pa.DataType]:
    kind = known_kind(file.readings(known=True), wanted)
    if kind is None:
        raise SchemaError(
            f"{file.where}: column {name!r}: the lake has {wanted}, no type of delimited text",
            hint="give it as JSON lines, Parquet or Arrow",
        )
    return kind, wanted


def _common(name: str, files: Sequence[TextFile], profiles: Sequence[Reading]) -> pa.DataType:
    """The first type that fits a column in every file that has values of it, else null."""
    having = [
        (file, kinds) for file, (values, kinds) in zip(files, profiles, strict=True) if values
    ]
    if not having:
        return pa.null()
    for file, kinds in having:
        if not kinds:
            file.refuse_mixed(name)
    first, kinds = having[0]
    common = [kind.arrow for kind in kinds]
    for other, kinds in having[1:]:
        fitting = {kind.arrow for kind in kinds}
        common = [arrow for arrow in common if arrow in fitting]
        if not common:
            raise SchemaError(
                f"{other.where}: column {name!r} is not what it is in {first.where}",
                hint="give one sort of value in all files",
            )
    return common[0]

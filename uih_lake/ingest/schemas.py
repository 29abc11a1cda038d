"""One output schema for all sources, and its comparison with the lake's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from uih_lake import schema
from uih_lake.errors import SchemaError
from uih_lake.ingest.columns import Column, Role
from uih_lake.ingest.source import Source
from uih_lake.ingest.types import SUPPORTED, is_unknown, may_become, output_type, plain
from uih_lake.wording import columns_are, guess, quoted

Part = tuple[Source, Sequence[Column]]
"""One source and the columns of the output it gives."""


def check_events(
    found: pa.Schema, expected: pa.Schema, *, add_columns: bool = False, where: str = "the input"
) -> pa.Schema:
    """The schema of the lake once it holds ``found``: ``expected``, then the columns that are new.

    Both are normalised event schemas. Raises :class:`SchemaError` naming columns that are missing,
    that are new without ``add_columns``, that differ from the lake's only in case, or whose type is
    another: :func:`unify` gave them the types of the lake, but meanwhile it may have got columns
    from somebody else.
    """
    of_user = schema.traits_of
    new = _check(found, expected, of_user, "the lake", add_columns=add_columns, where=where)
    return pa.schema([*expected, *new])


def check_requests(found: pa.Schema, stored: pa.Schema, *, add_columns: bool, where: str) -> None:
    """Raise :class:`SchemaError` where the context differs from that of the ``stored`` examples.

    As :func:`check_events` does of traits, but labels, which are set later, may be missing.
    """
    whose = "the table of examples"
    _check(found, stored, schema.context_of, whose, add_columns=add_columns, where=where)


def _check(
    found: pa.Schema,
    expected: pa.Schema,
    of_user: Callable[[pa.Schema], list[pa.Field]],
    whose: str,
    *,
    add_columns: bool,
    where: str,
) -> list[pa.Field]:
    """Compare columns ``of_user`` with those that are there; the ones that are new."""
    _check_spelling(found.names, expected, where)
    own = of_user(expected)
    wanted = [field.name for field in own if not schema.is_label(field)]
    missing = [name for name in wanted if name not in found.names]
    if missing:
        unknown = [name for name in found.names if name not in expected.names]
        near = next(filter(None, (guess(name, unknown) for name in missing)), "")
        raise SchemaError(
            f"{where}: no column {quoted(missing)}, which {whose} has",
            hint=f"{near}add it, with nulls where there is no value; "
            f"found are {quoted(field.name for field in of_user(found))}",
        )
    check_types(found, expected, where=where)
    new = [field for field in of_user(found) if field.name not in expected.names]
    if new and not add_columns:
        near = guess(new[0].name, [field.name for field in own if field.name not in found.names])
        raise SchemaError(
            f"{where}: {columns_are(f.name for f in new)} new to {whose}",
            hint=f"{near}pass --add-columns (add_columns=True) to take it in, or drop it; "
            f"{whose} has {quoted(f.name for f in own)}",
        )
    return new


def check_types(found: pa.Schema, expected: pa.Schema, *, where: str) -> None:
    """Raise :class:`SchemaError` for a column of another type, or of another spelling."""
    _check_spelling(found.names, expected, where)
    for field in found:
        wanted = expected.field(field.name).type if field.name in expected.names else field.type
        if field.type != wanted:
            raise _other_type(where, field.name, field.type, wanted)


def _check_spelling(found: Sequence[str], expected: pa.Schema, where: str) -> None:
    """Neither Delta nor SQL tells columns apart that differ only in case."""
    folded = {name.lower(): name for name in expected.names}
    for name in found:
        known = folded.get(name.lower(), name)
        if known != name:
            raise SchemaError(
                f"{where}: column {name!r} and the lake's {known!r} differ only in case",
                hint="use the lake's spelling",
            )


def _other_type(where: str, name: str, found: pa.DataType, wanted: pa.DataType) -> SchemaError:
    return SchemaError(
        f"{where}: column {name!r} is {found}, where {wanted} is wanted",
        hint="cast it before, or leave it out",
    )


def unify(parts: Sequence[Part], expected: pa.Schema | None) -> pa.Schema:
    """The schema of the output: keys, then the lake's columns in its order, then new ones.

    Raises :class:`SchemaError` for a type that is not supported, and for a source whose columns or
    types are not those of the first, or differ from the lake's only in case.
    """
    first, layout = parts[0]
    for source, other in parts[1:]:
        _check_same_columns(first.where, layout, source.where, other)
    if expected is not None:
        _check_keys(layout, expected, first.where)
    fields = [_field(column, parts, expected) for column in layout]
    if expected is None:
        return pa.schema(fields)
    _check_spelling([column.name for column in layout], expected, first.where)
    keys = [f for f, column in zip(fields, layout, strict=True) if column.role is not Role.TRAIT]
    traits = {f.name: f for f, c in zip(fields, layout, strict=True) if c.role is Role.TRAIT}
    known = [traits.pop(name) for name in expected.names if name in traits]
    return pa.schema([*keys, *known, *traits.values()])


def _check_keys(layout: Sequence[Column], expected: pa.Schema, where: str) -> None:
    """Refuse what the lake has as a trait or as context for a key."""
    keys = {column.name for column in layout if column.role is not Role.TRAIT}
    for column in layout:
        if column.name in keys and column.source in {*expected.names} - keys:
            raise SchemaError(
                f"{where}: column {column.source!r} is given for {column.name}, "
                "and the lake has one of that name",
                hint=f"name the column that holds {column.name}, or rename this one",
            )


def _check_same_columns(
    first: str, layout: Sequence[Column], where: str, other: Sequence[Column]
) -> None:
    have, had = {c.name for c in other}, {c.name for c in layout}
    missing = [c.name for c in layout if c.name not in have]
    if missing:
        raise SchemaError(
            f"{where}: no column {quoted(missing)}, which {first} has",
            hint="all files of one call have the same columns",
        )
    new = [c.name for c in other if c.name not in had]
    if new:
        raise SchemaError(
            f"{where}: {columns_are(new)} not in {first}",
            hint="all files of one call have the same columns",
        )


def _field(column: Column, parts: Sequence[Part], expected: pa.Schema | None) -> pa.Field:
    """The output field of one column; nullable where a null may stand."""
    nullable = column.role in (Role.TRAIT, Role.OPTIONAL_TIME)
    wanted = None
    if expected is not None and column.name in expected.names:
        wanted = expected.field(column.name).type
    for source, layout in parts:
        name = next(c.source for c in layout if c.name == column.name)
        kind = source.schema.field(name).type
        found = _supported(source.where, name, kind, column.role)
        if wanted is None or (is_unknown(wanted) and may_become(wanted, found)):
            wanted = found
        elif expected is not None and column.name in expected.names:
            if not _castable(found, wanted, column.role):
                raise _other_type(source.where, name, kind, wanted)
        elif found != wanted and not (is_unknown(found) and may_become(found, wanted)):
            raise SchemaError(
                f"{source.where}: column {name!r} is {kind}, in {parts[0][0].where} it becomes "
                f"{wanted}",
                hint="give it one type in all files",
            )
    if wanted is None or is_unknown(wanted):
        raise SchemaError(
            f"{parts[0][0].where}: column {column.source!r} holds no value, so its type is unknown",
            hint="give it a type, leave it out, or append to a lake that has it",
        )
    return pa.field(column.name, wanted, nullable=nullable)


def _castable(found: pa.DataType, wanted: pa.DataType, role: Role) -> bool:
    if role in (Role.USER, Role.EXAMPLE):
        return bool(found == wanted or pa.types.is_null(found))
    return may_become(found, wanted)


def _supported(where: str, name: str, kind: pa.DataType, role: Role) -> pa.DataType:
    found = output_type(kind, role)
    if found is not None:
        return found
    if role is Role.TRAIT:
        raise SchemaError(
            f"{where}: column {name!r} is {plain(kind)}, which is not supported",
            hint=f"cast it or leave it out; supported are {SUPPORTED}",
        )
    wanted = "an integer or string id" if role in (Role.USER, Role.EXAMPLE) else "a time"
    raise SchemaError(
        f"{where}: column {name!r} is {plain(kind)}, where {wanted} is wanted",
        hint="name another column or cast it",
    )

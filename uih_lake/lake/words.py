"""Words: the strings that a sealed file has, and the lake version that brought each.

A loader numbers the strings of a column before it reads the first event, by lake version and then
by text. Files never change, so they are looked for once, when the file is written, and kept in its
footer: a loader of a lake that is sealed reads no event to number them. A column of more than
:data:`FEW` strings in the file, or of long ones, is not noted, and is read. The footer's hash is in
the file's name, so a note is as safe as the pages; :mod:`uih_lake.verify` looks for the strings
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uih_lake import names, schema
from uih_lake.arrays import Int64, ints, running, whole

KEY = "uih_lake.words"
"""Key of the footer's metadata: :data:`Note` as JSON."""
FEW = 256
"""Strings of up to so many kinds are kept as codes until they are written, and then noted."""

Firsts = dict[str, int]
"""String -> the first lake version that has it; in order of version and text."""
Note = dict[str, Firsts | None]
"""Text column of a file -> its strings; None where they are many."""

_SAMPLE_ROWS = 16 * 1024
_MOST_BYTES = 16 * 1024  # of the strings of a column, which is an average of 64
_LEAST_BYTES = 1024


def coded(strings: pa.Array) -> pa.Array:
    """Strings as codes where they are of few kinds, else as they are."""
    if pa.types.is_dictionary(strings.type):
        return strings
    sample = strings.slice(0, _SAMPLE_ROWS)  # which costs less than all of them
    if pc.count_distinct(sample).as_py() > FEW:  # of nulls there is no kind
        return strings
    return lighter(strings, strings.dictionary_encode())


def lighter(strings: pa.Array, codes: pa.Array) -> pa.Array:
    """The ``codes`` of ``strings`` where they are of few kinds: moved and written as numbers are.

    Every row group of a file lists all of them.
    """
    many = pa.types.is_dictionary(codes.type) and len(codes.dictionary) > FEW
    return strings if many else codes


def with_codes(events: pa.Table) -> pa.Table:
    """The same ``events``, traits that are strings of few kinds as codes."""
    return _replaced(events, pa.types.is_string, coded)


def with_own_codes(events: pa.Table) -> pa.Table:
    """The same ``events``, cut from others whose strings are not to be in a file of theirs."""
    return _replaced(events, pa.types.is_dictionary, _used)


def _replaced(
    events: pa.Table, which: Callable[[pa.DataType], bool], new: Callable[[pa.Array], pa.Array]
) -> pa.Table:
    for trait in schema.traits_of(events.schema):
        if which(trait.type):
            place = events.schema.get_field_index(trait.name)
            events = events.set_column(place, trait.name, new(whole(events.column(place))))
    return events


def _used(codes: pa.Array) -> pa.Array:
    """The same strings, coded by those among them alone."""
    used = np.bincount(_places(codes), minlength=len(codes.dictionary) + 1)[:-1] > 0
    if used.all():
        return codes
    places = pa.array(running(used)[:-1].astype(np.int32)).take(codes.indices)
    return pa.DictionaryArray.from_arrays(places, codes.dictionary.filter(pa.array(used)))


def note(events: pa.Table) -> Note:
    """The note of a file of stored ``events``, one chunk per column."""
    versions = ints(events, names.LAKE_VERSION)
    traits = schema.traits_of(events.schema)
    return {f.name: firsts(whole(events.column(f.name)), versions) for f in traits if is_text(f)}


def encoded(found: Note) -> str:
    """As text for a footer."""
    return json.dumps(found, ensure_ascii=False)


def noted(footer: pq.FileMetaData) -> Note | None:
    """The note in a footer; None of a file that was written before there were notes."""
    found = (footer.metadata or {}).get(KEY.encode())
    return None if found is None else json.loads(found)


def firsts(values: pa.Array, versions: Int64) -> Firsts | None:
    """The strings of a column, a row of which came with each of ``versions``; None of many.

    ``values`` are strings, codes of strings or lists of strings.
    """
    if pa.types.is_list(values.type):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        values, versions = values.flatten(), np.repeat(versions, lengths)
    codes = coded(values)
    if not pa.types.is_dictionary(codes.type):
        return None
    first = np.full(len(codes.dictionary) + 1, schema.UNBOUNDED)  # the last one is null's
    np.minimum.at(first, _places(codes), versions)
    each = zip(codes.dictionary.to_pylist(), first[:-1].tolist(), strict=True)
    found = {word: version for word, version in each if version < schema.UNBOUNDED}
    # A reader takes a footer of 100 MB for damage, and texts that differ row by row are no kinds.
    size, most = sum(len(word.encode()) for word in found), _LEAST_BYTES + len(values)
    return in_order(found) if len(found) <= FEW and size <= min(most, _MOST_BYTES) else None


def _places(codes: pa.Array) -> npt.NDArray[np.intp]:
    """The place of each string in the dictionary; of a null the one behind it."""
    places = pc.fill_null(codes.indices, len(codes.dictionary))
    found: npt.NDArray[np.intp] = places.to_numpy().astype(np.intp)
    return found


def in_order(found: Firsts) -> Firsts:
    """By version, then text, as they are numbered."""
    return dict(sorted(found.items(), key=lambda each: (each[1], each[0])))


def is_text(field: pa.Field) -> bool:
    """Whether a column has strings, coded or not, or lists of them."""
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))

"""Which strings the columns of a loader have, in the order in which they are numbered.

Sealed files say it in their footers (:mod:`uih_lake.lake.words`). Asked in SQL is only what lies in
files that do not: those of the mutable tier, columns of too many strings to be noted, and files
with events that a retention window hides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names, schema, sqlfile
from uih_lake.errors import InputError
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.words import Firsts, Note, in_order, is_text, noted
from uih_lake.loader.columns import Fill
from uih_lake.loader.dictionary import Dictionary
from uih_lake.selection import Selection
from uih_lake.session import cursor, fetch
from uih_lake.tenant import Tenant, context_of, traits_of

Words = dict[str, dict[str, Dictionary]]
"""``events`` and ``context`` -> column -> dictionary."""


def words_of(
    selection: Selection,
    tenants: Sequence[Tenant],
    fills: Mapping[str, Fill],
    known: Mapping[str, Mapping[str, Sequence[str]]],
    shared: Iterable[str],
    numbered: int = -1,
) -> Words:
    """The dictionary of every string column; ``known`` ones keep their codes and grow.

    Those have all strings of events up to lake version ``numbered``, which are not looked for.
    A trait and a context column of a name that is ``shared`` have one dictionary. Raises
    :class:`InputError` for a shared name that no string column has, and :class:`CorruptionError`
    for a footer or a page that is not the one that was written.
    """
    snapshot = selection.snapshot.beyond(numbered)
    with cursor() as duck:
        listed = {
            "events": dict(_of_events(duck, snapshot, traits_of(tenants))),
            "context": dict(_of_context(duck, selection, context_of(tenants))),
        }
    found: Words = {}
    for place, columns in listed.items():
        found[place] = {}
        for name, strings in columns.items():
            fill = [f for f in [fills.get(name)] if isinstance(f, str)]
            first = Dictionary(known.get(place, {}).get(name, []))
            found[place][name] = first.with_words([*strings, *fill])
    for name in shared:
        places = [words for words in found.values() if name in words]
        if not places:
            raise InputError(f"words: column {name!r} holds no strings", hint="leave it out")
        one = reduce(Dictionary.with_words, (p[name].words for p in places), places[0][name])
        for words in places:
            words[name] = one
    return found


def _of_events(
    duck: duckdb.DuckDBPyConnection, snapshot: Snapshot, traits: Iterable[str]
) -> Iterator[tuple[str, Firsts]]:
    """Those of the ``traits`` that are text, and their strings in order."""
    events = schema.public_events(snapshot.stored)
    texts = [field for name in traits if is_text(field := events.field(name))]
    if texts:
        notes = _Notes.of(snapshot)
        yield from ((field.name, notes.firsts(duck, field)) for field in texts)


def _of_context(
    duck: duckdb.DuckDBPyConnection, selection: Selection, context: Iterable[str]
) -> Iterator[tuple[str, Firsts]]:
    """Those columns of the ``context`` that are text, and their strings in order."""
    examples = selection.examples
    for name in context:
        if is_text(field := examples.public.field(name)):
            selection.snapshot.pages.check(examples.paths, [name])
            yield name, _asked(duck, examples.sql, field, names.LOG_VERSION)


@dataclass(frozen=True)
class _Notes:
    """The notes of a snapshot's sealed files by path; None of a file that none is taken from."""

    snapshot: Snapshot
    files: dict[str, Note | None]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Notes:
        """Read them; raises :class:`CorruptionError`."""
        files = {}
        for path in (path for paths in snapshot.runs.values() for path in paths):
            footer = snapshot.pages.footer(path)
            files[path] = None if _is_hidden(footer, snapshot.retained_from) else noted(footer)
        return cls(snapshot, files)

    def firsts(self, duck: duckdb.DuckDBPyConnection, field: pa.Field) -> Firsts:
        """The strings of a column of the events, and where they are not noted those of its rows."""
        found: Firsts = {}
        unknown: dict[int, list[str]] = defaultdict(list)
        for bucket, paths in self.snapshot.runs.items():
            for path in paths:
                strings = self._noted(path, field.name)
                if strings is None:
                    unknown[bucket].append(path)
                else:
                    _merge(found, strings)
        if unknown or self.snapshot.recent:
            rest = replace(self.snapshot, runs={b: tuple(paths) for b, paths in unknown.items()})
            rest.check(0, rest.buckets - 1, [field.name])  # another string moves others' codes
            _merge(found, _asked(duck, rest.events(), field, names.LAKE_VERSION))
        newest = self.snapshot.lake_version  # a file of the sealed tier may have newer events
        return in_order({word: version for word, version in found.items() if version <= newest})

    def _noted(self, path: str, column: str) -> Firsts | None:
        """The strings of a column in a file; None where its note does not tell."""
        note = self.files[path]
        if note is None or column == names.USER_ID:
            return None
        return note.get(column, {})  # of a column that came to the lake after the file, none


def _is_hidden(footer: pq.FileMetaData, retained_from: int) -> bool:
    """Whether a retention window hides an event of a file, which is about to be rewritten."""
    if retained_from == schema.MIN_TIME:
        return False
    place = footer.schema.names.index(names.EVENT_TS)
    groups = map(footer.row_group, range(footer.num_row_groups))
    return any(group.column(place).statistics.min_raw < retained_from for group in groups)


def _merge(found: Firsts, more: Firsts) -> None:
    """Add strings to those ``found``; of one that is in both the first lake version counts."""
    for word, version in more.items():
        found[word] = min(version, found.get(word, version))


def _asked(duck: duckdb.DuckDBPyConnection, rows: str, field: pa.Field, version: str) -> Firsts:
    """The strings of a column of the SQL ``rows``, each with its first ``version``, in order."""
    column = sqlfile.identifier(field.name)
    word = f"unnest({column})" if pa.types.is_list(field.type) else column
    statement = sqlfile.fill(
        "loader/words", word=word, version=sqlfile.identifier(version), rows=rows
    )
    words, versions = fetch(duck, statement).to_pydict().values()
    return dict(zip(words, versions, strict=True))

"""The table ``examples``: one row per logged request with its context and its versioned pointer.

Each log call is one *log version* 0, 1, 2, ... and the partition value of its files; what merges
several has that of the newest (:mod:`.logs`). Rows are kept clustered by bucket, so that rebuilding
goes bucket by bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, schema, sqlfile
from uih_lake.errors import InputError
from uih_lake.lake import locks, logs, parquet
from uih_lake.lake.integrity import Pages
from uih_lake.lake.logs import Files, LogFile, Part
from uih_lake.lake.sqltypes import anchor, list_literal
from uih_lake.lake.store import LOGGED, LOGGED_ROWS, PINNED, Store
from uih_lake.lake.stored import between, conformed
from uih_lake.lake.tables import File, optimistic
from uih_lake.schema import UNBOUNDED
from uih_lake.session import cursor, fetch
from uih_lake.wording import quoted

NEXT_ID = "uih_lake.next_example_id"
"""Counter of ``examples``: the id given to the next example that brings none."""
_PENDING = -1
_LAST = 2**63 - 1
"""What the counter ends at; an example may have this id, but nothing can be numbered on from it."""


@dataclass(frozen=True)
class Examples:
    """Stored examples with ``after < log_version <= through``: the files that have any, and SQL."""

    files: Files
    stored: pa.Schema
    after: int = -1
    through: int = UNBOUNDED

    @classmethod
    def of(cls, store: Store) -> Examples:
        """All examples of the opened table."""
        return cls(logs.of(store), _stored(store))

    def within(self, after: int = -1, through: int = UNBOUNDED) -> Examples:
        """Those of them with ``after < log_version <= through``."""
        files = tuple(f for f in self.files if f.last > after and f.first <= through)
        return replace(
            self, files=files, after=max(after, self.after), through=min(through, self.through)
        )

    @classmethod
    def known(cls, store: Store) -> pa.Schema | None:
        """Columns of the view ``examples``; None before the first log."""
        logged = names.EXAMPLE_ID in store.examples.schema.names
        return cls.of(store).public if logged else None

    @property
    def paths(self) -> list[str]:
        """The files."""
        return [file.path for file in self.files]

    @property
    def rows(self) -> int:
        """Examples in the files."""
        return sum(file.rows for file in self.files)

    @property
    def public(self) -> pa.Schema:
        """Columns of the view ``examples``."""
        fields = [f for f in self.stored if f.name not in names.HIDDEN_EXAMPLE_COLUMNS]
        return pa.schema([*fields, pa.field(names.LOG_VERSION, pa.int64())])

    @property
    def newest_log(self) -> int:
        """The newest log version; -1 where there are none."""
        return max((min(file.last, self.through) for file in self.files), default=-1)

    def parts(self, pages: Pages) -> tuple[Part, ...]:
        """What the logs wrote of them; raises :class:`CorruptionError`."""
        parts = (part for file in self.files for part in file.parts(pages))
        return tuple(p for p in parts if self.after < p.log_version <= self.through)

    def read(self, pages: Pages, columns: Sequence[str], first: int, last: int) -> pa.Table:
        """The ``columns`` of the examples of the buckets ``first`` to ``last``, file after file.

        One chunk per column, null where a file does not have it. Raises :class:`CorruptionError`.
        """
        known = self.stored.append(_LOG_VERSION)
        wanted = pa.schema([known.field(name) for name in columns])
        parts = [
            conformed(self._read(pages, file, columns, first, last), wanted, {})
            for file in self.files
        ]
        return pa.concat_tables(parts or [wanted.empty_table()]).combine_chunks()

    def _read(
        self, pages: Pages, file: LogFile, columns: Sequence[str], first: int, last: int
    ) -> pa.Table:
        """Those of the columns that a file has, and ``log_version``."""
        own = [names.OWN_LOG] if file.may_be_of_several else []
        rows = between(pages, file.path, [*columns, *own], first, last)
        rows = logs.with_log(rows, file)
        rows = rows.append_column(_LOG_VERSION, rows.column(names.OWN_LOG))
        if self._has_all_of(file):
            return rows
        log = pc.field(names.LOG_VERSION)
        return rows.filter((log > self.after) & (log <= self.through))

    def _has_all_of(self, file: LogFile) -> bool:
        return self.after < file.first and file.last <= self.through

    @property
    def sql(self) -> str:
        """SQL of all of them, with ``log_version`` and ``_bucket``."""
        first = anchor(self.stored.append(_LOG_VERSION))
        if not self.files:
            return first
        return sqlfile.fill(
            "pointers/examples",
            anchor=first,
            files=list_literal(self.paths),
            versions=list_literal(file.last for file in self.files),
            within=self._within,
        )

    @property
    def _within(self) -> str:
        """A condition on rows of the files."""
        if all(map(self._has_all_of, self.files)):
            return "true"
        bounds = {"after": sqlfile.literal(self.after), "through": sqlfile.literal(self.through)}
        return sqlfile.fill("pointers/within", **bounds)


_LOG_VERSION = pa.field(names.LOG_VERSION, pa.int64())


def _stored(store: Store) -> pa.Schema:
    """Columns of the table; before the first log, those that every example has."""
    if names.EXAMPLE_ID in store.examples.schema.names:
        return logs.stored(store)
    events = store.recent.schema
    user = events.field(names.USER_ID).type if names.USER_ID in events.names else pa.int64()
    return schema.nullable(pa.schema([*schema.pointers(user, pa.int64()), *schema.PLACED]))


def add(store: Store, tables: Iterable[pa.Table], numbered: bool, fit: Callable[[], None]) -> int:
    """Commit examples as one log version and return the first number given out.

    Each table has the columns of an example and is sorted by bucket; it is written while the next
    one is made. Where ``numbered``, ``example_id`` counts from 0 as the requests were given and is
    moved behind the last id in use; else the ids are the requests' own, and one that is already
    taken is refused. ``fit`` raises where the examples do not fit the tables of
    ``store``, which other writers may have changed: it is asked about the very version of the
    examples that is then committed to. No table is no log version.
    """
    files: list[File] = []
    added = _Added(numbered)
    first = _first_free(store, added)
    is_reserved = False

    def attempt() -> int:
        nonlocal first, is_reserved
        store.recent.refresh()
        fit()
        if not is_reserved and (free := _first_free(store, added)) != first:
            # Others went on numbering, and would while the files are written anew.
            store.examples.commit(counters={NEXT_ID: free + added.rows})
            is_reserved = True
            _renumber(store, files, free - first)
            first = free
            store.recent.refresh()
            fit()
        if not numbered:
            _refuse_taken(store, files, added.schema)
        _commit(store, files, added, first)
        return first

    with locks.writing(store.root), store.examples.discarding(files):
        with parquet.Writing(store.examples.root, files) as writing:
            for table in tables:
                added.note(table)
                _first_free(store, added)  # refused now, and not when all is written
                writing.write(_moved(table, first), {names.LOG_VERSION: _PENDING})
        if not files:
            return first
        with store.deciding_user_ids():
            return optimistic(attempt, "log")


class _Added:
    """What is known of examples once they are written."""

    def __init__(self, numbered: bool) -> None:
        self.numbered = numbered
        self.schema = pa.schema([])
        self.rows = 0
        self.newest_pinned = self.largest_id = -1

    def note(self, table: pa.Table) -> None:
        """Remember what a log has to know of these in the end."""
        self.schema = table.schema
        self.rows += table.num_rows
        pinned = pc.max(table.column(names.LAKE_VERSION)).as_py()
        self.newest_pinned = max(self.newest_pinned, -1 if pinned is None else pinned)
        if not self.numbered and self.has_numbers and table.num_rows:
            largest = pc.max(table.column(names.EXAMPLE_ID)).as_py()
            self.largest_id = max(self.largest_id, largest)

    @property
    def has_numbers(self) -> bool:
        """Whether ids are numbers, and not strings, which nobody can number on."""
        return bool(pa.types.is_integer(self.schema.field(names.EXAMPLE_ID).type))


def _first_free(store: Store, added: _Added) -> int:
    """The id of the next example that brings none; 0 where all bring their own.

    Raises :class:`InputError` where the examples cannot all be numbered on from it.
    """
    if not added.numbered:
        return 0
    first = store.examples.counted(NEXT_ID)
    if first + added.rows > _LAST:
        raise InputError(
            f"the requests have no column 'example_id' and cannot be numbered on from {first}: "
            "the examples so far have an id near the largest there is",
            hint="add a column 'example_id'",
        )
    return first


def _moved(table: pa.Table, by: int) -> pa.Table:
    """Examples with other numbers."""
    if not by:
        return table
    place = table.schema.get_field_index(names.EXAMPLE_ID)
    ids = pa.array(table.column(place).to_numpy() + by)
    return table.set_column(place, names.EXAMPLE_ID, ids)


def _renumber(store: Store, files: list[File], by: int) -> None:
    """Write files that are not committed once more, with other numbers, in place of these."""
    for old in files[:]:
        path = store.examples.path(old)
        table = store.pages.read(path, store.pages.footer(path).schema.to_arrow_schema().names)
        new = parquet.write(store.examples.root, _moved(table, by), dict(old.partition))
        files.append(new)
    store.examples.discard(files[: len(files) // 2])
    del files[: len(files) // 2]


def _commit(store: Store, files: list[File], added: _Added, first: int) -> None:
    version = store.log_version + 1
    placed = [File(f.path, f.size, f.rows, {names.LOG_VERSION: version}) for f in files]
    rows = store.examples_logged + added.rows
    counters = {LOGGED: version, LOGGED_ROWS: rows} | _next_id(store, added, first)
    pinned = max(added.newest_pinned, store.examples.counted(PINNED, -1))
    if pinned >= 0:  # none before any event
        counters[PINNED] = pinned
    store.examples.commit(placed, counters=counters, schema=_widened(store, added.schema))


def _next_id(store: Store, added: _Added, first: int) -> dict[str, int]:
    """The counter of ids after this log."""
    if not added.has_numbers:
        return {}
    mine = first + added.rows if added.numbered else min(added.largest_id + 1, _LAST)
    return {NEXT_ID: max(mine, store.examples.counted(NEXT_ID))}


def _widened(store: Store, added: pa.Schema) -> pa.Schema:
    """The schema of the table with the columns of ``added`` it did not have."""
    known, added = store.examples.schema, schema.nullable(added)
    if names.EXAMPLE_ID not in known.names:
        return added
    return pa.schema([*known, *(f for f in added if f.name not in known.names)])


def _refuse_taken(store: Store, files: Sequence[File], added: pa.Schema) -> None:
    logged = Examples.of(store)
    store.pages.check(logged.paths, [names.EXAMPLE_ID])
    # Before the first log only the requests say whether ids are numbers or strings.
    known = logged.sql if logged.files else anchor(pa.schema([added.field(names.EXAMPLE_ID)]))
    new = list_literal(store.examples.path(f) for f in files)
    statement = sqlfile.fill("pointers/taken", new=new, logged=known)
    with cursor() as duck:
        taken = fetch(duck, statement).to_pylist()
    if taken:
        ids = quoted((row[names.EXAMPLE_ID] for row in taken), taken[0]["total"])
        how = "logged before" if taken[0]["logged"] else "given twice"
        raise InputError(
            f"column 'example_id': {ids} {how}",
            hint="an example is kept once; drop these requests or give them other ids",
        )

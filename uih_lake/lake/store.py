"""The Delta tables of a lake and the settings they carry.

``recent`` is the mutable tier (partitioned by lake version), ``uih`` the immutable tier
(partitioned by bucket), ``examples`` the requests with their pointers (partitioned by log version),
``forgotten`` the tombstones of erased users (partitioned by lake version).
The lake version and the sealed lake version are counters committed with the data they count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from uih_lake import names, schema
from uih_lake.damage import FROM_A_COPY
from uih_lake.errors import CorruptionError, InputError, LakeError
from uih_lake.given import is_integer, path_of
from uih_lake.lake import locks
from uih_lake.lake.integrity import Pages
from uih_lake.lake.objects import Objects, Options, is_url
from uih_lake.lake.replica import Replica
from uih_lake.lake.tables import Table

BUCKETS = "uih_lake.buckets"
FORMAT = "uih_lake.format"
FORMAT_NUMBER = "2"

APPENDED = "uih_lake.lake_version"
"""Counter of ``recent``: the newest lake version."""
SEALED = "uih_lake.sealed_version"
"""Counter of ``uih``: everything up to this lake version is sealed."""
LOGGED = "uih_lake.log_version"
"""Counter of ``examples``: the newest log version."""
LOGGED_ROWS = "uih_lake.logged_rows"
"""Counter of ``examples``: examples ever logged."""
PINNED = "uih_lake.pinned_version"
"""Counter of ``examples``: the newest lake version that an example has pinned."""
RETAINED = "uih_lake.retained_from"
"""Counter of ``uih``: events before this time, in microseconds since the epoch, are gone."""
APPENDED_ROWS = "uih_lake.appended_rows"
"""Counter of ``recent``: events ever appended."""
ERASED_ROWS = "uih_lake.erased_rows"
"""Counter of a table: rows erased from it by ``forget`` and ``retain``."""
SALT = "uih_lake.salt"
"""Setting: the key of the hash under which forgotten users are remembered, in hex."""

_ASKED = {
    names.RECENT: (APPENDED, APPENDED_ROWS, ERASED_ROWS),
    names.UIH: (SEALED, ERASED_ROWS, RETAINED),
    names.EXAMPLES: (LOGGED_ROWS, ERASED_ROWS, PINNED),
    names.FORGOTTEN: (),
}
"""The tables of a lake, and the counters that are looked at whenever it is opened."""

_LOOKS = 12


@dataclass(frozen=True)
class Store:
    """The open tables of one lake.

    ``root`` is the directory that holds them, by its absolute path: who holds a lake open may go to
    another directory. ``given`` is the path by which it was asked for, to be shown. Of a lake that
    is published in an object store they are the directory of its ``replica`` and its URL.
    """

    root: str
    given: str
    recent: Table
    uih: Table
    examples: Table
    forgotten: Table
    buckets: int
    pages: Pages
    replica: Replica | None = None

    @classmethod
    def open(cls, given: str | Path, options: Options = None) -> Store:
        """Open the lake at the path ``given``, or the one published at that URL.

        ``options`` are those of the object store. Raises :class:`LakeError` where there is none,
        :class:`InputError` for what is no path, or for options of a path.
        """
        if is_url(given):
            replica = Replica(Objects(str(given), options))
            return cls._open(replica.root, replica.url, replica)
        given = path_of(given)
        if options:
            raise InputError(
                f"storage_options for the path {given}",
                hint="they are for URLs of object stores, such as s3://bucket/lake",
            )
        return cls._open(absolute(given), given)

    def again(self) -> Store:
        """The same lake, its tables opened once more."""
        return replace(self._open(self.root, self.given, self.replica), pages=self.pages)

    @classmethod
    def _open(cls, root: str, given: str, replica: Replica | None = None) -> Store:
        if replica is not None:
            replica.bring()
        # Delta reads a log on one thread; four of them are read side by side.
        with ThreadPoolExecutor(len(_ASKED)) as threads:
            opened = dict(zip(_ASKED, threads.map(partial(_opened, root), _ASKED), strict=True))
        uih = opened[names.UIH]
        if uih is None:
            raise LakeError(f"no lake at {given}", hint="create one with `uihlake create`")
        settings = uih.setting(FORMAT), uih.setting(BUCKETS)
        if settings[0] != FORMAT_NUMBER or settings[1] is None:
            raise LakeError(
                f"the lake at {given} has format {settings[0]}, this version reads {FORMAT_NUMBER}",
                hint="use the version of uih_lake that wrote it",
            )
        tables = {name: table or cls._required(root, name) for name, table in opened.items()}
        buckets, pages = int(settings[1]), Pages()
        store = cls(root, given, **tables, buckets=buckets, pages=pages, replica=replica)
        store._refresh()
        return store

    @staticmethod
    def _required(root: str, name: str) -> Table:
        """A table that was missing a moment ago: ``uih`` is there, and it is made last."""
        table = _opened(root, name)
        if table is None:
            raise CorruptionError(
                f"the table {name} of the lake at {root} is missing", hint=FROM_A_COPY
            )
        return table

    @property
    def lake_version(self) -> int:
        """Newest lake version of the open tables; -1 before the first append."""
        return self.recent.counted(APPENDED, -1)

    @contextmanager
    def deciding_user_ids(self) -> Iterator[None]:
        """Keep others out while the first user ids are committed, whose type all later ones have.

        Events and examples are two tables: two processes could each bring the first to one of them.
        Inside, both are to be refreshed and looked at.
        """
        known = any(names.USER_ID in table.schema.names for table in (self.recent, self.examples))
        with nullcontext() if known else locks.deciding(self.root):
            yield

    def require(self, lake_version: int | None) -> None:
        """Raise :class:`LakeError` where there is no such lake version; None is the newest."""
        if lake_version is None or is_integer(lake_version, 0, self.lake_version):
            return
        known = f"its lake versions are 0 to {self.lake_version}"
        raise LakeError(
            f"the lake at {self.given} has no lake version {lake_version!r}",
            hint=known if self.lake_version >= 0 else "nothing has been appended to it yet",
        )

    @property
    def sealed(self) -> int:
        """Lake version up to which the immutable tier holds everything; -1 before any seal."""
        return self.uih.counted(SEALED, -1)

    @property
    def log_version(self) -> int:
        """Newest log version of the open tables; -1 before the first log."""
        return self.examples.counted(LOGGED, -1)

    @property
    def retained_from(self) -> int:
        """Events before this time, in microseconds since the epoch, are gone."""
        return self.uih.counted(RETAINED, schema.MIN_TIME)

    @property
    def retention_start(self) -> datetime | None:
        """:attr:`retained_from` as a time in UTC; None while there is no retention window."""
        start = self.retained_from
        return None if start <= schema.MIN_TIME else schema.moment(start)

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, in the order in which to refresh them.

        The examples come first, so that no pointer is newer than the events; the tombstones last,
        so that who has been erased is known to be.
        """
        return self.examples, self.recent, self.uih, self.forgotten

    def refresh(self) -> None:
        """Move to the newest version of every table.

        In the order of :attr:`tables`, ``recent`` before ``uih``: what a seal removes from
        ``recent`` is by then in ``uih``, so that no event is missed, and what both have is taken
        from ``uih`` alone, so that none is seen twice. The ledger proves it: the events in the
        files are those ever appended less those erased, and the examples those ever logged less
        those erased. Where they differ because another process is at work, a second look settles
        it. Raises :class:`CorruptionError` where they go on differing: a commit has gone from a
        log, or says something else.
        """
        if self.replica is not None:
            self.replica.bring()
        self._refresh()

    def _refresh(self) -> None:
        retrying = Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_attempt(_LOOKS),
            wait=wait_random_exponential(multiplier=0.005, max=0.2),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        for difference, kind, came in (
            (retrying(self._refreshed_difference), "events", "appended"),
            (self._surplus_examples(), "examples", "logged"),
        ):
            if difference:
                raise CorruptionError(
                    f"the lake at {self.given} has {abs(difference)} {kind} too "
                    f"{'many' if difference > 0 else 'few'} for what its Delta logs say was {came}",
                    hint=f"a commit is missing from a _delta_log; {FROM_A_COPY}",
                )
        pinned = self.examples.counted(PINNED, -1)
        if pinned > self.lake_version:
            raise CorruptionError(
                f"the lake at {self.given} has examples that pin lake version {pinned}, "
                f"and events up to {self.lake_version}",
                hint="its tables are of different times; restore all of them from one copy",
            )
        self._forget_checks()

    def _refreshed_difference(self) -> int:
        """Refresh every table; events in the files less events in the ledger."""
        for table in self.tables:
            table.refresh()
        if self.sealed > self.lake_version:  # sealed after we had looked at recent
            self.recent.refresh()
        sealed = self.sealed
        held = sum(f.rows for f in self.uih.files())
        held += sum(f.rows for f in self.recent.files() if f.partition[names.LAKE_VERSION] > sealed)
        erased = self.recent.counted(ERASED_ROWS) + self.uih.counted(ERASED_ROWS)
        return held + erased - self.recent.counted(APPENDED_ROWS)

    def _forget_checks(self) -> None:
        """Forget what was checked of files that are in no table any more, once most are such."""
        if self.pages.files > 2 * sum(len(table.files()) for table in self.tables):
            self.pages.keep(table.path(file) for table in self.tables for file in table.files())

    def _surplus_examples(self) -> int:
        """Examples in the files less those in the ledger; lakes are older than this counter."""
        logged = self.examples.counter(LOGGED_ROWS)
        return 0 if logged is None else self.examples_logged - logged

    @property
    def examples_logged(self) -> int:
        """Examples ever logged: those in the files, and those erased from them."""
        held = sum(f.rows for f in self.examples.files())
        return held + self.examples.counted(ERASED_ROWS)


class Stores:
    """The tables of one lake, opened as often as calls are under way at once.

    What one call lists, or is about to commit, a refresh by another would move under it: two
    appends on the same tables would both become the lake version after the one they saw, and Delta,
    which decides between tables, would see no race. So each call has tables to itself.
    """

    def __init__(self, store: Store) -> None:
        self._first = store
        self._idle = [store]

    @property
    def place(self) -> str:
        """The directory of the lake, by its absolute path, or the URL where it is published."""
        return self._first.root if self._first.replica is None else self._first.given

    @property
    def options(self) -> Mapping[str, str]:
        """The options of the object store in which it is published."""
        replica = self._first.replica
        return {} if replica is None else replica.objects.options

    @property
    def given(self) -> str:
        """The path by which it was asked for."""
        return self._first.given

    @contextmanager
    def taken(self) -> Iterator[Store]:
        """Tables that nobody else has meanwhile, as they were when they were last looked at."""
        try:
            store = self._idle.pop()
        except IndexError:
            store = self._first.again()
        try:
            yield store
        finally:
            self._idle.append(store)

    @contextmanager
    def newest(self) -> Iterator[Store]:
        """As :meth:`taken`, as they are now. Raises :class:`CorruptionError`."""
        with self.taken() as store:
            store.refresh()
            yield store


def _opened(root: str, name: str) -> Table | None:
    """A table of the lake, and what every look at it asks for."""
    table = Table.open(child(root, name))
    if table is not None:
        table.files()
        for counter in _ASKED[name]:
            table.counter(counter)
    return table


def absolute(path: str) -> str:
    """The absolute path of a lake's directory.

    Raises :class:`LakeError` where the path is that of a file, or leads through one.
    """
    for each in (Path(path), *Path(path).parents):
        if each.is_file():
            raise LakeError(f"{each} is a file", hint="name the directory of a lake")
    return os.path.abspath(path)


def child(root: str, table: str) -> str:
    """The directory of a table of the lake at ``root``."""
    return str(Path(root, table))

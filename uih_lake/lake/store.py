"""The Delta tables of a lake and the settings they carry.

``recent`` is the mutable tier (partitioned by lake version), ``uih`` the immutable tier
(partitioned by bucket), ``examples`` the requests with their pointers (partitioned by log version),
``forgotten`` the tombstones of erased users (partitioned by lake version).
The lake version and the sealed lake version are counters committed with the data they count.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from uih_lake import names, schema
from uih_lake.errors import CorruptionError, LakeError
from uih_lake.lake import heads
from uih_lake.lake.integrity import Pages
from uih_lake.lake.tables import Table

BUCKETS = "uih_lake.buckets"
FORMAT = "uih_lake.format"
_FORMAT = "2"

APPENDED = "uih_lake.lake_version"
"""Counter of ``recent``: the newest lake version."""
SEALED = "uih_lake.sealed_version"
"""Counter of ``uih``: everything up to this lake version is sealed."""
LOGGED = "uih_lake.log_version"
"""Counter of ``examples``: the newest log version."""
LOGGED_ROWS = "uih_lake.logged_rows"
"""Counter of ``examples``: examples ever logged."""
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
    names.EXAMPLES: (LOGGED_ROWS, ERASED_ROWS),
    names.FORGOTTEN: (),
}
"""The tables of a lake, and the counters that are looked at whenever it is opened."""

MAX_BUCKETS = 4096
_LOOKS = 12


@dataclass(frozen=True)
class Store:
    """The open tables of one lake. ``root`` is the directory that holds them."""

    root: str
    recent: Table
    uih: Table
    examples: Table
    forgotten: Table
    buckets: int
    pages: Pages

    @classmethod
    def create(cls, root: str, buckets: int) -> Store:
        """Create an empty lake, or complete one whose creation was interrupted.

        Raises :class:`LakeError` where there is a lake already, or anything else.
        """
        if not root:
            raise LakeError("the path of the lake is empty", hint="name a new directory")
        if not 1 <= buckets <= MAX_BUCKETS:
            raise LakeError(f"{buckets} buckets", hint=f"a lake has 1 to {MAX_BUCKETS} of them")
        _check_no_file(root)
        if Table.open(_child(root, names.UIH)) is not None:
            raise LakeError(f"{root} is a lake already", hint="open it, or choose another path")
        _check_vacant(root)
        settings = {BUCKETS: str(buckets), FORMAT: _FORMAT, SALT: secrets.token_hex(16)}
        events = schema.NO_EVENTS
        stored = pa.schema([f for f in events if f.name != names.LAKE_VERSION])
        examples = pa.schema([pa.field(names.REQUEST_TS, schema.TIME)])
        for name in (names.EXAMPLES, names.FORGOTTEN, names.RECENT, names.UIH):
            heads.drop(_child(root, name))
        Table.create(_child(root, names.EXAMPLES), examples, names.LOG_VERSION, settings)
        Table.create(_child(root, names.FORGOTTEN), schema.TOMBSTONES, names.LAKE_VERSION, settings)
        Table.create(_child(root, names.RECENT), stored, names.LAKE_VERSION, settings)
        # Last: a directory is a lake once it has this table.
        Table.create(_child(root, names.UIH), events, names.BUCKET, settings)
        return cls.open(root)

    @classmethod
    def open(cls, root: str) -> Store:
        """Open an existing lake. Raises :class:`LakeError` where there is none."""
        _check_no_file(root)
        # Delta reads a log on one thread; four of them are read side by side.
        with ThreadPoolExecutor(len(_ASKED)) as threads:
            opened = dict(zip(_ASKED, threads.map(partial(_opened, root), _ASKED), strict=True))
        uih = opened[names.UIH]
        if uih is None:
            raise LakeError(f"no lake at {root}", hint="create one with `uihlake create`")
        settings = uih.setting(FORMAT), uih.setting(BUCKETS)
        if settings[0] != _FORMAT or settings[1] is None:
            raise LakeError(
                f"the lake at {root} has format {settings[0]}, this version reads {_FORMAT}",
                hint="use the version of uih_lake that wrote it",
            )
        tables = {name: table or cls._required(root, name) for name, table in opened.items()}
        store = cls(root, **tables, buckets=int(settings[1]), pages=Pages())
        store.refresh()
        return store

    @staticmethod
    def _required(root: str, name: str) -> Table:
        """A table that was missing a moment ago: ``uih`` is there, and it is made last."""
        table = _opened(root, name)
        if table is None:
            raise CorruptionError(
                f"the table {name} of the lake at {root} is missing", hint="restore it from a copy"
            )
        return table

    @property
    def lake_version(self) -> int:
        """Newest lake version of the open tables; -1 before the first append."""
        version = self.recent.counter(APPENDED)
        return -1 if version is None else version

    def require(self, lake_version: int | None) -> None:
        """Raise :class:`LakeError` where there is no such lake version; None is the newest."""
        if lake_version is None or 0 <= lake_version <= self.lake_version:
            return
        known = f"its lake versions are 0 to {self.lake_version}"
        raise LakeError(
            f"the lake at {self.root} has no lake version {lake_version}",
            hint=known if self.lake_version >= 0 else "nothing has been appended to it yet",
        )

    @property
    def sealed(self) -> int:
        """Lake version up to which the immutable tier holds everything; -1 before any seal."""
        version = self.uih.counter(SEALED)
        return -1 if version is None else version

    @property
    def log_version(self) -> int:
        """Newest log version of the open tables; -1 before the first log."""
        version = self.examples.counter(LOGGED)
        return -1 if version is None else version

    @property
    def retained_from(self) -> int:
        """Events before this time, in microseconds since the epoch, are gone."""
        cutoff = self.uih.counter(RETAINED)
        return schema.MIN_TIME if cutoff is None else cutoff

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, in the order in which to refresh them.

        The examples come first, so that no pointer is newer than the events; the tombstones last,
        so that who has been erased is known to be.
        """
        return self.examples, self.recent, self.uih, self.forgotten

    def refresh(self) -> None:
        """Move to the newest version of every table.

        ``recent`` first: what a seal removes from it is by then in ``uih``, so reading in this
        order can neither miss an event nor see it twice. The ledger proves it: the events in the
        files are those ever appended less those erased, and the examples those ever logged less
        those erased. Where they differ because another process is at work, a second look settles
        it. Raises :class:`CorruptionError` where they go on differing: a commit has gone from a
        log, or says something else.
        """
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
                    f"the lake at {self.root} has {abs(difference)} {kind} too "
                    f"{'many' if difference > 0 else 'few'} for what its Delta logs say was {came}",
                    hint="a commit is missing from a _delta_log; restore it from a copy",
                )

    def _refreshed_difference(self) -> int:
        """Refresh every table; events in the files less events in the ledger."""
        for table in self.tables:
            table.refresh()
        if self.sealed > self.lake_version:  # sealed after we had looked at recent
            self.recent.refresh()
        sealed = self.sealed
        held = sum(f.rows for f in self.uih.files())
        held += sum(f.rows for f in self.recent.files() if f.partition[names.LAKE_VERSION] > sealed)
        erased = (self.recent.counter(ERASED_ROWS) or 0) + (self.uih.counter(ERASED_ROWS) or 0)
        return held + erased - (self.recent.counter(APPENDED_ROWS) or 0)

    def _surplus_examples(self) -> int:
        """Examples in the files less those in the ledger; lakes are older than this counter."""
        logged = self.examples.counter(LOGGED_ROWS)
        return 0 if logged is None else self.examples_logged - logged

    @property
    def examples_logged(self) -> int:
        """Examples ever logged: those in the files, and those erased from them."""
        held = sum(f.rows for f in self.examples.files())
        return held + (self.examples.counter(ERASED_ROWS) or 0)


def _opened(root: str, name: str) -> Table | None:
    """A table of the lake, and what every look at it asks for."""
    table = Table.open(_child(root, name))
    if table is not None:
        table.files()
        for counter in _ASKED[name]:
            table.counter(counter)
    return table


def _check_no_file(root: str) -> None:
    """Raise :class:`LakeError` where the path is that of a file, or leads through one."""
    for path in (Path(root), *Path(root).parents):
        if path.is_file():
            raise LakeError(f"{path} is a file", hint="name the directory of a lake")


def _check_vacant(root: str) -> None:
    """Raise :class:`LakeError` where a directory holds what no interrupted create has left.

    That leaves tables, and in them nothing but a log.
    """
    for path in sorted(Path(root).glob("*")):
        if path.name not in _ASKED or any(each.name != "_delta_log" for each in path.glob("*")):
            raise LakeError(f"{root} is not empty: it holds {path.name}", hint="choose a new one")


def _child(root: str, table: str) -> str:
    return str(Path(root, table))

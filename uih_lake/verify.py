"""Verify: the lake proves that it is whole and that every pointer still finds what it was cut from.

The audit goes bucket by bucket; pointers are resolved as for a rebuild and held against their
length and digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, schema, sqlfile
from uih_lake.arrays import whole
from uih_lake.errors import CorruptionError
from uih_lake.given import integer, within
from uih_lake.lake import bands, heads, logs, words
from uih_lake.lake.integrity import Pages
from uih_lake.lake.order import falls, unordered
from uih_lake.lake.prefixes import Prefixes
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.lake.tombstones import Tombstones
from uih_lake.pointers.policy import Counts
from uih_lake.progress import Progress
from uih_lake.resolve.misplaced import misplaced
from uih_lake.resolve.run import Resolver
from uih_lake.resolve.visible import seen_by
from uih_lake.selection import Selection
from uih_lake.session import cursor, fetch

_SHOWN = 3


@dataclass
class Check:
    """One property of the lake: how much was looked at, how much failed, and the first failures."""

    name: str
    meaning: str
    looked_at: int = 0
    failed: int = 0
    first_failures: list[str] = field(default_factory=list)

    def found(self, count: int, what: str) -> None:
        """Count failures and remember the first few in words."""
        if count:
            self.failed += count
            if len(self.first_failures) < _SHOWN:
                self.first_failures.append(what)


@dataclass
class Report:
    """What :meth:`Lake.verify` found: the checks, and the counts of the pointers resolved."""

    checks: list[Check]
    pointers: dict[str, int]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(check.failed for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        checks = [asdict(check) for check in self.checks]
        return {"passed": self.passed, "checks": checks, "pointers": self.pointers}


def verify(
    store: Store, version: int | None, sample: int | None, seed: int, progress: Progress
) -> Report:
    """Audit the files and resolve all, or about ``sample``, of the pointers at a lake version.

    Raises :class:`InputError` for a sample or a seed below 0.
    """
    within(0, sample=sample)
    seed = integer("seed", seed, 0)
    # Nothing that was checked before counts: this is where a file that changed since is found.
    store = replace(store, pages=Pages())
    audit = _Audit(store, Snapshot.of(store, version), sample, np.random.default_rng(seed))
    audit.logs(table.root for table in store.tables)
    audit.examples_files()
    audit.recent_files()
    with cursor() as duck:
        resolver = Resolver(audit.snapshot, duck)
        for bucket in range(audit.snapshot.buckets):
            audit.bucket(duck, resolver, bucket)
            progress(bucket + 1, audit.snapshot.buckets)
    return Report(list(audit.checks.values()), audit.counts.as_dict())


_SEALED_ORDER = (names.USER_ID, names.EVENT_TS, names.LAKE_VERSION, names.TIE)
_RECENT_ORDER = (names.BUCKET, names.USER_ID, names.EVENT_TS, names.TIE)
_EXAMPLES_ORDER = (names.BUCKET, names.USER_ID, names.REQUEST_TS)
_CHECKS = {
    "logs": "every entry of every Delta log is the one that was committed",
    "pages": "every page of every file has its checksum and can be read",
    "order": "files are sorted by user, event or request time, arrival",
    "keys": "no event is there twice, in one tier or over both",
    "buckets": "every user is in the bucket of its hash",
    "versions": "lake and log versions are those of the file, none beyond the newest",
    "prefixes": "what a footer says of older events is what they add up to",
    "words": "what a footer says of strings is what the events have",
    "contents": "every event's traits have its fingerprint",
    "pointers": "every pointer finds the history it was cut from",
    "places": "every place that pointers know holds their history",
    "future": "no pointer reaches its request's time or a later lake version",
}


class _Audit:
    """The checks of one run, filled file by file, then bucket by bucket.

    Tombstones come first, because they excuse a pointer that finds nothing.
    """

    def __init__(
        self, store: Store, snapshot: Snapshot, sample: int | None, random: np.random.Generator
    ) -> None:
        self.checks = {name: Check(name, meaning) for name, meaning in _CHECKS.items()}
        self.snapshot = snapshot
        forgotten = [f for f in store.forgotten.files() if self._is_sound(store.forgotten.path(f))]
        tombstones = Tombstones.of(store, forgotten)
        # Kept, and not raised: every fault is counted.
        self._selection = Selection.of(store, snapshot, policy="keep", tombstones=tombstones)
        self._newest = max(store.lake_version, store.sealed)
        self._random = random
        share = 1.0 if sample is None else sample / max(self._selection.examples.rows, 1)
        self._share = min(share, 1.0)
        self._damaged: set[str] = set()

    @property
    def counts(self) -> Counts:
        """What became of the pointers."""
        return self._selection.judge.counts

    def _is_sound(self, path: str) -> bool:
        """Whether every page of a file can be read, by either reader."""
        self.checks["pages"].looked_at += 1
        try:
            self.snapshot.pages.check([path])
            _decode(path)
        except CorruptionError as error:
            self.checks["pages"].found(1, str(error))
            return False
        return True

    def recent_files(self) -> None:
        """Check each file of the mutable tier."""
        for chunk in self.snapshot.recent:
            path = chunk.path
            events = self._events(path)
            if events is not None:
                self._order(path, events, _RECENT_ORDER)
                self._users(path, events, events.column(names.BUCKET).to_numpy())
                self._contents(path, events)

    def bucket(self, duck: duckdb.DuckDBPyConnection, resolver: Resolver, bucket: int) -> None:
        """Check what concerns one bucket; a damaged file ends the checks that need it."""
        snapshot = self.snapshot
        for path in snapshot.runs.get(bucket, ()):
            events = self._events(path)
            if events is not None:
                self._bands(path, events)
                self._users(path, events, np.full(events.num_rows, bucket))
                newest = max(snapshot.lake_version, snapshot.sealed)
                self._versions(path, events, names.LAKE_VERSION, 0, newest)
                self._prefixes(path, events)
                self._words(path, events)
                self._contents(path, events)
        if self._damaged.isdisjoint(snapshot.paths(bucket, bucket)):
            self._keys(duck, bucket)
            self._pointers(duck, resolver, bucket)

    def _events(self, path: str) -> pa.Table | None:
        """All of a file, one chunk per column, unless one of its pages is damaged."""
        snapshot = self.snapshot
        self.checks["pages"].looked_at += 1
        try:
            table = snapshot.pages.read(path, [names.BUCKET, *snapshot.stored.names])
            _decode(path)
        except CorruptionError as error:
            self.checks["pages"].found(1, str(error))
            self._damaged.add(path)
            return None
        return table.combine_chunks()

    def logs(self, tables: Iterable[str]) -> None:
        """Check the Delta logs of the tables in these directories."""
        for table in tables:
            try:
                self.checks["logs"].looked_at += heads.check_entries(table)
            except CorruptionError as error:
                self.checks["logs"].found(1, str(error))

    def examples_files(self) -> None:
        """Check each file of examples, and go on with those that are in sound files."""
        examples, sound = self._selection.examples, []
        for file in examples.files:
            path = file.path
            if not self._is_sound(path):
                continue
            sound.append(file)
            columns = [*_EXAMPLES_ORDER, names.LAKE_VERSION, names.OWN_LOG]
            rows = logs.with_log(self.snapshot.pages.read(path, columns), file)
            self._pinned(path, rows)
            self._versions(path, rows, names.OWN_LOG, file.first, file.last)
            self._order(path, rows, _EXAMPLES_ORDER, ties=True)
            self._users(path, rows, rows.column(names.BUCKET).to_numpy())
        self._selection = replace(self._selection, examples=replace(examples, files=tuple(sound)))

    def _pinned(self, path: str, examples: pa.Table) -> None:
        """Pointers of lake versions there are not: an older copy of the events was put back."""
        beyond = pc.sum(pc.greater(examples.column(names.LAKE_VERSION), self._newest)).as_py() or 0
        self.checks["future"].found(
            beyond,
            f"{path} has {beyond} pointers of lake versions after {self._newest}, the newest",
        )

    def _order(self, path: str, rows: pa.Table, keys: Sequence[str], *, ties: bool = False) -> None:
        self._sorted(path, unordered([_plain(rows.column(name)) for name in keys], ties=ties))

    def _bands(self, path: str, events: pa.Table) -> None:
        """At most so many bands, each in order."""
        columns = [_plain(events.column(name)) for name in _SEALED_ORDER]
        many = max(0, falls(columns[0]) + 1 - bands.MOST)
        by_user = bands.by_user(columns[0])
        if by_user is not None:
            columns = [column.take(pa.array(by_user)) for column in columns]
        self._sorted(path, many + unordered(columns))

    def _sorted(self, path: str, disorder: int) -> None:
        self.checks["order"].looked_at += 1
        self.checks["order"].found(disorder, f"{path} is not sorted")

    def _users(self, path: str, events: pa.Table, bucket: npt.NDArray[np.int32]) -> None:
        users = _plain(events.column(names.USER_ID))
        of_hash = hashing.bucket_of(users, self.snapshot.buckets)
        strays = int(np.count_nonzero(of_hash != bucket))
        self.checks["buckets"].looked_at += events.num_rows
        self.checks["buckets"].found(strays, f"{path} has {strays} rows of other buckets")

    def _versions(self, path: str, rows: pa.Table, name: str, oldest: int, newest: int) -> None:
        ends = pc.min_max(rows.column(name)).as_py()
        self.checks["versions"].looked_at += 1
        if rows.num_rows and (ends["min"] < oldest or ends["max"] > newest):
            told = f"{name.strip('_').replace('_', ' ')}s {ends['min']} to {ends['max']}"
            self.checks["versions"].found(1, f"{path} has {told}")

    def _prefixes(self, path: str, events: pa.Table) -> None:
        known = Prefixes.noted(self.snapshot.pages.footer(path))
        if known is not None:
            wrong = Prefixes.of(events, known.newest) != known
            self.checks["prefixes"].looked_at += 1
            self.checks["prefixes"].found(int(wrong), f"{path} has other sums of older events")

    def _words(self, path: str, events: pa.Table) -> None:
        known = words.noted(self.snapshot.pages.footer(path))
        if known is not None:
            found = words.note(events)
            wrong = [name for name, said in known.items() if said not in (None, found.get(name))]
            self.checks["words"].looked_at += 1
            self.checks["words"].found(len(wrong), f"{path} has other strings in {wrong}")

    def _contents(self, path: str, events: pa.Table) -> None:
        stored = schema.traits_of(self.snapshot.stored)
        traits = [field.name for field in stored if field.name in events.column_names]
        columns = [whole(events.column(name)) for name in traits]
        found = hashing.fingerprint(traits, columns, events.num_rows)
        known = events.column(names.FINGERPRINT).to_numpy()
        wrong = int(np.count_nonzero(found.to_numpy() != known))
        self.checks["contents"].looked_at += events.num_rows
        self.checks["contents"].found(wrong, f"{path} has {wrong} altered events")

    def _keys(self, duck: duckdb.DuckDBPyConnection, bucket: int) -> None:
        snapshot, repeated = self.snapshot, 0
        if not snapshot.is_one_run(bucket):  # the strict order of a file allows none twice
            history = snapshot.history(bucket, bucket)
            statement = sqlfile.fill("verify/repeated", history=history)
            repeated = int(fetch(duck, statement).column(0)[0].as_py())
        self.checks["keys"].looked_at += 1
        self.checks["keys"].found(repeated, f"bucket {bucket} has {repeated} events twice")

    def _pointers(self, duck: duckdb.DuckDBPyConnection, resolver: Resolver, bucket: int) -> None:
        asked = self._sampled(self._selection.asked(duck, bucket))
        if asked.num_rows == 0:
            return
        proof = resolver.prove(asked, bucket)
        before = self.counts.mismatch
        self._selection.judge.passed(asked, proof)
        check = self.checks["pointers"]
        check.looked_at += asked.num_rows
        wrong = self.counts.mismatch - before
        check.found(wrong, f"bucket {bucket} has {wrong} pointers that find another history")
        self._places(asked, bucket)
        self._future(asked, proof, bucket)

    def _places(self, asked: pa.Table, bucket: int) -> None:
        snapshot = seen_by(self.snapshot, [(bucket, asked)])
        stand, wrong = misplaced(snapshot, asked, bucket)
        self.checks["places"].looked_at += stand
        self.checks["places"].found(wrong, f"bucket {bucket} has {wrong} places of other events")

    def _future(self, asked: pa.Table, proof: pa.Table, bucket: int) -> None:
        ends, requests = proof.column(names.END_TS), asked.column(names.REQUEST_TS)
        late = pc.sum(pc.greater_equal(ends, requests)).as_py() or 0
        self.checks["future"].looked_at += asked.num_rows
        self.checks["future"].found(late, f"bucket {bucket}: {late} pointers reach the future")

    def _sampled(self, asked: pa.Table) -> pa.Table:
        if self._share >= 1.0:
            return asked
        picked = self._random.random(asked.num_rows) < self._share
        return asked.filter(pa.array(picked)).combine_chunks()


def _decode(path: str) -> None:
    """Read a file in SQL, too; raises :class:`CorruptionError` where that reader cannot."""
    with cursor() as duck:
        fetch(duck, sqlfile.fill("lake/readable", file=sqlfile.literal(path)))


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, strings as strings and not as a dictionary of them."""
    values = whole(column)
    return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values

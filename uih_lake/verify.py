"""Verify: the lake proves that it is whole and that every pointer still finds what it was cut from.

The audit goes bucket by bucket; pointers are resolved as for a rebuild and held against their
length and digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, schema, sqlfile
from uih_lake.errors import CorruptionError
from uih_lake.lake import heads
from uih_lake.lake.integrity import Pages
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.sqltypes import listed
from uih_lake.lake.store import Store
from uih_lake.materialize import Selection
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect, fetch

Progress = Callable[[int, int], None]
_SHOWN = 3


@dataclass
class Check:
    """One property of the lake: how much was looked at, how much failed, and the first failures."""

    name: str
    meaning: str
    looked_at: int = 0
    failed: int = 0
    examples: list[str] = field(default_factory=list)

    def found(self, count: int, what: str) -> None:
        """Count failures and remember the first few in words."""
        if count:
            self.failed += count
            if len(self.examples) < _SHOWN:
                self.examples.append(what)


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
    store: Store, selection: Selection, sample: int | None, seed: int, progress: Progress
) -> Report:
    """Audit the files and resolve all, or about ``sample``, of the pointers of ``selection``.

    ``selection`` judges with the policy ``keep``, so that every fault is counted.
    """
    # Nothing that was checked before counts: this is where a file that changed since is found.
    selection = replace(selection, snapshot=replace(selection.snapshot, pages=Pages()))
    audit = _Audit(selection, sample, np.random.default_rng(seed))
    audit.logs(table.root for table in store.tables)
    audit.examples_files()
    with connect() as duck:
        resolver = Resolver(selection.snapshot, duck)
        for bucket in range(selection.snapshot.buckets):
            audit.bucket(duck, resolver, bucket)
            progress(bucket + 1, selection.snapshot.buckets)
    return Report(list(audit.checks.values()), selection.judge.counts.as_dict())


_CHECKS = {
    "ledger": "events in the files are those appended less those erased",
    "logs": "every entry of every Delta log is the one that was committed",
    "pages": "every page of every file has its checksum",
    "order": "sealed files are sorted by user, event time, arrival",
    "keys": "no event is there twice, in one tier or over both",
    "buckets": "every user is in the bucket of its hash",
    "versions": "lake versions lie between 0 and the newest; sealed ones are in uih",
    "contents": "every event's traits have its fingerprint",
    "pointers": "every pointer finds the history it was cut from",
    "future": "no pointer reaches its request's time or a later lake version",
}


class _Audit:
    """The checks of one run, filled bucket by bucket."""

    def __init__(
        self, selection: Selection, sample: int | None, random: np.random.Generator
    ) -> None:
        self.checks = {name: Check(name, meaning) for name, meaning in _CHECKS.items()}
        self._selection = selection
        self._random = random
        share = 1.0 if sample is None else sample / max(selection.examples.rows, 1)
        self._share = min(share, 1.0)
        # The ledger was balanced when the tables were refreshed, or there would be no snapshot.
        self.checks["ledger"].looked_at = selection.snapshot.rows

    def bucket(self, duck: duckdb.DuckDBPyConnection, resolver: Resolver, bucket: int) -> None:
        """Run every check that concerns one bucket; a damaged file ends its bucket's checks."""
        snapshot = self._selection.snapshot
        try:
            for path in snapshot.paths(bucket, bucket):
                self.checks["pages"].looked_at += 1
                snapshot.pages.check([path])
        except CorruptionError as error:
            self.checks["pages"].found(1, str(error))
            return
        history = snapshot.history(bucket, bucket)
        self._order(duck, snapshot, bucket)
        self._keys(duck, history, bucket)
        self._users(duck, history, bucket)
        self._contents(duck, history, bucket)
        self._pointers(duck, resolver, bucket)

    def logs(self, tables: Iterable[str]) -> None:
        """Check the Delta logs of the tables in these directories."""
        for table in tables:
            try:
                self.checks["logs"].looked_at += heads.check_entries(table)
            except CorruptionError as error:
                self.checks["logs"].found(1, str(error))

    def examples_files(self) -> None:
        """Check the pages of the examples, and go on with those that are in sound files."""
        examples, sound = self._selection.examples, []
        for path, version in examples.files:
            self.checks["pages"].looked_at += 1
            try:
                self._selection.snapshot.pages.check([path])
                sound.append((path, version))
            except CorruptionError as error:
                self.checks["pages"].found(1, str(error))
        self._selection = replace(self._selection, examples=replace(examples, files=tuple(sound)))

    def _order(self, duck: duckdb.DuckDBPyConnection, snapshot: Snapshot, bucket: int) -> None:
        for path in snapshot.runs.get(bucket, ()):
            statement = sqlfile.fill("verify/disorder", files=listed([path]))
            self.checks["order"].looked_at += 1
            self.checks["order"].found(_number(duck, statement), f"{path} is not sorted")

    def _keys(self, duck: duckdb.DuckDBPyConnection, history: str, bucket: int) -> None:
        self.checks["keys"].looked_at += 1
        if self._selection.snapshot.is_one_run(bucket):
            return  # one file in strict order, which is checked, holds no key twice
        repeated = _number(duck, sqlfile.fill("verify/repeated", history=history))
        self.checks["keys"].found(repeated, f"bucket {bucket} has {repeated} events twice")

    def _users(self, duck: duckdb.DuckDBPyConnection, history: str, bucket: int) -> None:
        snapshot = self._selection.snapshot
        users = fetch(duck, sqlfile.fill("verify/users", history=history)).combine_chunks()
        if users.num_rows == 0:
            return
        ids = users.column(names.USER_ID).chunk(0)
        strays = int(np.count_nonzero(hashing.bucket_of(ids, snapshot.buckets) != bucket))
        self.checks["buckets"].looked_at += users.num_rows
        self.checks["buckets"].found(strays, f"bucket {bucket} has {strays} users of others")
        newest = pc.max(users.column("newest")).as_py()
        oldest = pc.min(users.column("oldest")).as_py()
        outside = newest > max(snapshot.lake_version, snapshot.sealed) or oldest < 0
        self.checks["versions"].looked_at += 1
        self.checks["versions"].found(
            int(outside), f"bucket {bucket} has lake versions {oldest} to {newest}"
        )

    def _contents(self, duck: duckdb.DuckDBPyConnection, history: str, bucket: int) -> None:
        traits = [f.name for f in schema.traits_of(self._selection.snapshot.stored)]
        listed_traits = "".join(f", {sqlfile.identifier(name)}" for name in traits)
        statement = sqlfile.fill("verify/contents", history=history, columns=listed_traits)
        events = fetch(duck, statement).combine_chunks()
        if events.num_rows == 0:
            return
        columns = [events.column(name).chunk(0) for name in traits]
        found = hashing.fingerprint(traits, columns, events.num_rows)
        wrong = pc.sum(pc.not_equal(found, events.column(names.FINGERPRINT).chunk(0))).as_py()
        self.checks["contents"].looked_at += events.num_rows
        self.checks["contents"].found(wrong, f"bucket {bucket} has {wrong} altered events")

    def _pointers(self, duck: duckdb.DuckDBPyConnection, resolver: Resolver, bucket: int) -> None:
        asked = self._sampled(self._selection.asked(duck, bucket))
        if asked.num_rows == 0:
            return
        proof = resolver.prove(asked, bucket)
        counts = self._selection.judge.counts
        before = counts.mismatch
        self._selection.judge.passed(asked, proof)
        check = self.checks["pointers"]
        check.looked_at += asked.num_rows
        wrong = counts.mismatch - before
        check.found(wrong, f"bucket {bucket} has {wrong} pointers that find another history")
        self._future(asked, proof, bucket)

    def _future(self, asked: pa.Table, proof: pa.Table, bucket: int) -> None:
        ends, requests = proof.column(names.END_TS), asked.column(names.REQUEST_TS)
        late = pc.sum(pc.greater_equal(ends, requests)).as_py() or 0
        newest = self._selection.snapshot.lake_version
        beyond = pc.sum(pc.greater(asked.column(names.LAKE_VERSION), newest)).as_py() or 0
        self.checks["future"].looked_at += asked.num_rows
        self.checks["future"].found(
            late + beyond, f"bucket {bucket}: {late} reach the future, {beyond} a lost lake version"
        )

    def _sampled(self, asked: pa.Table) -> pa.Table:
        if self._share >= 1.0:
            return asked
        picked = self._random.random(asked.num_rows) < self._share
        return asked.filter(pa.array(picked)).combine_chunks()


def _number(duck: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(fetch(duck, statement).column(0)[0].as_py())

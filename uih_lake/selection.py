"""Which examples are rebuilt: those of a state of the lake that meet a condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, schema, sqlfile
from uih_lake.errors import InputError
from uih_lake.lake.logs import Part
from uih_lake.lake.order import unordered
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.lake.tombstones import Tombstones
from uih_lake.pointers.examples import Examples
from uih_lake.pointers.policy import PROOF, Counts, Judge, Policy, check_policy
from uih_lake.resolve.placed import PLACE
from uih_lake.resolve.visible import by_bucket
from uih_lake.session import fetch
from uih_lake.tenant import Tenant, check_tenants, context_of, evaluating, spoken_of
from uih_lake.tenant.check import check_where

EXAMPLES_AT_ONCE = 50_000
"""Examples read in one go: a few megabytes of keys and pointers, and their context."""

_ORDER = (names.BUCKET, names.USER_ID, names.REQUEST_TS, names.EXAMPLE_ID)
_POINTER = (names.AS_OF_TS, names.LAKE_VERSION)


@dataclass(frozen=True)
class Selection:
    """The ``examples`` that meet ``where``, with the ``context`` that travels along.

    Their pointers are proven against ``snapshot``, and ``judge`` decides what to do with faults.
    """

    snapshot: Snapshot
    examples: Examples
    judge: Judge
    context: tuple[str, ...] = ()
    where: str = "true"

    @classmethod
    def of(
        cls,
        store: Store,
        snapshot: Snapshot | None = None,
        examples: Examples | None = None,
        *,
        policy: Policy = "raise",
        counts: Counts | None = None,
        context: Sequence[str] = (),
        where: str = "true",
        tombstones: Tombstones | None = None,
    ) -> Selection:
        """Of the opened tables: by default all that they have, judged by counts of their own.

        Raises :class:`InputError` for a ``policy`` that does not exist.
        """
        check_policy(policy)
        snapshot, examples = snapshot or Snapshot.of(store), examples or Examples.of(store)
        tombstones = tombstones or Tombstones.of(store)
        judge = Judge(tombstones, snapshot.retained_from, policy, counts or Counts())
        return cls(snapshot, examples, judge, tuple(context), where)

    @classmethod
    def checked(
        cls,
        store: Store,
        version: int | None,
        tenants: Sequence[Tenant],
        where: str | None,
        on_mismatch: Policy,
        counts: Counts | None,
        log_versions: tuple[int, int],
    ) -> Selection:
        """Of the opened tables at a lake version, what a user asks for, once it makes sense.

        The examples with ``after < log_version <= through`` that meet ``where``, and the context of
        all ``tenants``, each of which fits this very state of the lake. Raises
        :class:`TenantError`, :class:`InputError` and :class:`SqlRefused`.
        """
        check_tenants(tenants)
        snapshot, examples = Snapshot.of(store, version), Examples.of(store).within(*log_versions)
        events = schema.public_events(snapshot.stored)
        for tenant in tenants:
            tenant.check(events, examples.public)
        if not isinstance(where, str | None):
            raise InputError(f"where {where!r}", hint="give a condition as text, or None")
        if not isinstance(counts, Counts | None):
            raise InputError(f"counts {counts!r}", hint="give Counts(), to be filled, or None")
        return cls.of(
            store,
            snapshot,
            examples,
            policy=on_mismatch,
            counts=counts,
            context=context_of(tenants),
            where="true" if where is None else check_where(where, events, examples.public),
        )

    def counted_by(self, counts: Counts) -> Selection:
        """The same, with what the judge finds added to ``counts``."""
        return replace(self, judge=replace(self.judge, counts=counts))

    @property
    def parts(self) -> tuple[Part, ...]:
        """:meth:`Examples.parts` of the examples, whether or not they meet ``where``."""
        return self.examples.parts(self.snapshot.pages)

    @property
    def columns(self) -> list[str]:
        """``example_id, user_id, request_ts``, then the context."""
        return list(dict.fromkeys([*names.ROW_KEYS, *self.context]))

    @cached_property
    def columns_read(self) -> list[str]:
        """Stored columns of the examples that are read: those of :meth:`asked` and of ``where``."""
        return list(dict.fromkeys([*self._columns_asked, *self._columns_met]))

    @cached_property
    def _columns_asked(self) -> list[str]:
        return list(dict.fromkeys([*self.columns, *_POINTER, *PROOF, *PLACE, names.BUCKET]))

    @cached_property
    def _columns_met(self) -> list[str]:
        """Those that ``where`` may speak of."""
        return spoken_of(self.where, self.examples.public.names)

    def asked(self, duck: duckdb.DuckDBPyConnection, bucket: int) -> pa.Table:
        """The examples of one bucket as stored: :attr:`columns`, pointer bounds, proof, place."""
        return self._fetched(duck, bucket, bucket)

    def by_bucket(self, duck: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, pa.Table]]:
        """Every bucket that has examples, with :meth:`asked` of it, in order."""
        for first in range(0, self.snapshot.buckets, self._step):
            yield from self.asked_beside(duck, first).items()

    @property
    def _step(self) -> int:
        """Buckets whose examples are read in one go."""
        return max(1, self.snapshot.buckets * EXAMPLES_AT_ONCE // max(self.examples.rows, 1))

    def neighbourhood(self, bucket: int) -> range:
        """The buckets whose examples are read together with those of ``bucket``."""
        first = bucket - bucket % self._step
        return range(first, min(first + self._step, self.snapshot.buckets))

    def asked_beside(self, duck: duckdb.DuckDBPyConnection, bucket: int) -> dict[int, pa.Table]:
        """:meth:`asked` for ``bucket`` and its neighbours, as many as are read well at once.

        Buckets without examples are left out.
        """
        beside = self.neighbourhood(bucket)
        return dict(by_bucket(self._fetched(duck, beside[0], beside[-1])))

    def _fetched(self, duck: duckdb.DuckDBPyConnection, first: int, last: int) -> pa.Table:
        found = self.examples.read(self.snapshot.pages, self.columns_read, first, last)
        if self.where != "true" or not self._are_as_wanted(found):
            keys = list(dict.fromkeys([*_ORDER, names.LAKE_VERSION, *self._columns_met]))
            found = found.take(self._wanted(duck, found.select(keys))).combine_chunks()
        return found.select(self._columns_asked)

    def _are_as_wanted(self, found: pa.Table) -> bool:
        """Whether these are all to be taken, in order, as examples of one log mostly are."""
        if not found.num_rows:
            return True
        known = pc.max(found.column(names.LAKE_VERSION)).as_py() <= self.snapshot.lake_version
        return known and not unordered(found.column(name).chunk(0) for name in _ORDER)

    def _wanted(self, duck: duckdb.DuckDBPyConnection, keys: pa.Table) -> pa.Array:
        """The rows to take, in order."""
        rows = pa.array(np.arange(keys.num_rows, dtype=np.int32))
        duck.register("keys", keys.append_column(names.ROW, rows))
        statement = sqlfile.fill("pointers/wanted", where=self.where)
        parameters = {"newest": self.snapshot.lake_version}
        with evaluating(self.where):
            chosen = fetch(duck, statement, parameters).column(names.ROW)
        duck.unregister("keys")
        return chosen.combine_chunks()

"""What serving feeds the model, and the pointers that make training see the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import hashing, names, schema
from uih_lake.given import times_of, users_of
from uih_lake.lake.snapshot import Snapshot
from uih_lake.materialize import Sequences
from uih_lake.resolve.plan import Scan, scans
from uih_lake.resolve.run import Resolution, Resolver
from uih_lake.session import cursor
from uih_lake.tenant import Tenant, check_tenants

_EVENTS = 1 << 20
"""Events of the buckets that are read at once: a scan for each of many small ones takes longer."""


@dataclass(frozen=True)
class Served:
    """The sequences of some users, each at a time.

    ``rows`` is a row per user, in the order asked for: ``user_id`` (int64 or string),
    ``request_ts`` (timestamp[us, UTC]) and per group a struct of lists, one per trait, oldest event
    first; values in the lists may be null, all else is not. ``pointers`` has for the same rows
    ``user_id, request_ts, as_of_ts`` (null: unbounded), ``lake_version, generation, start_ts,
    end_ts`` (null where nothing is visible), ``length`` and ``digest``: times are timestamp[us,
    UTC], all else but the user int64. Hand them to :meth:`Lake.log` together with the requests, and
    rebuilding gives the same sequences bit for bit.
    """

    rows: pa.Table
    pointers: pa.Table


def serve(
    snapshot: Snapshot, user_ids: Any, request_ts: datetime | Sequence[datetime], tenant: Tenant
) -> Served:
    """Sequences of ``user_ids`` (int64 or string) at ``request_ts`` (one time, or one per user).

    The pointers are live: unbounded by arrival, pinned to the snapshot's lake version. Raises
    :class:`TenantError` where the groups do not fit the events, and :class:`InputError` for users
    or times that make no sense.
    """
    check_tenants([tenant])
    events = schema.public_events(snapshot.stored)
    tenant = replace(tenant, context=())
    tenant.check(events, pa.schema([]))
    plan = scans(tenant, events)
    users = users_of(user_ids, "serve", snapshot.stored.field(names.USER_ID).type)
    asked = _asked(snapshot, users, times_of(request_ts, len(users))).sort_by(names.BUCKET)
    with cursor() as duck:
        parts = [
            _served(tenant, plan, some, _resolved(snapshot, duck, plan, some))
            for some in _passes(snapshot, asked)
        ]
    served = pa.concat_tables(parts).sort_by(names.ROW)
    return Served(
        served.select([names.USER_ID, names.REQUEST_TS, *tenant.groups]),
        served.select(list(names.POINTER_COLUMNS)),
    )


def _passes(snapshot: Snapshot, asked: pa.Table) -> Iterator[pa.Table]:
    """What is asked for, cut so that the buckets of a part have about :data:`_EVENTS` events."""
    buckets = asked.column(names.BUCKET).to_numpy()
    for first, last in snapshot.passes(_EVENTS):
        start, stop = np.searchsorted(buckets, [first, last + 1]).tolist()
        if start < stop:
            yield asked.slice(start, stop - start)


def _resolved(
    snapshot: Snapshot, duck: duckdb.DuckDBPyConnection, plan: list[Scan], asked: pa.Table
) -> Resolution:
    """What is asked for, from the files of its own buckets: none that lies between is read."""
    buckets = pc.unique(asked.column(names.BUCKET)).to_pylist()
    first, last = buckets[0], buckets[-1]
    resolver = Resolver(snapshot.only(buckets), duck)
    return resolver.resolve(plan, asked, first, None if first == last else last)


def _served(tenant: Tenant, plan: list[Scan], asked: pa.Table, found: Resolution) -> pa.Table:
    """What is asked for, with its proof and a struct of lists per group."""
    structs = Sequences.of(plan, found).structs(0, asked.num_rows)
    columns = [*asked.columns, *found.proof.columns, *(structs[name] for name in tenant.groups)]
    given = [*asked.column_names, *found.proof.column_names, *tenant.groups]
    return pa.Table.from_arrays(columns, names=given)


def _asked(snapshot: Snapshot, user_ids: pa.Array, request_ts: pa.Array) -> pa.Table:
    """One live pointer per user, its bucket, and its place in the order asked for."""
    count = len(user_ids)
    return pa.table(
        {
            names.USER_ID: user_ids,
            names.REQUEST_TS: request_ts,
            names.AS_OF_TS: pa.nulls(count, schema.TIME),
            names.LAKE_VERSION: pa.array(np.full(count, snapshot.lake_version)),
            names.GENERATION: pa.array(np.full(count, snapshot.generation)),
            names.BUCKET: pa.array(hashing.bucket_of(user_ids, snapshot.buckets)),
            names.ROW: pa.array(np.arange(count)),
        }
    )

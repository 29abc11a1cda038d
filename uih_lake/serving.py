"""What serving feeds the model, and the pointers that make training see the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from uih_lake import hashing, names, schema
from uih_lake.lake.snapshot import Snapshot
from uih_lake.materialize import Sequences
from uih_lake.resolve.plan import scans
from uih_lake.resolve.run import Resolver
from uih_lake.session import cursor
from uih_lake.tenant import Tenant


@dataclass(frozen=True)
class Served:
    """The sequences of some users at one instant.

    ``rows`` has ``user_id, request_ts`` and a struct of lists per group, a row per user in the
    order asked for. ``pointers`` has the pointer columns for the same rows; hand them to
    :meth:`Lake.log` together with the requests, and rebuilding gives the same sequences bit for
    bit.
    """

    rows: pa.Table
    pointers: pa.Table


def serve(snapshot: Snapshot, user_ids: pa.Array, request_ts: pa.Array, tenant: Tenant) -> Served:
    """Sequences of ``user_ids`` (int64 or string) at ``request_ts`` (one time per user).

    The pointers are live: unbounded by arrival, pinned to the snapshot's lake version.
    """
    buckets = hashing.bucket_of(user_ids, snapshot.buckets)
    first, last = int(buckets.min()), int(buckets.max())
    asked = _asked(snapshot, user_ids, request_ts)
    plan = scans(tenant, schema.public_events(snapshot.stored))
    with cursor() as duck:
        found = Resolver(snapshot, duck).resolve(
            plan, asked, first, None if first == last else last
        )
    structs = Sequences.of(plan, found).structs(0, asked.num_rows)
    rows = asked.select([names.USER_ID, names.REQUEST_TS])
    for name in tenant.groups:
        rows = rows.append_column(name, structs[name])
    pointers = asked
    for name in found.proof.column_names:
        pointers = pointers.append_column(name, found.proof.column(name))
    return Served(rows, pointers.select(list(names.POINTER_COLUMNS)))


def _asked(snapshot: Snapshot, user_ids: pa.Array, request_ts: pa.Array) -> pa.Table:
    """One live pointer per user."""
    count = len(user_ids)
    return pa.table(
        {
            names.USER_ID: user_ids,
            names.REQUEST_TS: request_ts,
            names.AS_OF_TS: pa.nulls(count, schema.TIME),
            names.LAKE_VERSION: pa.array(np.full(count, snapshot.lake_version)),
            names.GENERATION: pa.array(np.full(count, snapshot.generation)),
        }
    )

"""What serving feeds the model, and the pointers that make training see the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from uih_lake import hashing, names, schema
from uih_lake.lake.snapshot import Snapshot
from uih_lake.materialize import Sequences
from uih_lake.resolve.plan import scans
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect
from uih_lake.tenant import Tenant

_PLACE = "_place"


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
    asked = _asked(snapshot, user_ids, request_ts)
    buckets = asked.column(names.BUCKET).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), asked.num_rows]
    plan = scans(tenant, schema.public_events(snapshot.stored))
    rows, pointers = [], []
    with connect() as duck:
        resolver = Resolver(snapshot, duck)
        for start, stop in pairwise(edges):
            part, bucket = asked.slice(start, stop - start), int(buckets[start])
            proof = resolver.prove(part, bucket)
            pointers.append(_beside(part, proof.columns, proof.column_names))
            groups = Sequences.of(resolver, plan, part, bucket).structs(0, part.num_rows)
            rows.append(_beside(part, list(groups.values()), list(groups)))
    head = [names.USER_ID, names.REQUEST_TS]
    return Served(
        _as_asked(rows, [*head, *tenant.groups]), _as_asked(pointers, list(names.POINTER_COLUMNS))
    )


def _asked(snapshot: Snapshot, user_ids: pa.Array, request_ts: pa.Array) -> pa.Table:
    """One live pointer per user, sorted by bucket."""
    count = len(user_ids)
    table = pa.table(
        {
            names.USER_ID: user_ids,
            names.REQUEST_TS: request_ts,
            names.AS_OF_TS: pa.nulls(count, schema.TIME),
            names.LAKE_VERSION: pa.array(np.full(count, snapshot.lake_version)),
            names.GENERATION: pa.array(np.full(count, snapshot.generation)),
            names.BUCKET: pa.array(hashing.bucket_of(user_ids, snapshot.buckets)),
            _PLACE: pa.array(np.arange(count)),
        }
    )
    return table.sort_by([(names.BUCKET, "ascending"), (_PLACE, "ascending")])


def _beside(left: pa.Table, columns: list[pa.Array], titles: list[str]) -> pa.Table:
    for title, column in zip(titles, columns, strict=True):
        left = left.append_column(title, column)
    return left


def _as_asked(parts: list[pa.Table], columns: list[str]) -> pa.Table:
    return pa.concat_tables(parts).sort_by(_PLACE).select(columns).combine_chunks()

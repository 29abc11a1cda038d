"""What to read for a tenant: pure decisions, no I/O.

Groups with the same condition share a scan. Filtering first makes positions among the kept events
contiguous again, so the newest N of a group are a slice; hence one scan per distinct condition,
with the union of the groups' traits and the widest of their windows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import names
from uih_lake.schema import MAX_TIME, MIN_TIME, UNBOUNDED
from uih_lake.tenant import Group, Tenant
from uih_lake.tenant.condition import check_condition


@dataclass(frozen=True)
class Scan:
    """One pass over a bucket: a condition, the columns to read, and the groups cut from it."""

    where: str | None
    traits: tuple[str, ...]
    groups: tuple[tuple[str, Group], ...]

    @property
    def window_us(self) -> int | None:
        """The widest window of the groups; None where one looks back for ever, or there is none."""
        windows = [UNBOUNDED if g.window_us is None else g.window_us for _, g in self.groups]
        widest = max(windows, default=UNBOUNDED)
        return None if widest == UNBOUNDED else widest

    @property
    def sees_everything(self) -> bool:
        """Whether no event that is visible to a pointer is left out."""
        return self.where is None and self.window_us is None and self.lag_us == 0

    @property
    def lag_us(self) -> int:
        """The smallest lag of the groups."""
        return min((group.lag_us for _, group in self.groups), default=0)


def scans(tenant: Tenant, events: pa.Schema) -> list[Scan]:
    """The scans a tenant needs of ``events`` (public columns), in the order of its groups."""
    by_condition: dict[str | None, list[tuple[str, Group]]] = defaultdict(list)
    for name, group in tenant.groups.items():
        where = None if group.where is None else check_condition(group.where, events)
        by_condition[where].append((name, group))
    return [
        Scan(where, tuple(dict.fromkeys(t for _, g in groups for t in g.traits)), tuple(groups))
        for where, groups in by_condition.items()
    ]


@dataclass(frozen=True)
class Bounds:
    """Pointers of one bucket as arrays, all int64 and of one length; times in microseconds."""

    request_ts: npt.NDArray[np.int64]
    as_of_ts: npt.NDArray[np.int64]
    lake_version: npt.NDArray[np.int64]

    @classmethod
    def of(cls, pointers: pa.Table) -> Bounds:
        """Read ``request_ts``, ``as_of_ts`` (null: unbounded) and ``lake_version``."""
        as_of = pointers.column(names.AS_OF_TS).cast(pa.int64()).fill_null(UNBOUNDED)
        request = pointers.column(names.REQUEST_TS).cast(pa.int64())
        return cls(
            request.to_numpy(), as_of.to_numpy(), pointers.column(names.LAKE_VERSION).to_numpy()
        )

    def span(self, group: Group) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Event times of a group per pointer: ``since`` (inclusive) and ``before`` (exclusive)."""
        return self.request_ts - (group.window_us or UNBOUNDED), self.request_ts - group.lag_us

    def reach(self, scan: Scan) -> dict[str, int]:
        """The parameters of ``sql/resolve/scan.sql``: what any pointer can see in ``scan``.

        Event times ``since`` (inclusive) and ``until`` (exclusive), and the ``newest`` version.
        """
        until = int(self.request_ts.max()) - scan.lag_us
        window = scan.window_us
        since = MIN_TIME if window is None else int(self.request_ts.min()) - window
        return {
            "since": max(since, MIN_TIME),
            "until": min(max(until, MIN_TIME), MAX_TIME - 1),
            "newest": int(self.lake_version.max()),
        }

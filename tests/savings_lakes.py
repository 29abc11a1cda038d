"""Lakes to measure savings on: the demo's workload, small, and the tenants of it."""

from __future__ import annotations

from pathlib import Path

from uih_lake import Lake, Tenant
from uih_lake.workload import Workload

RANKER = Tenant.from_toml(
    """
name = "ranker"
context = ["label", "surface"]
[groups.history]
traits = ["item_id", "event_ts", "action", "dwell"]
max_len = 512
[groups.engaged]
traits = ["item_id", "category"]
where = "action <> 'impression'"
max_len = 64
window = "90d"
lag = "1m"
"""
)
SHORT = Tenant.from_toml(
    """
name = "short"
context = ["label"]
[groups.newest]
traits = ["item_id"]
max_len = 20
[groups.month]
traits = ["author_id"]
max_len = 20
window = "30d"
"""
)


def demo_lake(
    place: Path, *, users: int, mean: int, per_user: float, seed: int = 0, sealed: bool = True
) -> Lake:
    """A lake of the demo's workload; where it is not ``sealed``, half of it is."""
    workload = Workload(
        users=users,
        mean_events=mean,
        max_events=20 * mean,
        requests=round(users * per_user),
        seed=seed,
    )
    lake = Lake.create(place, buckets=2)
    for number, delivery in enumerate(workload.appends(2)):
        lake.append(delivery)
        if number == 0 or sealed:
            lake.seal()
    lake.compact()
    lake.log(workload.requests_table())
    return lake

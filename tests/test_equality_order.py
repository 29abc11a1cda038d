"""Order where it comes for free: a bucket of one sorted file is read without sorting it.

Several row groups are read by several threads, and DuckDB would make a join of a long IN list,
which does not keep the order of its rows. No lake of a few hundred events can show that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uih_lake import Group, Lake, Tenant

USERS = 40
EACH = 10_000
TIME = pa.timestamp("us", "UTC")
ACTIONS = ["a", "b", "c", "d", "e", "f", "g", "h", "rare"]


@pytest.fixture(scope="module", params=[pa.int64(), pa.string()], ids=str)
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One bucket, one file of four row groups; event ``n`` of user ``u`` is the item ``n``."""
    lake = Lake.create(tmp_path_factory.mktemp("order") / "lake", buckets=1)
    user = np.repeat(np.arange(USERS), EACH)
    item = np.tile(np.arange(EACH), USERS)
    table = pa.table(
        {
            "user_id": pa.array(user).cast(request.param),
            "event_ts": pa.array(item // 3, TIME),  # ties of three, in the order of the item
            "item": item,
            "action": pa.array(ACTIONS).take(pa.array(item % len(ACTIONS))),
        }
    )
    # Users take turns, as in a log.
    lake.append(table.take(pa.array(np.argsort(item, kind="stable"))))
    lake.seal()
    (path,) = Path(lake.path, "uih").glob("*.parquet")
    assert pq.read_metadata(path).num_row_groups >= 4
    for users in (list(range(USERS)), [3, 1, 4, 15, 9, 2, 6, 5]):
        ids = pa.array(users).cast(request.param)
        lake.log(pa.table({"user_id": ids, "request_ts": pa.array([EACH] * len(users), TIME)}))
    return lake


def expected(keep: set[str]) -> list[int]:
    return [n for n in range(EACH) if ACTIONS[n % len(ACTIONS)] in keep]


GROUPS = {
    "all": (Group(["item"]), expected(set(ACTIONS))),
    "most": (
        Group(["item"], where="action in ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')"),
        expected(set(ACTIONS) - {"rare"}),
    ),
    "contained": (
        Group(["item"], where="list_contains(['a', 'c', 'e', 'g', 'h', 'rare'], action)"),
        expected({"a", "c", "e", "g", "h", "rare"}),
    ),
    "numbers": (
        Group(["item"], where=f"item in ({', '.join(map(str, range(0, EACH, 37)))})"),
        list(range(0, EACH, 37)),
    ),
}


@pytest.mark.parametrize("where", [None, "log_version = 1", "log_version = 0 and example_id < 20"])
@pytest.mark.parametrize("name", GROUPS)
def test_rows_come_in_order(lake: Lake, name: str, where: str | None) -> None:
    group, items = GROUPS[name]
    found = lake.materialize(Tenant("t", {"g": group}), where=where).read_all()["g"].to_pylist()
    assert len(found) == {None: 48, "log_version = 1": 8}.get(where, 20)
    assert all(row["item"] == items for row in found)

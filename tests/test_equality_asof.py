"""Every plan of the ASOF join gives the same answer, also where ties cross its stripes.

DuckDB joins a probe side below `asof_loop_join_threshold` rows (64) with a nested loop, and the two
plans choose different rows among equal keys. The toolkit's key is unique: of stripes of a user that
begin at one time the index has the last alone. Held here on probe sides around the threshold, by
both plans, and on users whose hundreds of events of one instant cross the stripes of the index.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import duckdb
import plain_hash
import pyarrow as pa
import pytest
from oracle import GroupSpec, History, Pointer

from uih_lake import Group, Lake, Tenant, names, schema
from uih_lake.gather.lists import lists
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.resolve.ends import STRIPE
from uih_lake.resolve.plan import scans
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect
from uih_lake.sqlfile import statement

TIE = 2 * STRIPE + 188
GROUPS = {
    "all": (Group(["item"]), GroupSpec(["item"])),
    "last": (Group(["item"], 300), GroupSpec(["item"], 300)),
    "one": (Group(["item"], 1), GroupSpec(["item"], 1)),
    "even": (
        Group(["item"], 257, "item % 2 = 0"),
        GroupSpec(["item"], 257, lambda e: e.traits["item"] % 2 == 0),
    ),
    "older": (
        Group(["item"], None, None, "150us", "60us"),
        GroupSpec(["item"], None, None, 150, 60),
    ),
}
DEFAULT = 64


def appended() -> list[list[dict[str, Any]]]:
    """Three appends: ties of 1,212 events on 100 and on 200, some of them late; user 4 has none."""
    assert TIE > 2 * STRIPE, "a tie must cross two ends of a stripe"
    number = iter(range(10**6))

    def rows(user: int, time: int, count: int, late: int = 0) -> list[dict[str, Any]]:
        return [
            {"user_id": user, "event_ts": time, "arrival_ts": time + late, "item": next(number)}
            for _ in range(count)
        ]

    spread = [row for time in range(40, 340) for row in rows(3, time, 1, late=time % 7 * 30)]
    return [
        rows(1, 100, TIE) + rows(2, 200, 255) + rows(1, 0, 3) + spread,
        rows(1, 200, TIE, late=100) + rows(2, 200, 1) + rows(1, 100, 5, late=1),
        rows(1, 200, TIE) + rows(2, 199, 256) + rows(2, 201, 1) + spread[::-1],
    ]


@pytest.fixture(scope="module", params=["recent", "sealed", "both"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, History]:
    """A lake of one bucket, in each state of its tiers, and the oracle's history."""
    lake = Lake.create(tmp_path_factory.mktemp("asof") / "lake", buckets=1)
    history = History()
    for number, rows in enumerate(appended()):
        table = pa.Table.from_pylist(rows)
        for name in ("event_ts", "arrival_ts"):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].cast(pa.timestamp("us", "UTC")))
        lake.append(table)
        history.append(rows)
        if request.param == "sealed" or (request.param == "both" and number == 0):
            lake.seal()
    return Store.open(lake.path), history


def asked() -> list[Pointer]:
    """Requests around every edge of every tie, seen as of several arrivals and versions."""
    times = [100, 101, 200, 201, 0, 1, 202, 261, 40, 41, 100_000, 99]
    return [
        Pointer(user, time, as_of, version)
        for time in times
        for user in (1, 2, 3, 4)
        for as_of in (None, time, 150, 300)
        for version in (2, 0, 1)
    ]


def table_of(pointers: list[Pointer]) -> pa.Table:
    return pa.table(
        {
            names.USER_ID: pa.array([p.user_id for p in pointers], pa.int64()),
            names.REQUEST_TS: pa.array([p.request_ts for p in pointers], schema.TIME),
            names.AS_OF_TS: pa.array([p.as_of_ts for p in pointers], schema.TIME),
            names.LAKE_VERSION: pa.array([p.lake_version for p in pointers], pa.int64()),
        }
    )


def joins(duck: duckdb.DuckDBPyConnection) -> str:
    """The plan of the ASOF statement over the pointers and stripes of the last call."""
    (row,) = duck.sql("EXPLAIN " + statement("resolve/asof")).fetchall()
    return str(row[1])


def check(store: Store, history: History, pointers: list[Pointer], threshold: int) -> str:
    """Compare ranges and proofs of ``pointers`` with the oracle; returns the plan of the join."""
    table, snapshot = table_of(pointers), Snapshot.of(store)
    tenant = Tenant("t", {name: group for name, (group, _) in GROUPS.items()})
    with connect() as duck:
        duck.execute(f"SET asof_loop_join_threshold = {threshold}")
        resolver = Resolver(snapshot, duck)
        plan = scans(tenant, schema.public_events(snapshot.stored))
        found = resolver.resolve(plan, table, 0)
        for scan, resolved in zip(plan, found.cuts, strict=True):
            for name, _ in scan.groups:
                rows = lists(resolved.column("item"), resolved.ranges[name]).to_pylist()
                wanted = [history.sequence(p, GROUPS[name][1]) for p in pointers]
                assert rows == [[e.traits["item"] for e in seq] for seq in wanted], name
        proofs = found.proof.to_pylist()
        assert proofs == resolver.prove(table, 0).to_pylist()
        assert [p["length"] for p in proofs] == [len(history.visible(p)) for p in pointers]
        return joins(duck)


@pytest.mark.parametrize("threshold", [0, DEFAULT])
@pytest.mark.parametrize("probes", [1, 63, 64, 65])
def test_probe_sides_around_the_threshold(
    world: tuple[Store, History], probes: int, threshold: int
) -> None:
    plan = check(*world, list(islice(cycle(asked()), probes)), threshold)
    loops = probes < threshold
    assert ("Nested Loop Join" in plan, "Asof Join" in plan) == (loops, not loops)


def test_all_edges_at_once(world: tuple[Store, History]) -> None:
    check(*world, asked(), DEFAULT)


def test_two_stripes_of_one_time_would_depend_on_the_plan() -> None:
    """The control: were the index to keep them all, the threshold would choose the stripe."""
    stripes = {"_stripe": [0, 1, 2], "_user": [0] * 3, "_moment": [100] * 3}
    chosen, plans = set(), set()
    for threshold in (0, DEFAULT):
        with connect() as duck:
            duck.execute(f"SET asof_loop_join_threshold = {threshold}")
            duck.register("stripes", pa.table(stripes))
            pointers = {"_pointer": [0], "_user": [0], "_moment": [101]}
            duck.register("pointers", pa.table(pointers))
            ((_, stripe),) = duck.sql(statement("resolve/asof")).fetchall()
            chosen.add(stripe)
            plans.add("Nested Loop Join" in joins(duck))
    assert chosen == {0, 2}
    assert plans == {False, True}


def test_each_pointer_alone(world: tuple[Store, History]) -> None:
    """A scan for one pointer reads less; what it finds must not depend on its neighbours."""
    for pointer in asked()[::67]:
        check(*world, [pointer], DEFAULT)


def test_default_threshold_is_the_one_above() -> None:
    with connect() as duck:
        row = duck.sql("SELECT current_setting('asof_loop_join_threshold')").fetchall()
    assert row == [(DEFAULT,)]


def test_digests_do_not_depend_on_the_plan(world: tuple[Store, History]) -> None:
    store, _ = world
    found = []
    for threshold in (0, 10**9):
        with connect() as duck:
            duck.execute(f"SET asof_loop_join_threshold = {threshold}")
            found.append(Resolver(Snapshot.of(store), duck).prove(table_of(asked()), 0))
    assert found[0].equals(found[1])
    assert len(set(found[0]["digest"].to_pylist())) > 40
    assert plain_hash.digest([]) == 0 == found[0]["digest"].to_pylist()[-3]

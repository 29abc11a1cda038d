"""What a tenant does not ask for is not read: by the plan, and proven by breaking the bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uih_lake import CorruptionError, Group, Lake, Tenant, schema, serving
from uih_lake.hashing import bucket_of
from uih_lake.lake import parquet
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.resolve import rows
from uih_lake.resolve.plan import scans
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect

TIME = pa.timestamp("us", "UTC")
EVENTS = 200_000
USERS = 100
KEYS = {"user_id", "event_ts", "_delay", "lake_version", "_tie"}
TIERS = ("recent", "uih")
HIDDEN = ("other", "blob", "tags")
"""Traits the tenants below never ask for."""


def build(folder: Path, rows: int, *, buckets: int = 1, sealed: bool = True) -> Lake:
    """A lake of users with ``rows / USERS`` events each, a microsecond apart."""
    lake = Lake.create(folder / "lake", buckets=buckets)
    number = np.arange(rows)
    lake.append(
        pa.table(
            {
                "user_id": number * USERS // rows,
                "event_ts": pa.array(number, TIME),
                "item": number,
                "action": pa.array(["click", "like"]).take(pa.array(number % 2)),
                'a"b': number % 2,
                "other": np.random.default_rng(0).random(rows),
                "blob": pa.array(number.astype(str)),
                "tags": pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32), number),
            }
        )
    )
    if sealed:
        lake.seal()
    return lake


@pytest.fixture(scope="module", params=[False, True], ids=TIERS)
def big(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One file of more than one row group, in either tier; not to be written to."""
    return build(tmp_path_factory.mktemp("big"), EVENTS, sealed=request.param)


# The plan


def resolved(
    group: Group, lake: Lake, users: Sequence[int], keys: Sequence[str] = rows.KEYS
) -> str:
    """The statement that resolves ``group`` for ``users``, or, without keys, reads its traits."""
    snapshot = Snapshot.of(Store.open(lake.path))
    (scan,) = scans(Tenant("t", {"g": group}), schema.public_events(snapshot.stored))
    with connect() as duck:
        pointers = pa.chunked_array([pa.array(users)])
        return Resolver(snapshot, duck).statement(scan, {*keys, *scan.traits}, pointers, 0)


BOUNDS = {"since": 5, "until": 100_000, "newest": 0}


def parquet_scans(duck: duckdb.DuckDBPyConnection, sql: str, **bounds: int) -> list[Any]:
    """Details of every Parquet scan in the plan."""
    (row,) = duck.sql(f"EXPLAIN (FORMAT JSON) {sql}", params=bounds or None).fetchall()
    return [node["extra_info"] for node in walk(json.loads(row[1])) if is_scan(node)]


def is_scan(node: dict[str, Any]) -> bool:
    return "PARQUET" in node["name"]


def walk(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from walk(node["children"])


def the_scan(
    lake: Lake,
    group: Group,
    users: Sequence[int] = (3, 27),
    keys: Sequence[str] = rows.KEYS,
) -> dict[str, Any]:
    with connect() as duck:
        (scan,) = parquet_scans(duck, resolved(group, lake, users, keys), **BOUNDS)
        return dict(scan)


def columns(scan: dict[str, Any]) -> set[str]:
    found = scan["Projections"]
    return set([found] if isinstance(found, str) else found)


def filters(scan: dict[str, Any]) -> str:
    found = scan.get("Filters", "")
    return found if isinstance(found, str) else " & ".join(found)


def test_only_keys_and_asked_traits_are_scanned(big: Lake) -> None:
    scan = the_scan(big, Group(["item"]))
    # The mutable tier keeps the lake version and the bucket outside of what is asked.
    assert columns(scan) - {"_bucket", "lake_version"} == KEYS - {"lake_version"} | {"item"}


def test_traits_to_gather_are_scanned_without_the_keys(big: Lake) -> None:
    """But for those that order the rows of a tier that is not in order."""
    scan = the_scan(big, Group(["item"]), keys=())
    assert columns(scan) >= {"item", "user_id"}
    assert not columns(scan) & {"_delay", "_fingerprint", "action", *HIDDEN}


def test_a_group_without_a_condition_has_none_in_its_scan(big: Lake) -> None:
    """The control: what the next tests find in the plan comes from the group."""
    scan = the_scan(big, Group(["other", "blob"]), users=range(1000))
    assert columns(scan) >= {"other", "blob"}
    assert "action" not in filters(scan)
    assert "user_id" not in filters(scan)


def test_window_user_and_condition_reach_the_scan(big: Lake) -> None:
    found = filters(the_scan(big, Group(["item"], where="action = 'click'", window="1s")))
    assert "event_ts >= '1970-01-01 00:00:00.000005+00'" in found
    assert "event_ts < '1970-01-01 00:00:00.1+00'" in found
    assert "user_id IN (3, 27)" in found
    assert "action = 'click'" in found


def test_a_condition_on_a_filter_column_alone_decodes_no_other(big: Lake) -> None:
    scan = the_scan(big, Group(["event_ts"], where="item between 7 and 9"))
    assert not columns(scan) & {*HIDDEN, "action", "_fingerprint"}
    assert "item" in filters(scan)


def test_few_users_read_few_row_groups(big: Lake) -> None:
    def read(users: Sequence[int]) -> str:
        sql = resolved(Group(["item"]), big, users)
        bounds = {"since": 0, "until": EVENTS + 1, "newest": 0}
        with connect() as duck:
            (row,) = duck.sql(f"EXPLAIN ANALYZE {sql}", params=bounds).fetchall()
        found = re.search(r"Row Groups Scanned: (\d+ / \d+)", row[1])
        return found[1] if found else row[1]

    path = data_files(big)[-1]
    total = pq.read_metadata(path).num_row_groups
    few, others = groups_with(path, [0, 1]), groups_with(path, [0, USERS - 1])
    assert len(few) < len(others) == total
    assert read([0, 1]) == f"{len(few)} / {total}"
    assert read([0, USERS - 1]) == f"{total} / {total}"
    assert read(range(1000)) == f"{total} / {total}", "the control: no user condition"


def test_views_push_down_too(big: Lake) -> None:
    plan = big.sql(
        "SELECT item FROM events WHERE user_id = 3 AND event_ts < '1970-01-02'"
    ).explain()
    assert "user_id" in plan
    assert not any(name in plan for name in (*HIDDEN, "action"))
    control = big.sql("SELECT * FROM events").explain()
    assert all(name in control for name in (*HIDDEN, "action"))


# The bytes


def wreck(path: Path, column: str, row_groups: Sequence[int]) -> None:
    """Overwrite every page of a column in some row groups of a Parquet file."""
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
    names = [metadata.schema.column(i).path.split(".")[0] for i in range(metadata.num_columns)]
    with path.open("r+b") as raw:
        for group in row_groups:
            chunk = metadata.row_group(group).column(names.index(column))
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            raw.seek(start)
            raw.write(b"\xff" * chunk.total_compressed_size)


def groups_with(path: Path, users: Sequence[int]) -> set[int]:
    """Row groups whose range of user ids has one of ``users`` in it."""
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.names.index("user_id")
        ranges = [
            file.metadata.row_group(group).column(place).statistics
            for group in range(file.num_row_groups)
        ]
    return {g for g, r in enumerate(ranges) if any(r.min <= user <= r.max for user in users)}


def data_files(lake: Lake) -> list[Path]:
    return [path for tier in TIERS for path in sorted(Path(lake.path, tier).glob("*.parquet"))]


def asked(lake: Lake, users: Sequence[int]) -> None:
    times = pa.array([10**9] * len(users), TIME)
    lake.log(pa.table({"user_id": list(users), "request_ts": times}))


@pytest.mark.parametrize("sealed", [False, True], ids=TIERS)
@pytest.mark.parametrize("column", HIDDEN)
def test_a_trait_nobody_asked_for_is_not_read(tmp_path: Path, sealed: bool, column: str) -> None:
    lake = build(tmp_path, 1000, buckets=2, sealed=sealed)
    asked(lake, [1, 2])
    tenant = Tenant("t", {"g": Group(["item", "event_ts"], where="action = 'click'")})
    expected = lake.materialize(tenant).read_all()
    for path in data_files(lake):
        wreck(path, column, range(pq.read_metadata(path).num_row_groups))

    lake = Lake.open(lake.path)
    assert lake.materialize(tenant).read_all().equals(expected)
    with pytest.raises(CorruptionError, match=column):
        lake.materialize(Tenant("t", {"g": Group(["item", column])})).read_all()


@pytest.mark.parametrize("sealed", [False, True], ids=TIERS)
@pytest.mark.parametrize(
    ("column", "where"), [("action", "Action = 'like'"), ('a"b', '"A""b" = 1')]
)
def test_a_column_only_a_condition_speaks_of_is_read(
    tmp_path: Path, sealed: bool, column: str, where: str
) -> None:
    """The control: the same damage in a column of the condition is noticed, before the scan."""
    lake = build(tmp_path, 1000, sealed=sealed)
    asked(lake, [1])
    for path in data_files(lake):
        wreck(path, column, range(pq.read_metadata(path).num_row_groups))
    lake = Lake.open(lake.path)
    with pytest.raises(CorruptionError, match=f"column '{column}'"):
        lake.materialize(Tenant("t", {"g": Group(["item"], where=where)})).read_all()
    assert lake.materialize(Tenant("t", {"g": Group(["item"])})).read_all().num_rows == 1


@pytest.mark.parametrize("sealed", [False, True], ids=TIERS)
def test_row_groups_of_other_users_are_not_read(tmp_path: Path, sealed: bool) -> None:
    """The engine skips them; the page checks before it, which look at whole files, are left out."""
    lake = build(tmp_path, EVENTS, sealed=sealed)
    (path,) = Path(lake.path, TIERS[sealed]).glob("*.parquet")
    others = groups_with(path, [USERS - 1]) - groups_with(path, [0, 1])
    wreck(path, "item", sorted(others))
    bounds = {"since": 0, "until": EVENTS + 1, "newest": 0}
    with connect() as duck:
        first = resolved(Group(["item"]), lake, [0, 1])
        assert len(duck.sql(first, params=bounds).fetchall()) == 2 * EVENTS // USERS
        last = resolved(Group(["item"]), lake, [USERS - 1])
        with pytest.raises(duckdb.Error):
            duck.sql(last, params=bounds).fetchall()


def test_examples_of_other_buckets_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 10)
    lake = build(tmp_path, 1000, buckets=4)
    asked(lake, range(USERS))
    (path,) = Path(lake.path, "examples").glob("*.parquet")
    with pq.ParquetFile(path) as file:
        edges = [file.read_row_group(g).column("_bucket") for g in range(file.num_row_groups)]
    wreck(path, "digest", [g for g, held in enumerate(edges) if 0 not in held.to_pylist()])
    with connect() as duck:
        selection = lake._select([Tenant("t", {"g": Group(["item"])})])
        found = selection.asked(duck, 0)
        assert 0 < found.num_rows < USERS
        with pytest.raises(CorruptionError, match="digest"):
            selection.asked(duck, 1)


def test_examples_of_every_log_are_read_together_in_order(tmp_path: Path) -> None:
    """Also those that a column came after, and those that a condition picks."""
    lake = build(tmp_path, 1000)
    asked(lake, [7, 3, 5])
    times = pa.array([10**9] * 4, TIME)
    tagged = pa.table({"user_id": [4, 5, 3, 8], "request_ts": times, "tag": list("abcd")})
    lake.log(tagged, add_columns=True)
    tenant = Tenant("t", {"g": Group(["item"])}, context=("tag",))
    with connect() as duck:
        found = lake._select([tenant]).asked(duck, 0)
        assert found.column("user_id").to_pylist() == [3, 3, 4, 5, 5, 7, 8]
        assert found.column("tag").to_pylist() == [None, "c", "a", None, "b", None, "d"]
        assert found.column("tag").num_chunks == 1
        some = lake._select([tenant], "tag > 'a' AND log_version = 1").asked(duck, 0)
        assert some.column("user_id").to_pylist() == [3, 5, 8]
        assert lake._select([tenant], "tag = 'z'").asked(duck, 0).num_rows == 0


NAN = float("nan")


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("where", ["isnan(v)", "v > 5", "v = 'nan'::double", "NOT (v < 5)"])
def test_a_condition_finds_a_nan_whatever_files_it_is_in(
    tmp_path: Path, kind: pa.DataType, where: str
) -> None:
    """Statistics that leave a NaN out would have its row group skipped, or not, by the layout."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    for first, values in enumerate(([NAN], [1.0], [1.0, NAN, None])):
        times = pa.array(range(10 * first, 10 * first + len(values)), TIME)
        users = pa.array([1] * len(values))
        lake.append(pa.table({"user_id": users, "event_ts": times, "v": pa.array(values, kind)}))
    contexts = pa.array([NAN, 1.0], kind)
    lake.log(pa.table({"user_id": [1, 1], "request_ts": pa.array([90, 91], TIME), "v": contexts}))
    tenant = Tenant("t", {"found": Group(["event_ts"], where=where)})
    for change in (lambda: None, lake.seal, lake.compact):
        change()
        rows = lake.materialize(tenant, where=where).read_all()
        assert rows["example_id"].to_pylist() == [0]
        found = rows["found"].combine_chunks().field("event_ts").values.cast(pa.int64())
        assert found.to_pylist() == [0, 21]


def test_only_numbers_without_nan_have_statistics(tmp_path: Path) -> None:
    """The control: others go on being skipped."""
    table = pa.table(
        {
            "plain": [0.5, None],
            "nan": [0.5, NAN],
            "lists": [[0.5], None],
            "lists_nan": [[NAN], []],
            "whole": [1, 2],
        }
    )
    file = parquet.write(str(tmp_path), table, {"part": 0})
    group = pq.read_metadata(tmp_path / file.path).row_group(0)
    described = [
        group.column(number).path_in_schema.partition(".")[0]
        for number in range(group.num_columns)
        if group.column(number).is_stats_set
    ]
    assert described == ["plain", "lists", "whole"]


@pytest.mark.parametrize("count", [2, 20], ids=["few users", "many users"])
def test_serving_reads_the_buckets_of_its_users_alone(tmp_path: Path, count: int) -> None:
    """The files of all others are gone, also of those between the first bucket and the last."""
    lake = build(tmp_path, 1000, buckets=64)
    users, end = list(range(count)), datetime(2000, 1, 1, tzinfo=UTC)
    tenant = Tenant("t", {"g": Group(["item"])})
    before = lake.snapshot(users, end, tenant)
    mine = set(bucket_of(pa.array(users), 64).tolist())
    runs = lake._snapshot().runs
    assert any(min(mine) < bucket < max(mine) for bucket in runs.keys() - mine), "the control"
    for bucket in runs.keys() - mine:
        for path in runs[bucket]:
            Path(path).unlink()
    after = Lake.open(lake.path).snapshot(users, end, tenant)
    assert after.rows.equals(before.rows) and after.pointers.equals(before.pointers)


@pytest.mark.parametrize("at_once", [1, 300, 1 << 20])
@pytest.mark.parametrize("sealed", [False, True], ids=TIERS)
def test_serving_keeps_the_order_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool, at_once: int
) -> None:
    """However many buckets are read at once, of 125 events each.

    A user may be asked for at several times, and one that nobody knows has no events.
    """
    monkeypatch.setattr(serving, "_EVENTS", at_once)
    lake = build(tmp_path, 1000, buckets=8, sealed=sealed)
    users = [*range(USERS - 1, 0, -3), 7, 10**6, 7]
    ends = [datetime.fromtimestamp(n % 5 / 4000, UTC) for n in range(len(users))]
    tenant = Tenant("t", {"g": Group(["item", "tags"], max_len=3), "h": Group(["action"])})
    served = lake.snapshot(users, ends, tenant)
    alone = [lake.snapshot([u], end, tenant) for u, end in zip(users, ends, strict=True)]
    assert served.rows.equals(pa.concat_tables(one.rows for one in alone))
    assert served.pointers.equals(pa.concat_tables(one.pointers for one in alone))
    assert 0 < sum(map(bool, served.pointers.column("length").to_pylist())) < len(users)
    lake.log(served.rows.select(["user_id", "request_ts"]), pointers=served.pointers)
    rebuilt = lake.materialize(tenant).read_all().sort_by("example_id")
    assert rebuilt.drop_columns(["example_id"]).to_pylist() == served.rows.to_pylist()

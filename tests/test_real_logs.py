"""Two real logs, whole: every example against the oracle.

The logs lie beside the checkout and are no part of the project; without them these tests are
skipped. Run with `-s` to see how much was compared.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from oracle import GroupSpec, History, Pointer, values

from uih_lake import Group, InputError, Lake, Tenant

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
DAY = 86_400_000_000
SAMPLE = 8_000


def real_log(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the real log {name} is not beside this checkout")
    return path


def files(lake: Lake) -> list[Path]:
    """Everything a lake consists of; its locks hold no data."""
    return sorted(p for p in Path(lake.path).rglob("[!.]*") if p.is_file())


def differences(
    lake: Lake,
    history: History,
    pointers: dict[int, Pointer],
    groups: dict[str, tuple[Group, GroupSpec]],
) -> tuple[Counter[str], list[str]]:
    """What was compared, and every sequence that is not the oracle's."""
    tenant = Tenant("t", {name: group for name, (group, _) in groups.items()})
    compared: Counter[str] = Counter()
    wrong: list[str] = []
    left = dict(pointers)
    for batch in lake.materialize(tenant):
        for row in _rows(batch):
            pointer = left.pop(row["example_id"])
            compared["examples"] += 1
            for name, (_, spec) in groups.items():
                expected = history.sequence(pointer, spec)
                compared["events"] += len(expected)
                for trait in spec.traits:
                    if row[name][trait] != values(expected, trait):
                        wrong.append(f"{pointer}: {name}.{trait}")
    assert not left, f"{len(left)} examples were not rebuilt"
    return compared, wrong


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows of a batch, a hundred at a time; event times as integer microseconds."""
    for start in range(0, batch.num_rows, 100):
        part = pa.table(batch.slice(start, 100))
        for name in part.column_names:
            if pa.types.is_struct(part[name].type):
                lists = part[name].combine_chunks()
                fields = [lists.field(i) for i in range(lists.type.num_fields)]
                fields = [
                    f.cast(pa.list_(pa.int64())) if pa.types.is_timestamp(f.type.value_type) else f
                    for f in fields
                ]
                struct = pa.StructArray.from_arrays(fields, [f.name for f in lists.type])
                part = part.set_column(part.column_names.index(name), name, struct)
        yield from part.to_pylist()


# MovieTweetings: one request per rating, with the history before it


MOVIES = {
    "all": (
        Group(["item_id", "rating", "event_ts"]),
        GroupSpec(["item_id", "rating", "event_ts"]),
    ),
    "liked": (
        Group(["item_id"], max_len=5, where="rating >= 8", window="90d", lag="1h"),
        GroupSpec(["item_id"], 5, lambda e: e.traits["rating"] >= 8, 90 * DAY, DAY // 24),
    ),
}


def movie_history(tables: list[pa.Table]) -> History:
    return History.from_tables(
        [t.append_column("event_ts", pc.multiply(t["ts"], 1_000_000)) for t in tables]
    )


def test_movietweetings_every_rating(tmp_path: Path) -> None:
    path = real_log("movietweetings_100k.parquet")
    table = pq.read_table(path)
    lake = Lake.create(tmp_path / "lake", buckets=8)
    lake.append(path, event_ts="ts", ts_unit="s")
    requests = table.rename_columns({"ts": "request_ts"})
    logged = lake.log(requests, ts_unit="s")
    assert logged["example_id"].to_pylist() == list(range(100_000))

    history = movie_history([table])
    users, times = table["user_id"].to_pylist(), table["ts"].to_pylist()
    asked = zip(users, times, strict=True)
    pointers = {n: history.pointer(u, t * 1_000_000) for n, (u, t) in enumerate(asked)}
    assert logged["length"].to_pylist() == [len(history.visible(p)) for p in pointers.values()]

    compared, wrong = differences(lake, history, pointers, MOVIES)
    print(f"\nmovietweetings_100k: {dict(compared)}, differences: {len(wrong)}")
    assert not wrong
    assert compared["examples"] == 100_000


def test_movietweetings_in_pieces_and_sealed(tmp_path: Path) -> None:
    """Half of the log sealed, half not; requests asked in between see the first half only."""
    table = pq.read_table(real_log("movietweetings_100k.parquet"))
    halves = [table.slice(0, 50_000), table.slice(50_000)]
    asked = table.take(pa.array(range(0, 100_000, 25))).select(["user_id", "ts"])
    lake = Lake.create(tmp_path / "lake", buckets=8)
    pointers: dict[int, Pointer] = {}
    for number, half in enumerate(halves):
        lake.append(half, event_ts="ts", ts_unit="s")
        if number == 0:
            lake.seal()
        history = movie_history(halves[: number + 1])
        logged = lake.log(asked, request_ts="ts", ts_unit="s", live=True)
        rows = zip(logged["example_id"].to_pylist(), asked.to_pylist(), strict=True)
        for example, row in rows:
            instant = row["ts"] * 1_000_000
            pointers[example] = history.pointer(row["user_id"], instant, live=True)
    compared, wrong = differences(lake, movie_history(halves), pointers, MOVIES)
    assert not wrong
    assert compared["examples"] == 8_000
    one, other = (
        [len(history.visible(p)) for p in list(pointers.values())[half]]
        for half in (slice(4_000), slice(4_000, None))
    )
    assert sum(one) < sum(other), (
        "the control: the second half of the log is seen by later requests"
    )


# Online Retail: nearly everything is tied, and a quarter has no user

COLUMNS = {"user_id": "CustomerID", "event_ts": "InvoiceDate"}
RETAIL = {
    "lines": (
        Group(["StockCode", "Quantity", "event_ts"], max_len=700),
        GroupSpec(["StockCode", "Quantity", "event_ts"], 700),
    ),
    "cancelled": (
        Group(["Description", "UnitPrice"], max_len=10, where="event_type = 'cancel'"),
        GroupSpec(["Description", "UnitPrice"], 10, lambda e: e.traits["event_type"] == "cancel"),
    ),
}


def retail_history(kept: pa.Table) -> History:
    """The model of the log, with the traits the groups speak of."""
    events = kept.rename_columns({name: key for key, name in COLUMNS.items()})
    events = events.drop_columns(["InvoiceNo", "Country"])
    times = events["event_ts"].cast(pa.int64())
    events = events.set_column(events.column_names.index("event_ts"), "event_ts", times)
    return History.from_tables([events])


def test_online_retail_refuses_rows_without_a_user(tmp_path: Path) -> None:
    path = real_log("online_retail.parquet")
    lake = Lake.create(tmp_path / "lake")
    before = files(lake)
    with pytest.raises(InputError) as refused:
        lake.append(path, **COLUMNS)
    message = str(refused.value)
    print(f"\nonline_retail: {message}")
    users = pq.read_table(path, columns=["CustomerID"])["CustomerID"].to_pylist()
    first = users.index(None) + 1
    for said in (path.name, "CustomerID", f"row {first}", "skip"):
        assert said in message
    assert "\n" not in message
    assert lake.version == -1
    assert files(lake) == before


def test_online_retail_visits(tmp_path: Path) -> None:
    """A request for each customer and minute, so that a tie is once the edge and then inside.

    Of the 22,034 visits a seeded sample is compared, largest ties included; all of them in a soak.
    """
    path = real_log("online_retail.parquet")
    table = pq.read_table(path)
    kept = table.filter(pc.is_valid(table["CustomerID"]))
    lake = Lake.create(tmp_path / "lake", buckets=8)
    lake.append(path, **COLUMNS, on_null_user="skip")
    lake.seal()
    assert lake.sql("SELECT count(*) FROM events").fetchall() == [(kept.num_rows,)]
    history = retail_history(kept)

    visits = kept.group_by(["CustomerID", "InvoiceDate"]).aggregate([([], "count_all")])
    visits = visits.sort_by([("count_all", "descending"), ("CustomerID", "ascending")])
    assert visits["count_all"][0].as_py() == 543, "the tie this log is known for"
    if os.environ.get("UIH_SOAK") != "1":
        sample = random.Random(0).sample(range(100, visits.num_rows), SAMPLE - 100)
        visits = visits.take(pa.array([*range(100), *sample]))
    requests = pa.table({"user_id": visits["CustomerID"], "request_ts": visits["InvoiceDate"]})
    logged = lake.log(requests)
    pointers = {
        example: history.pointer(row["user_id"], row["request_ts"])
        for example, row in zip(logged["example_id"].to_pylist(), requests.to_pylist(), strict=True)
    }
    compared, wrong = differences(lake, history, pointers, RETAIL)
    print(f"\nonline_retail: {dict(compared)}, differences: {len(wrong)}")
    assert not wrong
    assert compared["examples"] == visits.num_rows

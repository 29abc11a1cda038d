"""The report is right about whether it pays: on two real logs, and on the demo's workload.

The judge is independent of it: fat rows from ``materialize``, sorted and written by plain pyarrow
with every setting that a careful user would try, against the bytes of the lake's live files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from savings_lakes import demo_lake

from uih_lake import Group, Lake, Tenant
from uih_lake.savings import Report, savings
from uih_lake.savings.text import text

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
LAYOUTS = {"request_order": "in request order", "clustered_by_user": "clustered by user"}
TENANT = Tenant(
    name="ranker",
    context=["label"],
    groups={"history": Group(traits=["item_id", "event_ts", "action", "dwell"], max_len=1024)},
)
AS_GOOD = 1.02
"""The report's fat rows over the smallest of the grid: at most this."""


def grid() -> Iterator[dict[str, Any]]:
    """Encodings, pages and levels of zstd that a careful user would try."""
    how = [{"use_dictionary": True}, {"use_dictionary": False}, {"delta": True}]
    for each, page, level in product(how, (2**20, 2**24), (3, 9)):
        yield {**each, "data_page_size": page, "compression_level": level}


def written(table: pa.Table, *, delta: bool = False, **settings: Any) -> int:
    """Bytes of a file with such settings; ``delta`` encodes integers and times as differences."""
    if delta:
        schema = pq.ParquetFile(_file(table.slice(0, 1))).schema
        physical = {
            schema.column(n).path: schema.column(n).physical_type for n in range(len(schema))
        }
        settings |= {
            "use_dictionary": [path for path, kind in physical.items() if kind[:3] != "INT"],
            "column_encoding": {
                path: "DELTA_BINARY_PACKED" for path, kind in physical.items() if kind[:3] == "INT"
            },
        }
    return _file(table, **settings).getbuffer().nbytes


def _file(table: pa.Table, **settings: Any) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", **settings)
    return file


def fat_bytes(lake: Lake, tenant: Tenant) -> dict[str, int]:
    """The smallest file per layout."""
    rows = lake.materialize(tenant).read_all().combine_chunks()
    ordered = rows.take(pc.sort_indices(rows.column("request_ts"))).combine_chunks()
    return {
        layout: min(written(table, **settings) for settings in grid())
        for layout, table in zip(LAYOUTS, (ordered, rows), strict=True)
    }


def lake_bytes(lake: Lake) -> int:
    return sum(table.bytes for table in lake.info().tables if table.name != "forgotten")


def judged(lake: Lake, tenant: Tenant) -> Report:
    """The estimate, once it is found to agree with the judge and with exact mode."""
    fat, mine = fat_bytes(lake, tenant), lake_bytes(lake)
    report = savings(lake.path, [tenant])
    exact = savings(lake.path, [tenant], exact=True)
    for layout, theirs in fat.items():
        told, measured = report.tenants[0].verdict[layout], exact.tenants[0].verdict[layout]
        # The opponent is given settings as good as a careful user finds.
        assert exact.tenants[0].fat[layout].at_rest.value <= AS_GOOD * theirs
        assert told.at_rest == pytest.approx(measured.at_rest, rel=0.25)
        if not 0.95 < mine / theirs < 1.05:  # there is no wrong answer in between
            assert told.pays_at_rest == (mine < theirs), (layout, mine, theirs, told)
        assert told.pays_at_rest == measured.pays_at_rest
        assert told.pays_read == measured.pays_read
    says_so(report)
    return report


def says_so(report: Report) -> None:
    """The text tells of each layout whether it pays, in these words."""
    told = " ".join(text(report).split())
    for layout, name in LAYOUTS.items():
        found = report.tenants[0].verdict[layout]
        sentence = told.split(f"Against fat rows {name}: ")[1].split("This log has")[0]
        at_rest, read = sentence.split("; ")
        for part, what, pays in (
            (at_rest, "at rest", found.pays_at_rest),
            (read, "read", found.pays_read),
        ):
            assert part.startswith(f"{what} it pays" if pays else f"{what} it does NOT pay"), part


@pytest.mark.parametrize("per_user", [1, 20, 200])
def test_on_the_workload_of_the_demo(tmp_path: Path, per_user: int) -> None:
    users = {1: 300, 20: 120, 200: 40}[per_user]
    lake = demo_lake(tmp_path / "lake", users=users, mean=250, per_user=per_user)
    check_break_even(judged(lake, TENANT))


@pytest.mark.soak
@pytest.mark.parametrize(("per_user", "pays"), [(1, False), (20, True), (200, True)])
def test_on_a_workload_beyond_the_reach_of_a_codec(
    tmp_path: Path, per_user: int, pays: bool
) -> None:
    """So many users that a user's requests lie far apart in request order."""
    users = {1: 4000, 20: 2000, 200: 400}[per_user]
    lake = demo_lake(tmp_path / "lake", users=users, mean=500, per_user=per_user)
    report = judged(lake, TENANT)
    assert report.tenants[0].verdict["request_order"].pays_at_rest == pays
    check_break_even(report)


def check_break_even(report: Report) -> None:
    """What it says of the number of requests agrees with what it says of this log."""
    each = report.rows.value / report.users.value
    verdict = report.tenants[0].verdict
    assert verdict["request_order"].at_rest <= verdict["clustered_by_user"].at_rest * 1.05
    for found in verdict.values():
        for pays, least in (
            (found.pays_at_rest, found.break_even_at_rest),
            (found.pays_read, found.break_even_read),
        ):
            assert pays == (least is not None and least <= each)


def needs(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the log {name} is not in {os.path.relpath(DATA)}")
    return path


def test_on_online_retail(tmp_path: Path) -> None:
    log = pq.read_table(needs("online_retail.parquet"))
    log = log.filter(pc.is_valid(log.column("CustomerID")))
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(log, user_id="CustomerID", event_ts="InvoiceDate")
    lake.seal()
    invoices = log.group_by(["CustomerID", "InvoiceNo"]).aggregate([("InvoiceDate", "min")])
    lake.log(
        pa.table(
            {
                "user_id": invoices.column("CustomerID"),
                "request_ts": invoices.column("InvoiceDate_min"),
            }
        )
    )
    traits = ["StockCode", "event_ts", "Quantity", "UnitPrice"]
    tenant = Tenant(name="basket", groups={"lines": Group(traits=traits, max_len=512)})
    report = judged(lake, tenant)
    check_break_even(report)
    verdict = report.tenants[0].verdict
    assert not verdict["request_order"].pays_at_rest  # five requests a user, and half the traits
    assert not verdict["clustered_by_user"].pays_at_rest


def test_on_movietweetings(tmp_path: Path) -> None:
    """Six ratings a user: nothing to save, and the report says so."""
    path = needs("movietweetings_100k.parquet")
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(path, event_ts="ts", ts_unit="s")
    lake.seal()
    log = pq.read_table(path)
    requests = pa.table({"user_id": log.column("user_id"), "at": log.column("ts")})
    lake.log(requests, request_ts="at", ts_unit="s")
    tenant = Tenant(name="rater", groups={"seen": Group(traits=["item_id", "rating"])})
    report = judged(lake, tenant)
    assert report.tenants[0].groups[0].redundancy > 1
    for found in report.tenants[0].verdict.values():
        assert not found.pays_at_rest and not found.pays_read

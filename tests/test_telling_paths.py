"""Folders that say ``key=value``: elsewhere a column, here just where a file happens to be.

DuckDB takes such a folder for a partition unless it is told not to, and then its value stands for
what is in the files. Everything a lake gives back must be what one in a plain folder gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from ingested import read
from small_lakes import events, requests

from uih_lake import Group, Lake, Loader, Tenant

TELLING = ("country=zz", "user_id=1", "event_ts=5", "lake_version=0", "filename=x", "c1=5")
DAY = 86_400_000_000
TENANT = Tenant(
    "t",
    {"all": Group(("item", "country")), "some": Group(("country",), where="seq > 1")},
    context=("country", "day"),
)


def _json_lines(table: pa.Table, path: Path) -> None:
    table.to_pandas().to_json(path, orient="records", lines=True, date_format="iso")


WRITERS: dict[str, Callable[[pa.Table, Path], object]] = {
    "parquet": pq.write_table,
    "arrow": feather.write_feather,
    "csv": arrow_csv.write_csv,
    "jsonl": _json_lines,
}


def told_by(place: Path) -> dict[str, Any]:
    """What a lake tells that lives through all that can happen to one, at that place."""
    place.mkdir(parents=True)
    lake = Lake.create(place / "lake", buckets=2)
    users, times = [1, 2, 3, 1, 2, 1], [day * DAY for day in range(1, 7)]
    countries = ["de", "fr", None, "de", "it", "fr"]
    lake.append(events(users, times, item=[1, 2, 3, 4, 5, 6], country=countries))
    lake.seal()
    lake.append(events([1, 2], [7 * DAY, 8 * DAY], item=[7, 8], country=["es", "es"]))
    lake.log(
        requests(
            [1, 2, 3], [9 * DAY] * 3, example_id=[1, 2, 3], country=["a", "b", "c"], day=[1] * 3
        )
    )
    lake.label(pa.table({"example_id": [1, 3], "clicked": [1, 0]}))
    found: dict[str, Any] = {}

    def look(when: str) -> None:
        rows = lake.materialize(TENANT).read_all().to_pylist()
        found[when] = {
            "events": lake.sql("SELECT * FROM events ORDER BY ALL").fetchall(),
            "examples": lake.sql(
                "SELECT example_id, country, day, clicked FROM examples"
            ).fetchall(),
            "materialized": sorted(rows, key=lambda row: row["example_id"]),
            "loaded": [
                (batch.example_id.tolist(), [t.tolist() for t in batch.context.values()])
                for batch in Loader(lake, TENANT, 3, order="user")
            ],
            "verified": lake.verify().passed,
        }

    look("logged")
    lake.forget([3])
    look("one forgotten")
    lake.seal()
    lake.compact()
    lake.forget([2])
    look("two forgotten")
    for rows in (found[when]["examples"] for when in found):
        rows.sort()
    return found


@pytest.mark.parametrize("telling", TELLING)
def test_a_lake_is_what_it_holds_and_not_where_it_is(tmp_path: Path, telling: str) -> None:
    plain = told_by(tmp_path / "plain")
    assert plain["two forgotten"]["verified"] and len(plain["two forgotten"]["examples"]) == 1
    assert told_by(tmp_path / telling) == plain


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("telling", [*TELLING, "day=2026-03-09", "item=7"])
def test_a_file_is_what_it_holds_and_not_where_it_is(
    tmp_path: Path, form: str, telling: str
) -> None:
    mine = events([1, 2], [DAY, 2 * DAY], item=[1, 2], country=["de", None], day=["a", "b"])
    found = []
    for place in (tmp_path, tmp_path / telling):
        place.mkdir(exist_ok=True)
        WRITERS[form](mine, place / f"e.{form}")
        found.append(read(place / f"e.{form}"))
    plain, other = found
    assert other.equals(plain) and other.num_rows == 2

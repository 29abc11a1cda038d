"""Two real logs, where a copy of them lies beside the repository."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ingested import read

from uih_lake.errors import InputError
from uih_lake.ingest import EventColumns, open_events

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
MOVIES = DATA / "movietweetings_100k.parquet"
RETAIL = DATA / "online_retail.parquet"
pytestmark = pytest.mark.skipif(
    not (MOVIES.exists() and RETAIL.exists()),
    reason="the logs movietweetings_100k and online_retail are not beside the repository",
)


def test_movies_in_order_and_whole() -> None:
    found = read(MOVIES, EventColumns(event_ts="ts", ts_unit="s"))
    raw = pq.read_table(MOVIES)
    assert found.num_rows == 100_000
    assert found["user_id"].equals(raw["user_id"])
    assert found["item_id"].equals(raw["item_id"])
    seconds = pc.divide(found["event_ts"].cast(pa.int64()), 1_000_000)
    assert seconds.equals(raw["ts"])


def test_movies_need_a_unit_and_the_right_one() -> None:
    with pytest.raises(InputError, match=r"movietweetings_100k.parquet: column 'ts'.*--ts-unit"):
        read(MOVIES, EventColumns(event_ts="ts"))


def test_retail_without_users_is_refused_or_skipped() -> None:
    names = {"user_id": "CustomerID", "event_ts": "InvoiceDate"}
    with pytest.raises(InputError, match=r"'CustomerID': .* without a user id, first at row 623;"):
        read(RETAIL, EventColumns(**names))
    batches = open_events(RETAIL, EventColumns(**names, on_null_user="skip"))
    found = pa.Table.from_batches(list(batches), batches.schema)
    raw = pq.read_table(RETAIL)
    kept = raw.filter(pc.is_valid(raw["CustomerID"]))
    assert (batches.rows_read, batches.rows_skipped) == (541_909, 135_080)
    assert found["user_id"].equals(kept["CustomerID"])
    assert found["Description"].equals(kept["Description"])
    assert found["event_ts"].cast(pa.int64()).equals(kept["InvoiceDate"].cast(pa.int64()))


def test_retail_has_no_user_id_but_something_like_it() -> None:
    with pytest.raises(InputError, match="did you mean 'CustomerID'"):
        read(RETAIL, EventColumns(user_id="customer_id", event_ts="InvoiceDate"))


@pytest.mark.parametrize("form", ["csv", "json"])
def test_retail_as_text_is_the_same(tmp_path: Path, form: str) -> None:
    """Odd characters, ties, codes that are digits in most rows and letters in few."""
    path = tmp_path / f"retail.{form}"
    with duckdb.connect() as con:
        rows = f"SELECT * FROM read_parquet('{RETAIL}') WHERE CustomerID IS NOT NULL LIMIT 60000"
        con.execute(f"COPY ({rows}) TO '{path}' (FORMAT {form})")
        con.execute(f"COPY ({rows}) TO '{tmp_path / 'retail.parquet'}' (FORMAT parquet)")
    columns = EventColumns(user_id="CustomerID", event_ts="InvoiceDate")
    found, wanted = read(path, columns), read(tmp_path / "retail.parquet", columns)
    assert found.schema == wanted.schema
    assert found.combine_chunks() == wanted.combine_chunks()

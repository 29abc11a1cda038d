"""Events are read for a seal as SQL reads them, through the reader that checks pages alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uih_lake import CorruptionError, Lake, session
from uih_lake.lake import parquet, seal
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.integrity import Pages, footer_hash
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.lake.stored import stored_events

BUCKETS = 7
IDS: dict[str, Callable[[int], Any]] = {"integers": int, "strings": lambda row: f"user {row}"}


@pytest.fixture(autouse=True)
def short_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of one bucket or several, as in files of many events."""
    monkeypatch.setattr(parquet, "_BUCKET_ROWS", 30)


def events(number: int, user: Callable[[int], Any], rows: int = 200) -> pa.Table:
    columns: dict[str, Any] = {
        "user_id": [user(row * 37 % 50) for row in range(rows)],
        "event_ts": pa.array(range(rows), pa.timestamp("us", "UTC")),
        "text": [None if row % 5 == 0 else f"kind {row % 3}" for row in range(rows)],
        "tags": [None if row % 4 == 0 else list(range(row % 3)) for row in range(rows)],
    }
    if number:
        columns["later"] = [row / 7 for row in range(rows)]
    return pa.table(columns)


def filled(path: Path, user: Callable[[int], Any]) -> Lake:
    lake = Lake.create(path, buckets=BUCKETS)
    for number in range(3):
        lake.append(events(number, user), add_columns=True)
    return lake


def rows_of(table: pa.Table) -> list[str]:
    return sorted(map(repr, table.to_pylist()))


@pytest.mark.parametrize("user", IDS.values(), ids=IDS)
def test_it_reads_what_sql_reads(tmp_path: Path, user: Callable[[int], Any]) -> None:
    lake = filled(tmp_path / "lake", user)
    for _ in range(2):  # unsealed, then sealed and with more
        snapshot = Snapshot.of(Store.open(lake.path))
        for first in range(BUCKETS):
            for last in range(first, BUCKETS):
                with session.cursor() as duck:
                    expected = session.fetch(duck, snapshot.history(first, last))
                found = stored_events(snapshot, first, last)
                assert found.schema.names == [*snapshot.stored.names, "_bucket"]
                stored = snapshot.stored.names
                assert rows_of(found.select(stored)) == rows_of(expected.select(stored))
        lake.seal()
        lake.append(events(1, user))


def test_passes_that_cut_row_groups_leave_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "_PASS_ROWS", 1)
    lake = filled(tmp_path / "lake", int)
    before = lake.sql("SELECT * FROM events ORDER BY ALL").fetchall()
    lake.seal()
    assert lake.sql("SELECT * FROM events ORDER BY ALL").fetchall() == before
    assert lake.verify().passed


def test_a_page_is_checked_by_who_reads_it_and_not_by_memory(tmp_path: Path) -> None:
    """The process has checked the file once; what it reads later is checked as well."""
    lake = filled(tmp_path / "lake", int)
    store = Store.open(lake.path)
    snapshot = Snapshot.of(store)
    snapshot.check(0, BUCKETS - 1)
    path = snapshot.recent[0].path
    _flip(path, "_fingerprint")
    with pytest.raises(CorruptionError, match=r"column '_fingerprint', row group 0"):
        seal.seal(store, lambda done, total: None)
    assert store.uih.files() == []


def test_a_column_is_required_in_the_files_where_it_has_no_null(tmp_path: Path) -> None:
    """And read like any other, beside files where it is null or is not at all."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    at = pa.array([1, 2], pa.timestamp("us", "UTC"))
    traits: list[dict[str, Any]] = [{}, {"n": [3, 4]}, {"n": [5, None]}]
    for trait in traits:
        lake.append(pa.table({"user_id": [1, 1], "event_ts": at, **trait}), add_columns=True)
        if not trait:
            lake.seal()
    store = Store.open(lake.path)
    snapshot = Snapshot.of(store)
    paths = [*snapshot.runs[0], *(chunk.path for chunk in snapshot.recent)]
    schemas = [snapshot.pages.footer(path).schema.to_arrow_schema() for path in paths]
    assert not any(schema.field("user_id").nullable for schema in schemas)
    nullable = [[f.nullable for f in schema if f.name == "n"] for schema in schemas]
    assert nullable == [[], [False], [True]]
    assert snapshot.pages.read(paths[1], ["n"]).schema.field("n").nullable
    for _ in range(2):
        snapshot = Snapshot.of(store)
        numbers = Bucket(snapshot, 0).rows(["n"]).column("n").to_pylist()
        assert sorted(map(str, numbers)) == ["3", "4", "5", "None", "None", "None"]
        lake.seal()


def test_the_bytes_of_a_column_are_found_by_its_whole_name(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=1)
    when = pa.array(range(100), pa.timestamp("us", "UTC"))
    traits = {"geo": range(100), "geo.lat": [row / 7 for row in range(100)], "tags": [[1]] * 100}
    lake.append(pa.table({"user_id": [1] * 100, "event_ts": when, **traits}))
    lake.seal()
    sizes = lake.sql("SELECT column_name, bytes FROM column_chunks WHERE tier = 'uih'").fetchall()
    bucket = Bucket(Snapshot.of(Store.open(lake.path)), 0)
    found = {name: bucket.stored_bytes([name], [0]) for name, _ in sizes}
    assert found == dict(sizes) and traits.keys() <= found.keys()


def _flip(path: str, column: str) -> None:
    """Change a byte in the first page of a column, and leave the file's time as it was."""
    group, status = pq.read_metadata(path).row_group(0), os.stat(path)
    chunks = [group.column(place) for place in range(group.num_columns)]
    (chunk,) = [chunk for chunk in chunks if chunk.path_in_schema == column]
    with open(path, "r+b") as file:
        place = chunk.data_page_offset + chunk.total_compressed_size - 1
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.skipif(
    "jemalloc" not in pa.supported_memory_backends(), reason="Arrow was built without jemalloc"
)
def test_columns_are_decoded_into_memory_of_small_pages(tmp_path: Path) -> None:
    path, pool = str(tmp_path / "x-0-0.parquet"), pa.jemalloc_memory_pool()
    rows = 100_000
    pq.write_table(pa.table({"item": range(rows)}), path)
    path = str(Path(path).rename(tmp_path / f"x-{footer_hash(path)}-0.parquet"))
    gc.collect()  # what tests before have left is not to be let go of meanwhile
    before = pool.bytes_allocated()
    table = Pages().read(path, ["item"])
    assert pool.bytes_allocated() - before >= table.nbytes >= 8 * rows
    del table
    assert pool.bytes_allocated() == before

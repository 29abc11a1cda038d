"""Requests are logged part by part: each is written before the next is read, committed as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run
from small_lakes import TIME, events, requests, state

from uih_lake import InputError, Lake
from uih_lake.ingest import batches as ingested
from uih_lake.ingest.rechunk import rechunk
from uih_lake.lake import parquet
from uih_lake.pointers import examples

ROWS = 10
"""Requests of a part; a part is as large as a million in earnest."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingested, "rechunk", partial(rechunk, max_rows=ROWS))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    lake.append(events([*range(8)] * 5, [*range(40)], item=[*range(40)]))
    return lake


def asked(number: int) -> pa.Table:
    """A part, its users and times in no order."""
    rows = range(number * ROWS, (number + 1) * ROWS)
    return requests([7 * row % 8 for row in rows], [13 * row % 50 for row in rows], number=[*rows])


def stream(parts: Iterator[pa.Table]) -> pa.RecordBatchReader:
    batches = (batch for part in parts for batch in part.to_batches())
    return pa.RecordBatchReader.from_batches(asked(0).schema, batches)


def written(lake: Lake) -> int:
    return len([*Path(lake.path, "examples").glob("*.parquet")])


def stored(lake: Lake) -> list[tuple[int, ...]]:
    columns = "example_id, number, user_id, epoch_us(request_ts), length, digest, log_version"
    return lake.sql(f"SELECT {columns} FROM examples ORDER BY example_id").fetchall()


def test_a_part_is_written_before_the_next_but_one_is_read(lake: Lake) -> None:
    there = []

    def parts() -> Iterator[pa.Table]:
        for number in range(6):
            there.append(written(lake))
            yield asked(number)

    pointers = lake.log(stream(parts()))
    # One may be in the writer's hands and one waits for it.
    assert all(files >= number - 3 for number, files in enumerate(there))
    assert there[0] == 0
    assert written(lake) == 6
    assert pointers["example_id"].to_pylist() == [*range(60)]
    plain = Lake.create(f"{lake.path}-plain", buckets=2)
    plain.append(lake.sql("SELECT user_id, event_ts, item FROM events ORDER BY item"))
    for number in range(6):
        plain.log(asked(number))
    assert [row[:-1] for row in stored(lake)] == [row[:-1] for row in stored(plain)]
    assert {row[-1] for row in stored(lake)} == {0}


def test_numbers_move_on_where_others_logged_meanwhile(lake: Lake) -> None:
    other = Lake.open(lake.path)

    def parts() -> Iterator[pa.Table]:
        for number in range(3):
            if number:
                other.log(asked(10 * number).slice(0, 5))
            yield asked(number)

    pointers = lake.log(stream(parts()))
    assert pointers["example_id"].to_pylist() == [*range(10, 40)]
    rows = stored(lake)
    assert [row[0] for row in rows] == [*range(40)]
    assert [row[1] for row in rows[10:]] == [*range(30)]
    assert written(lake) == 5, "those with the numbers that were taken are gone"
    assert lake.verify().passed


def test_numbers_are_moved_once_however_often_others_log(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are written with other numbers, too: they are reserved before."""
    other, moved = Lake.open(lake.path), []
    renumber = examples._renumber

    def slowly(*given: Any) -> None:
        moved.append(given[2])
        other.log(asked(5))
        renumber(*given)
        other.log(asked(6))

    monkeypatch.setattr(examples, "_renumber", slowly)

    def parts() -> Iterator[pa.Table]:
        yield asked(0)
        other.log(asked(4))
        yield asked(1)

    pointers = lake.log(stream(parts()))
    assert pointers["example_id"].to_pylist() == [*range(10, 30)]
    assert moved == [10]
    rows = stored(lake)
    assert [row[0] for row in rows] == [*range(50)]
    assert [row[1] for row in rows] == [*range(40, 50), *range(20), *range(50, 70)]
    assert lake.log(asked(7))["example_id"][0].as_py() == 50
    assert lake.verify().passed


def test_what_is_written_goes_where_moving_numbers_fails(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, write, done = Lake.open(lake.path), parquet.write, []

    def failing(*given: Any, **named: Any) -> Any:
        done.append(given)
        if len(done) == 6:  # three parts, one of the other, then the second that is moved
            raise KeyboardInterrupt
        return write(*given, **named)

    def parts() -> Iterator[pa.Table]:
        for number in range(3):
            yield asked(number)
        other.log(asked(4))

    monkeypatch.setattr(parquet, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        lake.log(stream(parts()))
    assert written(lake) == 1
    assert len(stored(lake)) == ROWS


def test_a_part_that_is_refused_takes_the_others_along(lake: Lake) -> None:
    lake.log(asked(0))
    before = state(lake)
    null = asked(2).set_column(1, "request_ts", pa.nulls(ROWS, TIME))
    with pytest.raises(InputError, match="request_ts"):
        lake.log(stream(iter([asked(1), null])))
    assert state(lake) == before


def test_ids_are_refused_that_come_twice_in_different_parts(lake: Lake) -> None:
    twice = [
        asked(n).append_column("example_id", pa.array([*range(n * 8, n * 8 + ROWS)]))
        for n in (0, 1)
    ]
    before = state(lake)
    with pytest.raises(InputError, match="8, 9 given twice"):
        lake.log(pa.concat_tables(twice))
    assert state(lake) == before


def test_the_command_counts_all_parts(lake: Lake, tmp_path: Path) -> None:
    lake.log(asked(9))
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, file in enumerate(files):
        pq.write_table(asked(number), file)
    told = json.loads(run("log", lake.path, *files, "--json").stdout)
    lengths = lake.sql("SELECT length FROM examples WHERE example_id >= 10").fetchall()
    assert told == {
        "examples": 30,
        "lake_version": 0,
        "first_id": 10,
        "last_id": 39,
        "mean_length": sum(length for (length,) in lengths) / 30,
        "without_history": sum(length == 0 for (length,) in lengths),
        "first_request": "1970-01-01T00:00:00+00:00",
        "last_request": "1970-01-01T00:00:00.000049+00:00",
    }


def test_no_requests_are_no_log(lake: Lake) -> None:
    before = state(lake)
    assert lake.log(asked(0).slice(0, 0)).num_rows == 0
    assert (lake.log_version, state(lake)) == (-1, before)

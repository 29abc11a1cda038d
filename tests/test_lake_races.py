"""Writers that race: distinct versions and ids, nothing lost, nothing twice.

From real processes, and from threads that share a lake.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pytest

from uih_lake import Group, InputError, Lake, LakeError, SchemaError, Tenant
from uih_lake.lake import locks

T = TypeVar("T")
WRITERS = 3
EACH = 4
LAKES = 10
TIME = pa.timestamp("us", "UTC")

DECLARED = pa.schema([(name, pa.int64()) for name in ("user_id", "writer", "number", "declared")])

_start: Barrier


def _meet(barrier: Barrier) -> None:
    global _start
    _start = barrier


def _first_append(path: str, me: int) -> list[int]:
    """Append to an empty lake, and on; every row says who wrote it and in which append."""
    lake = Lake.open(path)
    _start.wait()
    return [lake.append(_rows(me, number)) for number in range(EACH)]


def _append_with_keys(path: str, me: int) -> list[int]:
    lake = Lake.open(path)
    _start.wait()
    return [lake.append(_rows(0, number), key=f"k{number}") for number in range(EACH)]


def _log_numbered(path: str, me: int) -> list[list[int]]:
    lake = Lake.open(path)
    _start.wait()
    return [lake.log(_asked(me, number))["example_id"].to_pylist() for number in range(EACH)]


def _log_same_ids(path: str, me: int) -> int:
    """How many of the logs, whose ids are those of the other writers, were taken."""
    lake = Lake.open(path)
    _start.wait()
    taken = 0
    for number in range(EACH):
        asked = _asked(me, number).append_column("example_id", pa.array([number, 100 + number]))
        try:
            lake.log(asked)
            taken += 1
        except InputError:
            continue
    return taken


def _append_seal_compact(path: str, me: int) -> list[int]:
    lake = Lake.open(path)
    _start.wait()
    if me == 0:
        for _ in range(EACH):
            lake.seal()
            lake.compact()
        return []
    return [lake.append(_rows(me, number)) for number in range(EACH)]


def _create(path: str, me: int) -> int:
    """The number of buckets of the lake that was made, another for each; 0 where it was refused."""
    _start.wait()
    try:
        return Lake.create(path, buckets=1 + me).info().buckets
    except LakeError as error:
        assert "is a lake already" in str(error)
        return 0


def _create_or_append(path: str, me: int) -> list[list[str] | int]:
    """Columns of lakes that declare some, or versions of the appends as soon as they are lakes.

    The rows lack a column that is declared: -1 is an append that was refused.
    """
    try:
        return [_create_or_append_to(f"{path}{number}", me) for number in range(LAKES)]
    except BaseException:
        _start.abort()  # nobody waits for who has failed
        raise


def _create_or_append_to(path: str, me: int) -> list[str] | int:
    _start.wait()
    if me == 0:
        return Lake.create(path, buckets=2, schema=DECLARED).event_schema.names
    while True:
        try:
            return Lake.open(path).append(_rows(me, 0))
        except SchemaError:
            return -1
        except LakeError as error:
            assert "no lake at" in str(error)


def _rows(me: int, number: int) -> pa.Table:
    times = pa.array([5, 5, 4], TIME)
    return pa.table(
        {"user_id": [1, 1, 1], "event_ts": times, "writer": [me] * 3, "number": [number] * 3}
    )


def _asked(me: int, number: int) -> pa.Table:
    times = pa.array([9, 10], TIME)
    return pa.table({"user_id": [1, 1], "request_ts": times, "label": [me, number]})


def race(work: Callable[[str, int], T], path: str) -> list[T]:
    """Run ``work`` in several processes that start at one moment."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(WRITERS, context, _meet, (context.Barrier(WRITERS),))
    with pool:
        running = [pool.submit(work, path, me) for me in range(WRITERS)]
        return [each.result(timeout=120) for each in running]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake", buckets=2)


def stored(lake: Lake) -> list[tuple[Any, ...]]:
    """(writer, number, lake version, rows) of every append."""
    return lake.sql(
        "SELECT writer, number, lake_version, count(*) FROM events GROUP BY ALL ORDER BY ALL"
    ).fetchall()


@pytest.mark.parametrize("left", [False, True], ids=["nothing", "an interrupted create"])
def test_one_of_racing_creators_makes_the_lake(tmp_path: Path, left: bool) -> None:
    if left:
        shutil.rmtree(Path(Lake.create(tmp_path / "lake", buckets=9).path, "uih"))
    made = race(_create, str(tmp_path / "lake"))
    (buckets,) = filter(None, made)
    assert made.index(buckets) == buckets - 1
    lake = Lake.open(tmp_path / "lake")
    assert lake.info().buckets == buckets
    lake.append(_rows(0, 0))
    assert lake.seal() and lake.verify().passed


def test_no_append_comes_before_the_columns_that_create_declares(tmp_path: Path) -> None:
    made, *appended = race(_create_or_append, str(tmp_path / "lake"))
    assert [names[5:] for names in made] == [["writer", "number", "declared"]] * LAKES
    assert appended == [[-1] * LAKES] * (WRITERS - 1)


def test_racing_appends_get_distinct_versions(lake: Lake) -> None:
    versions = race(_first_append, lake.path)
    assert sorted(chain(*versions)) == list(range(WRITERS * EACH))
    assert all(mine == sorted(mine) for mine in versions)
    assert stored(lake) == [
        (me, number, versions[me][number], 3) for me in range(WRITERS) for number in range(EACH)
    ]
    assert lake.version == WRITERS * EACH - 1


def test_one_of_racing_appends_with_a_key_wins(lake: Lake) -> None:
    versions = race(_append_with_keys, lake.path)
    assert versions == [list(range(EACH))] * WRITERS
    assert stored(lake) == [(0, number, number, 3) for number in range(EACH)]
    files = list(Path(lake.path, "recent").glob("*.parquet"))
    assert len(files) == EACH, "the losers' files are gone"


def test_racing_appends_and_seals_lose_nothing(lake: Lake) -> None:
    lake.append(_rows(9, 9))
    versions = race(_append_seal_compact, lake.path)
    assert sorted(chain(*versions)) == list(range(1, (WRITERS - 1) * EACH + 1))
    assert [row[3] for row in stored(lake)] == [3] * len(stored(lake))
    assert len(stored(lake)) == 1 + (WRITERS - 1) * EACH
    lake.log(_asked(0, 0))
    tenant = Tenant("t", {"g": Group(["lake_version", "event_ts"])})
    found = lake.materialize(tenant).read_all()["g"].to_pylist()[0]
    everything = list(range((WRITERS - 1) * EACH + 1))
    # The rows at 4 come first, by version; then the two ties at 5 of each version.
    assert found["lake_version"] == everything + [v for v in everything for _ in range(2)]


def test_threads_share_a_lake(lake: Lake) -> None:
    """What one of them is at must not move under another one's eyes, or commit."""
    lake.append(_rows(9, 9))
    tenant, noon = Tenant("t", {"g": Group(["event_ts"])}), datetime.fromtimestamp(9, UTC)
    done = threading.Event()

    def serve() -> int:
        looks = 0
        while not done.is_set() or not looks:
            (pointer,) = lake.snapshot([1], noon, tenant).pointers.to_pylist()
            assert pointer["length"] == 3 * (pointer["lake_version"] + 1)
            looks += 1
        return looks

    def write(me: int) -> list[int]:
        return [lake.append(_rows(me, number)) for number in range(EACH)]

    def keep_house() -> None:
        for _ in range(EACH):
            lake.seal()
            lake.compact()

    with ThreadPoolExecutor() as pool:
        served = [pool.submit(serve) for _ in range(2)]
        house, written = pool.submit(keep_house), [pool.submit(write, me) for me in range(WRITERS)]
        versions = [each.result(timeout=120) for each in written]
        house.result(timeout=120)
        done.set()
        assert all(each.result(timeout=120) for each in served)
    assert sorted(chain(*versions)) == list(range(1, WRITERS * EACH + 1))
    assert [row[3] for row in stored(lake)] == [3] * (1 + WRITERS * EACH)
    assert lake.verify().passed


def test_racing_logs_get_distinct_ids(lake: Lake) -> None:
    lake.append(_rows(0, 0))
    ids = race(_log_numbered, lake.path)
    assert sorted(i for mine in ids for pair in mine for i in pair) == list(
        range(2 * WRITERS * EACH)
    )
    rows = lake.sql("SELECT example_id, label, log_version FROM examples ORDER BY ALL").fetchall()
    given = {i: pair for mine in ids for pair in mine for i in pair}
    assert len({version for _, _, version in rows}) == WRITERS * EACH
    for example, label, _ in rows:
        me = next(me for me, mine in enumerate(ids) if given[example] in mine)
        first = given[example][0] == example
        assert label == (me if first else ids[me].index(given[example]))


def test_an_example_id_is_taken_once(lake: Lake) -> None:
    lake.append(_rows(0, 0))
    assert sum(race(_log_same_ids, lake.path)) == EACH
    ids = lake.sql("SELECT example_id FROM examples ORDER BY 1").fetchall()
    assert ids == [(i,) for i in (*range(EACH), *range(100, 100 + EACH))]


def _waits_for_a_lock(thread: threading.Thread) -> bool:
    """Wait until a thread is over, or the kernel says that a lock of this process is waited for."""
    while thread.is_alive():
        held = Path("/proc/locks").read_text("ascii").splitlines()
        if any("-> FLOCK" in line and f" {os.getpid()} " in line for line in held):
            return True
    return False


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the kernel does not tell who waits")
@pytest.mark.parametrize("first", ["append", "log"])
def test_the_first_append_and_the_first_log_agree_on_user_ids(tmp_path: Path, first: str) -> None:
    """Two tables, so that Delta sees no race: each could bring ids of its own type.

    One has looked at both, and is about to commit; meanwhile the other does.
    """
    rows = {
        "append": pa.table({"user_id": [1], "event_ts": pa.array([1], TIME)}),
        "log": pa.table({"user_id": ["a"], "request_ts": pa.array([9], TIME)}),
    }
    second, table = {"append": ("log", "recent"), "log": ("append", "examples")}[first]
    Lake.create(tmp_path / "lake", buckets=1)
    shutil.copytree(tmp_path / "lake", tmp_path / "ahead")
    getattr(Lake.open(tmp_path / "ahead"), first)(rows[first])
    refused: list[str] = []

    def late() -> None:
        with pytest.raises(SchemaError) as error:
            getattr(Lake.open(tmp_path / "lake"), second)(rows[second])
        refused.append(str(error.value))

    thread = threading.Thread(target=late)
    with locks.deciding(str(tmp_path / "lake")):  # as the first one does
        thread.start()
        assert _waits_for_a_lock(thread)
        shutil.copytree(tmp_path / "ahead" / table, tmp_path / "lake" / table, dirs_exist_ok=True)
    thread.join()
    assert "'user_id'" in refused[0]
    lake = Lake.open(tmp_path / "lake")
    getattr(lake, first)(rows[first])
    assert lake.verify().passed

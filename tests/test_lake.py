"""Creating, opening and appending: versions without holes, and ties in their order."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_lakes import TABLES, TIME, at, events, refusal, requests, sequences, state

from uih_lake import CorruptionError, Group, InputError, Lake, LakeError, SchemaError, Tenant, names
from uih_lake.lake import append
from uih_lake.lake.store import Store


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake", buckets=3)


# Create and open


def test_a_lake_is_created_once(lake: Lake) -> None:
    before = state(lake)
    assert lake.path in refusal(LakeError, lambda: Lake.create(lake.path))
    assert state(lake) == before


def test_a_lake_cannot_be_created_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("something")
    assert str(path) in refusal(LakeError, lambda: Lake.create(path))
    assert path.read_text() == "something"


@pytest.mark.parametrize("below", ["", "lake", "some/lake"])
def test_a_path_through_a_file_leads_to_no_lake(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("something")
    for call in (Lake.create, Lake.open):
        message = refusal(LakeError, lambda call=call: call(file / below))
        assert message.startswith(f"{file} is a file; name the directory")


def test_what_the_system_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    message = refusal(LakeError, lambda: Lake.create("/proc/nowhere/lake"))
    assert "No such file or directory; choose another path, writable" in message
    assert "Os {" not in message


@pytest.mark.parametrize("theirs", ["_delta_log/0.json", "notes.txt", ".git/config", "uih/a.csv"])
def test_a_lake_is_created_in_a_directory_of_its_own(tmp_path: Path, theirs: str) -> None:
    file = tmp_path / "taken" / theirs
    file.parent.mkdir(parents=True)
    file.write_text("theirs")
    message = refusal(LakeError, lambda: Lake.create(tmp_path / "taken"))
    assert f"{tmp_path / 'taken'} is not empty" in message and "choose a new one" in message
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [file]


def test_a_lake_has_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for make in (Lake.create, Lake.open):
        for empty in ("", " "):
            said = refusal(InputError, lambda make=make, empty=empty: make(empty))
            assert "a path is empty" in said
    assert [*tmp_path.iterdir()] == []
    assert Lake.create(tmp_path).version == -1, "an empty directory will do"


@pytest.mark.parametrize("left", [(), ("examples",), ("examples", "forgotten", "recent")])
def test_an_interrupted_create_can_be_completed(lake: Lake, left: tuple[str, ...]) -> None:
    for table in ("examples", "forgotten", "recent", "uih"):
        if table not in left:
            shutil.rmtree(Path(lake.path, table))
    again = Lake.create(lake.path, buckets=3)
    assert again.append(events([1], [1])) == 0
    again.seal()
    again.log(requests([1], [9]))
    assert sequences(Lake.open(lake.path), "event_ts") == [[at(1)]]


@pytest.mark.parametrize("buckets", [0, -1, 4097, 2.5, 2.0, True, None, "2"])
def test_the_number_of_buckets_has_limits(tmp_path: Path, buckets: Any) -> None:
    message = refusal(LakeError, lambda: Lake.create(tmp_path / "lake", buckets=buckets))
    assert message == f"{buckets!r} buckets; a lake has 1 to 4096 of them"
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("below", ["inner", "recent/inner", "uih/a/b"])
def test_no_lake_is_made_inside_another(lake: Lake, below: str) -> None:
    """The vacuum of the outer one would take its files for left over."""
    before = sorted(Path(lake.path).rglob("*"))
    message = refusal(LakeError, lambda: Lake.create(Path(lake.path, below)))
    assert f"is inside the lake {lake.path}; choose a path outside" in message
    assert sorted(Path(lake.path).rglob("*")) == before


@pytest.mark.parametrize(
    "url", ["http://key:secret@host/lake", "file:///tmp/lake", Path("gs://b/lake")]
)
def test_a_url_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | Path) -> None:
    monkeypatch.chdir(tmp_path)
    scheme = str(url).partition(":")[0]
    for make in (Lake.create, Lake.open):
        message = refusal(InputError, lambda make=make: make(url))
        assert message == f"{scheme}:/... is a URL; give a path of a local or mounted file system"
    assert [*tmp_path.iterdir()] == []


def test_no_lake_is_made_in_an_object_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refusal(InputError, lambda: Lake.create("s3://key:secret@bucket/lake"))
    assert message == "a lake is made in a directory; publish it to s3:/... from there"
    assert [*tmp_path.iterdir()] == []


def test_a_forked_process_is_told_that_it_cannot_look_for_what_is_new(lake: Lake) -> None:
    lake.append(events([1], [1]))
    script = """
import os, sys
from uih_lake import Lake, LakeError

lake = Lake.open(sys.argv[1])
print(lake.version, flush=True)
sys.stdin.readline()
if (child := os.fork()) == 0:
    try:
        lake.version
    except LakeError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(lake.version)
"""
    command = [sys.executable, "-c", script, lake.path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "0\n"
        lake.append(events([1], [2]))
        said, after = asking.communicate("\n", timeout=60)[0].splitlines()
    assert "cannot be read in a forked process; start workers with" in said
    assert after == "1"


def test_a_lake_goes_to_another_process(lake: Lake) -> None:
    """As a path and a version: what it is asked there, it looks up there."""
    lake.append(events([1], [1]))
    kept = pickle.dumps([lake, Lake.open(lake.path, version=0)])
    lake.append(events([1], [2]))
    with get_context("spawn").Pool(1) as others:
        assert others.apply(_versions, (kept,)) == [1, 0]
    newest, first = pickle.loads(kept)
    assert [newest.append(events([1], [3])), lake.version, first.version] == [2, 2, 0]
    shutil.rmtree(lake.path)
    with pytest.raises(LakeError, match="no lake at"):
        pickle.loads(kept)


def _versions(pickled: bytes) -> list[int]:
    return [lake.version for lake in pickle.loads(pickled)]


def test_a_lake_that_was_removed_while_it_was_open_is_told(lake: Lake) -> None:
    lake.append(events([1], [1]))
    lake.log(requests([1], [9]))
    shutil.rmtree(lake.path)
    add, keep = (lambda: lake.append(events([1], [2]))), (lambda: lake.forget([1]))
    for ask in (lake.info, add, keep, lambda: lake.version, lake.seal, lake.compact, lake.vacuum):
        assert "is gone; the lake was moved or removed" in refusal(LakeError, ask)
    assert not Path(lake.path).exists()


def test_a_path_is_told_how_to_become_a_lake(tmp_path: Path) -> None:
    for given in ("shop", tmp_path):
        with pytest.raises(InputError, match="is no lake") as refused:
            Lake(given)  # type: ignore[arg-type]
        assert f"Lake.open({given!r})" in str(refused.value)


def test_what_is_no_lake_is_not_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        assert "uihlake create" in refusal(LakeError, lambda path=path: Lake.open(path))


@pytest.mark.parametrize("version", [0.5, 1.0, True, "0", -1, 2])
def test_no_lake_is_opened_at_what_is_no_lake_version(lake: Lake, version: Any) -> None:
    for time in (1, 2):
        lake.append(events([1], [time]))
    message = refusal(LakeError, lambda: Lake.open(lake.path, version=version))
    assert message.endswith(f"no lake version {version!r}; its lake versions are 0 to 1")


def test_settings_live_in_the_tables(lake: Lake, tmp_path: Path) -> None:
    lake.append(events([1, 2, 3], [1, 2, 3]))
    lake.seal()
    moved = Path(shutil.move(lake.path, tmp_path / "moved"))
    assert [p for p in moved.iterdir() if p.is_file() and p.stat().st_size] == [], "no side file"
    again = Lake.open(moved)
    assert again.version == 0
    again.log(requests([1, 2, 3], [9, 9, 9]))
    assert sequences(again, "event_ts") == [[at(1)], [at(2)], [at(3)]]


@pytest.mark.parametrize("name", ["a b", "it's [1]", '"q" {a}, b', "a*b?", "ü🙂 $x #"])
def test_a_lake_may_have_an_odd_path(tmp_path: Path, name: str) -> None:
    lake = Lake.create(tmp_path / name / "lake", buckets=2)
    lake.append(events([1, 2], [1, 2], item=[10, 20]))
    lake.seal()
    lake.append(events([1], [2], item=[30]))
    lake.log(requests([1, 2], [9, 9]))
    lake = Lake.open(tmp_path / name / "lake")
    assert sequences(lake, "item") == [[10, 30], [20]]


@pytest.mark.parametrize("make", [Lake.create, Lake.open], ids=["created", "opened"])
def test_a_lake_stays_open_where_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Lake]
) -> None:
    monkeypatch.chdir(tmp_path)
    if make == Lake.open:
        Lake.create("lake", buckets=1)
    lake = make("lake")
    assert (lake.info().lake, repr(lake)) == ("lake", "Lake.open('lake')"), "shown as it was given"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    lake.append(events([1], [1], item=[1]))
    lake.log(requests([1], [9]))
    assert sequences(lake, "item") == [[1]]
    lake.seal()
    lake.vacuum(retain_hours=0)
    assert sequences(Lake.open(tmp_path / "lake"), "item") == sequences(lake, "item") == [[1]]
    assert lake.path == str(tmp_path / "lake")
    assert list(Path().iterdir()) == []


def test_a_path_the_table_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    message = refusal(LakeError, lambda: Lake.create(tmp_path / "a%20b"))
    assert "a%20b: Delta takes it for" in message
    assert list(tmp_path.iterdir()) == []
    assert Lake.create(tmp_path / "50% off").version == -1


@pytest.mark.parametrize("version", [-1, 1, 99])
def test_a_lake_version_must_exist(lake: Lake, version: int) -> None:
    assert "nothing has been appended" in refusal(
        LakeError, lambda: Lake.open(lake.path, version=version)
    )
    lake.append(events([1], [1]))
    assert "0 to 0" in refusal(LakeError, lambda: Lake.open(lake.path, version=version))


def test_a_lake_at_a_version_is_as_it_was_and_read_only(lake: Lake) -> None:
    for number in range(3):
        lake.append(events([1], [number], item=[number]))
        lake.log(requests([1], [9]))
        if number == 1:
            lake.seal()
    for version in range(3):
        old = Lake.open(lake.path, version=version)
        assert old.version == version
        assert old.sql("SELECT count(*) FROM events").fetchall() == [(version + 1,)]
        assert sequences(old, "item") == [list(range(n + 1)) for n in range(version + 1)]
        before = state(lake)
        for call in (
            lambda old=old: old.append(events([1], [9], item=[9])),
            old.seal,
            old.compact,
            lambda old=old: old.log(requests([1], [9])),
        ):
            assert f"lake version {version}" in refusal(LakeError, call)
        assert state(lake) == before


@pytest.mark.parametrize("table", TABLES)
def test_a_lost_table_is_named(lake: Lake, table: str) -> None:
    lake.append(events([1], [1]))
    shutil.rmtree(Path(lake.path, table))
    kind = LakeError if table == names.UIH else CorruptionError
    message = refusal(kind, lambda: Lake.open(lake.path))
    assert lake.path in message
    assert table in message or table == names.UIH


@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_log_is_named(lake: Lake, table: str) -> None:
    log = Path(lake.path, table, "_delta_log", f"{0:020}.json")
    log.write_bytes(log.read_bytes()[:50])
    assert table in refusal(CorruptionError, lambda: Lake.open(lake.path))


def test_a_lost_data_file_is_named(lake: Lake) -> None:
    lake.append(events([1], [1], item=[1]))
    lake.log(requests([1], [9]))
    (path,) = Path(lake.path, names.RECENT).glob("*.parquet")
    path.unlink()
    again = Lake.open(lake.path)
    assert path.name in refusal(CorruptionError, lambda: sequences(again, "item"))


# An empty lake


def test_an_empty_lake_can_do_everything(lake: Lake) -> None:
    tenant = Tenant("t", {"g": Group(["event_ts"])})
    assert lake.version == -1
    assert lake.materialize(tenant).read_all().num_rows == 0
    lake.seal()
    lake.compact()
    logged = lake.log(requests([5], [9])).to_pylist()
    assert [(row["length"], row["lake_version"], row["digest"]) for row in logged] == [(0, -1, 0)]
    assert sequences(lake, "event_ts") == [[]]
    assert lake.append(events([5], [1])) == 0
    assert sequences(lake, "event_ts") == [[]], "the pointer does not see what came later"


def test_users_of_examples_decide_those_of_events(lake: Lake) -> None:
    lake.log(requests(["a"], [9]))
    assert sequences(lake, "event_ts") == [[]]
    before = state(lake)
    message = refusal(SchemaError, lambda: lake.append(events([1], [1])))
    assert "string" in message
    assert state(lake) == before
    lake.append(events(["a"], [1]))
    lake.log(requests(["a"], [9]))
    assert len(sequences(lake, "event_ts")[1]) == 1


def test_materialize_before_any_request(lake: Lake) -> None:
    lake.append(events(["a"], [1], item=[1]))
    reader = lake.materialize(Tenant("t", {"g": Group(["item"])}))
    assert reader.schema.field("user_id").type == pa.string()
    assert reader.read_all().num_rows == 0


# Versions


def test_versions_count_successful_appends(lake: Lake) -> None:
    for number in range(12):
        assert lake.append(events([number], [1])) == number == lake.version
        refusal(InputError, lambda: lake.append(events([None], [1])))
        if number % 5 == 4:
            lake.seal()
    found = lake.sql("SELECT user_id, lake_version FROM events ORDER BY ALL").fetchall()
    assert found == [(number, number) for number in range(12)]


def test_two_handles_see_one_lake(lake: Lake) -> None:
    other = Lake.open(lake.path)
    assert lake.append(events([1], [1], item=[1])) == 0
    assert other.append(events([1], [1], item=[2])) == 1
    assert lake.version == other.version == 1
    other.seal()
    assert lake.append(events([1], [1], item=[3])) == 2
    lake.log(requests([1], [2]))
    assert sequences(other, "item") == [[1, 2, 3]]


def test_a_key_appends_once(lake: Lake) -> None:
    assert lake.append(events([1], [1]), key=" ") == 0
    assert lake.append(events([1], [1]), key="kafka:0:1") == 1
    lake.seal()
    before = state(lake)
    again = Lake.open(lake.path)
    assert again.append(events([1], [1]), key="kafka:0:1") == 1
    assert again.append(events([7], [7], unknown=[7]), key="kafka:0:1") == 1
    assert again.append("no/such/file.parquet", key=" ") == 0
    assert state(lake) == before
    assert lake.append(events([1], [1])) == 2
    assert lake.sql("SELECT count(*) FROM events").fetchall() == [(3,)]


def test_an_empty_key_is_refused(lake: Lake) -> None:
    before = state(lake)
    message = refusal(InputError, lambda: lake.append(events([1], [1]), key=""))
    assert "key is empty" in message and "give no key" in message
    assert state(lake) == before


def test_a_key_of_a_refused_append_is_free(lake: Lake) -> None:
    refusal(InputError, lambda: lake.append(events([None], [1]), key="k"))
    assert lake.append(events([1], [1]), key="k") == 0


def test_an_append_of_nothing_is_a_version(lake: Lake) -> None:
    nothing = events(pa.array([], pa.int64()), [], item=pa.array([], pa.int32()))
    assert lake.append(nothing) == 0
    refusal(SchemaError, lambda: lake.append(events([1], [1], thing=[1])))
    assert lake.append(events([1], [1], item=pa.array([7], pa.int32()))) == 1
    assert lake.append(nothing) == 2
    lake.seal()
    assert lake.append(nothing) == 3
    lake.seal()
    lake.compact()
    lake.log(requests([1], [2]))
    assert sequences(lake, "item", "lake_version") == [{"item": [7], "lake_version": [1]}]


def test_a_log_of_nothing_changes_nothing(lake: Lake) -> None:
    lake.append(events([1], [1]))
    assert lake.log(requests(pa.array([], pa.int64()), [])).num_rows == 0
    lake.log(requests([1], [2]))
    assert len(sequences(lake, "event_ts")) == 1


# Order


def test_an_append_warns_of_events_before_the_window(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    lake.retain(days=1, now=epoch + timedelta(days=1, microseconds=5))
    lake.append(events([1, 1, 2], [4, 5, 3]), key="k")
    says = "no reader sees 2 of 3 events: the lake retains those from 1970-01-01 00:00:00 UTC on"
    doubt = "the last event is of 1970-01-01: is --ts-unit (ts_unit) right?"
    warning, doubted = caplog.messages
    assert says in warning
    assert doubted == doubt
    lake.append(events([1], [4]), key="k")
    lake.append(events([1], [5]))
    left = caplog.messages[2:]
    assert left == [doubt], "none where nothing is added, nor where all is seen"


def test_what_is_known_of_files_does_not_grow_with_those_that_went(lake: Lake) -> None:
    """A process that serves lives long, and files come with each append and go with each seal."""
    tenant = Tenant("t", {"g": Group(["event_ts"])})
    for version in range(12):
        lake.append(events([1], [version]))
        lake.snapshot([1], at(99), tenant)
        lake.seal()
        lake.compact()
        lake.snapshot([1], at(99), tenant)
        with lake._stores.newest() as store:
            files = sum(len(table.files()) for table in store.tables)
            assert 0 < store.pages.files <= 2 * files
    assert len(list(Path(lake.path).rglob("*.parquet"))) > 24, "the control: they were many"


def test_ties_keep_their_order_across_chunks(lake: Lake) -> None:
    """A large append is written in chunks; a tie that spans them comes out as it was given."""
    items = iter(range(100))
    batches = []
    for size in (3, 1, 5, 2):
        mine = [next(items) for _ in range(size)]
        arrival = {"arrival_ts": pa.array([5] * size, TIME), "item": mine}
        batches += events([1] * size, [5] * size, **arrival).to_batches()
    store = Store.open(lake.path)
    append.append(store, batches, None, lambda known: known or batches[0].schema)
    append.append(store, batches[:1], None, lambda known: known or batches[0].schema)
    lake.log(requests([1], [6]))
    expected = [[*range(11), 0, 1, 2]]
    assert sequences(lake, "item") == expected
    lake.seal()
    assert sequences(lake, "item") == expected


def test_an_append_tells_how_many_files_have_been_read(lake: Lake, tmp_path: Path) -> None:
    rows = [{"user_id": 1, "event_ts": f"2025-01-0{day}T00:00:00Z"} for day in range(1, 5)]
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
    told: list[tuple[int, int]] = []
    lake.append(str(tmp_path / "*.jsonl"), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4)
    assert told == sorted(set(told))
    assert {total for _, total in told} == {4}

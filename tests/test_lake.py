"""Creating, opening and appending: versions without holes, and refusals that change nothing."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from uih_lake import (
    CorruptionError,
    Group,
    InputError,
    Lake,
    LakeError,
    Loader,
    OutputError,
    SchemaError,
    SqlRefused,
    Tenant,
    UihError,
    names,
)
from uih_lake.lake import append, heads
from uih_lake.lake.store import Store

TIME = pa.timestamp("us", "UTC")
TABLES = (names.RECENT, names.UIH, names.EXAMPLES)


def events(users: list[Any], times: list[int], **traits: Any) -> pa.Table:
    return pa.table({"user_id": users, "event_ts": pa.array(times, TIME), **traits})


def requests(users: list[Any], times: list[int], **context: Any) -> pa.Table:
    return pa.table({"user_id": users, "request_ts": pa.array(times, TIME), **context})


def state(lake: Lake) -> dict[str, Any]:
    """Every file of a lake but its locks, and the Delta version of every table."""
    files = [p for p in Path(lake.path).rglob("[!.]*") if p.is_file()]
    found: dict[str, Any] = {str(p): p.stat().st_size for p in files}
    for table in TABLES:
        found[table] = DeltaTable(Path(lake.path, table)).version()
    return found


def sequences(lake: Lake, *traits: str) -> list[Any]:
    """By example id: the values of the first trait, or of all of them."""
    rows = lake.materialize(Tenant("t", {"g": Group(traits)})).read_all().to_pylist()
    rows.sort(key=lambda row: row["example_id"])
    return [row["g"][traits[0]] if len(traits) == 1 else row["g"] for row in rows]


def refusal(kind: type[UihError], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


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
        assert "path of the lake is empty" in refusal(LakeError, lambda make=make: make(""))
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
    assert sequences(Lake.open(lake.path), "event_ts") == [[_at(1)]]


@pytest.mark.parametrize("buckets", [0, -1, 4097])
def test_the_number_of_buckets_has_limits(tmp_path: Path, buckets: int) -> None:
    message = refusal(LakeError, lambda: Lake.create(tmp_path / "lake", buckets=buckets))
    assert "4096" in message
    assert not (tmp_path / "lake").exists()


def test_what_is_no_lake_is_not_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        assert "uihlake create" in refusal(LakeError, lambda path=path: Lake.open(path))


def test_settings_live_in_the_tables(lake: Lake, tmp_path: Path) -> None:
    lake.append(events([1, 2, 3], [1, 2, 3]))
    lake.seal()
    moved = Path(shutil.move(lake.path, tmp_path / "moved"))
    assert [p for p in moved.iterdir() if p.is_file() and p.stat().st_size] == [], "no side file"
    again = Lake.open(moved)
    assert again.version == 0
    again.log(requests([1, 2, 3], [9, 9, 9]))
    assert sequences(again, "event_ts") == [[_at(1)], [_at(2)], [_at(3)]]


def _at(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC).replace(microsecond=micros)


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
    assert (lake.info().lake, repr(lake)) == ("lake", "Lake('lake')"), "shown as it was given"
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


# Refusals


def bad_tables() -> dict[str, Any]:
    good = {"user_id": [1], "event_ts": pa.array([1], TIME), "item": pa.array([1], pa.int32())}
    return {
        "no user": {k: v for k, v in good.items() if k != "user_id"},
        "no time": {k: v for k, v in good.items() if k != "event_ts"},
        "null user": good | {"user_id": pa.array([None], pa.int64())},
        "null time": good | {"event_ts": pa.array([None], TIME)},
        "user of another type": good | {"user_id": ["a"]},
        "float user": good | {"user_id": [1.5]},
        "time without unit": good | {"event_ts": [1]},
        "no time at all": good | {"event_ts": ["yesterday"]},
        "trait missing": {k: v for k, v in good.items() if k != "item"},
        "trait of another type": good | {"item": ["x"]},
        "trait too wide": good | {"item": pa.array([2**40], pa.int64())},
        "new trait": good | {"more": [1]},
        "new trait by case": good | {"ITEM": [1]},
        "reserved": good | {"seq": [1]},
        "hidden": good | {"_tie": [1]},
        "nested": good | {"item": [{"a": 1}]},
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all refusals: whatever changes it fails the test that did it."""
    lake = Lake.create(tmp_path_factory.mktemp("kept") / "lake", buckets=1)
    lake.append(events([1], [1], item=pa.array([1], pa.int32())))
    lake.log(requests([1], [2], label=[0]))
    return lake


@pytest.mark.parametrize("name", bad_tables())
def test_a_refused_append_changes_nothing(kept: Lake, name: str) -> None:
    before = state(kept)
    refusal(InputError, lambda: kept.append(pa.table(bad_tables()[name])))
    assert state(kept) == before
    assert kept.version == 0


def test_what_is_not_bad_about_the_bad_tables_is_taken(lake: Lake) -> None:
    """The control: the good row that each bad table is made from."""
    good = bad_tables()["hidden"]
    del good["_tie"]
    assert lake.append(pa.table(good)) == 0


def test_a_refused_file_list_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    """The bad row comes after files' worth of good ones that are written by then."""
    rows = 2**20
    good = pa.table({"user_id": pa.nulls(rows, pa.int64()).fill_null(1)})
    good = good.append_column("event_ts", pa.nulls(rows, TIME).fill_null(datetime.now(UTC)))
    nobody = pa.nulls(1, pa.int64())
    pq.write_table(good, tmp_path / "1.parquet")
    pq.write_table(
        pa.concat_tables([good, good.slice(0, 1).set_column(0, "user_id", nobody)]),
        tmp_path / "2.parquet",
    )
    before = state(lake)
    message = refusal(InputError, lambda: lake.append(tmp_path / "*.parquet"))
    assert "2.parquet" in message
    assert f"{rows + 1:,}" in message or str(rows + 1) in message
    assert state(lake) == before


def test_a_stream_that_breaks_changes_nothing(lake: Lake) -> None:
    before = state(lake)

    def breaking() -> Iterator[pa.RecordBatch]:
        rows = 2**19
        (batch,) = events([1] * rows, list(range(rows))).to_batches()
        yield batch
        yield batch
        raise OSError("the source went away")

    schema = events([1], [1]).schema
    with pytest.raises((InputError, OSError), match="went away"):
        lake.append(pa.RecordBatchReader.from_batches(schema, breaking()))
    assert state(lake) == before
    assert lake.append(events([1], [1])) == 0


def bad_requests() -> dict[str, Any]:
    good = {"user_id": [1], "request_ts": pa.array([1], TIME), "label": [1]}
    return {
        "no user": {k: v for k, v in good.items() if k != "user_id"},
        "no time": {k: v for k, v in good.items() if k != "request_ts"},
        "null user": good | {"user_id": pa.array([None], pa.int64())},
        "null time": good | {"request_ts": pa.array([None], TIME)},
        "user of another type": good | {"user_id": ["a"]},
        "label of another type": good | {"label": ["x"]},
        "id logged before": good | {"example_id": [0]},
        "id given twice": {
            "user_id": [1, 1],
            "request_ts": pa.array([1, 1], TIME),
            "label": [1, 1],
            "example_id": [8, 8],
        },
        "id of another type": good | {"example_id": ["x"]},
        "reserved": good | {"digest": [1]},
    }


@pytest.mark.parametrize("name", bad_requests())
def test_refused_requests_change_nothing(kept: Lake, name: str) -> None:
    before = state(kept)
    refusal(InputError, lambda: kept.log(pa.table(bad_requests()[name])))
    assert state(kept) == before


@pytest.mark.parametrize("name", ["filename", "file_index", "File_Row_Number"])
def test_no_column_may_hide_where_a_row_comes_from(kept: Lake, name: str) -> None:
    """DuckDB's own columns of a file tell lake versions apart, and what to erase."""
    before = state(kept)
    for call in (
        lambda: kept.append(events([1], [2], **{name: [0]}), add_columns=True),
        lambda: kept.log(requests([1], [2], **{name: [0]})),
        lambda: kept.label(pa.table({"example_id": [0], name: [0]})),
        lambda: Lake.create(f"{kept.path}-2", schema=events([1], [2], **{name: [0]}).schema),
    ):
        assert f"'{name}' has a reserved name" in refusal(SchemaError, call)
    assert state(kept) == before
    assert not Path(f"{kept.path}-2").exists()


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("n // 0 = 1", "Division by zero in expression (n // 0)"),
        ("strptime(text, '%Y') > seen", """Could not parse string "a(" according to format"""),
        ("regexp_matches(text, text)", "missing ): a("),
        ("timezone(text, seen) IS NOT NULL", "Unknown TimeZone 'a('"),
        ("time_bucket(to_days(0), seen) IS NOT NULL", "Can't bucket using zero days"),
        (
            "CAST(CASE WHEN text <> 'x' THEN text END AS INTEGER) = 1",
            "Could not convert string 'a('",
        ),
        ("text <> 'is-no-file.parquet' AND n // 0 = 1", "Division by zero"),
    ],
)
def test_a_condition_that_fails_on_a_value_is_refused(
    lake: Lake, condition: str, said: str
) -> None:
    """No file is at fault, and nothing has to be restored."""
    values = {"n": [1], "text": ["a("], "seen": pa.array([1], TIME)}
    lake.append(events([1], [1], **values))
    lake.seal()
    lake.log(requests([1], [9], **values))
    plain = Tenant("t", {"g": Group(["n"])})
    narrow = Tenant("t", {"g": Group(["n"], where=condition)})
    before = state(lake)
    for call in (
        lambda: lake.materialize(narrow).read_all(),
        lambda: lake.materialize(plain, where=condition).read_all(),
        lambda: lake.snapshot([1], _at(9), narrow),
        lambda: list(Loader(lake, narrow, device="cpu")),
        lambda: list(Loader(lake, plain, where=condition, device="cpu")),
    ):
        message = refusal(SqlRefused, call)
        assert said in message
        assert message.startswith("condition [") and "TRY" in message
    assert state(lake) == before


def bad_pointers(served: pa.Table) -> dict[str, tuple[Any, str]]:
    """What is no pointers of serving, and what the refusal says of it."""
    place = served.column_names.index
    text, none = pa.array(["z"]), pa.nulls(1, pa.int64())
    return {
        "no table": (served.to_pydict(), "the pointers are a dict, no Arrow table"),
        "no column": (served.drop_columns(["digest"]), "need one column 'digest', they have user"),
        "twice": (served.append_column("length", none), "need one column 'length', they have user"),
        "text": (
            served.set_column(place("digest"), "digest", text),
            "column 'digest' of the pointers is string, where int64 is wanted",
        ),
        "another user": (
            served.set_column(place("user_id"), "user_id", text),
            "column 'user_id' of the pointers is string, where int64 is wanted",
        ),
        "more": (pa.concat_tables([served, served]), "2 pointers for 1 requests"),
    } | {
        f"null {name}": (
            served.set_column(place(name), name, none),
            f"column '{name}' of the pointers is null in 1 of 1 rows",
        )
        for name in ("lake_version", "generation", "length", "digest")
    }


def test_refused_pointers_change_nothing(kept: Lake) -> None:
    """They are kept unproven: every rebuild would stumble over what is no pointer."""
    nine = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    served = kept.snapshot([1], nine, Tenant("t", {"g": Group(["event_ts"])}))
    asked = served.rows.select(["user_id", "request_ts"])
    before = state(kept)
    for name, (pointers, says) in bad_pointers(served.pointers).items():
        message = refusal(InputError, lambda given=pointers: kept.log(asked, pointers=given))
        assert says in message and "give the pointers of Lake.snapshot" in message, name
        assert state(kept) == before, name


NOW = datetime(2026, 1, 1, tzinfo=UTC)
TAIL = Tenant("tail", {"g": Group(["event_ts"])})
BAD_ARGUMENTS: list[tuple[str, Callable[[Lake], object], str]] = [
    ("days", lambda lake: lake.retain(days=0), "days 0; it is an integer from 1 to"),
    ("years", lambda lake: lake.retain(days=800_000), "days 800000; it is an integer from 1 to"),
    ("ages", lambda lake: lake.retain(days=10**10), "days 10000000000; it is an integer from 1 to"),
    ("half", lambda lake: lake.retain(days=0.5), "days 0.5; it is an integer from 1 to"),
    ("now", lambda lake: lake.retain(days=1, now=datetime(2026, 1, 1)), "has no time zone; give"),
    ("hours", lambda lake: lake.vacuum(retain_hours=-1), "retain_hours -1; it is an integer"),
    ("eons", lambda lake: lake.vacuum(retain_hours=10**15), "it is an integer from 0 to 1000000"),
    ("seed", lambda lake: lake.verify(sample=1, seed=-1), "seed -1; it is an integer and at"),
    ("sample", lambda lake: lake.verify(sample=-1), "sample -1; it is an integer and at least 0"),
    ("no user", lambda lake: lake.snapshot([1, None], NOW, TAIL), "users to serve: no list of"),
    ("name", lambda lake: lake.snapshot(["a"], NOW, TAIL), "give ids as the lake has them, int64"),
    ("one", lambda lake: lake.snapshot(1, NOW, TAIL), "users to serve: 'int' object is not iter"),
    ("big", lambda lake: lake.snapshot([2**64], NOW, TAIL), "users to serve: Python int too large"),
    ("times", lambda lake: lake.snapshot([1, 2], [NOW], TAIL), "1 times for 2 users; give one"),
    ("no time", lambda lake: lake.snapshot([1], [None], TAIL), "0 times for 1 users; give one"),
    ("text", lambda lake: lake.snapshot([1], "2026", TAIL), "times to serve at:"),
    ("mixed", lambda lake: lake.forget([1, "a"]), "users to forget:"),
    ("huge", lambda lake: lake.forget([2**64]), "users to forget:"),
]


@pytest.mark.parametrize(
    ("call", "says"), [each[1:] for each in BAD_ARGUMENTS], ids=[each[0] for each in BAD_ARGUMENTS]
)
def test_refused_arguments_change_nothing(
    kept: Lake, call: Callable[[Lake], object], says: str
) -> None:
    before = state(kept)
    assert says in refusal(InputError, lambda: call(kept))
    assert state(kept) == before


def test_a_window_may_begin_with_the_first_year(kept: Lake) -> None:
    days = (NOW - datetime(1, 1, 1, tzinfo=UTC)).days
    assert sum(kept.retain(days=days, now=NOW).values()) == 0
    said = refusal(InputError, lambda: kept.retain(days=days + 1, now=NOW))
    assert said == f"days {days + 1}; it is an integer from 1 to {days}"


@pytest.mark.parametrize("key", ["\ud800", 5, b"x"])
def test_a_key_that_is_no_text_is_refused(kept: Lake, key: Any) -> None:
    before = state(kept)
    message = refusal(InputError, lambda: kept.append(events([1], [1]), key=key))
    assert f"key {key!r} is no text; give a string" in message
    assert state(kept) == before


def test_numbers_go_on_after_a_refusal(lake: Lake) -> None:
    lake.append(events([1], [1]))
    assert lake.log(requests([1], [2]))["example_id"].to_pylist() == [0]
    refusal(InputError, lambda: lake.log(requests([None], [2])))
    given = requests([1, 1], [2, 2], example_id=[7, 3])
    assert lake.log(given)["example_id"].to_pylist() == [7, 3]
    assert lake.log(requests([1, 1], [2, 2]))["example_id"].to_pylist() == [8, 9]


@contextmanager
def room(length: int) -> Iterator[None]:
    """No file becomes longer than so many bytes: writing ends as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("call", "table"),
    [
        (lambda lake: lake.append(events([1], [2])), names.RECENT),
        (lambda lake: lake.log(requests([1], [2])), names.EXAMPLES),
        (lambda lake: lake.label(pa.table({"example_id": [0], "bought": [1]})), names.EXAMPLES),
        (lambda lake: lake.forget([1]), names.FORGOTTEN),
        (lambda lake: lake.retain(days=1), names.UIH),
        (lambda lake: lake.vacuum(retain_hours=0), names.RECENT),
    ],
    ids=["append", "log", "label", "forget", "retain", "vacuum"],
)
def test_a_full_disk_is_told_and_changes_nothing(
    lake: Lake, call: Callable[[Lake], object], table: str
) -> None:
    lake.append(events([1, 2], [1, 2]))
    lake.seal()
    lake.log(requests([1], [3]))
    before = state(lake)
    with room(0):
        said = refusal(OutputError, lambda: call(lake))
    assert said.startswith(f"{Path(lake.path, table)} cannot be written: ")
    assert "File too large" in said and "\x1b" not in said
    assert state(lake) == before
    call(lake)


def test_a_commit_stands_though_its_checkpoint_finds_no_room(lake: Lake) -> None:
    """Or the events would be there, and be appended again by whoever was told they are not."""
    for version in range(8):
        assert lake.append(events([1], [version])) == version
    with room(8 * 1024):
        assert lake.append(events([1], [8])) == 8
    log = Path(lake.path, names.RECENT, "_delta_log")
    assert (log / f"{9:020}.json").exists() and not list(log.glob("*.checkpoint.parquet"))
    for version in range(9, 20):
        assert lake.append(events([1], [version])) == version
    assert list(log.glob("*.checkpoint.parquet")), "the control: it is there where there is room"
    assert lake.sql("SELECT count(*) FROM events").fetchall() == [(20,)]
    assert lake.verify().passed


def test_a_note_that_finds_no_room_is_not_made(lake: Lake) -> None:
    """What it is about is committed by then."""
    table = str(Path(lake.path, names.RECENT))
    lake.append(events([1], [1]))
    noted = heads.noted(table)
    heads.drop(table)
    before = state(lake)
    with room(0):
        heads.note(table, noted)
    assert heads.noted(table) == -1
    assert state(lake) == before
    heads.note(table, noted)
    assert heads.noted(table) == noted


def test_committed_files_survive_being_discarded(lake: Lake) -> None:
    """An interrupt between a commit and its return cleans up behind it; not what is committed."""
    lake.append(events([1], [1], item=[1]))
    store = Store.open(lake.path)
    before = state(lake)
    store.recent.discard(store.recent.files())
    assert state(lake) == before


# Schema


def test_the_first_append_fixes_the_schema(lake: Lake) -> None:
    lake.append(events([1], [1], item=pa.array([1], pa.int64()), tag=["a"]))
    lake.append(events([1], [2], tag=["b"], item=pa.array([2], pa.int16())))
    lake.append(events([1], [3], tag=["b"], item=pa.nulls(1)))
    message = refusal(SchemaError, lambda: lake.append(events([1], [4], item=[1])))
    assert "tag" in message
    assert lake.event_schema.field("item").type == pa.int64()
    lake.log(requests([1], [9]))
    assert sequences(lake, "item") == [[1, 2, None]]


def test_columns_can_be_added_and_are_null_before(lake: Lake) -> None:
    lake.append(events([1], [1], item=[1]))
    lake.seal()
    lake.log(requests([1], [9]))
    lake.append(events([1], [2], item=[2], tag=[["x"]]), add_columns=True)
    lake.log(requests([1], [9]))
    assert sequences(lake, "tag", "item") == [
        {"tag": [None], "item": [1]},
        {"tag": [None, ["x"]], "item": [1, 2]},
    ]
    lake.seal()
    lake.compact()
    assert sequences(lake, "tag") == [[None], [None, ["x"]]]


def test_a_schema_given_at_creation_binds_the_first_append(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("user_id", pa.string()),
            pa.field("event_ts", TIME),
            pa.field("item", pa.int64()),
            pa.field("score", pa.float32()),
        ]
    )
    lake = Lake.create(tmp_path / "lake", schema=schema)
    assert lake.event_schema.field("score").type == pa.float32()
    before = state(lake)
    refusal(SchemaError, lambda: lake.append(events([1], [1], item=[1], score=[0.5])))
    refusal(SchemaError, lambda: lake.append(events(["a"], [1], item=[1])))
    assert state(lake) == before
    score = pa.array([0.5], pa.float32())
    assert lake.append(events(["a"], [1], item=pa.array([1], pa.int8()), score=score)) == 0
    assert lake.event_schema.field("item").type == pa.int64()


KINDS: dict[pa.DataType, tuple[pa.DataType, list[Any]]] = {
    pa.int8(): (pa.int8(), [-128, None, 127]),
    pa.uint8(): (pa.int16(), [0, None, 255]),
    pa.uint16(): (pa.int32(), [0, None, 65535]),
    pa.uint32(): (pa.int64(), [0, None, 2**32 - 1]),
    pa.uint64(): (pa.int64(), [0, None, 2**63 - 1]),
    pa.float32(): (pa.float32(), [1.5, None, float("inf")]),
    pa.float64(): (pa.float64(), [5e-324, None, -0.0]),
    pa.bool_(): (pa.bool_(), [True, None, False]),
    pa.large_string(): (pa.string(), ["", None, "it's ü🙂\0"]),
    pa.dictionary(pa.int8(), pa.string()): (pa.string(), ["a", None, "a"]),
    pa.timestamp("s"): (TIME, [datetime(1, 1, 1), None, datetime(9999, 12, 31)]),
    pa.list_(pa.bool_()): (pa.list_(pa.bool_()), [[True, None, False], None, []]),
    pa.large_list(pa.string()): (pa.list_(pa.string()), [["", None], None, []]),
    pa.list_(pa.float32(), 2): (pa.list_(pa.float32()), [[1.5, 2.5], None, [0.0, -1.0]]),
}


def test_every_type_comes_back(lake: Lake) -> None:
    columns = {str(given): pa.array(values, given) for given, (_, values) in KINDS.items()}
    lake.append(events([1, 1, 1], [3, 4, 5], **columns))
    lake.log(requests([1], [9]))
    stored = {str(given): kind for given, (kind, _) in KINDS.items()}
    assert {n: lake.event_schema.field(n).type for n in stored} == stored
    expected = {n: values.cast(stored[n]).to_pylist() for n, values in columns.items()}
    (recent,) = sequences(lake, *columns)
    lake.seal()
    (sealed,) = sequences(lake, *columns)
    for name, values in expected.items():
        assert repr(recent[name]) == repr(sealed[name]) == repr(values), name


ODD_NAMES = (
    """it's|"q"|select|a b|ü🙂|{0}|{where}|$p|x.y|;|--|%|a\nb|ROW|user_id |group|*|(x)|\\|a,b"""
)


def test_columns_may_have_any_name(lake: Lake) -> None:
    """Each odd name as a trait and, with one letter more, as context; in conditions on both."""
    odd = ODD_NAMES.split("|")
    lake.append(events([1, 2], [1, 2], **{name: [1.5, None] for name in odd}))
    lake.seal()
    lake.append(events([1], [3], **{name: [2.5] for name in odd}))
    lake.log(requests([1, 2], [9, 9], **{f"{name}!": ["x", "y"] for name in odd}))
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in odd}
    groups = {
        f"g{number}": Group([name], where=f"{quoted[name]} > 2 or {quoted[name]} is null")
        for number, name in enumerate(odd)
    }
    tenant = Tenant("t", groups, [f"{name}!" for name in odd])
    rows = lake.materialize(tenant).read_all().to_pylist()
    assert [row["user_id"] for row in sorted(rows, key=lambda row: row["example_id"])] == [1, 2]
    for row in rows:
        for number, name in enumerate(odd):
            expected = ("x", [2.5]) if row["user_id"] == 1 else ("y", [None])
            assert (row[f"{name}!"], row[f"g{number}"][name]) == expected
    for name in odd:
        where = f"""{quoted[name][:-1]}!" = 'y'"""
        (row,) = (
            lake.materialize(Tenant("t", {"g": Group([name])}), where=where).read_all().to_pylist()
        )
        assert row["user_id"] == 2


def test_three_hundred_columns(lake: Lake) -> None:
    wide = {f"column {i}": pa.array([i, None]) for i in range(300)}
    lake.append(events([1, 1], [1, 2], **wide))
    lake.seal()
    lake.append(events([1, 1], [3, 4], **wide))
    lake.log(requests([1], [9], **{f"context {i}": [i] for i in range(300)}))
    tenant = Tenant("t", {"g": Group(list(wide))}, [f"context {i}" for i in range(300)])
    (row,) = lake.materialize(tenant).read_all().to_pylist()
    assert row["g"] == {f"column {i}": [i, None, i, None] for i in range(300)}
    assert [row[f"context {i}"] for i in range(300)] == list(range(300))


# Order


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

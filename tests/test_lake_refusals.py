"""What a lake refuses changes nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_lakes import TIME, at, events, refusal, requests, state

from uih_lake import Group, InputError, Lake, Loader, SchemaError, SqlRefused, Tenant, TenantError


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.create(tmp_path / "lake", buckets=3)


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
        "label missing": {k: v for k, v in good.items() if k != "label"},
        "new context": good | {"more": [1]},
        "new context by case": good | {"LABEL": [1]},
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


def test_what_is_not_bad_about_the_bad_requests_is_taken(lake: Lake) -> None:
    """The control: the good row that each of them is made from."""
    good = bad_requests()["id logged before"]
    lake.append(events([1], [1], item=[1]))
    assert lake.log(pa.table(good)).num_rows == 1
    assert lake.log(pa.table(good | {"example_id": [1]})).num_rows == 1


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
        lambda: lake.snapshot([1], at(9), narrow),
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
        "none": (served.slice(0, 0), "0 pointers for 1 requests"),
    } | {
        f"null {name}": (
            served.set_column(place(name), name, none),
            f"column '{name}' of the pointers is null in 1 of 1 rows",
        )
        for name in ("user_id", "lake_version", "generation", "length", "digest")
    }


def test_refused_pointers_change_nothing(kept: Lake) -> None:
    """They are kept unproven: every rebuild would stumble over what is no pointer."""
    nine = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    served = kept.snapshot([1], nine, Tenant("t", {"g": Group(["event_ts"])}))
    asked = served.rows.select(["user_id", "request_ts"]).append_column("label", pa.nulls(1))
    before = state(kept)
    for name, (pointers, says) in bad_pointers(served.pointers).items():
        message = refusal(InputError, lambda given=pointers: kept.log(asked, pointers=given))
        assert says in message and "give the pointers of Lake.snapshot" in message, name
        assert state(kept) == before, name


@pytest.mark.parametrize("which", [slice(0, 2), slice(1, 3), slice(0, 4)])
def test_pointers_are_counted_before_they_are_compared(kept: Lake, which: slice) -> None:
    nine = datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    served = kept.snapshot([1, 2, 3, 4], nine, Tenant("t", {"g": Group(["event_ts"])}))
    asked = served.rows.select(["user_id", "request_ts"]).append_column("label", pa.nulls(4))[:3]
    before, pointers = state(kept), served.pointers[which.start : which.stop]
    message = refusal(InputError, lambda: kept.log(asked, pointers=pointers))
    assert message.startswith(f"{pointers.num_rows} pointers for 3 requests; give")
    assert state(kept) == before


@pytest.mark.parametrize("how", ["live", "served"])
@pytest.mark.parametrize("name", ["as_of_ts", "known_by"])
def test_a_live_request_has_no_time_up_to_which_arrivals_count(
    kept: Lake, name: str, how: str
) -> None:
    """It would be ignored: what is logged live, or as it was served, is unbounded by arrival."""
    served = kept.snapshot([1], datetime.fromtimestamp(2e-6, UTC), TAIL).pointers
    asked = requests([1], [2], label=[0]).append_column(name, pa.array([1], TIME))
    given = None if name == "as_of_ts" else name
    so: dict[str, Any] = {"live": True} if how == "live" else {"pointers": served}
    before = state(kept)
    message = refusal(InputError, lambda: kept.log(asked, as_of_ts=given, **so))
    assert "live or served requests saw whatever had arrived, these have an as_of_ts" in message
    assert state(kept) == before


NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = datetime(2026, 1, 1)
TAIL = Tenant("tail", {"g": Group(["event_ts"])})
ONE = events([1], [1])
BAD_ARGUMENTS: list[tuple[str, Callable[[Lake], object], str]] = [
    (
        "live",
        lambda lake: lake.log(requests([1], [2]), live="no"),
        "live 'no'; give True or False",
    ),
    (
        "columns",
        lambda lake: lake.append(events([1], [1]), add_columns="no"),
        "add_columns 'no'; give",
    ),
    ("dry", lambda lake: lake.forget([1], dry_run="no"), "dry_run 'no'; give True or False"),
    ("dry days", lambda lake: lake.retain(days=1, dry_run=0), "dry_run 0; give True or False"),
    ("days", lambda lake: lake.retain(days=0), "days 0; give an integer from 1 to"),
    ("years", lambda lake: lake.retain(days=800_000), "days 800000; give an integer from 1 to"),
    ("ages", lambda lake: lake.retain(days=10**10), "days 10000000000; give an integer from 1 to"),
    ("half", lambda lake: lake.retain(days=0.5), "days 0.5; give an integer from 1 to"),
    ("truth", lambda lake: lake.retain(days=True), "days True; give an integer from 1 to"),
    ("now", lambda lake: lake.retain(days=1, now=LOCAL), "has no time zone; give"),
    ("hours", lambda lake: lake.vacuum(retain_hours=-1), "retain_hours -1; give an integer"),
    ("eons", lambda lake: lake.vacuum(retain_hours=10**15), "give an integer from 0 to 1000000"),
    ("seed", lambda lake: lake.verify(sample=1, seed=-1), "seed -1; give an integer of at"),
    ("sample", lambda lake: lake.verify(sample=-1), "sample -1; give an integer of at least 0"),
    (
        "no user",
        lambda lake: lake.snapshot([1, None], NOW, TAIL),
        "users to serve: 1 of 2 are null",
    ),
    ("name", lambda lake: lake.snapshot(["a"], NOW, TAIL), "give ids as the lake has them, int64"),
    ("one", lambda lake: lake.snapshot(1, NOW, TAIL), "users to serve: 'int' object is not iter"),
    ("part", lambda lake: lake.snapshot([1.5], NOW, TAIL), "users to serve: they are double; give"),
    ("nobody", lambda lake: lake.snapshot([], NOW, TAIL), "no users to serve; name at least one"),
    ("big", lambda lake: lake.snapshot([2**64], NOW, TAIL), "users to serve: Python int too large"),
    ("bytes", lambda lake: lake.snapshot(b"\1", NOW, TAIL), "users to serve: b'\\x01' is one id"),
    ("times", lambda lake: lake.snapshot([1, 2], [NOW], TAIL), "1 times for 2 users; give one"),
    ("no time", lambda lake: lake.snapshot([1], [None], TAIL), "request_ts None is no datetime"),
    (
        "text",
        lambda lake: lake.snapshot([1], "2026", TAIL),
        "request_ts '2026' is no datetime; give",
    ),
    (
        "local",
        lambda lake: lake.snapshot([1], LOCAL, TAIL),
        "request_ts 2026-01-01 00:00:00 has no t",
    ),
    (
        "one local",
        lambda lake: lake.snapshot([1, 1], [NOW, LOCAL], TAIL),
        "no time zone; give it one",
    ),
    (
        "a number",
        lambda lake: lake.snapshot([1], [5], TAIL),
        "request_ts 5 is no datetime; give one",
    ),
    (
        "never",
        lambda lake: lake.snapshot([1], pd.NaT, TAIL),
        "request_ts NaT has no time zone; give",
    ),
    ("late", lambda lake: lake.snapshot([1], pa.array([2**62], TIME), TAIL), "times to serve at: "),
    ("counts", lambda lake: lake.materialize(TAIL, counts={}), "counts {}; give Counts(), to be"),
    ("mixed", lambda lake: lake.forget([1, "a"]), "users to forget:"),
    ("huge", lambda lake: lake.forget([2**64]), "users to forget:"),
    ("half a user", lambda lake: lake.forget([1.5]), "users to forget: they are double; give ids"),
    ("true user", lambda lake: lake.forget([True]), "users to forget: they are bool; give ids"),
    ("named", lambda lake: lake.forget(["a"]), "users to forget: they are string; give ids as the"),
    ("none", lambda lake: lake.forget([]), "no users to forget; name at least one"),
    ("raw", lambda lake: lake.forget(b"\1", dry_run=True), "b'\\x01' is one id; give a list: [b'"),
    ("no days", lambda lake: lake.retain(days=None), "days None; give an integer from 1 to"),
    ("date", lambda lake: lake.retain(days=1, now="2026-01-01"), "now '2026-01-01' is no datetime"),
    ("empty date", lambda lake: lake.retain(days=1, now=""), "now '' is no datetime; give one"),
    ("no hours", lambda lake: lake.vacuum(retain_hours=None), "retain_hours None; give an integer"),
    ("no seed", lambda lake: lake.verify(sample=1, seed=None), "seed None; give an integer of"),
    ("user", lambda lake: lake.append(ONE, user_id=None), "user_id is None; give the name of a"),
    ("event", lambda lake: lake.append(ONE, event_ts=["t"]), "event_ts is ['t']; give the name"),
    ("arrival", lambda lake: lake.append(ONE, arrival_ts=5), "arrival_ts is 5; give the name"),
    ("asked", lambda lake: lake.log(ONE, request_ts=None), "request_ts is None; give the name of"),
    ("known by", lambda lake: lake.log(ONE, as_of_ts=5), "as_of_ts is 5; give the name of a col"),
    ("begun", lambda lake: list(lake.follow(TAIL, after=None)), "after None; give an integer of"),
    ("wait", lambda lake: list(lake.follow(TAIL, poll_s="1")), "poll_s '1'; give a number of sec"),
    ("end", lambda lake: list(lake.follow(TAIL, stop=True)), "stop True; give a threading.Event,"),
    ("loose", lambda lake: lake.forget(bytearray(b"\1")), "is one id; give a list: [bytearray("),
]


@pytest.mark.parametrize("given", [None, 5, b"lake", ["lake"]], ids=str)
@pytest.mark.parametrize("call", [Lake.create, Lake.open, Tenant.load])
def test_what_is_no_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[Any], object], given: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal(InputError, lambda: call(given))
    assert f"path {given!r}; give a string or a pathlib.Path" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "says"), [each[1:] for each in BAD_ARGUMENTS], ids=[each[0] for each in BAD_ARGUMENTS]
)
def test_refused_arguments_change_nothing(
    kept: Lake, call: Callable[[Lake], object], says: str
) -> None:
    before = state(kept)
    assert says in refusal(InputError, lambda: call(kept))
    assert state(kept) == before


def test_what_is_no_tenant_is_refused(kept: Lake) -> None:
    for path in ("t.toml", None):
        said = refusal(TenantError, lambda path=path: kept.snapshot([1], NOW, path))
        assert said == f"{path!r} is no tenant; load it first: Tenant.load(path)"


@pytest.mark.parametrize("given", [{"user_id": "int64"}, ONE, ["user_id"]])
def test_a_schema_is_one_of_arrow(tmp_path: Path, given: Any) -> None:
    said = refusal(InputError, lambda: Lake.create(tmp_path / "lake", schema=given))
    assert f"schema: a {type(given).__name__} is no Arrow schema; give one: pyarrow.sch" in said
    assert not (tmp_path / "lake").exists()


def test_one_text_is_no_list_of_users(lake: Lake) -> None:
    """It would be taken for the users that its letters are."""
    lake.append(events(["ann", "a", "n"], [1, 2, 3]))
    before = state(lake)
    for call, what in (
        (lambda: lake.forget("ann"), "forget"),
        (lambda: lake.forget("ann", dry_run=True), "forget"),
        (lambda: lake.snapshot("ann", NOW, TAIL), "serve"),
    ):
        said = refusal(InputError, call)
        assert said == f"users to {what}: 'ann' is one id; give a list: ['ann']"
    assert state(lake) == before
    assert sum(lake.forget(["ann"]).values()) == 1


@pytest.mark.parametrize(
    ("many", "given"),
    [
        ([1, 2], np.array([1], np.int32)),
        ([1, 2], [np.int16(1)]),
        ([1, 2], pa.array([1], pa.uint8())),
        ([1, 2], pa.chunked_array([[1], [1]], pa.int32())),
        ([1, 2], {1: "a dict of them"}),
        (["a", "b"], pa.array(["a"], pa.large_string())),
        (["a", "b"], pa.array(["a"], pa.string_view())),
        (["a", "b"], pa.array(["a"]).dictionary_encode()),
        (["a", "b"], np.array(["a"])),
        (["a", "b"], pl.Series(["a"])),
    ],
)
def test_users_are_taken_in_every_form(lake: Lake, many: list[Any], given: Any) -> None:
    lake.append(events(many, [1, 2]))
    (served,) = set(lake.snapshot(given, NOW, TAIL).rows["user_id"].to_pylist())
    assert served == many[0]
    assert lake.forget(given, dry_run=True) == lake.forget(given)
    assert lake.sql("SELECT user_id FROM events").fetchall() == [(many[1],)]


@pytest.mark.parametrize(
    "form", [list, pa.array, pa.chunked_array, pd.Series, pl.Series], ids=lambda form: form.__name__
)
def test_times_are_taken_in_every_form(kept: Lake, form: Callable[[Any], Any]) -> None:
    """Those of another zone are the same instants."""
    berlin = NOW.astimezone(ZoneInfo("Europe/Berlin"))
    given = form([[berlin]] if form is pa.chunked_array else [berlin])
    assert kept.snapshot([1], given, TAIL).rows["request_ts"].to_pylist() == [NOW]


def test_a_window_may_begin_with_the_first_year(kept: Lake) -> None:
    days = (NOW - datetime(1, 1, 1, tzinfo=UTC)).days
    assert sum(kept.retain(days=days, now=NOW).values()) == 0
    said = refusal(InputError, lambda: kept.retain(days=days + 1, now=NOW))
    assert said == f"days {days + 1}; give an integer from 1 to {days}"


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

"""The verbs of the command line do what the library does, and say so."""

from __future__ import annotations

import csv
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import DAY, START, done, events, make_lake, requests, run, tables, told

import uih_lake as uih


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make_lake(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake for tests that only read it."""
    return make_lake(tmp_path_factory.mktemp("shared"))


# From nothing to fat rows


def test_the_verbs_mirror_the_library(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    out = tmp_path / "out"
    written = told("materialize", lake, "--tenant", tmp_path / "ranker.toml", "--out", out)

    twin = uih.Lake.create(tmp_path / "twin", buckets=2)
    assert twin.append(events()) == 0
    twin.seal()
    assert twin.append(events(12, 5)) == 1
    twin.log(requests())
    expected = twin.materialize(uih.Tenant.load(tmp_path / "ranker.toml")).read_all()

    table = pa.concat_tables([pq.ParquetFile(file).read() for file in written["files"]])
    assert table.equals(expected)
    assert table.schema.equals(expected.schema)
    assert (written["rows"], written["unknown_user"], written["mismatch"]) == (6, 1, 0)


def test_reports_are_read_by_people_and_by_programs(tmp_path: Path) -> None:
    lake, file = tmp_path / "lake", tmp_path / "one.parquet"
    pq.write_table(events(), file)
    pq.write_table(requests(), tmp_path / "requests.parquet")
    assert done("create", lake, "--buckets", "3") == f"created {lake} with 3 buckets\n"
    span = "2024-10-04 00:00:00 to 2024-10-15 00:00:00 UTC"
    assert done("append", lake, file) == f"lake version 0: 12 events, {span}\n"
    times = {"first_event": "2024-10-04T00:00:00+00:00", "last_event": "2024-10-15T00:00:00+00:00"}
    nothing = {"added": False, "events": 0, "first_event": None, "last_event": None}
    window = {"expired": 0, "retained_from": None}
    report = {"lake_version": 1, "added": True, "events": 12, **times, **window}
    assert told("append", lake, file, "--key", "k") == report
    assert told("append", lake, file, "--key", "k") == report | nothing
    assert "nothing read or added" in done("append", lake, file, "--key", "k")
    assert done("seal", lake) == "generation 1: sealed up to lake version 1\n"
    assert told("seal", lake) == {"generation": 1, "sealed_version": 1}
    assert done("append", lake, file) == f"lake version 2: 12 events, {span}\n"
    assert told("seal", lake)["sealed_version"] == 2
    assert told("compact", lake)["generation"] > 2
    logged = told("log", lake, tmp_path / "requests.parquet")
    assert logged["examples"] == 6
    assert (logged["first_id"], logged["last_id"], logged["without_history"]) == (0, 5, 1)
    text = done("log", lake, tmp_path / "requests.parquet")
    assert "6 examples at lake version 2, example_id 6 to 11\n" in text
    assert told("create", tmp_path / "other")["buckets"] == 64


def test_columns_and_units_are_mapped(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (tmp_path / "events.csv").write_text(
        "member,at,seen,item\nann,1700000010,1700000020,1\nbob,1700000030,1700000030,2\n"
    )
    (tmp_path / "requests.jsonl").write_text(
        '{"who": "ann", "when": 1700000060000, "upto": 1700000015000}\n'
    )
    done("create", lake)
    names = ("--user-id", "member", "--event-ts", "at", "--arrival-ts", "seen", "--ts-unit", "s")
    done("append", lake, tmp_path / "events.csv", *names)
    names = ("--user-id", "who", "--request-ts", "when", "--as-of-ts", "upto", "--ts-unit", "ms")
    assert told("log", lake, tmp_path / "requests.jsonl", *names)["mean_length"] == 0
    again = ("--add-columns", *names[:4], *names[6:])
    assert told("log", lake, tmp_path / "requests.jsonl", *again)["mean_length"] == 1
    rows = told("sql", lake, "SELECT user_id, epoch(arrival_ts) AS t FROM events ORDER BY t")
    assert rows == [{"user_id": "ann", "t": 1700000020.0}, {"user_id": "bob", "t": 1700000030.0}]


def test_a_lake_without_events_says_so(tmp_path: Path) -> None:
    done("create", tmp_path / "lake")
    assert done("seal", tmp_path / "lake") == "generation 0: nothing to seal\n"
    assert "lake version  none yet" in done("info", tmp_path / "lake")
    (tmp_path / "e.csv").write_text("user_id,event_ts\n1,2026-03-01T10:00:00Z\n")
    done("append", tmp_path / "lake", tmp_path / "e.csv")
    assert "lake version  0, nothing sealed" in done("info", tmp_path / "lake")


def test_an_append_tells_what_it_added_beside_a_sealer(lake: Path) -> None:
    """Its events have left the mutable tier by the time it reports, every now and then."""
    over = Event()

    def keep_sealing() -> None:
        while not over.is_set():
            uih.Lake.open(lake).seal()

    with ThreadPoolExecutor(1) as sealer:
        sealing = sealer.submit(keep_sealing)
        try:
            reports = [told("append", lake, lake.parent / "two.parquet") for _ in range(10)]
        finally:
            over.set()
        sealing.result()
    assert [(each["lake_version"], each["events"]) for each in reports] == [
        (version, 5) for version in range(2, 12)
    ]


def test_globs_are_read_in_the_order_of_their_names(lake: Path) -> None:
    done("append", lake, lake.parent / "*o*.parquet")
    order = "SELECT item_id FROM events WHERE lake_version = 2 ORDER BY event_ts, seq"
    rows = told("sql", lake, order)
    assert [row["item_id"] for row in rows] == [n * 10 for n in range(17)]


def test_a_live_request_sees_what_arrives_late(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    late = events().append_column("arrival_ts", pa.array([START + 100 * DAY] * 12, uih_time()))
    pq.write_table(late, tmp_path / "events.parquet")
    pq.write_table(requests(), tmp_path / "requests.parquet")
    done("create", lake)
    done("append", lake, tmp_path / "events.parquet")
    assert told("log", lake, tmp_path / "requests.parquet")["mean_length"] == 0
    assert told("log", lake, tmp_path / "requests.parquet", "--live")["mean_length"] > 0


def uih_time() -> pa.DataType:
    return pa.timestamp("us", "UTC")


def test_rows_without_a_user_are_skipped_when_asked_and_counted(tmp_path: Path) -> None:
    lake, file = tmp_path / "lake", tmp_path / "events.csv"
    file.write_text("user_id,event_ts,item\n1,2026-01-01,7\n,2026-01-02,8\n,2026-01-03,9\n")
    done("create", lake)
    result = run("append", lake, file, "--on-null-user", "skip")
    span = "2026-01-01 00:00:00 to 2026-01-01 00:00:00 UTC"
    assert (result.exit_code, result.stdout) == (0, f"lake version 0: 1 event, {span}\n")
    assert result.stderr.startswith("warning: ") and "skipped 2 of 3 rows" in result.stderr
    assert "1 event," in done("--quiet", "append", lake, file, "--on-null-user", "skip")
    assert "1 event," in done("append", lake, file, "--on-null-user", "skip", "-q")


@pytest.mark.parametrize(
    ("time", "unit", "said"),
    [
        (1_700_000_000, "ms", "the last event is of 1970-01-20: is --ts-unit (ts_unit) right?"),
        (100_000_000_000, "s", "the first event is of 5138-11-16: is --ts-unit (ts_unit) right?"),
        (1_700_000_000, "s", None),
    ],
)
def test_times_in_a_wrong_unit_are_told(
    tmp_path: Path, time: int, unit: str, said: str | None
) -> None:
    lake, file = tmp_path / "lake", tmp_path / "events.csv"
    file.write_text(f"user_id,event_ts\n1,{time}\n2,{time}\n")
    done("create", lake)
    result = run("append", lake, file, "--ts-unit", unit, "--json")
    assert json.loads(result.stdout)["events"] == 2
    assert result.stderr == (f"warning: {said}\n" if said else "")
    asked, tenant = tmp_path / "requests.csv", tmp_path / "t.toml"
    asked.write_text(f"user_id,request_ts\n1,{time + 5}\n2,{time + 5}\n")
    tenant.write_text('name = "t"\n[groups.g]\ntraits = ["event_ts"]\n')
    of_requests = said.replace("event", "request") if said else ""
    result = run("log", lake, asked, "--ts-unit", unit)
    assert result.stderr == (f"warning: {of_requests}\n" if said else "")
    words = ("--events", file, "--requests", asked, "--tenant", tenant, "--ts-unit", unit)
    result = run("savings", *words, "--json")
    assert result.stderr == (f"warning: {said}\nwarning: {of_requests}\n" if said else "")


def test_requests_that_see_nothing_are_told(tmp_path: Path) -> None:
    """Of other users, or of times before the first event: an example each, and nothing in it."""
    lake = make_lake(tmp_path)
    asked = tmp_path / "asked.csv"
    asked.write_text("user_id,request_ts,label\n" + "7777,2024-11-01,0\n" * 99)
    assert run("log", lake, asked).stderr == ""  # they may be new users
    asked.write_text("user_id,request_ts,label\n" + "7777,2024-11-01,0\n" * 100)
    result = run("log", lake, asked)
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: no request sees any event: are users and times those of the events?\n"
    )


def test_what_has_nothing_to_do_says_so(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    assert done("seal", lake) == "generation 2: sealed up to lake version 1\n"
    assert done("seal", lake) == "generation 2: nothing new to seal, sealed up to lake version 1\n"
    told = "one sorted run per bucket, examples in 1 file\n"
    assert done("compact", lake).endswith(f": {told}")
    assert done("compact", lake).endswith(f": nothing to merge, {told}")
    assert done("forget", lake, "--user", "5555") == (
        "nothing to erase: the lake has nothing of 1 such user\n"
    )
    known = done("retain", lake, "--days", "10", "--now", "2024-10-19").splitlines()[1]
    assert known == "the lake retains events from 2024-10-09 00:00:00 UTC on"
    later = done("retain", lake, "--days", "400", "--now", "2024-10-19").splitlines()
    assert later == ["dropped 0 events older than 400 days", known]


def test_an_append_of_no_event_has_no_times(tmp_path: Path) -> None:
    lake, file = tmp_path / "lake", tmp_path / "events.parquet"
    pq.write_table(events().slice(0, 0), file)
    done("create", lake)
    assert done("append", lake, file) == "lake version 0: 0 events\n"


def test_new_traits_are_added_when_asked(lake: Path) -> None:
    file = lake.parent / "wide.parquet"
    pq.write_table(events().append_column("dwell", pa.array([1.5] * 12)), file)
    assert run("append", lake, file).exit_code == 1
    done("append", lake, file, "--add-columns")
    known = told("sql", lake, "SELECT count(dwell) AS n FROM events")
    assert known == [{"n": 12}]


# Materialize


def test_materialize_writes_arrow_and_a_selection(shared: Path, tmp_path: Path) -> None:
    tenant = shared.parent / "ranker.toml"
    words = ("--tenant", tenant, "--where", "label = 1", "--format", "arrow")
    written = told("materialize", shared, "--out", tmp_path / "out", *words)
    with pa.OSFile(written["files"][0]) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.column("label").to_pylist() == [1.0] * 3
    assert table.column("clicks").type.names == ["item_id", "event_ts"]


def test_materialize_replaces_when_asked(shared: Path, tmp_path: Path) -> None:
    words = ("materialize", shared, "--tenant", shared.parent / "ranker.toml")
    out = tmp_path / "out"
    assert done(*words, "--out", out).startswith(f"{out}: 6 rows in 1 file, ")
    done(*words, "--out", out, "--overwrite", "--where", "label = 0")
    (file,) = out.iterdir()
    assert pq.read_metadata(file).num_rows == 3


def test_examples_are_those_of_the_lake_version_asked_for(lake: Path, tmp_path: Path) -> None:
    words = ("materialize", lake, "--tenant", lake.parent / "ranker.toml")
    assert told(*words, "--out", tmp_path / "new")["rows"] == 6
    old = run(*words, "--out", tmp_path / "old", "--at", "0", "--json")
    assert json.loads(old.stdout)["rows"] == 0
    assert "there is no example" in old.stderr


def test_pointers_at_fault_are_dropped_or_kept_when_asked(lake: Path, tmp_path: Path) -> None:
    uih.Lake.open(lake).retain(days=1)
    words = ("materialize", lake, "--tenant", lake.parent / "ranker.toml", "--out", tmp_path / "o")
    refused = run(*words)
    assert refused.exit_code == 1 and "expired" in refused.stderr
    assert not (tmp_path / "o").exists()
    dropped = run(*words, "--on-mismatch", "drop", "--json")
    assert dropped.stderr == "expired: 5 examples (drop)\n"
    assert json.loads(dropped.stdout)["rows"] == 1
    kept = run(*words, "--on-mismatch", "keep", "--overwrite", "--json")
    assert json.loads(kept.stdout)["rows"] == 6


# SQL


QUERY = """SELECT user_id, max(event_ts) AS last, list(item_id ORDER BY item_id) AS items,
sum(CASE WHEN user_id > 0 THEN 0.1::DOUBLE END) AS part
FROM events GROUP BY user_id ORDER BY user_id"""


def test_sql_formats_hold_the_same_rows(shared: Path, tmp_path: Path) -> None:
    rows = told("sql", shared, QUERY)
    assert [row["user_id"] for row in rows] == [0, 1, 2]
    assert rows[0]["last"] == "2024-10-19T00:00:00+00:00"
    assert rows[0]["part"] is None and rows[0]["items"][:2] == [0, 30]
    assert told("sql", shared, QUERY, "--format", "json") == rows

    text = list(csv.DictReader(io.StringIO(done("sql", shared, QUERY))))
    for row, written in zip(rows, text, strict=True):
        assert [written["user_id"], written["last"]] == [str(row["user_id"]), row["last"]]
        assert json.loads(written["items"]) == row["items"]
        assert written["part"] == ("" if row["part"] is None else repr(row["part"]))

    done("sql", shared, QUERY, "-o", tmp_path / "rows.parquet")
    table = pq.ParquetFile(tmp_path / "rows.parquet").read()
    assert table.column("items").to_pylist() == [row["items"] for row in rows]
    done("sql", shared, QUERY, "--out", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == done("sql", shared, QUERY)
    done("sql", shared, QUERY, "--out", tmp_path / "rows.JSON")
    assert json.loads((tmp_path / "rows.JSON").read_text()) == rows
    done("sql", shared, QUERY, "--json", "--out", tmp_path / "rows.txt")
    assert json.loads((tmp_path / "rows.txt").read_text()) == rows


def test_a_condition_that_no_example_meets_is_told(shared: Path, tmp_path: Path) -> None:
    words = ("--tenant", shared.parent / "ranker.toml", "--out", tmp_path / "out", "--json")
    result = run("materialize", shared, *words, "--where", "label = 9")
    assert json.loads(result.stdout)["rows"] == 0
    assert result.stderr == "warning: there is no example that meets [label = 9]\n"


def test_sql_reads_from_standard_input(shared: Path) -> None:
    assert done("sql", shared, "-", given="SELECT count(*) AS n\nFROM uih;\n") == "n\n12\n"


def test_sql_without_rows(shared: Path) -> None:
    nothing = "SELECT user_id, label FROM examples WHERE false"
    assert done("sql", shared, nothing) == "user_id,label\n"
    assert told("sql", shared, nothing) == []
    assert "user_id" in done("sql", shared, nothing, "--format", "table")


def test_sql_at_a_lake_version(shared: Path) -> None:
    count = "SELECT count(*) AS n FROM "
    views = [told("sql", shared, count + view)[0]["n"] for view in ("events", "uih", "examples")]
    assert views == [17, 12, 6]
    past = [told("sql", shared, count + v, "--at", "0")[0]["n"] for v in ("events", "examples")]
    assert past == [12, 0]


def test_json_has_no_numbers_that_json_has_not(shared: Path) -> None:
    query = "SELECT 'nan'::DOUBLE AS a, ['inf'::FLOAT] AS b, {'x': 1} AS c, 1.5 AS d, sum(2) AS e"
    expected = {"a": None, "b": [None], "c": {"x": 1}, "d": 1.5, "e": 2}
    assert told("sql", shared, query) == [expected]
    assert done("sql", shared, "SELECT 'nan'::DOUBLE AS a, NULL AS b") == "a,b\nnan,\n"


def test_a_decimal_keeps_its_digits_in_every_format(shared: Path) -> None:
    exact = ("-12345678901234567.890123456789012345678", "0.000000000000000000001")
    cells = ", ".join(f"'{one}'::DECIMAL(38,21)" for one in exact)
    query = f"SELECT d, [d, NULL] AS l, {{'a': d}} AS s FROM (SELECT unnest([{cells}]) AS d)"
    lines = [f'{{"d": {one}, "l": [{one}, null], "s": {{"a": {one}}}}}' for one in exact]
    assert done("sql", shared, query, "--json") == "[\n" + ",\n".join(lines) + "\n]\n"
    rows = csv.DictReader(io.StringIO(done("sql", shared, query)))
    expected = [{"d": one, "l": f"[{one}, null]", "s": f'{{"a": {one}}}'} for one in exact]
    assert list(rows) == expected
    table = done("sql", shared, f"SELECT '{exact[1]}'::DECIMAL(38,21) AS d", "--format", "table")
    assert exact[1] in table
    whole = "SELECT 2::DECIMAL(4,0) AS a, 2::DECIMAL(4,2) AS b, sum(2) AS c, 0::DECIMAL(38,19) AS d"
    assert done("sql", shared, whole) == f"a,b,c,d\n2,2.00,2,0.{'0' * 19}\n"


def test_json_has_no_two_columns_of_one_name(shared: Path, tmp_path: Path) -> None:
    query = "SELECT 1 AS a, 2 AS b, 3 AS a, 4 AS A"
    for out in ((), ("-o", tmp_path / "rows.json")):
        result = run("sql", shared, query, "--json", *out)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: JSON cannot hold two columns of one name: 'a'; ")
    assert list(tmp_path.iterdir()) == []
    assert done("sql", shared, query) == "a,b,a,A\n1,2,3,4\n"
    assert told("sql", shared, "SELECT 1 AS a, 2 AS A") == [{"a": 1, "A": 2}]


def test_a_table_fits_the_screen_and_says_what_it_leaves_out(shared: Path) -> None:
    wide = run("sql", shared, "SELECT * FROM examples", "--format", "table")
    assert max(map(len, wide.stdout.splitlines())) <= 80
    assert "of 12 columns" in wide.stderr
    long = run("sql", shared, "FROM range(300)", "--format", "table", "--max-rows", "7")
    assert long.stdout.split() == ["range", "─" * 7, *map(str, range(7))]
    assert "first 7 rows" in long.stderr
    whole = run("sql", shared, "FROM range(7)", "--format", "table", "--max-rows", "7")
    assert whole.stderr == ""
    text = done("sql", shared, "SELECT repeat('long ', 60) AS t", "--format", "table")
    assert max(map(len, text.splitlines())) <= 80
    assert text.split().count("long") == 60


def test_what_is_stored_cannot_steer_the_terminal(shared: Path) -> None:
    query = "SELECT chr(27) || '[31mred' || chr(10) || '[bold]x[/bold] :smile:' AS t"
    text = done("sql", shared, query, "--format", "table")
    assert r"\x1b[31mred\n[bold]x[/bold] :smile:" in text


# Info


def test_info_counts_what_is_there(shared: Path) -> None:
    facts = told("info", shared)
    assert {name: facts[name] for name in list(facts)[1:10]} == {
        "lake_version": 1,
        "sealed_version": 0,
        "generation": 1,
        "buckets": 2,
        "events": 17,
        "sealed_events": 12,
        "recent_events": 5,
        "users": 3,
        "examples": 6,
    }
    assert facts["first_event"] == "2024-10-04T00:00:00+00:00"
    assert facts["last_event"] == "2024-10-20T00:00:00+00:00"
    assert facts["event_schema"]["item_id"] == "int64"
    assert facts["example_schema"]["label"] == "float"


def test_info_measures_the_files(shared: Path) -> None:
    facts = told("info", shared)
    assert facts["bytes"] == sum(table["bytes"] for table in facts["tables"])
    for table in facts["tables"]:
        files = list((shared / table["name"]).rglob("*.parquet"))
        if table["name"] != "recent":  # whose sealed file is there until it is vacuumed
            assert table["bytes"] == sum(file.stat().st_size for file in files)
            assert table["files"] == len(files)
        columns = sum(column["bytes"] for column in table["columns"])
        assert 0 < columns < table["bytes"]
        assert all(column["bytes"] > 0 for column in table["columns"])


def test_info_at_a_lake_version_and_of_an_empty_lake(shared: Path, tmp_path: Path) -> None:
    past = told("info", shared, "--at", "0")
    assert [past[name] for name in ("lake_version", "events", "examples")] == [0, 12, 0]
    done("create", tmp_path / "empty")
    facts = told("info", tmp_path / "empty")
    assert [facts[n] for n in ("lake_version", "events", "users", "bytes")] == [-1, 0, 0, 0]
    assert facts["first_event"] is None
    assert "0 (0 sealed, 0 recent) of 0 users" in done("info", tmp_path / "empty")


def test_info_is_a_page_for_people(shared: Path) -> None:
    text = done("info", shared)
    assert max(map(len, text.splitlines())) <= 80
    for fact in ("17 (12 sealed, 5 recent) of 3 users", "1, sealed up to 0", "item_id", "float"):
        assert fact in text


# Demo


def test_the_demo_goes_all_the_way_and_its_commands_work(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    text = done("demo", place, "--users", "20", "--seed", "5")
    assert max(map(len, text.splitlines()), default=0) > 0
    shown = [line for line in text.splitlines() if line.startswith("$ uihlake ")]
    verbs = [line.split()[2] for line in shown]
    assert verbs == ["create", *["append"] * 4, "seal", "append", "sql", "log", "materialize"]
    assert told("info", place / "lake")["events"] == 20_000
    assert re.search(r"^  history\.offsets +int64 \[201\]$", text, re.MULTILINE)
    assert pq.read_metadata(place / "training" / "part-00000.parquet").num_rows == 200
    again = shown[-1].split()[2:]
    assert done(*again, "--overwrite").endswith("\n")
    before = tables(place / "lake")
    assert run("demo", place).exit_code == 1
    assert tables(place / "lake") == before


def test_the_demo_without_a_directory_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text = done("demo", "--users", "10")
    assert str(tmp_path) in text and "Removed" in text
    assert list(tmp_path.iterdir()) == []


def test_ids_may_be_called_otherwise_in_logs_and_labels(tmp_path: Path) -> None:
    lake, place = tmp_path / "lake", tmp_path / "served.csv"
    done("create", lake)
    place.write_text("impression,user_id,request_ts\na,1,2026-03-01\nb,2,2026-03-01\n")
    assert told("log", lake, place, "--example-id", "impression")["first_id"] == "a"
    again = run("log", lake, place, "--example-id", "impression")
    assert again.exit_code == 1 and "'a', 'b' logged before" in again.stderr
    place.write_text("impression,bought\nb,true\nz,true\n")
    assert told("label", lake, place, "--example-id", "impression")["labelled"] == 1
    rows = told("sql", lake, "SELECT example_id, bought FROM examples ORDER BY 1")
    assert [(row["example_id"], row["bought"]) for row in rows] == [("a", None), ("b", True)]
    refused = run("label", lake, place)
    assert refused.exit_code == 1 and "--example-id COL" in refused.stderr

"""Every view and macro of ad hoc SQL, against what plain Python finds in the same rows and files.

Each question is asked of a session of the lake and of plain DuckDB that loaded the script.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import done
from oracle import Event, GroupSpec, History, Pointer

from uih_lake import Lake, Tenant
from uih_lake.adhoc import MACROS, VIEWS

TIME = pa.timestamp("us", "UTC")
HOUR = 3_600_000_000
START = 20_000 * 24 * HOUR
APPENDS, SEALED = 5, 3
TENANTS = """
name = "ranker"
[groups.clicks]
traits = ["n", "action"]
where = "action = 'click'"
max_len = 7
window = "2d"
lag = "1m"
[groups.every]
traits = ["n"]
"""
Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class World:
    """A lake, the oracle's history of it and its pointers, and the two ways to ask it."""

    lake: Lake
    history: History
    pointers: list[Pointer]
    users: list[Any]
    asked: dict[str, Ask]


def deliveries(rng: random.Random, users: list[Any], late: bool) -> Iterator[pa.Table]:
    """Appends with many equal times; ``late`` ones arrive up to two days after they happened."""
    number = 0
    for _ in range(APPENDS):
        rows = []
        for _ in range(rng.randrange(60, 90)):
            happened = START + rng.randrange(200) * HOUR // 2
            delay = rng.choice([0, 0, 1, HOUR, 40 * HOUR]) if late else 0
            user = users[min(rng.randrange(len(users)), rng.randrange(len(users)))]
            rows.append((user, happened, happened + delay, number, rng.choice(["view", "click"])))
            number += 1
        columns = [list(column) for column in zip(*rows, strict=True)]
        times = [pa.array(column, TIME) for column in columns[1:3]]
        yield pa.table([pa.array(columns[0]), *times, *map(pa.array, columns[3:])],
                       ["user_id", "event_ts", "arrival_ts", "n", "action"])  # fmt: skip


def build(place: Path, users: list[Any], *, late: bool) -> World:
    rng, history = random.Random(7), History()
    lake = Lake.create(place / "lake", buckets=3)
    for number, table in enumerate(deliveries(rng, users, late)):
        lake.append(table)
        history.append(table.to_pylist())
        if number + 1 in (1, SEALED):
            lake.seal()
    lake.compact()
    asked = [(rng.choice(users), START + rng.randrange(120) * HOUR) for _ in range(40)]
    when = pa.array([time for _, time in asked], TIME)
    lake.log(pa.table({"user_id": pa.array([user for user, _ in asked]), "request_ts": when}))
    pointers = [history.pointer(user, time) for user, time in asked]
    tenant = Tenant.from_toml(TENANTS)
    (place / "ranker.toml").write_text(TENANTS)
    plain = duckdb.connect()
    plain.execute(done("sql", place / "lake", "--script", "--tenant", place / "ranker.toml"))
    session = lake.sql_session(tenants=[tenant])
    ways: dict[str, Ask] = {
        "session": lambda sql: session.sql(sql).fetchall(),
        "plain DuckDB": lambda sql: plain.execute(sql).fetchall(),
    }
    return World(lake, history, pointers, users, ways)


@pytest.fixture(scope="module", params=["int", "string"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Late events, ties, two tiers; users of either type, one of whom nobody has heard."""
    numbers = range(12)
    users = [*numbers] if request.param == "int" else [f"it's {n}" for n in numbers]
    return build(tmp_path_factory.mktemp(request.param), users, late=True)


@pytest.fixture(params=["session", "plain DuckDB"])
def ask(world: World, request: pytest.FixtureRequest) -> Ask:
    return world.asked[request.param]


def literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def stamp(time: int) -> str:
    return f"make_timestamptz({time})"


def numbers_of(events: list[Event]) -> list[tuple[int]]:
    return [(event.traits["n"],) for event in events]


def test_lake_sql_is_a_session_of_one_statement(world: World) -> None:
    """With every view and macro there is: a new one needs a test here."""
    calls = {
        "history_as_of": f"({literal(world.users[0])}, {stamp(START + 50 * HOUR)})",
        "sequence_of": "(0, 5)",
        "changed_between": "(0, 2)",
        "longest_histories": "(3)",
        "redundancy": "(NULL)",
        "freshness": "()",
    }
    tenants = [Tenant.from_toml(TENANTS)]
    asked = [*(f"FROM {view} ORDER BY ALL" for view in VIEWS)]
    asked += [f"FROM {macro}{calls[macro]}" for macro in MACROS]
    for sql in asked:
        rows = world.lake.sql(sql, tenants=tenants).fetchall()
        assert rows == world.asked["session"](sql) == world.asked["plain DuckDB"](sql), sql
        assert rows, sql


@pytest.mark.parametrize("view", ["events", "uih"])
def test_views_of_events(world: World, ask: Ask, view: str) -> None:
    newest = APPENDS if view == "events" else SEALED
    found = ask(
        "SELECT user_id, epoch_us(event_ts), epoch_us(arrival_ts), lake_version, n, action "
        f"FROM {'events' if view == 'events' else 'uih'}"
    )
    expected = [
        (e.user_id, e.event_ts, e.arrival_ts, e.lake_version, e.traits["n"], e.traits["action"])
        for e in world.history.events
        if e.lake_version < newest
    ]
    assert Counter(found) == Counter(expected)
    assert len(found) == len(expected) > 100


def test_view_of_examples(world: World, ask: Ask) -> None:
    found = ask(
        "SELECT example_id, user_id, epoch_us(request_ts), epoch_us(as_of_ts), lake_version, "
        "length FROM examples ORDER BY example_id"
    )
    assert found == [
        (n, p.user_id, p.request_ts, p.as_of_ts, p.lake_version, len(world.history.visible(p)))
        for n, p in enumerate(world.pointers)
    ]


def test_history_as_of(world: World, ask: Ask) -> None:
    seen = 0
    stranger = -1 if world.users[0] == 0 else "nobody"
    for user in (*world.users, stranger):
        for time in (START - HOUR, START, START + 30 * HOUR, START + 61 * HOUR, START + 999 * HOUR):
            pointer = Pointer(user, time, time, APPENDS - 1)
            expected = numbers_of(world.history.visible(pointer))
            sql = f"SELECT n FROM history_as_of({literal(user)}, {stamp(time)})"
            assert ask(sql) == expected, sql
            seen += len(expected)
    assert seen > 300


def test_sequence_of(world: World, ask: Ask) -> None:
    late = 0
    for number, pointer in enumerate(world.pointers):
        for most in (None, 0, 1, 5, 1000):
            expected = numbers_of(world.history.sequence(pointer, GroupSpec(max_len=most)))
            said = "NULL" if most is None else most
            assert ask(f"SELECT n FROM sequence_of({number}, {said})") == expected
        unbounded = Pointer(pointer.user_id, pointer.request_ts, None, pointer.lake_version)
        late += len(world.history.visible(unbounded)) - len(world.history.visible(pointer))
    assert late > 10, "some events came too late to be seen"


def test_changed_between(world: World, ask: Ask) -> None:
    for after in range(-1, APPENDS):
        for to in range(-1, APPENDS + 1):
            expected = sorted(
                (e for e in world.history.events if after < e.lake_version <= to),
                key=lambda e: (e.lake_version, e.user_id, e.event_ts, e.row),
            )
            sql = f"SELECT n FROM changed_between({after}, {to})"
            assert ask(sql) == numbers_of(expected), sql


def test_longest_histories(world: World, ask: Ask) -> None:
    each = {
        user: sorted(e.event_ts for e in events) for user, events in world.history.by_user.items()
    }
    ranked = sorted(each.items(), key=lambda item: (-len(item[1]), item[0]))
    expected = [(user, len(times), times[0], times[-1]) for user, times in ranked]
    columns = "user_id, events, epoch_us(first_event), epoch_us(last_event)"
    for most in (0, 1, 3, 100):
        found = ask(f"SELECT {columns} FROM longest_histories({most})")
        assert found == expected[:most]


@pytest.mark.parametrize("most", [None, -5, 0, 1, 4, 1000])
def test_redundancy_where_no_event_came_late(
    tmp_path_factory: pytest.TempPathFactory, most: int | None
) -> None:
    world = build(tmp_path_factory.mktemp("punctual"), [1, 2, 3], late=False)
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    different: defaultdict[int, set[int]] = defaultdict(set)
    for pointer in world.pointers:
        day = pointer.request_ts // (24 * HOUR)
        newest = None if most is None else max(most, 0)
        events = world.history.sequence(pointer, GroupSpec(max_len=newest))
        counts[day][0] += 1
        counts[day][1] += len(events)
        different[day] |= {event.traits["n"] for event in events}
    expected = [
        (day, examples, referenced, len(different[day]),
         round(referenced / len(different[day]), 2) if different[day] else None)
        for day, (examples, referenced) in sorted(counts.items())
    ]  # fmt: skip
    for ask in world.asked.values():
        found = ask(
            "SELECT epoch_us(day) // 86400000000, examples, referenced, distinct_events, "
            f"redundancy FROM redundancy({'NULL' if most is None else most})"
        )
        assert [row[:4] for row in found] == [row[:4] for row in expected]
        for (*_, told), (*_, ratio) in zip(found, expected, strict=True):
            assert told == (None if ratio is None else pytest.approx(ratio, abs=0.0051))


def test_freshness(world: World, ask: Ask) -> None:
    expected = []
    for tier, versions in (("uih", range(SEALED)), ("recent", range(SEALED, APPENDS))):
        events = [e for e in world.history.events if e.lake_version in versions]
        delay = max(e.arrival_ts - e.event_ts for e in events) / 1e6
        times = max(e.event_ts for e in events), max(e.arrival_ts for e in events)
        expected.append((tier, len(events), versions[0], versions[-1], *times, delay))
    assert (
        ask(
            "SELECT tier, events, first_version, last_version, epoch_us(newest_event), "
            "epoch_us(newest_arrival), longest_delay_s FROM freshness()"
        )
        == expected
    )


def live_files(lake: Lake) -> dict[Path, str]:
    """Data files that the Delta logs say are there, with their tier."""
    found: dict[Path, str] = {}
    for tier in ("uih", "recent", "examples"):
        root = Path(lake.path, tier)
        for log in sorted((root / "_delta_log").glob("*.json")):
            for action in map(json.loads, log.read_text().splitlines()):
                if "add" in action:
                    found[root / action["add"]["path"]] = tier
                if "remove" in action:
                    del found[root / action["remove"]["path"]]
    return found


def test_files(world: World, ask: Ask) -> None:
    expected = set()
    for path, tier in live_files(world.lake).items():
        footer = pq.read_metadata(path)
        shape = footer.num_rows, footer.num_row_groups, path.stat().st_size
        expected.add((tier, *shape, footer.serialized_size, str(path)))
    columns = "tier, rows, row_groups, bytes, footer_bytes, file"
    assert set(ask(f"SELECT {columns} FROM files")) == expected
    by_version = ask("SELECT partition, rows FROM files WHERE tier = 'recent' ORDER BY ALL")
    held = Counter(e.lake_version for e in world.history.events if e.lake_version >= SEALED)
    assert by_version == sorted(held.items())


def test_column_chunks(world: World, ask: Ask) -> None:
    expected = Counter[Any]()
    for path, tier in live_files(world.lake).items():
        footer = pq.read_metadata(path)
        for group in range(footer.num_row_groups):
            for place in range(footer.num_columns):
                chunk = footer.row_group(group).column(place)
                name = chunk.path_in_schema.removesuffix(".list.element")
                size = chunk.total_compressed_size, chunk.total_uncompressed_size
                rows = footer.row_group(group).num_rows, chunk.num_values
                codec = {"LZ4": "LZ4_RAW"}.get(chunk.compression, chunk.compression)  # its own word
                expected[tier, group, name, codec, *rows, *size, str(path)] += 1
    columns = 'row_group, column_name, compression, rows, "values", bytes, uncompressed_bytes, file'
    assert Counter(ask(f"SELECT tier, {columns} FROM column_chunks")) == expected


def test_generations(world: World, ask: Ask) -> None:
    expected, sizes = [], dict[str, int]()
    logs = sorted(Path(world.lake.path, "uih", "_delta_log").glob("*.json"))
    for number, log in enumerate(logs):
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        added = [action["add"] for action in actions if "add" in action]
        sizes |= {add["path"]: add["size"] for add in added}
        gone = [sizes[action["remove"]["path"]] for action in actions if "remove" in action]
        rows = sum(json.loads(add["stats"])["numRecords"] for add in added)
        bytes_added = sum(add["size"] for add in added)
        expected.append((number, len(added), len(gone), rows, bytes_added, sum(gone)))
    assert sum(row[2] for row in expected) > 0, "some commit replaced files"
    columns = "generation, files_added, files_removed, rows_added, bytes_added, bytes_removed"
    assert ask(f"SELECT {columns} FROM generations ORDER BY ALL") == expected
    (sealed,) = ask("SELECT max(sealed_version), count(committed_at) FROM generations")
    assert sealed == (SEALED - 1, len(logs))


def test_tenants(ask: Ask) -> None:
    condition = "(\"action\" = 'click')"
    found = ask("FROM tenants ORDER BY group_name")
    day = 24 * HOUR
    assert found[0][:4] == ("ranker", "clicks", ["n", "action"], 7)
    assert found[0][4] in (condition, "action = 'click'")
    assert found[0][5:] == (2 * day, 60_000_000)
    assert found[1] == ("ranker", "every", ["n"], None, None, None, 0)


def test_the_script_may_be_loaded_anywhere(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(world.lake.path).parent)
    script = done("sql", "lake", "--script", "--at", "1")
    monkeypatch.chdir(tmp_path)
    plain = duckdb.connect()
    plain.execute(script)
    seen = [e for e in world.history.events if e.lake_version <= 1]
    assert plain.execute("SELECT count(*), sum(n) FROM events").fetchall() == [
        (len(seen), sum(e.traits["n"] for e in seen))
    ]


def test_a_plain_session_is_locked_by_the_script(world: World) -> None:
    ask = world.asked["plain DuckDB"]
    for sql in (
        "FROM read_csv('/etc/passwd')",
        "COPY events TO '/dev/stdout'",
        "ATTACH 'other.db'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "RESET lock_configuration",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with pytest.raises(duckdb.Error):
            ask(sql)

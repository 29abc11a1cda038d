"""Erasure: after `forget` and a vacuum nothing of a user is left in any byte of the lake.

What is searched for is written so that it can be found: ids and items that occur nowhere else, as
text and as little-endian numbers, in the raw bytes of every file and in every decoded value.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from deltalake import DeltaTable

from uih_lake import Counts, Group, InputError, Lake, PointerError, Tenant
from uih_lake.lake.tombstones import Tombstones, user_hash
from uih_lake.pointers.policy import Judge, Policy

TIME = pa.timestamp("us", "UTC")
DAY = 86_400_000_000
GONE = {"int64": 0x1234_5678_9ABC_DEF1, "string": "erase-me-7f3a"}
KEPT = {"int64": 0x0FED_CBA9_8765_4321, "string": "keep-me-19c4"}
OTHERS = {"int64": [1, 2, 3], "string": ["u1", "u2", "u3"]}
MARK = {"gone": 0x7A11_0000_0000_0000, "kept": 0x7B22_0000_0000_0000}
"""Items count from here; each has a title that says whose it is."""
TENANT = Tenant("t", {"all": Group(["item", "title", "event_ts"])}, ["query"])
KINDS = sorted(GONE)


def events(kind: str, first: int, users: list[Any] | None = None) -> pa.Table:
    """Ten events of each user, an hour apart; items and titles of two users are their own."""
    who = [GONE[kind], KEPT[kind], *OTHERS[kind]] if users is None else users
    rows = [(user, first + n) for n in range(10) for user in who]
    return pa.table(
        {
            "user_id": pa.array([user for user, _ in rows], pa.type_for_alias(kind)),
            "event_ts": pa.array([n * DAY // 24 for _, n in rows], TIME),
            "item": pa.array([item(kind, user, n) for user, n in rows]),
            "title": [f"title-{whose(kind, user)}-{n}" for user, n in rows],
        }
    )


def whose(kind: str, user: Any) -> str:
    return "gone" if user == GONE[kind] else "kept" if user == KEPT[kind] else "other"


def item(kind: str, user: Any, n: int) -> int:
    return MARK.get(whose(kind, user), 0) + n


def requests(kind: str, day: int) -> pa.Table:
    users = [GONE[kind], KEPT[kind], *OTHERS[kind]]
    return pa.table(
        {
            "user_id": pa.array(users, pa.type_for_alias(kind)),
            "request_ts": pa.array([day * DAY] * len(users), TIME),
            "query": [f"query-{whose(kind, user)}" for user in users],
        }
    )


def lived_in(path: Path, kind: str, stage: str) -> Lake:
    """A lake where everybody has events and examples, as far along as ``stage`` says."""
    lake = Lake.create(path, buckets=2)
    lake.append(events(kind, 0))
    lake.log(requests(kind, 1))
    if stage == "appended":
        return lake
    lake.seal()
    lake.append(events(kind, 10))
    lake.seal()
    lake.log(requests(kind, 2), live=True)
    if stage == "compacted":
        lake.compact()
    lake.append(events(kind, 20))
    lake.log(requests(kind, 3), live=True)
    for table in path.iterdir():
        if table.is_dir():
            DeltaTable(table).create_checkpoint()
    return lake


def needles(kind: str, who: str) -> list[bytes]:
    """What gives a user away: the id, titles, queries and items."""
    user = (GONE if who == "gone" else KEPT)[kind]
    named = user.encode() if isinstance(user, str) else user.to_bytes(8, "little")
    items = [(MARK[who] + n).to_bytes(8, "little") for n in range(30)]
    return [named, f"title-{who}".encode(), f"query-{who}".encode(), *items]


def found(path: Path, what: list[bytes]) -> set[str]:
    """Files of a directory that hold one of them, as bytes or in a decoded value."""
    return {
        str(file.relative_to(path))
        for file in path.rglob("*")
        if file.is_file() and any(needle in text for text in texts(file) for needle in what)
    }


def texts(file: Path) -> Iterator[bytes]:
    """The raw bytes of a file, its name, and every value in it if it is a Parquet file."""
    raw = file.read_bytes()
    yield raw
    yield file.name.encode()
    if raw.startswith(b"PAR1"):
        table = pq.read_table(file)
        yield repr(table.to_pydict()).encode()
        for column in table.itercolumns():
            if pa.types.is_integer(column.type):
                numbers = column.cast(pa.int64()).fill_null(0).to_numpy()
                yield numbers.astype("<i8").tobytes()


@pytest.mark.parametrize("stage", ["appended", "sealed", "compacted"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_forgotten_user_is_left(tmp_path: Path, kind: str, stage: str) -> None:
    path = tmp_path / "lake"
    lake = lived_in(path, kind, stage)
    before = others(lake, kind)
    with_user = found(path, needles(kind, "gone"))
    assert with_user, "the control: what is searched for can be found"
    assert {file.split("/")[0] for file in with_user} >= {"recent", "examples"}
    foreseen = Lake.open(path).forget([GONE[kind]], dry_run=True)
    erased = lake.forget([GONE[kind]])
    assert sum(erased.values()) == (11 if stage == "appended" else 33)
    assert foreseen == erased
    assert found(path, needles(kind, "gone")), "old files stay until they are vacuumed"
    lake.vacuum(retain_hours=0)
    assert found(path, needles(kind, "gone")) == set()
    assert found(path, needles(kind, "kept")), "the others are still there"
    assert others(Lake.open(path), kind) == before
    assert Lake.open(path).verify().passed


def others(lake: Lake, kind: str) -> str:
    """All that is rebuilt for the other users; every pointer is proven, or this raises."""
    table = lake.materialize(TENANT).read_all()
    return repr([row for row in table.to_pylist() if row["user_id"] != GONE[kind]])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_append_left_goes_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lake"
    lake = lived_in(path, kind, "sealed")
    source = next(iter((path / "recent").glob("*.parquet")))
    shutil.copy(source, path / "recent" / "lake_version-1-0123456789abcdef")
    shutil.copy(source, path / "uih" / "bucket0-0-0.parquet")
    lake.forget([GONE[kind]])
    lake.vacuum(retain_hours=0)
    assert found(path, needles(kind, "gone")) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tombstone_does_not_tell_who(tmp_path: Path, kind: str) -> None:
    """The hashes are keyed: the same user has another in another lake, and no plain hash fits."""
    seen = []
    for name in ("one", "other"):
        lake = lived_in(tmp_path / name, kind, "appended")
        lake.forget([GONE[kind]])
        (file,) = DeltaTable(tmp_path / name / "forgotten").file_uris()
        table = pq.read_table(file)
        assert table.column_names == ["user_hash"]
        seen += table["user_hash"].to_pylist()
    user = GONE[kind]
    raw = user.encode() if isinstance(user, str) else user.to_bytes(8, "little")
    assert len(set(seen)) == 2
    assert all(len(hashed) == 32 for hashed in seen)
    assert not any(xxhash.xxh64_hexdigest(raw) in hashed for hashed in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pointer_kept_elsewhere_is_forgotten_not_wrong(tmp_path: Path, kind: str) -> None:
    """The examples come from a copy of before; all but the last of the user were erased before."""
    path = tmp_path / "lake"
    lake = lived_in(path, kind, "compacted")
    lake.forget([GONE[kind]])
    lake.append(events(kind, 40, [GONE[kind]]))
    logged = lake.log(requests(kind, 4))
    mine = logged["example_id"].to_pylist()[0]
    shutil.copytree(path / "examples", tmp_path / "copy")
    lake.forget([GONE[kind]])
    shutil.rmtree(path / "examples")
    shutil.move(tmp_path / "copy", path / "examples")
    lake = Lake.open(path)
    counts = Counts()
    kept = lake.materialize(TENANT, on_mismatch="keep", counts=counts).read_all()
    assert (counts.forgotten, counts.mismatch, counts.expired) == (1, 0, 0)
    (row,) = [row for row in kept.to_pylist() if row["example_id"] == mine]
    assert row["all"] == {"item": [], "title": [], "event_ts": []}
    dropped = lake.materialize(TENANT, on_mismatch="drop").read_all()
    assert mine not in dropped["example_id"].to_pylist()
    assert dropped.num_rows == kept.num_rows - 1
    with pytest.raises(PointerError, match=f"example {mine}: forgotten"):
        lake.materialize(TENANT).read_all()
    assert lake.verify().passed, "forgotten is no fault of the lake"
    assert lake.verify().pointers["forgotten"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_pointers_of_who_was_forgotten_since_they_were_served_are_refused(
    tmp_path: Path, kind: str
) -> None:
    lake = lived_in(tmp_path / "lake", kind, "sealed")
    asked, moment = requests(kind, 4)[::-1], datetime.fromtimestamp(4 * 86_400, UTC)
    users, tenant = asked["user_id"].to_pylist(), Tenant("s", TENANT.groups)
    served = lake.snapshot(users, moment, tenant)
    lake.forget([GONE[kind]])
    before = len(lake.sql("FROM examples"))
    says = "users who were forgotten since they were cut, first at row 5; leave these requests out"
    with pytest.raises(InputError, match=says):
        lake.log(asked, pointers=served.pointers)
    assert len(lake.sql("FROM examples")) == before
    lake.log(asked[:4], pointers=served.pointers[:4])
    lake.log(asked, pointers=lake.snapshot(users, moment, tenant).pointers)
    assert lake.materialize(TENANT).read_all().num_rows == before + 9


@pytest.mark.parametrize("kind", KINDS)
def test_a_forgotten_user_may_come_back(tmp_path: Path, kind: str) -> None:
    lake = lived_in(tmp_path / "lake", kind, "compacted")
    lake.forget([GONE[kind]])
    lake.log(requests(kind, 5), live=True)
    lake.append(events(kind, 40, [GONE[kind]]))
    lake.log(requests(kind, 6), live=True)
    lake.seal()
    lake.compact()
    lake.vacuum(retain_hours=0)
    counts = Counts()
    table = lake.materialize(TENANT, counts=counts).read_all()
    mine = [row for row in table.to_pylist() if row["user_id"] == GONE[kind]]
    assert [len(row["all"]["item"]) for row in mine] == [0, 10]
    assert mine[1]["all"]["item"] == [MARK["gone"] + n for n in range(40, 50)]
    assert counts.forgotten == 0
    lake.forget([GONE[kind]])
    lake.vacuum(retain_hours=0)
    assert found(Path(lake.path), needles(kind, "gone")[:3]) == set()


def at_fault(kind: str, rows: int) -> tuple[pa.Table, pa.Table]:
    """Pointers of ten users from all lake versions and times, and their proofs; all differ."""
    places = range(rows)
    users = [number if kind == "int64" else f"u{number}" for number in (n % 10 for n in places)]
    starts = [None if n % 11 == 10 else n % 11 for n in places]
    logged = {
        "example_id": pa.array([f"e{n}" for n in places]),
        "user_id": pa.array(users, pa.type_for_alias(kind)),
        "lake_version": pa.array([n % 7 - 1 for n in places], pa.int64()),
        "start_ts": pa.array(starts, TIME),
        "length": pa.array([2] * rows),
        "digest": pa.array(list(places), pa.int64()),
    }
    proof = {"length": pa.array([1] * rows), "digest": pa.array(list(places), pa.int64())}
    return pa.table(logged), pa.table(proof)


def judging(kind: str, policy: Policy, *, retained_from: int = 5) -> Judge:
    """Users 0 to 2 were forgotten at lake versions 0 to 2, and what is before time 5 is gone."""
    users = [0, 1, 2] if kind == "int64" else ["u0", "u1", "u2"]
    gone = {user_hash("ab", user): version for version, user in enumerate(users)}
    return Judge(Tombstones("ab", gone), retained_from, policy, Counts())


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_has_the_first_name_that_fits(kind: str) -> None:
    logged, proof = at_fault(kind, 770)
    wanted = Counts(examples=770)
    for row in logged.to_pylist():
        user, start = int(str(row["user_id"]).removeprefix("u")), row["start_ts"]
        if user <= 2 and user >= row["lake_version"]:
            wanted.forgotten += 1
        elif start is not None and start < datetime.fromtimestamp(0, UTC) + timedelta(
            microseconds=5
        ):
            wanted.expired += 1
        else:
            wanted.mismatch += 1
    for policy in ("keep", "drop"):
        judge = judging(kind, policy)
        assert judge.passed(logged, proof).tolist() == [policy == "keep"] * 770
        assert judge.counts == wanted
    for place, fault in ((0, "forgotten"), (3, "expired"), (5, "mismatch")):
        judge = judging(kind, "raise")
        with pytest.raises(PointerError) as raised:
            judge.passed(logged.slice(place), proof.slice(place))
        said = f"example 'e{place}': {fault}: .*; logged with 2 events, rebuilt with 1; choose"
        assert re.match(said, str(raised.value))
        assert getattr(judge.counts, fault) == 1, "what comes behind it is not looked at"


@pytest.mark.parametrize("kind", KINDS)
def test_what_faults_cost_in_python_does_not_grow_with_their_number(kind: str) -> None:
    def calls(rows: int) -> int:
        logged, proof = at_fault(kind, rows)
        judge, made = judging(kind, "keep"), 0

        def count(*_: Any) -> None:
            nonlocal made
            made += 1

        sys.setprofile(count)
        judge.passed(logged, proof)
        sys.setprofile(None)
        assert judge.counts.examples == rows
        return made

    calls(770)  # what is imported and made once
    assert calls(7700) == calls(770)


@pytest.mark.parametrize("stage", ["appended", "sealed", "compacted"])
def test_nothing_of_what_is_too_old_is_left(tmp_path: Path, stage: str) -> None:
    """Titles tell the hour: those before the window are in no file, those after it all are."""
    path = tmp_path / "lake"
    lake = lived_in(path, "string", stage)
    hours = 10 if stage == "appended" else 30
    first = 4
    old = [f"title-gone-{n}'".encode() for n in range(first)]
    young = [f"title-gone-{n}'".encode() for n in range(first, hours)]
    assert all(found(path, [title]) for title in (*old, *young)), "the control"
    cutoff = datetime.fromtimestamp(first * 3600, UTC)
    foreseen = lake.retain(days=1, now=cutoff + timedelta(days=1), dry_run=True)
    rows = lake.retain(days=1, now=cutoff + timedelta(days=1))
    assert foreseen == rows
    assert sum(rows.values()) == 5 * first
    lake.vacuum(retain_hours=0)
    assert not any(found(path, [title]) for title in old)
    assert all(found(path, [title]) for title in young)
    counts = Counts()
    lake.materialize(TENANT, on_mismatch="drop", counts=counts).read_all()
    assert counts.mismatch == counts.forgotten == 0
    assert counts.expired == counts.examples, "every example reached past the window"
    assert lake.verify().passed


def test_forgetting_nobody_known_changes_no_file(tmp_path: Path) -> None:
    lake = lived_in(tmp_path / "lake", "int64", "compacted")
    before = {name: DeltaTable(tmp_path / "lake" / name).version() for name in ("uih", "recent")}
    assert sum(lake.forget([4711]).values()) == 0
    after = {name: DeltaTable(tmp_path / "lake" / name).version() for name in ("uih", "recent")}
    assert after == before
    lake.materialize(TENANT).read_all()

"""Words: what footers say of strings is what the events have, and saves reading them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pushdown import wreck

from uih_lake import CorruptionError, Group, Lake, Tenant
from uih_lake.lake import parquet, words
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import RETAINED, Store
from uih_lake.loader import Loader

TIME = pa.timestamp("us", "UTC")
TENANT = Tenant("t", {"all": Group(["action", "tags", "many"])})

text = st.sampled_from(["a", "b", "", "ü'", "ß\n", '"', "猫"])
column = st.lists(st.tuples(st.none() | text, st.integers(0, 5)), max_size=40)
lists = st.lists(st.tuples(st.none() | st.lists(st.none() | text), st.integers(0, 5)), max_size=20)


def plain(rows: list[tuple[Any, int]]) -> list[tuple[str, int]]:
    """The oracle: every string with its first version, by version and text."""
    found: dict[str, int] = {}
    for value, version in rows:
        for word in value if isinstance(value, list) else [value]:
            if word is not None:
                found[word] = min(version, found.get(word, version))
    return sorted(found.items(), key=lambda each: (each[1], each[0].encode()))


@given(column, st.booleans(), st.integers(0, 3))
def test_strings_have_the_first_version_that_brought_them(
    rows: list[tuple[str | None, int]], coded: bool, skip: int
) -> None:
    values = pa.array([value for value, _ in rows], pa.string())
    values = (values.dictionary_encode() if coded else values)[skip:]
    versions = np.array([version for _, version in rows[skip:]], np.int64)
    found = words.firsts(values, versions)
    assert found is not None and list(found.items()) == plain(rows[skip:])


@given(lists, st.integers(0, 3))
def test_strings_in_lists_do_too(rows: list[tuple[Any, int]], skip: int) -> None:
    values = pa.array([value for value, _ in rows], pa.list_(pa.string()))[skip:]
    versions = np.array([version for _, version in rows[skip:]], np.int64)
    found = words.firsts(values, versions)
    assert found is not None and list(found.items()) == plain(rows[skip:])


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after the sample"])
@pytest.mark.parametrize(("kinds", "few"), [(words.FEW, True), (words.FEW + 1, False)])
def test_more_than_few_strings_are_not_noted(kinds: int, few: bool, late: bool) -> None:
    given = [f"{n:04}" for n in range(kinds)]
    if late:
        given = ["0000"] * 20_000 + given
    found = words.firsts(pa.array(given), np.zeros(len(given), np.int64))
    assert found == (dict.fromkeys(sorted(set(given)), 0) if few else None)


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = pa.table({"x": [1]})
    said: words.Note = {"a.b": {"ü'\n": 3, "": 0}, "many": None, "none": {}}
    notes = {words.KEY: words.encoded(said)}
    file = parquet.write(str(tmp_path), table, {}, None, notes)
    assert words.noted(pq.read_metadata(tmp_path / file.path)) == said
    bare = parquet.write(str(tmp_path), table, {})
    assert words.noted(pq.read_metadata(tmp_path / bare.path)) is None


# Lakes


def events(version: int, rows: int = 60, **more: Any) -> pa.Table:
    """Events of an append; strings of one number come with versions of that remainder."""
    each = range(rows)
    times = [version * 1000 + row for row in each]
    columns = {
        "user_id": pa.array([row % 7 for row in each]),
        "event_ts": pa.array(times, TIME),
        "action": [None if row % 5 == 2 else f"act {(version * row) % 9}" for row in each],
        "tags": [None if row % 4 == 1 else [None, f"tag {row * version % 5}"] for row in each],
        "many": [f"{version * rows + row:05}" for row in each],
    }
    return pa.table(columns | more)


def lake_of(path: Path, appends: int = 4) -> Lake:
    """Two buckets, each of two runs and a tail, and a request."""
    lake = Lake.create(path, buckets=2)
    for version in range(appends):
        lake.append(events(version, 400))
        if version in (1, 2):
            lake.seal()
    lake.log(pa.table({"user_id": [3], "request_ts": pa.array([10**6], TIME)}))
    return lake


def asked(lake: Lake, trait: str) -> list[str]:
    """The strings of a column in the order of the contract, from every event."""
    word = f"unnest({trait})" if trait == "tags" else trait
    rows = lake.sql(f"SELECT {word}, lake_version FROM events").fetchall()
    return [word for word, _ in plain(rows)]


def check(lake: Lake) -> dict[str, Any]:
    """The dictionaries of a new loader, which are those that the events have."""
    found = Loader(lake, TENANT).dictionaries["events"]
    for trait in TENANT.groups["all"].traits:
        assert found[trait] == asked(lake, trait), trait
    return found


def strings_wrecked(lake: Lake, column: str) -> None:
    """Overwrite a column in every sealed file."""
    for path in sealed(lake):
        wreck(path, column, range(pq.read_metadata(path).num_row_groups))


def sealed(lake: Lake) -> list[Path]:
    store = Store.open(lake.path)
    return [Path(store.uih.path(file)) for file in store.uih.files()]


def test_a_loader_numbers_what_the_events_have(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    before = check(lake)
    assert len(before["many"]) > words.FEW and len(before["action"]) == 9
    lake.seal()
    assert check(lake) == before
    lake.compact()
    assert check(lake) == before
    assert lake.verify().passed


def test_a_column_that_came_later_is_in_no_file_before_it(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    lake.append(events(4, late=["x", None, "y"] * 20), add_columns=True)
    lake.seal()
    tenant = Tenant("t", {"all": Group(["late", "action"])})
    assert Loader(lake, tenant).dictionaries["events"]["late"] == ["x", "y"]
    have = [path for path in sealed(lake) if "late" in pq.read_schema(path).names]
    assert 0 < len(have) < len(sealed(lake))


def test_no_event_is_read_where_footers_tell(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    lake.seal()
    expected = {trait: asked(lake, trait) for trait in ("action", "tags")}
    for trait in expected:
        strings_wrecked(lake, trait)
    lake = Lake.open(lake.path)
    loader = Loader(lake, Tenant("t", {"all": Group(["action", "tags"])}))
    assert {t: loader.dictionaries["events"][t] for t in expected} == expected
    with pytest.raises(CorruptionError):
        list(loader)


def test_strings_too_many_to_be_noted_are_read(tmp_path: Path) -> None:
    """The control of the test before: what is not noted does not come from elsewhere."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(events(0, 1000))
    lake.seal()
    tenant = Tenant("t", {"all": Group(["many"])})
    assert len(Loader(lake, tenant).dictionaries["events"]["many"]) == 1000
    strings_wrecked(lake, "many")
    with pytest.raises(CorruptionError):
        Loader(Lake.open(lake.path), tenant)


def test_nothing_of_a_forgotten_user_stays_in_a_note(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    lake.append(events(9, 7, action=["only mine" if row == 3 else "act 1" for row in range(7)]))
    lake.seal()

    def holders() -> int:
        return sum("only mine" in path.read_bytes().decode("latin-1") for path in sealed(lake))

    assert holders() == 1 and "only mine" in check(lake)["action"]
    lake.forget([3])
    assert holders() == 0 and "only mine" not in check(lake)["action"]


def test_what_retention_hides_has_no_code(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    lake.append(events(9, 7, action=["old"] * 7, event_ts=pa.array(range(7), TIME)))
    lake.seal()
    assert "old" in check(lake)["action"]
    statement = "SELECT min(event_ts) + INTERVAL 500 microseconds FROM events"
    ((cutoff,),) = lake.sql(statement).fetchall()
    # As between the commit of the window and that of the files without its events.
    Store.open(lake.path).uih.commit(counters={RETAINED: 500})
    assert "old" not in check(Lake.open(lake.path))["action"]
    lake.retain(days=1, now=cutoff + timedelta(days=1))
    assert "old" not in check(Lake.open(lake.path))["action"]


def test_files_without_a_note_are_read(tmp_path: Path) -> None:
    """As of a lake that is older than notes are."""
    lake = lake_of(tmp_path / "lake")
    before = check(lake)
    store = Store.open(lake.path)
    for file in store.uih.files()[::2]:
        bare = pq.read_table(store.uih.path(file), partitioning=None).combine_chunks()
        new = parquet.write(store.uih.root, bare, dict(file.partition))
        store.uih.commit([new], [file])
    lake = Lake.open(lake.path)
    assert {words.noted(pq.read_metadata(path)) is None for path in sealed(lake)} == {True, False}
    assert check(lake) == before and lake.verify().passed


def test_verify_finds_strings_that_are_not_those_of_the_events(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    store = Store.open(lake.path)
    file = store.uih.files()[0]
    path = store.uih.path(file)
    events = pq.read_table(path, partitioning=None).combine_chunks()
    note = words.noted(pq.read_metadata(path))
    assert note is not None and note["action"]
    del note["action"][next(iter(note["action"]))]
    notes = {words.KEY: words.encoded(note)}
    store.uih.commit(
        [parquet.write(store.uih.root, events, dict(file.partition), None, notes)], [file]
    )
    report = Lake.open(lake.path).verify()
    assert [each.name for each in report.checks if each.failed] == ["words"]
    (check,) = [each for each in report.checks if each.name == "words"]
    assert check.failed == 1 and "other strings in ['action']" in check.first_failures[0]


# Codes


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("options", [{}, {"masks": True}, {"fill": {"action": "act 9"}}], ids=str)
def test_codes_of_row_groups_with_other_strings_are_told_apart(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    lake, rows = Lake.create(tmp_path / "lake", buckets=1), 600
    lake.append(
        events(0, rows, action=[None if n % 5 == 2 else f"act {n // 60}" for n in range(rows)])
    )
    lake.seal()
    lake.forget([6])  # a file of what is left is written without codes: each row group has its own
    lake.log(pa.table({"user_id": [3], "request_ts": pa.array([10**6], TIME)}))
    (path,) = sealed(lake)
    with pq.ParquetFile(path, read_dictionary=["action"]) as file:
        groups = [file.read_row_group(group) for group in range(file.num_row_groups)]
    kinds = {tuple(group["action"].chunk(0).dictionary.to_pylist()) for group in groups}
    assert len(kinds) > 2
    said = lake.sql("SELECT action FROM events WHERE user_id = 3 ORDER BY event_ts").fetchall()
    expected = [action for (action,) in said]
    tenant = Tenant("t", {"all": Group(["action"])})
    assert lake.materialize(tenant).read_all()["all"].to_pylist() == [{"action": expected}]
    (batch,) = Loader(lake, tenant, **options)
    group = batch["all"]
    found = [group.dictionaries["action"][code] for code in group.values["action"].tolist()]
    filled = options.get("fill", {}).get("action")
    assert found == [filled if action is None else action for action in expected]
    if "masks" in options:
        assert group.masks["action"].tolist() == [action is not None for action in expected]


def read(lake: Lake) -> set[bool]:
    """Whether strings of few kinds come as codes, per bucket; what is read is what SQL says."""
    said = lake.sql("SELECT action, many FROM events WHERE user_id = 3 ORDER BY event_ts")
    expected = [list(column) for column in zip(*said.fetchall(), strict=True)]
    tenant = Tenant("t", {"all": Group(["action", "many"])})
    newest = f"lake_version = {lake.version}"
    (row,) = lake.materialize(tenant, where=newest).read_all()["all"].to_pylist()
    assert [row["action"], row["many"]] == expected
    (batch,) = Loader(lake, tenant, where=newest)
    group = batch["all"]
    for trait, strings in zip(["action", "many"], expected, strict=True):
        words = group.dictionaries[trait]
        assert [words[code] for code in group.values[trait].tolist()] == strings
    snapshot = Snapshot.of(Store.open(lake.path))
    tables = [Bucket(snapshot, n).rows(["user_id", "action", "many"]) for n in range(2)]
    assert {table.schema.field("many").type for table in tables} == {pa.string()}
    return {pa.types.is_dictionary(table.schema.field("action").type) for table in tables}


def test_strings_of_few_kinds_come_as_codes_from_several_files(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=2)
    lake.append(events(0, 2000))
    lake.append(events(1, 2000))
    lake.log(pa.table({"user_id": [3], "request_ts": pa.array([10**6], TIME)}))
    assert read(lake) == {False}, "no run says how many there are"
    lake.seal()
    assert read(lake) == {True}
    for _ in range(2):  # a tail, then a second run
        lake.append(events(2, 2000))
        lake.log(pa.table({"user_id": [3], "request_ts": pa.array([10**6], TIME)}))
        assert read(lake) == {True}
        lake.seal()
        assert read(lake) == {True}
    store = Store.open(lake.path)
    for file in store.uih.files()[::2]:
        bare = pq.read_table(store.uih.path(file), partitioning=None).combine_chunks()
        store.uih.commit([parquet.write(store.uih.root, bare, dict(file.partition))], [file])
    assert False in read(Lake.open(lake.path)), "a run without a note"
    lake.compact()
    assert read(Lake.open(lake.path)) == {True}


# What was found by attacks


def one(path: Path, *appends: pa.Table, **options: Any) -> Lake:
    """A lake of one bucket with these events sealed, and a request of user 1."""
    lake = Lake.create(path, buckets=1)
    for table in appends:
        lake.append(table, **options)
    lake.seal()
    lake.log(pa.table({"user_id": [1], "request_ts": pa.array([10**9], TIME)}))
    return lake


def told(first: int, **columns: Any) -> pa.Table:
    """Events of user 1, from a time on."""
    rows = len(next(iter(columns.values())))
    times = pa.array(range(first, first + rows), TIME)
    return pa.table({"user_id": [1] * rows, "event_ts": times, **columns})


@pytest.mark.parametrize("sealed", [False, True])
def test_a_file_without_a_column_is_read_beside_one_that_has_it(
    tmp_path: Path, sealed: bool
) -> None:
    lake = one(tmp_path / "lake", told(0, x=["a"]))
    lake.append(told(1, x=["b"], late=["q"]), add_columns=True)
    if sealed:
        lake.seal()
    tenant = Tenant("t", {"all": Group(["late", "x"])})
    assert lake.materialize(tenant).read_all()["all"].to_pylist() == [{"late": [None], "x": ["a"]}]
    (batch,) = Loader(lake, tenant)
    assert batch["all"].values["late"].tolist() == [0]
    assert batch["all"].dictionaries["late"][1:] == ["q"]


def test_users_that_are_text_are_numbered_as_a_trait(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=1)
    lake.append(pa.table({"user_id": ["a", "b"], "event_ts": pa.array([1, 2], TIME)}))
    lake.seal()
    lake.append(pa.table({"user_id": ["c", "a"], "event_ts": pa.array([3, 4], TIME)}))
    for _ in range(2):
        loader = Loader(lake, Tenant("t", {"all": Group(["user_id"])}))
        assert loader.dictionaries["events"]["user_id"] == ["a", "b", "c"]
        lake.seal()


@pytest.mark.parametrize(
    ("text", "kinds", "few"), [('"' * 300_000, 60, False), ("a" * 60, 200, True)]
)
def test_long_strings_are_not_noted(tmp_path: Path, text: str, kinds: int, few: bool) -> None:
    """A reader refuses a footer of 100 MB, and the lake would be lost."""
    strings = [f"{n:04}{text}" for n in range(kinds)] * (100 if few else 1)
    lake = one(tmp_path / "lake", told(0, x=strings))
    (path,) = sealed(lake)
    note = words.noted(pq.read_metadata(path))
    assert note is not None and (note["x"] is not None) == few
    assert lake.verify().passed
    tenant = Tenant("t", {"all": Group(["x"])})
    assert Loader(lake, tenant).dictionaries["events"]["x"] == sorted(set(strings))


def test_texts_that_differ_row_by_row_are_not_noted(tmp_path: Path) -> None:
    given = [f"query {n} " + "of some words " * 5 for n in range(150)]
    (path,) = sealed(one(tmp_path / "lake", told(0, x=given)))
    assert words.noted(pq.read_metadata(path)) == {"x": None}


def test_nulls_are_no_kind_of_string(tmp_path: Path) -> None:
    """Neither for the note nor for verify, whichever rows come first."""
    kinds = [f"a{n:03}" for n in range(words.FEW)]
    lake = one(
        tmp_path / "lake",
        told(10**6, x=["a000"] * 16384),
        told(0, x=[*kinds, None]),
    )
    (path,) = sealed(lake)
    note = words.noted(pq.read_metadata(path))
    assert note is not None and note["x"] is not None and len(note["x"]) == words.FEW
    assert lake.verify().passed


def test_strings_newer_than_the_lake_version_have_no_code(tmp_path: Path) -> None:
    many = [f"{n:05}" for n in range(words.FEW + 1)]
    lake = one(tmp_path / "lake", told(0, x=["p"] * 257, many=["p"] * 257))
    lake.append(told(1000, x=["q"] * 257, many=many))
    tenant = Tenant("t", {"all": Group(["x", "many"])})
    for _ in range(2):
        old = Loader(Lake.open(lake.path, version=0), tenant)
        assert old.dictionaries["events"] == {"x": ["p"], "many": ["p"]}
        lake.seal()


def test_strings_are_not_numbered_by_a_damaged_page(tmp_path: Path) -> None:
    """Of a file that no example reads: another string would move the codes of those behind it."""
    given = [f"{n:05}" for n in range(2000)]
    lake = one(tmp_path / "lake", told(0, x=given))
    (path,) = sealed(lake)
    chunk = next(
        column
        for column in map(pq.read_metadata(path).row_group(0).column, range(7))
        if column.path_in_schema == "x"
    )
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset - 9] ^= 1  # of the dictionary
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match="column 'x'"):
        Loader(Lake.open(lake.path), Tenant("t", {"all": Group(["x"])}))

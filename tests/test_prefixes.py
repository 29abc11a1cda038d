"""Prefixes: the sums in a footer say what the events do, and save reading them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import plain_hash
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pushdown import wreck

from uih_lake import CorruptionError, Group, Lake, Tenant, hashing, names
from uih_lake.gather.lists import take
from uih_lake.lake import bands, parquet, prefixes
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.prefixes import Prefixes
from uih_lake.lake.snapshot import Snapshot
from uih_lake.lake.store import Store
from uih_lake.resolve import run
from uih_lake.resolve.plan import scans
from uih_lake.resolve.prefixed import Prefixed
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect
from uih_lake.workload import Workload

TIME = pa.timestamp("us", "UTC")
BUCKETS = 3
LATE = Workload(users=60, mean_events=300, max_events=2000, requests=400, late_share=0.4)
PROOF = [names.START_TS, names.END_TS, names.LENGTH, names.DIGEST]
TENANT = Tenant("t", {"short": Group(("item_id",), 5), "long": Group(("item_id", "price"))})


pytestmark = pytest.mark.usefixtures("narrow")


event = st.tuples(
    st.sampled_from(["ann", "bob", "cem", "dan"]),
    st.integers(0, 30),
    st.integers(-5, 40),
    st.integers(0, 3),
    st.integers(0, 2**16 - 1),
)


@given(st.lists(event, min_size=2, max_size=60), st.booleans())
def test_sums_are_what_the_events_add_up_to(
    rows: list[tuple[str, int, int, int, int]], numbers: bool
) -> None:
    rows = sorted((*row[:4], tie, row[4]) for tie, row in enumerate(rows))
    users, times, delays, versions, ties, prints = map(list, zip(*rows, strict=True))
    events = pa.table(
        {
            names.USER_ID: [ord(user[0]) for user in users] if numbers else users,
            names.EVENT_TS: pa.array(times).view(TIME),
            names.DELAY: delays,
            names.LAKE_VERSION: versions,
            names.TIE: ties,
            names.FINGERPRINT: pa.array(prints, pa.int32()),
        }
    )
    layout = bands.bands(events)
    run = layout.run(events.take(pa.array(layout.order)).combine_chunks())
    since = sorted(times)[int(len(rows) * 0.75)]
    old = [row for row in rows if row[1] < since]
    if not old:
        assert prefixes.KEY not in run.notes
        return
    found = Prefixes.decoded(run.notes[prefixes.KEY].encode())
    assert (found.since, found.newest) == (since, len(old))
    ids = sorted({row[0] for row in old})
    assert found.users.to_pylist() == ([ord(user[0]) for user in ids] if numbers else ids)
    in_file = [rows[place] for place in layout.order.tolist()]
    for place, user in enumerate(ids):
        mine = [row for row in old if row[0] == user]
        assert found.length[place] == len(mine)
        assert found.digest[place] == plain_hash.digest(
            plain_hash.event_digest(*row[1:]) for row in mine
        )
        assert (found.start_ts[place], found.end_ts[place]) == (mine[0][1], mine[-1][1])
        assert found.last_arrival[place] == max(row[1] + row[2] for row in mine)
        assert found.last_version[place] == max(row[3] for row in mine)
        pieces = found.rows[found.offsets[place] : found.offsets[place + 1]].reshape(-1, 2)
        assert [row for a, b in pieces for row in in_file[a:b]] == mine


def filled(path: Path, workload: Workload = LATE) -> Lake:
    lake = Lake.create(path, buckets=BUCKETS)
    for delivery in workload.appends(3):
        lake.append(delivery)
    lake.seal()
    return lake


def pointers_of(lake: Lake, **columns: pa.Array) -> pa.Table:
    """The pointers of every request, as they are before they are cut, with other columns."""
    requests = LATE.requests_table()
    table = requests.select([names.USER_ID, names.REQUEST_TS])
    table = table.append_column(names.AS_OF_TS, requests.column(names.REQUEST_TS))
    version = Snapshot.of(Store.open(lake.path)).lake_version
    table = table.append_column(names.LAKE_VERSION, pa.array([version] * table.num_rows))
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def by_bucket(lake: Lake, pointers: pa.Table) -> Iterator[tuple[Resolver, Snapshot, int, pa.Table]]:
    snapshot = Snapshot.of(Store.open(lake.path))
    mine = hashing.bucket_of(pointers.column(names.USER_ID).combine_chunks(), BUCKETS)
    with connect() as duck:
        for bucket in range(BUCKETS):
            some = pointers.filter(pa.array(mine == bucket)).combine_chunks()
            yield Resolver(snapshot, duck), snapshot, bucket, some


def check(lake: Lake, pointers: pa.Table) -> list[bool]:
    """Per bucket, whether prefixes served; what is found must be what the events say."""
    plan = scans(TENANT, lake.event_schema)
    served = []
    for resolver, snapshot, bucket, some in by_bucket(lake, pointers):
        served.append(Prefixed.read(snapshot, some, bucket) is not None)
        with connect() as duck:
            whole = snapshot.whole(duck, bucket, plan[0].traits).combine_chunks()
        (pointed,) = resolver.point([(bucket, some)])
        proof = resolver.prove(some, bucket)
        assert pointed.select(proof.column_names).equals(proof)
        (located,) = resolver.locate(plan, [(bucket, some)])
        assert located is not None and located.proof.equals(proof)
        (expected,) = resolver.cuts(plan, some, bucket)
        (opened,) = resolver.resolve(plan, some, bucket).cuts
        for name, group in TENANT.groups.items():
            for trait in group.traits:
                plain = take(expected.column(trait), expected.ranges[name])
                assert take(whole.column(trait).chunk(0), located.ranges[name]).equals(plain)
                assert take(opened.column(trait), opened.ranges[name]).equals(plain)
    return served


def newest(lake: Lake) -> pa.Array:
    """A request time after every event, as often as there are requests."""
    (last,) = lake.sql("SELECT max(arrival_ts) FROM events").fetchall()[0]
    return pa.array([last] * LATE.requests, TIME)


def test_recent_requests_are_proven_by_prefixes(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    last = newest(lake)
    assert check(lake, pointers_of(lake, request_ts=last, as_of_ts=last)) == [True] * BUCKETS
    live = pa.nulls(LATE.requests, TIME)
    assert check(lake, pointers_of(lake, request_ts=last, as_of_ts=live)) == [True] * BUCKETS
    # Requests that do not see the newest of the newest band.
    (since,) = lake.sql("SELECT quantile_cont(event_ts, 0.9) FROM events").fetchall()[0]
    times = pa.array([since] * LATE.requests, TIME)
    assert check(lake, pointers_of(lake, request_ts=times, as_of_ts=live)) == [True] * BUCKETS


def test_a_note_that_would_be_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A footer of 100 MB is damage to readers: the file could be written and never be read."""
    lake = filled(tmp_path / "noted")
    longest = max(
        len(footer.metadata[prefixes.KEY.encode()])
        for path in Path(lake.path, "uih").glob("*.parquet")
        if (footer := pq.read_metadata(path))
    )
    last = newest(lake)
    for most, served in ((longest, True), (0, False)):
        monkeypatch.setattr(prefixes, "MOST_BYTES", most)
        mine = filled(tmp_path / str(most))
        asked = pointers_of(mine, request_ts=last, as_of_ts=last)
        assert check(mine, asked) == [served] * BUCKETS
        assert mine.verify().passed


def test_whoever_does_not_see_a_whole_prefix_is_proven_event_by_event(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    last, live = newest(lake), pa.nulls(LATE.requests, TIME)
    early = LATE.requests_table().column(names.REQUEST_TS)
    (first,) = lake.sql("SELECT quantile_cont(event_ts, 0.3) FROM events").fetchall()[0]
    times = pa.array([first] * LATE.requests, TIME)
    nowhere = [False] * BUCKETS
    assert check(lake, pointers_of(lake, request_ts=times, as_of_ts=live)) == nowhere
    assert check(lake, pointers_of(lake, request_ts=last, as_of_ts=times)) == nowhere
    before = pa.array(np.ones(LATE.requests, np.int64))
    assert check(lake, pointers_of(lake, request_ts=last, as_of_ts=live, lake_version=before)) == (
        nowhere
    )
    one = pa.chunked_array([early.slice(0, 1).combine_chunks(), last[1:]])  # one of them is enough
    served = check(lake, pointers_of(lake, request_ts=one, as_of_ts=live))
    assert served.count(True) in (BUCKETS, BUCKETS - 1)


@pytest.mark.parametrize("few", [0, 10**6], ids=["by keys", "by scans"])
def test_buckets_joined_together_find_what_each_finds_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whether they are one file or two, and whether prefixes serve or not."""
    monkeypatch.setattr(run, "_FEW_USERS", few)
    lake = Lake.create(tmp_path / "lake", buckets=8)
    for delivery in LATE.appends(3):
        lake.append(delivery)
    lake.seal()
    events = next(iter(LATE.appends(1))).read_all()
    of = hashing.bucket_of(events.column(names.USER_ID).combine_chunks(), 8)
    lake.append(events.filter(pa.array(of == 1)).slice(0, 50))
    lake.seal()  # bucket 1 has two files
    snapshot = Snapshot.of(Store.open(lake.path))
    pointers, last = pointers_of(lake), newest(lake)
    mine = hashing.bucket_of(pointers.column(names.USER_ID).combine_chunks(), 8)
    early = (mine == 2) | (mine == 3)  # and 2 and 3 are asked for what prefixes do not tell
    (then,) = lake.sql("SELECT quantile_cont(event_ts, 0.3) FROM events").fetchall()[0]
    times = pc.if_else(pa.array(early), pa.scalar(then, TIME), last)
    pointers = pointers.set_column(1, names.REQUEST_TS, times)
    pointers = pointers.set_column(2, names.AS_OF_TS, times)
    asked = [(b, pointers.filter(pa.array(mine == b)).combine_chunks()) for b in range(8)]
    files = [b for b in range(8) if snapshot.run(b) is not None]
    served = [b for b, some in asked if b in files and Prefixed.read(snapshot, some, b) is not None]
    assert (files, served) == ([0, 2, 3, 4, 5, 6, 7], [0, 4, 5, 6, 7])
    plan = scans(TENANT, lake.event_schema)
    with connect() as duck:
        resolver = Resolver(snapshot, duck)
        for order in (asked, asked[::-1], asked[:1], asked[1:3], asked[5:6], []):
            pointed, located = resolver.point(order), resolver.locate(plan, order)
            for each, table, found in zip(order, pointed, located, strict=True):
                assert table.equals(resolver.point([each])[0])
                assert table.select(PROOF).equals(resolver.prove(each[1], each[0]))
                assert (found is None) == (each[0] == 1 and few > 0)
                assert found is None or found.proof.equals(table.select(PROOF))


def test_strangers_and_users_without_a_prefix_are_served_too(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake", buckets=BUCKETS)
    old = pa.concat_tables(delivery.read_all() for delivery in LATE.appends(1))
    lake.append(old)
    last = pc.max(old.column(names.ARRIVAL_TS)).as_py()
    users = old.column(names.USER_ID)[:3].to_pylist()
    fresh = old.slice(0, 30)
    strangers = pa.array(np.arange(30) % 6 + 10**9)
    for name, values in (
        (names.USER_ID, strangers),
        (names.EVENT_TS, pa.array([last] * 30, TIME)),
        (names.ARRIVAL_TS, pa.array([last] * 30, TIME)),
    ):
        fresh = fresh.set_column(fresh.schema.get_field_index(name), name, values)
    lake.append(fresh)
    lake.seal()
    lake.compact()
    asked = [*range(10**9, 10**9 + 9), *users]
    rows = len(asked)
    later = pa.array([pc.add(pa.scalar(last, TIME), pa.scalar(1, pa.duration("us")))] * rows, TIME)
    table = pa.table(
        {
            names.USER_ID: pa.array(asked),
            names.REQUEST_TS: later,
            names.AS_OF_TS: pa.nulls(rows, TIME),
            names.LAKE_VERSION: pa.array([1] * rows),
        }
    )
    assert check(lake, table) == [True] * BUCKETS


def test_only_the_newest_band_is_read_to_prove_a_recent_request(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    last = newest(lake)
    for path in Path(lake.path, "uih").glob("*.parquet"):
        band = Prefixes.noted(pq.read_metadata(path))
        assert band is not None
        metadata = pq.read_metadata(path)
        stops = np.cumsum([metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)])
        older = np.flatnonzero(stops <= band.newest).tolist()
        assert len(older) > 1
        for column in (names.EVENT_TS, names.FINGERPRINT, names.DELAY):
            wreck(path, column, older)
    lake = Lake.open(lake.path)
    pointers = pointers_of(lake, request_ts=last, as_of_ts=last)
    for resolver, _, bucket, some in by_bucket(lake, pointers):
        (pointed,) = resolver.point([(bucket, some)])
        assert pointed.num_rows == some.num_rows > 0
        with pytest.raises(CorruptionError, match="is altered"):
            resolver.prove(some, bucket)


def test_verify_finds_sums_that_are_not_those_of_the_events(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    assert lake.verify().passed
    store = Store.open(lake.path)
    file = store.uih.files()[0]
    path = store.uih.path(file)
    events, band = pq.read_table(path).combine_chunks(), Prefixes.noted(pq.read_metadata(path))
    assert band is not None
    notes = {prefixes.KEY: replace(band, digest=band.digest + 1).encoded()}
    partition = dict(file.partition)
    store.uih.commit([parquet.write(store.uih.root, events, partition, None, notes)], [file])
    report = Lake.open(lake.path).verify()
    assert [each.name for each in report.checks if each.failed] == ["prefixes"]


def test_nothing_of_a_forgotten_user_stays_in_a_footer(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    gone = LATE.requests_table().column(names.USER_ID)[0].as_py()

    def holders() -> int:
        snapshot = Snapshot.of(Store.open(lake.path))
        found = [Bucket(snapshot, bucket).prefixes() for bucket in range(BUCKETS)]
        return sum(gone in each[1].users.to_pylist() for each in found if each is not None)

    assert holders() == 1
    lake.forget([gone])
    assert holders() == 0
    last = newest(lake)
    assert check(lake, pointers_of(lake, request_ts=last, as_of_ts=last)) == [True] * BUCKETS


def test_what_retention_hides_is_in_no_sum(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    last, live = newest(lake), pa.nulls(LATE.requests, TIME)
    (cutoff,) = lake.sql("SELECT quantile_cont(event_ts, 0.4) FROM events").fetchall()[0]
    lake.retain(days=1, now=cutoff + timedelta(days=1))
    assert check(lake, pointers_of(lake, request_ts=last, as_of_ts=live)) == [True] * BUCKETS


@pytest.mark.parametrize("least", [0, 10**9], ids=["bands", "no bands"])
def test_events_that_are_hidden_and_not_yet_gone_count_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    """As between the commit of a retention window and that of the files without its events."""
    monkeypatch.setattr(bands, "LEAST_ROWS", least)
    lake = filled(tmp_path / "lake")
    last, live = newest(lake), pa.nulls(LATE.requests, TIME)
    (cutoff,) = lake.sql("SELECT epoch_us(quantile_cont(event_ts, 0.4)) FROM events").fetchall()[0]
    pointers = pointers_of(lake, request_ts=last, as_of_ts=live)
    for resolver, snapshot, bucket, some in by_bucket(lake, pointers):
        with connect() as duck:
            hiding = Resolver(replace(snapshot, retained_from=cutoff), duck)
            (pointed,) = hiding.point([(bucket, some)])
            proof = hiding.prove(some, bucket)
        assert pointed.select(proof.column_names).equals(proof)
        assert not proof.equals(resolver.prove(some, bucket))

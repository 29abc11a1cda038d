"""The made-up workload: the same for the same seed, of the size asked, and as awkward as real logs.

Sizes are small; shares are checked within wide margins, because they are drawn.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from uih_lake.errors import InputError
from uih_lake.workload import Workload
from uih_lake.workload.shape import BLOCK_EVENTS, blocks, history_lengths
from uih_lake.workload.tables import LEVELS, Zipf, categorical, ramp

SMALL = Workload(users=60, mean_events=100, max_events=1000, requests=400)
BLOCKY = Workload(users=300, mean_events=2000, requests=1000, seed=3)
"""Several blocks of users."""

FIRST_USERS = [32, 32, 32]
FIRST_TIMES = [1_767_231_322_168_000, 1_767_231_326_297_000, 1_767_231_327_716_000]
FIRST_ITEMS = [122_755, 37_470, 197_746]


def table(workload: Workload, batch_rows: int = 1 << 18) -> pa.Table:
    return pa.Table.from_batches(workload.events(batch_rows), workload.event_schema)


def in_order(of: pa.Table) -> pa.Table:
    """The rows in an order of their own; what the item decides needs no place in it."""
    columns = ("user_id", "event_ts", "arrival_ts", "item_id", "action", "dwell", "surface")
    return of.sort_by([(name, "ascending") for name in columns]).combine_chunks()


@pytest.fixture(scope="module")
def events() -> pa.Table:
    return table(BLOCKY)


def test_the_same_seed_gives_the_same_tables_and_another_seed_others() -> None:
    again = Workload(users=60, mean_events=100, max_events=1000, requests=400)
    other = Workload(users=60, mean_events=100, max_events=1000, requests=400, seed=1)
    assert table(SMALL).equals(table(again))
    assert SMALL.requests_table().equals(again.requests_table())
    assert not table(SMALL).equals(table(other))
    assert not SMALL.requests_table().equals(other.requests_table())


def test_a_seed_keeps_its_meaning() -> None:
    """Literal values: a change here changes every published number made from a seed."""
    first = next(iter(SMALL.events())).slice(0, 3)
    assert first.column("user_id").to_pylist() == FIRST_USERS
    assert pc.cast(first.column("event_ts"), pa.int64()).to_pylist() == FIRST_TIMES
    assert first.column("item_id").to_pylist() == FIRST_ITEMS


def test_the_size_of_batches_changes_nothing_but_the_batches(events: pa.Table) -> None:
    small = table(BLOCKY, batch_rows=10_007)
    assert small.equals(events)
    assert max(batch.num_rows for batch in small.to_batches()) == 10_007


def test_the_counts_are_those_asked(events: pa.Table) -> None:
    lengths = Counter(events["user_id"].to_pylist())
    assert events.num_rows == BLOCKY.total_events == 600_000
    assert set(lengths) == set(range(1, 301))
    assert max(lengths.values()) == 65_536
    assert BLOCKY.requests_table().num_rows == 1000


def test_the_defaults_are_the_published_workload() -> None:
    default = Workload()
    lengths = history_lengths(default.users, default.mean_events, default.max_events, 0)
    assert (len(lengths), lengths.sum(), lengths.max()) == (10_000, 25_140_000, 65_536)
    assert lengths.min() >= 1
    assert np.median(lengths) < 1500
    assert default.requests == 200_000


@pytest.mark.parametrize(
    ("users", "mean", "at_most", "longest"),
    [
        (1, 1, 9, 1),
        (1, 50, 50, 50),
        (2, 1, 9, 1),
        (100, 1, 9, 1),
        (3, 10, 20, 10),
        (7, 2, 20, 3),
        (40, 10, 20, 20),
        (40, 10, 10, 10),
    ],
)
def test_tiny_shapes_have_their_exact_size(
    users: int, mean: int, at_most: int, longest: int
) -> None:
    lengths = history_lengths(users, mean, at_most, 0)
    assert lengths.sum() == users * mean
    assert lengths.max() == longest
    assert lengths.min() >= 1


def test_blocks_hold_all_users_in_order_and_are_bounded() -> None:
    lengths = history_lengths(2000, 2514, 65_536, 0)
    cut = list(blocks(lengths))
    assert np.array_equal(np.concatenate([block.lengths for block in cut]), lengths)
    assert [block.number for block in cut] == list(range(len(cut)))
    assert [block.first for block in cut] == list(np.cumsum([0, *(b.users for b in cut[:-1])]))
    assert max(block.events for block in cut) < BLOCK_EVENTS + 65_536
    assert len(cut) > 10


def test_the_schema_is_the_one_promised(events: pa.Table) -> None:
    utc = pa.timestamp("us", "UTC")
    assert dict(zip(events.schema.names, events.schema.types, strict=True)) == {
        "user_id": pa.int64(),
        "event_ts": utc,
        "arrival_ts": utc,
        "item_id": pa.int64(),
        "action": pa.string(),
        "dwell": pa.float32(),
        "surface": pa.string(),
        "author_id": pa.int64(),
        "category": pa.int32(),
        "price": pa.float64(),
        "is_follow": pa.bool_(),
    }
    assert events.schema.equals(BLOCKY.event_schema)
    assert [events[name].null_count for name in ("user_id", "event_ts", "arrival_ts")] == [0, 0, 0]


def test_string_users_are_the_same_users() -> None:
    strings = Workload(users=60, mean_events=100, max_events=1000, requests=400, string_users=True)
    assert table(strings).schema.field("user_id").type == pa.string()
    named = [f"u{user:07d}" for user in table(SMALL)["user_id"].to_pylist()]
    assert table(strings)["user_id"].to_pylist() == named
    assert table(strings).drop_columns("user_id").equals(table(SMALL).drop_columns("user_id"))
    assert strings.requests_table().schema.field("user_id").type == pa.string()


def test_some_events_of_a_user_share_an_instant(events: pa.Table) -> None:
    keys = Counter(
        zip(*(events[name].to_pylist() for name in ("user_id", "event_ts")), strict=True)
    )
    assert 0.01 < 1 - len(keys) / events.num_rows < 0.04
    assert max(keys.values()) >= 3
    everything = table(Workload(users=2, mean_events=500, tie_share=1.0, requests=0))
    assert pc.count_distinct(everything["event_ts"]).as_py() < 250


def test_some_events_arrive_late_by_up_to_a_day(events: pa.Table) -> None:
    delay = pc.subtract(*(pc.cast(events[n], pa.int64()) for n in ("arrival_ts", "event_ts")))
    late = delay.filter(pc.greater(delay, 0))
    assert pc.min(delay).as_py() == 0
    assert 0.04 < len(late) / len(delay) < 0.06
    assert pc.approximate_median(late).as_py() < 10_000_000
    assert 3600_000_000 < pc.max(late).as_py() <= 86_400_000_000


def test_without_late_events_arrival_is_the_event_time() -> None:
    prompt = table(Workload(users=10, mean_events=100, late_share=0.0, requests=0))
    assert prompt["arrival_ts"].equals(prompt["event_ts"])


def test_nulls_are_where_they_mean_something_and_can_be_left_out(events: pa.Table) -> None:
    impression = pc.equal(events["action"], "impression")
    assert pc.is_null(events["dwell"]).equals(impression)
    assert 0.4 < events["price"].null_count / events.num_rows < 0.9
    plain = table(Workload(users=60, mean_events=100, max_events=1000, nulls=False))
    assert sum(column.null_count for column in plain.columns) == 0
    assert plain["item_id"].equals(table(SMALL)["item_id"])


def test_events_come_in_bursts_by_day_more_than_by_night(events: pa.Table) -> None:
    hours = Counter(pc.hour(events["event_ts"]).to_pylist())
    assert hours[21] > 3 * hours[4]
    keys = zip(*(events[name].to_pylist() for name in ("user_id", "event_ts")), strict=True)
    ordered = sorted(islice(keys, 50_000))
    near = sum(a[0] == b[0] and b[1] - a[1] < timedelta(minutes=1) for a, b in pairwise(ordered))
    assert near / len(ordered) > 0.8
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert pc.min(events["event_ts"]).as_py() >= start
    assert pc.max(events["event_ts"]).as_py() < start + timedelta(days=181)


def test_items_are_skewed_and_an_item_has_one_author_and_category(events: pa.Table) -> None:
    counts = sorted(Counter(events["item_id"].to_pylist()).values(), reverse=True)
    assert sum(counts[: len(counts) // 100]) > 0.2 * events.num_rows
    columns = ("item_id", "author_id", "category", "price")
    facts = set(zip(*(events[name].to_pylist() for name in columns), strict=True))
    assert len(facts) == len(counts)


def test_users_have_tastes_of_their_own(events: pa.Table) -> None:
    pairs = Counter(zip(*(events[n].to_pylist() for n in ("user_id", "category")), strict=True))
    users = Counter(events["user_id"].to_pylist())
    share = {pair: count / users[pair[0]] for pair, count in pairs.items() if pair[1] == 5}
    assert max(share.values()) > 4 * sorted(share.values())[len(share) // 4]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_appends_partition_the_events(n: int, events: pa.Table) -> None:
    deliveries = [reader.read_all() for reader in BLOCKY.appends(n)]
    assert len(deliveries) == n
    assert all(delivery.schema.equals(BLOCKY.event_schema) for delivery in deliveries)
    assert in_order(pa.concat_tables(deliveries)).equals(in_order(events))


def test_appends_are_cut_by_arrival_so_that_late_events_come_later() -> None:
    tardy = Workload(users=300, mean_events=500, late_share=0.5)
    deliveries = [reader.read_all() for reader in tardy.appends(6)]
    spans = [pc.min_max(delivery["arrival_ts"]).as_py() for delivery in deliveries]
    for earlier, later in pairwise(spans):
        assert earlier["max"] < later["min"]
    reached = [pc.max(delivery["event_ts"]).as_py() for delivery in deliveries]
    behind = [pc.min(delivery["event_ts"]).as_py() for delivery in deliveries]
    assert any(old < new for new, old in zip(reached, behind[1:], strict=False))


def test_one_append_is_all_events_in_their_order(events: pa.Table) -> None:
    (reader,) = BLOCKY.appends(1)
    assert reader.read_all().equals(events)


def test_users_are_mixed_inside_an_append() -> None:
    users = table(SMALL)["user_id"].to_pylist()
    changes = sum(a != b for a, b in pairwise(users))
    assert changes > 5 * SMALL.users


def test_requests_fall_in_the_last_days_and_follow_activity(events: pa.Table) -> None:
    asked = BLOCKY.requests_table()
    assert asked.schema.names == ["user_id", "request_ts", "label", "surface", "candidates"]
    assert asked.schema.field("label").type == pa.float32()
    assert asked.schema.field("candidates").type == pa.list_(pa.int64())
    start = datetime(2026, 1, 1, tzinfo=UTC)
    span = pc.min_max(asked["request_ts"]).as_py()
    assert start + timedelta(days=150) <= span["min"] < span["max"] < start + timedelta(days=180)
    assert asked["request_ts"].to_pylist() != sorted(asked["request_ts"].to_pylist())
    longest = Counter(events["user_id"].to_pylist()).most_common(1)[0][0]
    assert Counter(asked["user_id"].to_pylist()).most_common(1)[0][0] == longest


def test_requests_come_at_or_shortly_before_events_of_their_user(events: pa.Table) -> None:
    times: dict[int, list[datetime]] = {}
    for user, moment in zip(*(events[n].to_pylist() for n in ("user_id", "event_ts")), strict=True):
        times.setdefault(user, []).append(moment)
    columns = (BLOCKY.requests_table()[name].to_pylist() for name in ("user_id", "request_ts"))
    wait = [
        min((t - asked for t in times[user] if t >= asked), default=timedelta.max)
        for user, asked in islice(zip(*columns, strict=True), 300)
    ]
    assert sum(gap < timedelta(seconds=30) for gap in wait) > 0.9 * len(wait)
    assert 0.04 < sum(gap == timedelta(0) for gap in wait) / len(wait) < 0.2


def test_labels_depend_on_taste_and_candidates_are_items() -> None:
    asked = Workload(users=60, mean_events=100, max_events=1000, requests=5000).requests_table()
    assert set(asked["label"].to_pylist()) == {0.0, 1.0}
    assert 0.1 < pc.mean(asked["label"]).as_py() < 0.35
    assert set(pc.list_value_length(asked["candidates"]).to_pylist()) == {2, 3, 4, 5}
    items = pc.min_max(pc.list_flatten(asked["candidates"])).as_py()
    assert 1 <= items["min"] < items["max"] <= 200_000


def test_example_ids_are_there_when_asked_for() -> None:
    numbered = SMALL.requests_table(example_id=True)
    assert numbered["example_id"].to_pylist() == list(range(400))
    assert numbered.drop_columns("example_id").equals(SMALL.requests_table())


def test_there_may_be_no_requests() -> None:
    silent = Workload(users=5, mean_events=10, requests=0).requests_table()
    assert silent.num_rows == 0
    assert silent.schema.equals(SMALL.requests_table().schema)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"users": 0}, "users"),
        ({"mean_events": 100, "max_events": 99}, "max_events"),
        ({"request_days": 181}, "request_days"),
        ({"late_share": 1.5}, "late_share"),
        ({"seed": -1}, "seed"),
        ({"start": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        Workload(**fields)  # type: ignore[arg-type]


def test_no_append_is_refused() -> None:
    with pytest.raises(InputError, match="appends"):
        next(SMALL.appends(0))


def test_tables_give_every_outcome_its_share() -> None:
    codes = np.bincount(categorical([0.5, 0.25, 0.25]))
    assert codes.tolist() == [LEVELS // 2, LEVELS // 4, LEVELS // 4]
    positions = ramp([1, 3], 100)
    assert (positions < 100).sum() == LEVELS // 4
    assert (positions.min(), positions.max()) == (0, 199)
    assert (np.diff(positions) >= 0).all()


def test_zipf_ranks_have_their_weights() -> None:
    random = np.random.default_rng(0)
    draw = random.integers(0, LEVELS, size=(200_000, 2)).astype(np.uint16)
    ranks = Zipf(100, shift=1)(draw[:, 0], draw[:, 1])
    share = np.bincount(ranks, minlength=100) / len(ranks)
    weights = 1 / np.arange(1, 101)
    assert np.abs(share - weights / weights.sum()).max() < 0.005
    assert len(share) == 100

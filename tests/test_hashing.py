"""Buckets, fingerprints and digests: fixed for good, and sensitive to what they must tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import plain_hash
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from uih_lake import hashing
from uih_lake.lake.digest import running_digest

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def fingerprints(columns: Mapping[str, pa.Array]) -> list[int]:
    rows = len(next(iter(columns.values())))
    return hashing.fingerprint(columns.keys(), columns.values(), rows).to_pylist()


def fingerprint(**traits: pa.Array) -> int:
    (only,) = fingerprints(traits)
    return only


# Buckets


@pytest.mark.parametrize(
    ("user", "bucket_of_64", "bucket_of_1000"),
    [
        (0, 59, 579),
        (1, 21, 269),
        (-1, 9, 761),
        (42, 19, 587),
        (2**63 - 1, 12, 972),
        (-(2**63), 32, 848),
        ("a", 27, 955),
        ("u-000042", 35, 115),
        ("élodie 🙂", 11, 859),
        ("x" * 100, 20, 52),
    ],
)
def test_golden_buckets(user: int | str, bucket_of_64: int, bucket_of_1000: int) -> None:
    users = pa.array([user], pa.string() if isinstance(user, str) else pa.int64())
    assert hashing.bucket_of(users, 64).tolist() == [bucket_of_64]
    assert hashing.bucket_of(users, 1000).tolist() == [bucket_of_1000]


@given(st.lists(INT64), st.integers(1, 4096))
def test_bucket_of_an_integer_is_xxh64_of_its_eight_bytes(users: list[int], buckets: int) -> None:
    raw = [np.array([user], "<i8").tobytes() for user in users]
    expected = [xxhash.xxh64_intdigest(each) % buckets for each in raw]
    found = hashing.bucket_of(pa.array(users, pa.int64()), buckets)
    assert found.dtype == np.int32
    assert found.tolist() == expected


@given(st.lists(TEXT), st.integers(1, 4096))
def test_bucket_of_a_string_is_xxh64_of_its_utf8(users: list[str], buckets: int) -> None:
    expected = [xxhash.xxh64_intdigest(user.encode()) % buckets for user in users]
    assert hashing.bucket_of(pa.array(users, pa.string()), buckets).tolist() == expected


def test_a_slice_has_the_buckets_of_its_own_rows() -> None:
    for kind in (pa.int64(), pa.string()):
        users = pa.array([str(i) for i in range(100)]).cast(kind)
        whole = hashing.bucket_of(users, 64)
        assert hashing.bucket_of(users.slice(40, 7), 64).tolist() == whole[40:47].tolist()


def test_users_spread_over_the_buckets() -> None:
    counts = np.bincount(hashing.bucket_of(pa.array(range(64_000)), 64), minlength=64)
    assert counts.min() > 850
    assert counts.max() < 1150


# Fingerprints

SCALARS: dict[str, tuple[pa.DataType, Any, Any]] = {
    "int": (pa.int64(), -7, 8),
    "float": (pa.float64(), 0.1, math.inf),
    "flag": (pa.bool_(), True, False),
    "text": (pa.string(), "it's ü", ""),
    "when": (pa.timestamp("us", "UTC"), datetime(2026, 5, 1, tzinfo=UTC), datetime.max),
    "list": (pa.list_(pa.int32()), [1, 2], []),
    "texts": (pa.list_(pa.string()), ["a", None], ["a"]),
}


def test_golden_fingerprints() -> None:
    found = {
        name: fingerprints({name: pa.array([first, second, None], kind)})
        for name, (kind, first, second) in SCALARS.items()
    }
    nothing = 57888
    assert found == {
        "int": [64961, 43852, nothing],
        "float": [12879, 9622, nothing],
        "flag": [31797, 21518, nothing],
        "text": [62276, 6960, nothing],
        "when": [26967, 39180, nothing],
        "list": [28360, 49550, nothing],
        "texts": [24298, 63440, nothing],
    }


VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): INT64,
    pa.int8(): st.integers(-128, 127),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.string(): TEXT,
}
VALUES |= {
    pa.list_(kind): st.lists(st.none() | values, max_size=4)
    for kind, values in list(VALUES.items())
}


@st.composite
def trait_columns(draw: st.DrawFn) -> dict[str, pa.Array]:
    rows = draw(st.integers(0, 6))
    columns = {}
    for name in draw(st.lists(TEXT, unique=True, min_size=1, max_size=4)):
        kind = draw(st.sampled_from(list(VALUES)))
        values = draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
        columns[name] = pa.array(values, kind)
    return columns


@given(trait_columns())
def test_fingerprint_is_what_its_description_says(columns: dict[str, pa.Array]) -> None:
    rows = pa.table(columns).to_pylist()
    assert fingerprints(columns) == [plain_hash.fingerprint(row) for row in rows]


@given(trait_columns(), st.integers(0, 6), st.integers(0, 6))
def test_fingerprints_of_a_slice_are_a_slice(
    columns: dict[str, pa.Array], start: int, length: int
) -> None:
    part = {name: values.slice(start, length) for name, values in columns.items()}
    assert fingerprints(part) == fingerprints(columns)[start : start + length]


@given(trait_columns(), st.randoms())
def test_order_of_columns_is_irrelevant(columns: dict[str, pa.Array], random: Any) -> None:
    shuffled = list(columns.items())
    random.shuffle(shuffled)
    assert fingerprints(dict(shuffled)) == fingerprints(columns)


@given(trait_columns(), st.sampled_from(list(VALUES)))
def test_a_null_adds_nothing(columns: dict[str, pa.Array], kind: pa.DataType) -> None:
    rows = len(next(iter(columns.values())))
    wider = {**columns, "added later\0": pa.nulls(rows, kind)}
    assert fingerprints(wider) == fingerprints(columns)


def test_width_of_a_type_is_irrelevant() -> None:
    integers = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()]
    assert len({fingerprint(x=pa.array([100], kind)) for kind in integers}) == 1
    assert len({fingerprint(x=pa.array([-5], kind)) for kind in integers[:4]}) == 1
    floats = [pa.float32(), pa.float64()]
    assert len({fingerprint(x=pa.array([0.25], kind)) for kind in floats}) == 1
    assert len({fingerprint(x=pa.array([[1, None]], pa.list_(k))) for k in integers}) == 1


def test_order_and_place_in_a_list_matter() -> None:
    kind = pa.list_(pa.int64())
    lists = [[1, 2], [2, 1], [1, 2, None], [None, 1, 2], [1], [], [None], [0], [1, 1], [2, 2]]
    assert len({fingerprint(x=pa.array([each], kind)) for each in lists}) == len(lists)


def test_an_empty_list_is_not_a_null() -> None:
    kind = pa.list_(pa.string())
    assert fingerprint(x=pa.array([[]], kind)) != fingerprint(x=pa.array([None], kind))


def test_a_value_belongs_to_its_column() -> None:
    assert fingerprint(x=pa.array([1]), y=pa.array([2])) != fingerprint(
        x=pa.array([2]), y=pa.array([1])
    )


@given(st.lists(st.none() | TEXT))
def test_codes_have_the_fingerprint_of_their_strings(texts: list[str | None]) -> None:
    plain = pa.array(texts, pa.string())
    assert fingerprints({"x": plain.dictionary_encode()}) == fingerprints({"x": plain})


def test_every_nan_is_one_value() -> None:
    quiet, other = np.array([0x7FF8000000000000, 0xFFF8000000000123], np.uint64).view(np.float64)
    assert fingerprint(x=pa.array([quiet])) == fingerprint(x=pa.array([other]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("valid", [None, pa.py_buffer(bytes([0b10]))])
def test_a_signaling_nan_is_told_to_nobody(valid: pa.Buffer | None) -> None:
    signaling = pa.py_buffer(np.array([0x7F800001, 0x3F800000], np.uint32).tobytes())
    floats = pa.Array.from_buffers(pa.float32(), 2, [valid, signaling])
    plain = pa.array([math.nan if valid is None else None, 1.0], pa.float32())
    assert fingerprints({"x": floats}) == fingerprints({"x": plain})


def test_what_lies_under_a_null_does_not_count() -> None:
    mask = np.array([True, False])
    first = pa.array(np.array([1, 5]), mask=mask)
    second = pa.array(np.array([2, 5]), mask=mask)
    assert fingerprints({"x": first}) == fingerprints({"x": second})


# Digests

PARTS = ("event_ts", "delay", "lake_version", "tie", "fingerprint")


def digests(events: list[tuple[int, ...]]) -> list[int]:
    columns = np.array(events, np.int64).reshape(-1, len(PARTS)).T.copy()
    return np.diff(running_digest(*columns[:4], columns[4].astype(np.int32))).tolist()


def test_golden_digests() -> None:
    events = [
        (0, 0, 0, 0, 0),
        (1_700_000_000_000_000, 0, 0, 0, 57888),
        (1_700_000_000_000_000, 0, 0, 1, 57888),
        (-1, 86_400_000_000, 3, 2**20, 65535),
    ]
    assert digests(events) == [
        8695987549771912286,
        14574673805909305310,
        7787318304547871384,
        2460953302103673521,
    ]


EVENT = st.tuples(INT64, INT64, INT64, INT64, st.integers(0, 2**16 - 1))


@given(st.lists(EVENT))
def test_digest_is_what_its_description_says(events: list[tuple[int, ...]]) -> None:
    assert digests(events) == [plain_hash.event_digest(*event) for event in events]


@given(st.lists(EVENT, min_size=1), st.integers(0))
def test_digest_of_a_history_is_the_sum_of_its_parts(
    events: list[tuple[int, ...]], cut: int
) -> None:
    each = np.array(digests(events), np.uint64)
    cut %= len(events)
    parts = int(each[:cut].sum()) + int(each[cut:].sum())
    assert int(each.sum()) == parts % 2**64
    assert plain_hash.digest(map(int, each)) == int(each.sum().view(np.int64))


@given(EVENT, st.sampled_from(range(len(PARTS))), st.integers(1, 2**15))
def test_another_content_is_another_digest(event: tuple[int, ...], part: int, change: int) -> None:
    changed = list(event)
    changed[part] = (changed[part] + change) % 2**16 if part == 4 else changed[part] ^ change
    one, other = digests([event, tuple(changed)])
    assert one != other


def test_another_order_among_equal_times_is_another_digest() -> None:
    """Two events of one instant swap places: their ties swap, and the sum tells."""
    first, second = 11, 22
    one = sum(digests([(5, 0, 0, 0, first), (5, 0, 0, 1, second)]))
    other = sum(digests([(5, 0, 0, 0, second), (5, 0, 0, 1, first)]))
    assert one % 2**64 != other % 2**64

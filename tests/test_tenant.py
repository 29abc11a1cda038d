"""A tenant says what one model wants, refuses in one line what makes no sense, and stays put."""

from __future__ import annotations

import dataclasses
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uih_lake.errors import TenantError
from uih_lake.tenant import Group, Tenant
from uih_lake.tenant.duration import canonical, microseconds, spelled

RANKER = """
name = "ranker"
context = ["label", "surface"]

[groups.clicks]
traits  = ["item_id", "event_ts", "dwell"]
max_len = 4096
where   = "action = 'click'"
window  = "90d"
lag     = "30m"

[groups.recent_any]
traits  = ["item_id", "action"]
"""

EVENTS = pa.schema(
    [
        ("user_id", pa.int64()),
        ("event_ts", pa.timestamp("us", "UTC")),
        ("arrival_ts", pa.timestamp("us", "UTC")),
        ("lake_version", pa.int64()),
        ("seq", pa.int64()),
        ("item_id", pa.int64()),
        ("action", pa.string()),
        ("dwell", pa.float32()),
    ]
)
REQUESTS = pa.schema(
    [
        ("example_id", pa.int64()),
        ("user_id", pa.int64()),
        ("request_ts", pa.timestamp("us", "UTC")),
        ("lake_version", pa.int64()),
        ("label", pa.int8()),
        ("surface", pa.string()),
    ]
)
DAY = 86_400_000_000


def one_group(lines: str, name: str = "clicks", top: str = "") -> str:
    return f'name = "ranker"\n{top}\n[groups.{name}]\n{lines}'


def test_a_file_says_what_a_dataclass_says(tmp_path: Path) -> None:
    path = tmp_path / "ranker.toml"
    path.write_text(RANKER)
    tenant = Tenant.load(path)
    clicks = Group(
        traits=["item_id", "event_ts", "dwell"],
        max_len=4096,
        where="action = 'click'",
        window=timedelta(days=90),
        lag="1800s",
    )
    other = Group(traits=("item_id", "action"))
    same = Tenant(
        name="ranker", context=("label", "surface"), groups={"clicks": clicks, "recent_any": other}
    )
    assert tenant == same == Tenant.load(str(path))
    assert (clicks.window_us, clicks.lag_us) == (90 * DAY, 1_800_000_000)
    assert (other.max_len, other.where, other.window_us, other.lag_us) == (None, None, None, 0)
    assert tenant.context == ("label", "surface")
    assert list(tenant.groups) == ["clicks", "recent_any"]


def test_a_tenant_is_a_value() -> None:
    tenant = Tenant.from_toml(RANKER)
    again = Tenant.from_toml(RANKER)
    assert hash(tenant) == hash(again)
    assert {tenant: "found"}[again] == "found"
    assert pickle.loads(pickle.dumps(tenant)) == tenant
    assert dataclasses.replace(tenant, name="ranker") == tenant
    assert dataclasses.replace(tenant, name="other") != tenant
    with pytest.raises(dataclasses.FrozenInstanceError):
        tenant.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        tenant.groups["more"] = Group(traits=["item_id"])  # type: ignore[index]


def test_order_of_groups_and_traits_is_part_of_the_value() -> None:
    a, b = Group(traits=["item_id"]), Group(traits=["action"])
    forth = Tenant(name="t", groups={"a": a, "b": b})
    back = Tenant(name="t", groups={"b": b, "a": a})
    assert forth != back
    assert forth.fingerprint() != back.fingerprint()
    assert Group(traits=["item_id", "action"]) != Group(traits=["action", "item_id"])


def test_the_fingerprint_is_pinned() -> None:
    tenant = Tenant.from_toml(RANKER)
    assert tenant.fingerprint() == Tenant.from_toml(RANKER.replace("30m", "1800s")).fingerprint()
    assert tenant.fingerprint() == "3d4ce2ef2c6db9c4", "loaders could not resume with older states"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ranker"', '"ranker2"'),
        ('["label", "surface"]', '["label"]'),
        ("4096", "4095"),
        ("'click'", "'like'"),
        ('"90d"', '"91d"'),
        ('"30m"', '"31m"'),
        ("recent_any", "recent"),
        ('["item_id", "action"]', '["item_id"]'),
    ],
)
def test_every_part_counts(old: str, new: str) -> None:
    tenant, other = Tenant.from_toml(RANKER), Tenant.from_toml(RANKER.replace(old, new))
    assert tenant != other
    assert tenant.fingerprint() != other.fingerprint()


TRAITS = 'traits = ["item_id"]\n'
MALFORMED = {
    "no name": ("[groups.a]\n" + TRAITS, "key 'name' is missing"),
    "no groups": ('name = "ranker"', "tenant 'ranker': key 'groups' is missing"),
    "empty groups": ('name = "ranker"\ngroups = {}', "add at least one, as [groups.clicks]"),
    "unknown key": (
        one_group(TRAITS, top='contxt = ["label"]'),
        "tenant 'ranker': unknown key 'contxt'; did you mean 'context'? keys are name, groups",
    ),
    "unknown key of a group": (
        one_group(TRAITS + "max_length = 3"),
        "group 'clicks': unknown key 'max_length'; did you mean 'max_len'? keys are traits,",
    ),
    "misspelt traits": (one_group('trait = ["item_id"]'), "unknown key 'trait'; did you mean"),
    "no traits": (one_group("max_len = 3"), "group 'clicks': key 'traits' is missing"),
    "empty traits": (one_group("traits = []"), "name at least one event column"),
    "traits twice": (one_group('traits = ["a", "A"]'), "'A' is there twice (case does not count)"),
    "traits a text": (
        one_group('traits = "item_id"'),
        "group 'clicks': traits: write a list: [\"item_id\"]",
    ),
    "context a text": (
        one_group(TRAITS, top='context = "label"'),
        'context: write a list: ["label"]',
    ),
    "two problems": (one_group("trait = 1"), "window, lag (and 1 more problem)"),
    "three problems": (one_group("trait = 1\nlen = 1"), "window, lag (and 2 more problems)"),
    "traits of numbers": (one_group("traits = [1]"), "must be a valid string, not 1"),
    "max_len 0": (one_group(TRAITS + "max_len = 0"), "max_len: it must be greater than or equal"),
    "max_len a text": (one_group(TRAITS + 'max_len = "9"'), "max_len: it must be a valid integer"),
    "max_len true": (one_group(TRAITS + "max_len = true"), "max_len: it must be a valid integer"),
    "max_len huge": (one_group(TRAITS + "max_len = 9999999999999"), "max_len: it must be less"),
    "window negative": (one_group(TRAITS + 'window = "-3d"'), "'-3d' is negative"),
    "lag negative": (one_group(TRAITS + 'lag = "-1us"'), "lag: '-1us' is negative"),
    "window no longer than lag": (
        one_group(TRAITS + 'window = "1d"\nlag = "24h"'),
        "window 1d does not reach back beyond lag 1d",
    ),
    "window of nothing": (one_group(TRAITS + 'window = "0d"'), "window 0s does not reach back"),
    "window a number": (one_group(TRAITS + "window = 90"), "90 is not a duration; write a text"),
    "window of weeks": (one_group(TRAITS + 'window = "2w"'), "'2w' is not a duration; write a"),
    "window of a fraction": (one_group(TRAITS + 'window = "1.5h"'), "'1.5h' is not a duration"),
    "window for ever": (one_group(TRAITS + 'window = "9999999999d"'), "longer than 3652500d"),
    "where empty": (one_group(TRAITS + 'where = " "'), "where: it is empty; leave it out"),
    "where a number": (one_group(TRAITS + "where = 1"), "where: it must be a valid string, not 1"),
    "group called user_id": (one_group(TRAITS, "User_ID"), "a column of every example"),
    "group called like context": (
        one_group(TRAITS, "LABEL", 'context = ["label"]'),
        "'LABEL' has the name of a context column; call it something else, taken are example_id",
    ),
    "groups of one name": (
        one_group(TRAITS) + "[groups.Clicks]\n" + TRAITS,
        "'Clicks' has the name of group 'clicks'",
    ),
    "group with a dot": (one_group(TRAITS, '"a.b"'), "'a.b' is not a name; begin with one of"),
    "group without a name": (one_group(TRAITS, '""'), "'' is not a name"),
    "group no table": ('name = "ranker"\n[groups]\nclicks = 3', "group 'clicks': it must be"),
    "groups no table": ('name = "ranker"\ngroups = [1]', "groups: it must be"),
    "context twice": (one_group(TRAITS, top='context = ["a", "A"]'), "context: 'A' is there twice"),
    "context that travels anyway": (
        one_group(TRAITS, top='context = ["user_id"]'),
        "context: 'user_id' always travels along",
    ),
    "context of the pointer": (
        one_group(TRAITS, top='context = ["as_of_ts"]'),
        "context: 'as_of_ts' is part of the pointer",
    ),
    "name a path": ('name = "../x"\n[groups.a]\n' + TRAITS, "'../x' is not a name"),
    "name a number": ("name = 3\n[groups.a]\n" + TRAITS, "name: it must be a valid string"),
    "not TOML": ("name = ranker", "not TOML: "),
    "key twice": ('name = "a"\nname = "b"', "not TOML: "),
}


@pytest.mark.parametrize(("text", "says"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_makes_no_sense_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TenantError) as refused:
        Tenant.from_toml(text)
    assert says in str(refused.value)
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(TenantError) as refused:
        Tenant.load(path)
    assert str(refused.value).startswith(f"tenant file {path}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_toml_is_text() -> None:
    with pytest.raises(TenantError, match="not TOML: a bytes; give it as a string"):
        Tenant.from_toml(RANKER.encode())  # type: ignore[arg-type]


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ranker.toml"
    path.write_text(RANKER, encoding="utf-8-sig")
    assert path.read_bytes()[:3] == b"\xef\xbb\xbf"
    assert Tenant.load(path) == Tenant.from_toml(RANKER)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TenantError, match=r"tenant file .*none\.toml: No such file"):
        Tenant.load(tmp_path / "none.toml")
    with pytest.raises(TenantError, match="Is a directory"):
        Tenant.load(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(TenantError, match=r"latin\.toml: byte 8 is not UTF-8"):
        Tenant.load(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "key 'traits' is missing"),
        ({"traits": ["a"], "max_len": -1}, "max_len: it must be greater"),
        ({"traits": ["a"], "length": 3}, "unknown key 'length'"),
        ({"traits": ["a"], "lag": timedelta(days=-1)}, "lag: '-86400000000us' is negative"),
        ({"traits": ["a"], "window": 3.0}, "window: 3.0 is not a duration"),
        ({"traits": None}, "traits: "),
    ],
)
def test_a_group_in_python_is_held_to_the_same(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(TenantError) as refused:
        Group(**arguments)
    assert says in str(refused.value)


def test_arguments_by_place_are_named_too() -> None:
    with pytest.raises(TenantError, match="max_len: it must be"):
        Group(["item_id"], "3")  # type: ignore[arg-type]
    with pytest.raises(TenantError):
        Group(["item_id"], 3, "liked", "1d", "0s", 7)  # type: ignore[call-arg]


def test_a_group_given_as_a_table_inside_a_tenant_is_checked() -> None:
    tenant = Tenant(name="t", groups={"a": {"traits": ["item_id"], "lag": "60s"}})  # type: ignore[dict-item]
    assert tenant.groups["a"] == Group(traits=["item_id"], lag="1m")
    with pytest.raises(TenantError, match="tenant 't': group 'a': unknown key 'x'"):
        Tenant(name="t", groups={"a": {"traits": ["item_id"], "x": 1}})  # type: ignore[dict-item]


def test_a_tenant_that_fits_passes_the_check() -> None:
    Tenant.from_toml(RANKER).check(EVENTS, REQUESTS)
    keys = Group(traits=["seq", "lake_version", "arrival_ts", "user_id"], where="seq > 3")
    Tenant(name="t", groups={"a": keys}).check(EVENTS, REQUESTS)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"dwell"]',
            '"dwel"]',
            "tenant 'ranker': group 'clicks': trait 'dwel' does not exist; did you mean 'dwell'? "
            "columns are user_id, event_ts, arrival_ts, lake_version, seq, item_id, action, dwell",
        ),
        ('"dwell"]', '"Dwell"]', "trait 'Dwell' does not exist; did you mean 'dwell'?"),
        (
            '"surface"]',
            '"sufrace"]',
            "tenant 'ranker': context column 'sufrace' is in no request; did you mean 'surface'? "
            "columns are label, surface",
        ),
        (
            "action = 'click'",
            "aktion = 'click'",
            "tenant 'ranker': group 'clicks': where: condition [aktion = 'click']: "
            "column 'aktion' does not exist; did you mean 'action'?",
        ),
        (
            "action = 'click'",
            "label = 1",
            "column 'label' does not exist; it is a column of the requests, of which a loader's "
            "`where` may speak",
        ),
        ('"dwell"]', '"label"]', "trait 'label' does not exist; it is a column of the requests"),
        ('"surface"]', '"dwell"]', "is in no request; it is a column of the events: take it as a"),
        ("action = 'click'", "dwell", "it is FLOAT, not BOOLEAN"),
        ("action = 'click'", "item_id IN (SELECT 1)", "a subquery is not allowed"),
    ],
)
def test_what_is_not_there_is_named(old: str, new: str, says: str) -> None:
    assert old in RANKER
    with pytest.raises(TenantError) as refused:
        Tenant.from_toml(RANKER.replace(old, new)).check(EVENTS, REQUESTS)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "length", "spelling"),
    [
        ("90d", 90 * DAY, "90d"),
        ("24h", DAY, "1d"),
        ("90m", 5_400_000_000, "90m"),
        ("45s", 45_000_000, "45s"),
        ("500ms", 500_000, "500ms"),
        ("250us", 250, "250us"),
        (" 7 d ", 7 * DAY, "7d"),
        ("0d", 0, "0s"),
    ],
)
def test_durations(text: str, length: int, spelling: str) -> None:
    assert microseconds(text) == length
    assert canonical(text) == spelling


@given(st.integers(0, 3_652_500 * DAY))
def test_a_duration_is_read_back_as_spelled(length: int) -> None:
    assert microseconds(spelled(length)) == length
    assert canonical(spelled(length)) == spelled(length)
    assert canonical(timedelta(microseconds=length)) == spelled(length)

"""Small random histories that hit what is hard: ties, late arrivals, nulls, edges of requests.

A :class:`Story` is what happens to a lake, in order: appends, seals, compactions, logs. Times come
from a handful of instants, so that equal times and requests at the exact time of an event are the
rule; user ids from a handful of users, some of whom have no events.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import pyarrow as pa
from hypothesis import strategies as st
from oracle import Event, GroupSpec, UserId

from uih_lake import Group, Tenant

TIME = pa.timestamp("us", "UTC")
INT_USERS = (0, 1, -7, 2**63 - 1, -(2**63), 1_000_003)
STRING_USERS = ("a", "A", "it's", "ü🙂", "a\0b", '"x" OR 1=1 --')
GRID = 5
"""Steps between the first and the last instant that events and requests are drawn from."""
SIZES = (0, 1, 6, 15, 30)
"""Rows of an append. A list that grows by chance is short, and short histories have no ties."""

TRAITS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "item": (pa.int64(), st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)])),
    "action": (pa.string(), st.sampled_from(["click", "like", "", "ü'🙂", "a\0b"])),
    "flag": (pa.bool_(), st.booleans()),
    "dwell": (pa.float32(), st.sampled_from([0.0, -0.0, 0.5, float("nan"), float("inf"), 1e-40])),
    "price": (pa.float64(), st.sampled_from([0.1, -1e300, float("-inf")])),
    "small": (pa.int8(), st.integers(-128, 127)),
    "seen": (TIME, st.integers(-5, 5)),
    "tags": (pa.list_(pa.string()), st.lists(st.sampled_from(["x", "", "ü", None]), max_size=3)),
    "flags": (pa.list_(pa.bool_()), st.lists(st.booleans() | st.none(), max_size=3)),
    "vector": (pa.list_(pa.float32()), st.lists(st.sampled_from([0.0, 1.5, None]), max_size=3)),
}
KEYS = ("user_id", "event_ts", "arrival_ts", "lake_version")


def beyond(number: float | None, bound: float) -> bool:
    """Whether a number is larger than ``bound``; NaN is larger than all others, as in SQL."""
    return number is not None and (math.isnan(number) or number > bound)


CONDITIONS: dict[str | None, Callable[[Event], bool] | None] = {
    None: None,
    "action = 'click'": lambda e: e.traits["action"] == "click",
    "action <> 'click' or action is null": lambda e: e.traits["action"] != "click",
    "flag": lambda e: e.traits["flag"] is True,
    "not flag and item >= 0": lambda e: (
        e.traits["flag"] is False and (e.traits["item"] is not None and e.traits["item"] >= 0)
    ),
    "item in (1, 2, 3)": lambda e: e.traits["item"] in (1, 2, 3),
    "dwell > 0.25": lambda e: beyond(e.traits["dwell"], 0.25),
    "isnan(dwell)": lambda e: beyond(e.traits["dwell"], math.inf),
    "list_contains(tags, 'x')": lambda e: "x" in (e.traits["tags"] or ()),
    "arrival_ts > event_ts": lambda e: e.arrival_ts > e.event_ts,
    "lake_version >= 1": lambda e: e.lake_version >= 1,
    "action = 'nobody does this'": lambda e: False,
}
"""SQL condition of a group -> the same as a predicate; NULL is not kept."""


@dataclass(frozen=True)
class Append:
    """Rows in the order given, split into batches at ``cuts``."""

    rows: Sequence[dict[str, Any]]
    cuts: Sequence[int]


@dataclass(frozen=True)
class Log:
    """Requests: user, time and an ``as_of_ts`` of their own (None where they bring none)."""

    requests: Sequence[tuple[UserId, int, int | None]]
    live: bool


Step = Append | Log | Literal["seal", "compact", "reopen"]


@dataclass(frozen=True)
class Story:
    """What happens to one lake, and how it is read in the end."""

    user_type: pa.DataType
    buckets: int
    steps: Sequence[Step]
    groups: dict[str, GroupSpec]
    tenant: Tenant


def examples(count: int) -> int:
    """Examples a property over whole lakes is run on: more where there is time."""
    return count * 25 if os.environ.get("UIH_SOAK") == "1" else count


def exactly(size: int, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists of one size."""
    return st.lists(values, min_size=size, max_size=size)


def instants(origin: int, unit: int) -> st.SearchStrategy[int]:
    """A few instants around ``origin``, ``unit`` microseconds apart, some a microsecond off."""
    return st.builds(
        lambda place, off: origin + place * unit + off,
        st.integers(0, GRID),
        st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1]),
    )


@st.composite
def appends(
    draw: st.DrawFn, users: st.SearchStrategy[UserId], times: st.SearchStrategy[int], unit: int
) -> Append:
    """One append."""
    delays = st.sampled_from([0, 0, 0, 1, unit, unit, 3 * unit, 40 * unit, -unit])
    size = draw(st.sampled_from(SIZES))
    keys = draw(exactly(size, st.tuples(users, times, delays)))
    columns = {name: draw(exactly(size, st.none() | kind[1])) for name, kind in TRAITS.items()}
    rows = [
        {"user_id": user, "event_ts": time, "arrival_ts": time + delay}
        | {name: values[place] for name, values in columns.items()}
        for place, (user, time, delay) in enumerate(keys)
    ]
    return Append(rows, draw(st.lists(st.integers(0, len(rows)), max_size=3).map(sorted)))


@st.composite
def logs(draw: st.DrawFn, users: st.SearchStrategy[UserId], times: st.SearchStrategy[int]) -> Log:
    """One log."""
    size = draw(st.sampled_from([1, 4, 12]))
    as_of = st.none() | times
    return Log(draw(exactly(size, st.tuples(users, times, as_of))), draw(st.booleans()))


@st.composite
def group_pairs(draw: st.DrawFn, unit: int) -> tuple[Group, GroupSpec]:
    """A feature group and the oracle's view of it."""
    names = st.sampled_from([*TRAITS, *KEYS])
    traits = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    max_len = draw(st.none() | st.sampled_from([1, 2, 3, 8, 1000]))
    where = draw(st.sampled_from([*CONDITIONS, *[None] * len(CONDITIONS)]))
    lag = draw(st.sampled_from([0, 0, 1, unit, 3 * unit]))
    window = draw(st.sampled_from([None, None, 1, unit, 4 * unit, 100 * unit]))
    if window is not None and window <= lag:
        window = lag + 1
    group = Group(traits, max_len, where, None if window is None else f"{window}us", f"{lag}us")
    return group, GroupSpec(traits, max_len, CONDITIONS[where], window, lag)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A lake's life: at least one append and one log."""
    kind = draw(st.sampled_from([pa.int64(), pa.string()]))
    everybody = INT_USERS if kind == pa.int64() else STRING_USERS
    active = draw(st.lists(st.sampled_from(everybody), min_size=1, max_size=3, unique=True))
    users = st.sampled_from(active)
    unit = draw(st.sampled_from([2, 60_000_000]))
    origin = draw(st.sampled_from([1_767_225_600_000_000, 0, -62_135_596_000_000_000]))
    times = instants(origin, unit)
    append = appends(users, times, unit)
    log = logs(st.sampled_from([*active, *active, *everybody]), times)
    step = append | append | log | st.sampled_from(["seal", "seal", "compact", "reopen"])
    between = draw(st.sampled_from([0, 2, 5]))
    steps = [draw(append), *draw(exactly(between, step)), draw(log)]
    # Groups of one condition share a scan, so there are often several.
    pairs = draw(exactly(draw(st.sampled_from([1, 3])), group_pairs(unit)))
    named = {f"g{number}": pair for number, pair in enumerate(pairs)}
    return Story(
        kind,
        draw(st.sampled_from([1, 2, 5])),
        steps,
        {name: spec for name, (_, spec) in named.items()},
        Tenant("t", {name: group for name, (group, _) in named.items()}, ["label"]),
    )


def event_table(append: Append, user_type: pa.DataType) -> pa.Table:
    """The append as Arrow, in batches as it says."""
    columns = {"user_id": user_type, "event_ts": TIME, "arrival_ts": TIME}
    columns |= {name: kind for name, (kind, _) in TRAITS.items()}
    whole = pa.table({n: pa.array([r[n] for r in append.rows], k) for n, k in columns.items()})
    edges = [0, *append.cuts, whole.num_rows]
    parts = [whole.slice(a, b - a) for a, b in pairwise(edges)]
    return pa.concat_tables([whole.slice(0, 0), *parts])

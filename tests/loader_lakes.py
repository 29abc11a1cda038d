"""Lakes for the tests of the loader, and batches turned back into plain rows to compare."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from torch import Tensor

from uih_lake import Group, Lake, Tenant
from uih_lake.loader import Batch, Jagged, Nested, Shared

TIME = pa.timestamp("us", "UTC")
DAY = 86_400_000_000
EVENTS = pa.schema(
    [
        ("user_id", pa.int64()),
        ("event_ts", TIME),
        ("arrival_ts", TIME),
        ("item", pa.int64()),
        ("action", pa.string()),
        ("dwell", pa.float32()),
        ("price", pa.float64()),
        ("flag", pa.bool_()),
        ("small", pa.int8()),
        ("seen", TIME),
        ("tags", pa.list_(pa.string())),
        ("vector", pa.list_(pa.float32())),
    ]
)
TENANT = Tenant(
    "ranker",
    {
        "clicks": Group(
            ["item", "event_ts", "action", "dwell"], max_len=9, where="action = 'click'"
        ),
        "recent": Group(["tags", "flag", "item", "small", "vector", "price", "seen"], max_len=20),
        "week": Group(["item", "arrival_ts"], window="7d", lag="1h"),
    },
    context=["label", "surface", "candidates", "asked"],
)
NUMBERS = Tenant("numbers", {"all": Group(["item", "event_ts", "price", "flag"])}, ["label"])
SHORT = Tenant("short", {"clicks": Group(["item"], max_len=3, where="action = 'click'")}, ["label"])


def events(rng: random.Random, users: list[Any], rows: int) -> pa.Table:
    """Random events with late arrivals, ties and nulls everywhere."""

    def some(value: Any) -> Any:
        return value if rng.random() < 0.9 else None

    made = []
    for _ in range(rows):
        happened = rng.randrange(30 * DAY) // 1_000_000 * 1_000_000
        made.append(
            {
                "user_id": users[min(int(rng.expovariate(0.15)), len(users) - 1)],
                "event_ts": happened,
                "arrival_ts": happened + (rng.randrange(2 * DAY) if rng.random() < 0.1 else 0),
                "item": some(rng.randrange(1000)),
                "action": some(rng.choice(["click", "click", "like", "", "ü'"])),
                "dwell": some(rng.choice([0.5, -0.0, float("nan"), 3.25])),
                "price": some(rng.random()),
                "flag": some(rng.random() < 0.5),
                "small": some(rng.randrange(-128, 128)),
                "seen": some(rng.randrange(DAY)),
                "tags": some([some(rng.choice("abc")) for _ in range(rng.randrange(4))]),
                "vector": some([some(rng.random()) for _ in range(rng.randrange(3))]),
            }
        )
    schema = EVENTS.set(0, pa.field("user_id", _type(users)))
    return pa.Table.from_pylist(made, schema)


def requests(rng: random.Random, users: list[Any], rows: int, first: int) -> pa.Table:
    """Random requests of the last ten days; one in twenty of a user nobody has seen."""
    made = []
    for number in range(rows):
        user = users[rng.randrange(len(users))]
        if rng.random() < 0.05:
            user = "nobody" if isinstance(user, str) else -1
        made.append(
            {
                "example_id": first + number,
                "user_id": user,
                "request_ts": rng.randrange(20 * DAY, 31 * DAY),
                "label": rng.choice([0.0, 1.0, None]),
                "surface": rng.choice(["home", "search", None]),
                "candidates": rng.choice([None, [], [1], [2, None, 3]]),
                "asked": rng.choice([None, 7]),
            }
        )
    schema = pa.schema(
        [
            ("example_id", pa.int64()),
            ("user_id", _type(users)),
            ("request_ts", TIME),
            ("label", pa.float32()),
            ("surface", pa.string()),
            ("candidates", pa.list_(pa.int64())),
            ("asked", TIME),
        ]
    )
    return pa.Table.from_pylist(made, schema)


def build(path: Path, *, seed: int = 0, text_users: bool = False, dirty: bool = True) -> Lake:
    """A lake of 3 buckets; where ``dirty``, with two sealed runs and a tail, else with one run."""
    rng = random.Random(seed)
    users: list[Any] = [f"u{n}" if text_users else n for n in range(24)]
    lake = Lake.create(path, buckets=3)
    lake.append(events(rng, users, 500))
    lake.log(requests(rng, users, 40, 0))
    lake.seal()
    lake.append(events(rng, users, 400))
    lake.seal()
    lake.append(events(rng, users, 100))
    lake.log(requests(rng, users, 70, 40), live=True)
    lake.log(requests(rng, users, 30, 110))
    if not dirty:
        lake.seal()
        lake.compact()
    return lake


def _type(users: list[Any]) -> pa.DataType:
    return pa.string() if isinstance(users[0], str) else pa.int64()


Rows = dict[Any, dict[str, Any]]


def reference(lake: Lake, tenant: Tenant, **options: Any) -> Rows:
    """What :meth:`Lake.materialize` says, by example: times as integers, inner nulls as 0."""
    found: Rows = {}
    for batch in lake.materialize(tenant, **options):
        for row in _numbers(pa.Table.from_batches([batch])).to_pylist():
            found[row["example_id"]] = {name: _plain(value) for name, value in row.items()}
    return found


def _numbers(table: pa.Table) -> pa.Table:
    """Times as int64."""

    def kind(of: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(of):
            return pa.int64()
        if pa.types.is_list(of):
            return pa.list_(kind(of.value_type))
        if pa.types.is_struct(of):
            return pa.struct([pa.field(f.name, kind(f.type)) for f in of])
        return of

    return table.cast(pa.schema([pa.field(f.name, kind(f.type)) for f in table.schema]))


def _plain(value: Any) -> Any:
    """NaN as text, so that it equals itself."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return "nan" if isinstance(value, float) and value != value else value


def rows(batches: Iterable[Batch]) -> Rows:
    """Batches as plain rows by example; made with masks, so that nulls can be told."""
    found: Rows = {}
    for batch in batches:
        for row in rows_of(batch):
            assert row["example_id"] not in found, "an example came twice"
            found[row["example_id"]] = row
    return found


def ids(batch: Batch) -> list[Any]:
    """Ids of the examples that are no padding."""
    listed = batch.example_id if isinstance(batch.example_id, list) else batch.example_id.tolist()
    return listed[: len(batch) - batch.padding]


def frozen(batch: Batch) -> tuple[Any, ...]:
    """Everything a batch holds, bit for bit, to be compared with another."""
    listed = [ids for ids in (batch.example_id, batch.user_id) if isinstance(ids, list)]
    bits = [(str(t.dtype), tuple(t.shape), t.numpy().tobytes()) for t in batch.tensors()]
    return batch.padding, listed, bits


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """One batch as plain rows."""
    users = batch.user_id if isinstance(batch.user_id, list) else batch.user_id.tolist()
    times, masks = batch.request_ts.tolist(), batch.context_masks or {}
    context = {
        name: _listed(values, masks.get(name), batch.dictionaries.get(name))
        for name, values in batch.context.items()
    }
    groups = {name: _sequences(group) for name, group in batch.groups.items()}
    return [
        {"example_id": example, "user_id": users[place], "request_ts": times[place]}
        | {name: values[place] for name, values in context.items()}
        | {name: sequences[place] for name, sequences in groups.items()}
        for place, example in enumerate(ids(batch))
    ]


def _sequences(group: Jagged | Shared) -> list[dict[str, list[Any]]]:
    """Of each example, what it has of each trait."""
    flat = group.expand() if isinstance(group, Shared) else group
    masks = flat.masks or {}
    traits = {
        trait: _listed(values, masks.get(trait), flat.dictionaries.get(trait))
        for trait, values in flat.values.items()
    }
    return [
        {trait: values[start:stop] for trait, values in traits.items()}
        for start, stop in pairwise(flat.offsets.tolist())
    ]


def _listed(values: Tensor | Nested, mask: Tensor | None, words: Any) -> list[Any]:
    """Plain values; None where the mask, or the code of a string, says so."""
    if isinstance(values, Nested):
        inner, offsets = _listed(values.values, None, words), values.offsets.tolist()
        found: list[Any] = [inner[start:stop] for start, stop in pairwise(offsets)]
    else:
        word = None if words is None else list(words)
        found = [_plain(v if word is None else word[v]) for v in values.tolist()]
    if mask is None:
        return found
    return [value if has else None for value, has in zip(found, mask.tolist(), strict=True)]


def filled(found: Rows) -> Rows:
    """Nulls inside lists as 0, which is what they are filled with; strings keep None (code 0)."""
    for row in found.values():
        for name in ("tags", "vector"):
            for group in row.values():
                if isinstance(group, dict) and name == "vector" and name in group:
                    group[name] = [_zeros(v) for v in group[name]]
        if "candidates" in row:
            row["candidates"] = _zeros(row["candidates"])
    return found


def _zeros(values: list[Any] | None) -> list[Any] | None:
    return None if values is None else [0 if v is None else v for v in values]

"""What a lake must be, given the model: its events, its examples, and its files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from oracle import Event, GroupSpec, History, values
from test_equality import micros, plain, same

from durability.model import Logged, Model
from uih_lake import Group, Lake, Tenant
from uih_lake.pointers.policy import Counts
from uih_lake.session import cursor, fetch

STEP = 6 * 3_600_000_000
"""Six hours, in microseconds: instants are that far apart."""
GROUPS = {
    "all": GroupSpec(("item", "action", "event_ts", "arrival_ts", "lake_version")),
    "last": GroupSpec(("item",), max_len=3),
    "clicks": GroupSpec(
        ("event_ts", "item"), 5, lambda e: e.traits["action"] == "click", 5 * STEP, STEP
    ),
}
TENANT_GROUPS = {
    "all": Group(GROUPS["all"].traits),
    "last": Group(["item"], 3),
    "clicks": Group(["event_ts", "item"], 5, "action = 'click'", f"{5 * STEP}us", f"{STEP}us"),
}


def tenant(model: Model) -> Tenant:
    """The groups, and one more of the traits that came later."""
    groups = dict(TENANT_GROUPS)
    if model.traits:
        groups["added"] = Group(tuple(model.traits))
    return Tenant("t", groups, ["label"] if model.next_id else [])


def compare(lake: Lake, model: Model, history: History, examples: dict[int, Logged]) -> None:
    """The lake holds exactly these events and examples, and rebuilds every one of them."""
    if model.version >= 0:
        assert stored_events(lake, model.traits) == expected_events(history, model.traits)
    if not model.examples or model.version < 0:
        return
    counts = Counts()
    rebuilt = lake.materialize(tenant(model), on_mismatch="keep", counts=counts).read_all()
    assert counts.as_dict() == model.counts(examples)
    ids = rebuilt["example_id"].to_pylist()
    assert sorted(ids) == sorted(examples)
    groups = GROUPS | ({"added": GroupSpec(tuple(model.traits))} if model.traits else {})
    for name, group in groups.items():
        column = rebuilt[name].combine_chunks()
        for trait in group.traits:
            for number, found in zip(ids, plain(column.field(trait)), strict=True):
                pointer = examples[number].pointer
                wanted = values(history.sequence(pointer, group), trait)
                assert same(found, wanted), f"{pointer}: {name}.{trait}"


def stored_events(lake: Lake, traits: list[str]) -> list[tuple[Any, ...]]:
    """All events the lake shows, in the order of sequences; times as microseconds.

    By the statement that the view ``events`` is made of: a session for ad hoc SQL takes ten times
    as long as the query, and tests/test_sql_answers.py asks the view.
    """
    snapshot = lake._snapshot()
    query = f"""
        SELECT * EXCLUDE (seq) FROM ({snapshot.events()})
        WHERE lake_version <= {snapshot.lake_version} ORDER BY user_id, event_ts, seq
    """
    with cursor() as duck:
        table = fetch(duck, query)
    names = ["user_id", "event_ts", "arrival_ts", "lake_version", "item", "action", *traits]
    columns = [table[n].cast(pa.int64()) if n.endswith("_ts") else table[n] for n in names]
    return list(zip(*map(listed, columns), strict=True))


def listed(column: pa.ChunkedArray) -> list[Any]:
    return [repr(value) for value in column.to_pylist()]


def expected_events(history: History, traits: list[str]) -> list[tuple[Any, ...]]:
    def key(event: Event) -> tuple[Any, ...]:
        user = event.user_id.encode() if isinstance(event.user_id, str) else event.user_id
        return user, event.event_ts, event.lake_version, event.row

    return [
        tuple(
            repr(value)
            for value in (
                *(e.user_id, e.event_ts, e.arrival_ts, e.lake_version),
                *(e.traits[name] for name in ("item", "action", *traits)),
            )
        )
        for e in sorted(history.events, key=key)
    ]


def proofs(found: pa.Table) -> dict[int, tuple[Any, ...]]:
    """What the returned pointers say, by example id."""
    columns = [micros(found["start_ts"]), micros(found["end_ts"])]
    columns += [found["length"].to_pylist(), found["digest"].to_pylist()]
    return dict(zip(found["example_id"].to_pylist(), zip(*columns, strict=True), strict=True))


def data_files(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*.parquet") if path.parent.name != "_delta_log"}


def live_files(root: Path) -> set[str]:
    tables = (path.parent for path in root.glob("*/_delta_log"))
    return {str(Path(t, file)) for t in tables for file in DeltaTable(t).file_uris()}

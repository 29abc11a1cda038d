"""Processes at work on one lake at the same time: writers, a keeper and readers.

Each function runs in a process of its own and returns what it saw, for the test to judge.
"""

from __future__ import annotations

from multiprocessing.synchronize import Barrier, Event
from typing import Any

import pyarrow as pa

from durability import checks
from durability.deeds import TIME, event_table
from uih_lake import Group, Lake, Tenant

USERS = 5
ROWS = 7
"""Events per append; a lake version with fewer is half of one."""
REQUESTS = 3
TENANT = Tenant("t", {"all": Group(checks.GROUPS["all"].traits), "last": Group(["item"], 3)})
_start: Barrier
_over: Event


def meet(start: Barrier, over: Event) -> None:
    """What every process of the crowd begins with."""
    global _start, _over
    _start, _over = start, over


def rows(writer: int, number: int) -> list[dict[str, Any]]:
    """The events of one append; items are unique over all writers."""
    first = (writer * 1000 + number) * ROWS
    return [
        {
            "user_id": (writer + n) % USERS,
            "event_ts": (number + n // 3) * 10,
            "arrival_ts": (number + n // 3) * 10 + (n == 4) * 25,
            "item": first + n,
            "action": None if n % 2 else "click",
        }
        for n in range(ROWS)
    ]


def requests(writer: int, number: int) -> list[tuple[int, int, None]]:
    return [((writer + 2 * n) % USERS, (number + n) * 10 + 1, None) for n in range(REQUESTS)]


def write(path: str, writer: int, rounds: int) -> tuple[list[int], list[tuple[int, list[int]]]]:
    """Append and log in turn; lake versions, and per log the version pinned and the ids."""
    lake = Lake.open(path)
    versions, logged = [], []
    _start.wait()
    for number in range(rounds):
        versions.append(lake.append(event_table(rows(writer, number)), key=f"{writer}.{number}"))
        table = request_table(requests(writer, number))
        pointers = lake.log(table, live=number % 2 == 0)
        (pinned,) = set(pointers["lake_version"].to_pylist())
        logged.append((pinned, pointers["example_id"].to_pylist()))
    return versions, logged


def keep(path: str) -> list[int]:
    """Seal and compact until the writers are done; the generations."""
    lake = Lake.open(path)
    generations = []
    _start.wait()
    while not _over.is_set():
        generations += [lake.seal(), lake.compact()]
    return generations


def read(path: str) -> list[list[tuple[int, int, int]]]:
    """Look at the lake until the writers are done: per look, events and items by lake version.

    Each look also rebuilds all examples, which proves every pointer or raises.
    """
    looks = []
    _start.wait()
    while not _over.is_set():
        lake = Lake.open(path)
        looks.append(look(lake))
        lake.materialize(TENANT).read_all()
    return looks


def look(lake: Lake) -> list[tuple[int, int, int]]:
    query = "SELECT lake_version, count(*), count(DISTINCT item) FROM events GROUP BY 1 ORDER BY 1"
    return lake.sql(query).fetchall()


def request_table(asked: list[tuple[int, int, None]]) -> pa.Table:
    users, times, _ = zip(*asked, strict=True)
    return pa.table(
        {"user_id": pa.array(users), "request_ts": pa.array(times, TIME), "label": [0] * len(users)}
    )

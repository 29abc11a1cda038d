"""What a child does to a lake, and what that does to the model: the same deed from the same number.

A deed is a verb and a number. The number decides all its data, so that a journal of verbs and
numbers is enough to know what the lake must hold, and any deed can be done again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from durability.checks import STEP, TENANT_GROUPS
from durability.model import Model
from uih_lake import Lake, Tenant, output

VERBS = (
    *("append", "log", "seal", "append", "log", "compact", "append", "vacuum"),
    *("forget", "append", "seal", "log", "retain", "materialize", "create", "append", "log"),
)
"""In this order, again and again: each verb finds work that those before it have left."""
START = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = int(START.timestamp()) * 1_000_000
TIME = pa.timestamp("us", "UTC")
TENANT = Tenant("t", TENANT_GROUPS)
USERS = 6
IDS = 100
"""Example ids a deed has to itself: those of deed n are from IDS * n on."""


@dataclass(frozen=True)
class Deed:
    """Something to do, or done."""

    verb: str
    number: int

    @classmethod
    def of(cls, number: int) -> Deed:
        return cls(VERBS[number % len(VERBS)], number)

    @property
    def key(self) -> str:
        return f"deed {self.number}"

    @property
    def first_id(self) -> int:
        return IDS * self.number

    @property
    def live(self) -> bool:
        return self.number % 2 == 0

    @property
    def forgotten(self) -> set[int]:
        return {self.number % USERS}

    @property
    def window(self) -> datetime:
        """Start of the retention window: it follows the deeds slowly."""
        return START + timedelta(microseconds=STEP) * (self.number // 40)

    def events(self) -> list[dict[str, Any]]:
        draw = random.Random(self.number)
        rows = []
        for item in range(draw.randint(1, 8)):
            happened = ORIGIN + STEP * (self.number // 40 + draw.randint(-1, 4))
            late = draw.choice([0, 0, STEP])
            rows.append(
                {
                    "user_id": draw.randrange(USERS),
                    "event_ts": happened,
                    "arrival_ts": happened + late,
                    "item": self.number * 10 + item,
                    "action": draw.choice(["click", "like", None]),
                }
            )
        return rows

    def requests(self) -> list[tuple[int, int, int | None]]:
        draw = random.Random(-self.number)
        return [
            (draw.randrange(USERS), ORIGIN + STEP * (self.number // 40 + draw.randint(0, 5)), None)
            for _ in range(draw.randint(1, 5))
        ]


def do(deed: Deed, lake: Lake, folder: Path) -> Any:
    """Do it to the lake; ``folder`` is where outputs and new lakes go."""
    match deed.verb:
        case "append":
            return lake.append(event_table(deed.events()), key=deed.key)
        case "log":
            return lake.log(_request_table(deed), live=deed.live).num_rows
        case "vacuum":
            return len(lake.vacuum(retain_hours=0))
        case "forget":
            return sum(lake.forget(sorted(deed.forgotten)).values())
        case "retain":
            now = deed.window + timedelta(days=1)
            return sum(lake.retain(days=1, now=now).values())
        case "materialize":
            reader = lake.materialize(TENANT, on_mismatch="keep")
            return output.write(reader, folder / "out", overwrite=True, lake=lake.path).rows
        case "create":
            return Lake.create(folder / f"lake{deed.number}", buckets=2).version
    return getattr(lake, deed.verb)()


def done(deed: Deed, model: Model) -> None:
    """Do it to the model."""
    match deed.verb:
        case "append":
            model.append(deed.events(), deed.key)
        case "log":
            model.log(deed.requests(), deed.live, deed.first_id)
        case "forget":
            model.forget(deed.forgotten)
        case "retain":
            model.retain(int(deed.window.timestamp()) * 1_000_000)


def event_table(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = {"user_id": pa.int64(), "event_ts": TIME, "arrival_ts": TIME}
    kinds |= {"item": pa.int64(), "action": pa.string()}
    return pa.table({n: pa.array([row[n] for row in rows], kind) for n, kind in kinds.items()})


def _request_table(deed: Deed) -> pa.Table:
    users, times, _ = zip(*deed.requests(), strict=True)
    ids = pa.array(range(deed.first_id, deed.first_id + len(users)))
    return pa.table(
        {
            "example_id": ids,
            "user_id": pa.array(users, pa.int64()),
            "request_ts": pa.array(times, TIME),
            "label": ids,
        }
    )

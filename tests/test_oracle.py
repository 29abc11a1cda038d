"""The oracle against answers worked out by hand."""

from __future__ import annotations

import ast
import sys
from datetime import UTC, datetime
from pathlib import Path

import oracle
import pyarrow as pa
import pytest
from oracle import GroupSpec, History, Pointer, sequence, values, visible


def rows(*triples: tuple[object, ...]) -> list[dict[str, object]]:
    """Rows of (user, event_ts, item[, arrival_ts])."""
    return [
        {"user_id": user, "event_ts": ts, "item": item}
        | ({"arrival_ts": rest[0]} if rest else {"arrival_ts": ts})
        for user, ts, item, *rest in triples
    ]


def items(history: History, pointer: Pointer, **group: object) -> list[object]:
    return values(history.sequence(pointer, GroupSpec(["item"], **group)), "item")  # type: ignore[arg-type]


@pytest.fixture
def history() -> History:
    """Three appends: ties within and across them, and one event that comes late."""
    built = History()
    assert built.append(rows((1, 30, "c"), (1, 10, "a"), (2, 10, "z"), (1, 30, "d"))) == 0
    assert built.append(rows((1, 20, "b", 55), (1, 30, "e"), (1, 40, "f"))) == 1
    assert built.append(rows((1, 10, "a2", 60), (1, 50, "g"))) == 2
    return built


def test_an_event_at_the_instant_of_the_request_is_not_visible(history: History) -> None:
    assert items(history, Pointer(1, 30, None, 2)) == ["a", "a2", "b"]
    assert items(history, Pointer(1, 31, None, 2)) == ["a", "a2", "b", "c", "d", "e"]
    assert items(history, Pointer(1, 10, None, 2)) == []


def test_equal_times_come_in_order_of_append_then_row() -> None:
    built = History()
    built.append(rows((1, 5, "first"), (1, 5, "second"), (1, 4, "older")))
    built.append(rows((1, 5, "third"), (1, 5, "fourth")))
    assert items(built, Pointer(1, 6, None, 1)) == ["older", "first", "second", "third", "fourth"]


def test_the_order_of_the_events_given_does_not_matter(history: History) -> None:
    pointer = Pointer(1, 100, None, 2)
    expected = ["a", "a2", "b", "c", "d", "e", "f", "g"]
    assert values(visible(history.events, pointer), "item") == expected
    assert values(visible(reversed(history.events), pointer), "item") == expected


def test_a_late_arrival_is_visible_from_its_arrival_on(history: History) -> None:
    assert items(history, Pointer(1, 45, 54, 2)) == ["a", "c", "d", "e", "f"]
    assert items(history, Pointer(1, 45, 55, 2)) == ["a", "b", "c", "d", "e", "f"]
    assert items(history, Pointer(1, 45, 60, 2)) == ["a", "a2", "b", "c", "d", "e", "f"]


def test_an_unbounded_as_of_sees_every_arrival(history: History) -> None:
    assert items(history, Pointer(1, 21, None, 2)) == ["a", "a2", "b"]


def test_a_later_lake_version_is_not_visible(history: History) -> None:
    assert items(history, Pointer(1, 100, None, 0)) == ["a", "c", "d"]
    assert items(history, Pointer(1, 100, None, 1)) == ["a", "b", "c", "d", "e", "f"]
    assert items(history, Pointer(1, 100, None, -1)) == []


def test_the_window_keeps_its_older_edge(history: History) -> None:
    pointer = Pointer(1, 50, None, 2)
    assert items(history, pointer, window_us=20) == ["c", "d", "e", "f"]
    assert items(history, pointer, window_us=19) == ["f"]
    assert items(history, pointer, window_us=10) == ["f"]
    assert items(history, pointer, window_us=0) == []


def test_the_lag_drops_its_edge(history: History) -> None:
    pointer = Pointer(1, 50, None, 2)
    assert items(history, pointer, lag_us=9) == ["a", "a2", "b", "c", "d", "e", "f"]
    assert items(history, pointer, lag_us=10) == ["a", "a2", "b", "c", "d", "e"]
    assert items(history, pointer, window_us=30, lag_us=20) == ["b"]


def test_max_len_keeps_the_newest_in_order(history: History) -> None:
    pointer = Pointer(1, 100, None, 2)
    assert items(history, pointer, max_len=3) == ["e", "f", "g"]
    assert items(history, pointer, max_len=1) == ["g"]
    assert items(history, pointer, max_len=0) == []
    assert items(history, pointer, max_len=99) == ["a", "a2", "b", "c", "d", "e", "f", "g"]


def test_max_len_cuts_a_tie_by_order_of_arrival(history: History) -> None:
    assert items(history, Pointer(1, 31, None, 2), max_len=2) == ["d", "e"]


def test_the_condition_comes_before_max_len(history: History) -> None:
    pointer = Pointer(1, 100, None, 2)
    kept = items(history, pointer, where=lambda event: event.traits["item"] < "c", max_len=2)
    assert kept == ["a2", "b"]


def test_users_are_kept_apart_and_an_unknown_one_is_empty(history: History) -> None:
    assert items(history, Pointer(2, 100, None, 2)) == ["z"]
    assert items(history, Pointer(3, 100, None, 2)) == []
    assert items(history, Pointer("1", 100, None, 2)) == []


def test_the_history_at_a_version_is_what_pointers_of_that_version_see(history: History) -> None:
    earlier = history.at(0)
    assert earlier.version == 0
    assert sorted(values(earlier.events, "item")) == ["a", "c", "d", "z"]
    assert items(earlier, Pointer(1, 100, None, 2)) == ["a", "c", "d"]
    assert history.version == 2


def test_erased_users_and_expired_events_are_gone(history: History) -> None:
    assert {event.user_id for event in history.without([1]).events} == {2}
    assert values(history.since(40).visible(Pointer(1, 99, None, 2)), "item") == ["f", "g"]


def test_a_backfilled_pointer_knows_what_was_known_and_a_live_one_all(history: History) -> None:
    assert history.pointer(1, 45) == Pointer(1, 45, 45, 2)
    assert history.pointer(1, 45, live=True) == Pointer(1, 45, None, 2)
    assert items(history, history.pointer(1, 45)) == ["a", "c", "d", "e", "f"]


def test_arrow_tables_are_appends_and_times_are_exact_microseconds() -> None:
    instant = datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    micros = 1_767_225_600_000_001
    utc = pa.timestamp("us", "UTC")
    first = pa.table(
        {
            "user_id": ["u", "u"],
            "event_ts": pa.array([micros, micros - 1], utc),
            "arrival_ts": pa.array([micros, micros + 5], utc),
            "price": [None, 2.5],
        }
    )
    second = first.slice(0, 1).drop_columns(["arrival_ts"])
    built = History.from_tables([first, second])
    assert built.version == 1
    seen = sequence(built.events, Pointer("u", micros + 1, None, 1), GroupSpec())
    assert values(seen, "event_ts") == [micros - 1, micros, micros]
    assert values(seen, "arrival_ts") == [micros + 5, micros, micros]
    assert values(seen, "lake_version") == [0, 0, 1]
    assert values(seen, "price") == [2.5, None, None]
    assert oracle.micros(instant) == micros
    assert oracle.micros(datetime(1969, 12, 31, 23, 59, 59, 999_999)) == -1


def test_the_oracle_is_independent() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names

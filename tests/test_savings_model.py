"""Break-even and plan against sums done by hand, and against a search that tries every number."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction

import pytest

from uih_lake.errors import InputError
from uih_lake.savings.model import Basis, Cost, Demand, Plan, break_even, project, share
from uih_lake.savings.text import plan_table
from uih_lake.savings.twin import Rates

FAT = Rates(row=5, first=2, again=0.5)
# 10 users with 10 requests of 10 events each; 300 different events, 100 in newest sequences.
DEMAND = Demand(rows=100, users=10, referenced=1000, distinct=300, newest=100)


def pays(once: int, per_row: int, requests: int) -> bool:
    """By hand: bytes of the lake and of fat rows with so many requests of each of the 10 users.

    The 200 events beyond the newest sequences are new in the 9/11 of the time that 10 requests
    span; k of them span (k - 1) / (k + 1).
    """
    span = Fraction(requests - 1, requests + 1)
    distinct = min(100 * requests, 100 + Fraction(200) / Fraction(9, 11) * span)
    again = 100 * requests - distinct
    fat = 5 * 10 * requests + 2 * distinct + Fraction(1, 2) * again
    return once + per_row * 10 * requests < fat


@pytest.mark.parametrize(
    ("once", "per_row", "least"),
    [
        (1000, 4, 10),  # 60 k + 1.5 distinct > 1000: 983 at 9 requests, 1050 at 10
        (100, 4, 1),
        (100_000, 4, 1659),
        (1000, 10, None),  # a row costs as much as in fat rows, and the history on top
        (400, 10, 6),  # 1.5 distinct > 400, once a user's requests span long enough
    ],
)
def test_break_even_is_the_first_number_of_requests_that_pays(
    once: int, per_row: int, least: int | None
) -> None:
    by_hand = next((k for k in range(1, 5000) if pays(once, per_row, k)), None)
    assert by_hand == least
    assert break_even(Cost(once, per_row), FAT, DEMAND) == least


def test_break_even_agrees_with_the_log_where_its_requests_are_no_whole_number() -> None:
    """5.1 requests each: 5 are too few by a little, and the report cannot say from 6 on."""
    demand = Demand(rows=51, users=10, referenced=510, distinct=300, newest=100)
    fat = FAT.bytes(demand.rows, demand.referenced, demand.distinct)
    at_5 = demand.at(5)
    fat_at_5 = FAT.bytes(at_5.rows, at_5.referenced, at_5.distinct)
    once = (fat - 4 * 51 + fat_at_5 - 4 * 50) / 2
    lake = Cost(once, 4)
    assert share(lake, FAT, demand) < 1 < share(lake, FAT, at_5)
    assert break_even(lake, FAT, demand) == 5


def test_nothing_asked_for_never_pays() -> None:
    assert break_even(Cost(0, 0), FAT, Demand(0, 0, 0, 0, 0)) is None
    assert break_even(Cost(0, 0), FAT, Demand(5, 5, 0, 0, 0)) is None
    assert share(Cost(1, 1), Rates(0, 0, 0), DEMAND) == float("inf")


def test_demand_at_the_number_of_requests_it_has_is_itself() -> None:
    same = DEMAND.at(10)
    assert (same.rows, same.referenced) == (100, 1000)
    assert same.distinct == pytest.approx(300)


def plan(**changed: float | None) -> Plan:
    asked = {"per_day": 2, "tenants": 3, "length": 16, "days": 5, "users": 20, "price_per_tb": 23}
    return Plan(**{**asked, **changed})  # type: ignore[arg-type]


BASIS = Basis(
    demand=DEMAND,
    rates={"request_order": FAT},
    at_rest=Cost(once=1000, per_row=4),
    read=Cost(once=500, per_row=2),
    events_per_day=4,
    history_per_day=50,
)


def test_a_plan_is_the_sum_done_by_hand() -> None:
    """Twice the users; 2 a day for 5 days are 10 requests each, 200 in all, of 10 events each."""
    found = project(plan(), BASIS)
    kept = found["kept_as"]
    assert found["rows"] == 200
    assert found["events_referenced"] == 200 * 10 * 3
    # 20 users x 4 events a day x 5 days, of which 9/11 fall between a user's requests.
    distinct = 2 * 100 + 400 * 9 / 11
    table = 200 * 5 + distinct * 2 + (2000 - distinct) * 0.5
    assert table == pytest.approx(2790.909, abs=0.001)
    fat, union, lake = kept["request_order"], kept["request_order_union"], kept["uih_lake"]
    assert fat["at_rest"] == fat["read_per_epoch"] == pytest.approx(3 * table)
    assert fat["written_per_day"] == pytest.approx(3 * table / 5)
    assert fat["price_at_rest"] == pytest.approx(3 * table * 23 / 10**12)
    assert union["at_rest"] == pytest.approx(table)
    assert union["read_per_epoch"] == pytest.approx(3 * table)
    assert union["written_per_day"] == pytest.approx(table / 5)
    # The history of twice the users once, and 200 rows; three tenants read both; in a day 40 rows
    # are written, and twice the history.
    assert lake["at_rest"] == 2 * 1000 + 200 * 4
    assert lake["read_per_epoch"] == 3 * (2 * 500 + 200 * 2)
    assert lake["written_per_day"] == 40 * 4 + 2 * 50
    assert lake["price_at_rest"] == pytest.approx(2800 * 23 / 10**12)


def test_a_plan_without_users_or_price_is_for_those_there_are() -> None:
    found = project(plan(users=None, price_per_tb=0), BASIS)["kept_as"]["uih_lake"]
    assert found["at_rest"] == 1000 + 100 * 4
    assert found["price_at_rest"] == 0
    none = Plan(per_day=2, tenants=1, length=16, days=5)
    assert "price_at_rest" not in project(none, BASIS)["kept_as"]["uih_lake"]


MOST = {
    "per_day": 1_000_000,
    "tenants": 1_000_000,
    "length": 2**31 - 1,
    "days": 36_500,
    "users": 10**12,
    "price_per_tb": 10**12,
}
LEAST = {"per_day": 0.001, "tenants": 1, "length": 1, "days": 1, "users": 1, "price_per_tb": 0}


@pytest.mark.parametrize("bounds", [MOST, LEAST])
def test_a_plan_within_its_bounds_can_be_told(bounds: dict[str, float]) -> None:
    """The sums are finite, and the columns stand apart in 80."""
    basis = replace(BASIS, rates=dict.fromkeys(("request_order", "clustered_by_user"), FAT))
    found = project(plan(**bounds), basis)
    json.dumps(found, allow_nan=False)
    lines = plan_table(found)
    rows = lines[-5:]
    assert max(map(len, lines)) <= 80
    for row in rows:
        assert re.fullmatch(r".{27}( +[\d.,e+]+ [kMGTP]?B){3} +(< )?[\d.,e+]+", row), row


@pytest.mark.parametrize("name", MOST)
def test_a_plan_beyond_its_bounds_is_refused(name: str) -> None:
    wrong = (MOST[name] * 2, LEAST[name] / 2 or -1, -MOST[name], 1e308, math.inf, math.nan, 2**63)
    none = [] if name in ("users", "price_per_tb") else [None]
    for value in (*wrong, True, "2", *none):
        with pytest.raises(InputError, match=f"^{name} .*; give an? (integer|number) from "):
            plan(**{name: value})  # type: ignore[arg-type]

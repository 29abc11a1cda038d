"""Resolving ahead: in order, with errors in their place, and with nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from uih_lake.resolve.ahead import AT_ONCE, TOGETHER, ahead, together


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("uih-resolve")]


def test_items_come_in_order_and_an_error_in_its_place() -> None:
    def fail() -> int:
        raise LookupError("the fourth")

    found = []
    with pytest.raises(LookupError, match="the fourth"):
        for item in ahead([*(partial(int, n) for n in range(3)), fail, partial(int, 4)]):
            found.append(item)
    assert found == [0, 1, 2]
    assert not threads()


def test_an_error_of_who_makes_the_jobs_comes_behind_the_items_before_it() -> None:
    def jobs() -> Iterator[Callable[[], int]]:
        yield from (partial(int, number) for number in range(5))
        raise LookupError("the sixth")

    found = []
    with pytest.raises(LookupError, match="the sixth"):
        for item in ahead(jobs()):
            found.append(item)
    assert found == [0, 1, 2, 3, 4]
    assert not threads()


def test_later_jobs_run_while_one_is_used_and_not_many_more_than_that() -> None:
    begun: list[int] = []
    last = threading.Event()

    def job(number: int) -> int:
        begun.append(number)
        if number == 1:
            last.set()
        return number

    def jobs() -> Iterator[Callable[[], int]]:
        for number in range(100):
            yield partial(job, number)

    items = ahead(jobs())
    assert next(items) == 0
    assert last.wait(60), "the second job runs although nobody asked for its item"
    items.close()
    assert len(begun) <= AT_ONCE + 1
    assert not threads()


def test_no_jobs_no_items() -> None:
    assert list(ahead([])) == []


@pytest.mark.parametrize("count", [0, 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER])
def test_together_are_a_few_in_order_and_no_more_is_asked_for_than_that(count: int) -> None:
    asked: list[int] = []
    items = (asked.append(number) or number for number in range(count))
    groups = []
    for group in together(items):
        groups.append(group)
        assert len(asked) == sum(map(len, groups))
    assert [number for group in groups for number in group] == list(range(count))
    assert [len(group) for group in groups[:-1]] == [TOGETHER] * len(groups[:-1])
    assert not groups or 0 < len(groups[-1]) <= TOGETHER

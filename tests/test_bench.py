"""The benchmark suite runs from end to end, and its contestants deliver the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import compare, tables, targets
from benchmarks.__main__ import main
from benchmarks.batch import TRAITS, Batch, content
from benchmarks.contestants.base import ahead, parallel
from benchmarks.field import Limits
from benchmarks.figures import gathering
from benchmarks.measure import alone, read
from benchmarks.suite import run
from benchmarks.workload import Bench, Scale, build

SCALE = Scale(events=20_000)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def bench(cache: Path) -> Bench:
    return build(cache, SCALE)


@pytest.fixture(scope="module")
def result(cache: Path, bench: Bench) -> dict[str, Any]:
    options = {"with_alone": False, "with_extras": False}
    return run(cache, SCALE, (100,), 1, Limits(), lambda _: None, **options)


def test_every_exact_contestant_delivers_the_same(result: dict[str, Any]) -> None:
    for found in result["lengths"].values():
        rows = found["contestants"]
        equal = {name: row["same_content"] for name, row in rows.items() if "same_content" in row}
        assert {"uih loader", "uih share loader", "fat user arrow lent"} <= set(equal)
        assert all(equal.values())
        assert rows["duckdb max_by"]["events"] == found["events"]


def test_results_are_shown_and_compared(result: dict[str, Any], tmp_path: Path) -> None:
    stored = json.loads(json.dumps(result))
    for view in (tables.all_of(stored), targets.view(stored), compare.view(stored, stored)):
        lines = list(view)
        assert len(lines) > 10
        assert max(map(len, lines)) <= tables.WIDTH
    assert "even" in "\n".join(compare.view(stored, stored))


def test_a_target_that_is_missed_is_said_to_be(result: dict[str, Any]) -> None:
    shown = {target.name: target.line(result)[3] for target in targets.TARGETS}
    assert shown["append + seal"] == "NOT MET"  # 20,000 events are nothing but fixed costs
    assert shown["speed against fat rows, L = 256"] == ""


def test_from_slow_storage_the_opponent_is_the_best_of_all_that_were_tried(
    result: dict[str, Any],
) -> None:
    """Not the best of those that are fastest from memory, which are large."""
    before = targets._on_disk(100)(result)
    small = copy.deepcopy(result)
    found = small["lengths"]["100"]
    found["fat_bytes"]["user zstd-plain"] = 1
    assert "fat user zstd-plain pyarrow groups" in found["screened_events_per_s"]
    found["screened_events_per_s"]["fat user zstd-plain pyarrow groups"] = 10**12
    after = targets._on_disk(100)(small)
    assert before is not None and after is not None and after < before / 10


def test_a_run_is_read_back_on_the_command_line(
    result: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(result))
    main(["show", str(file)])
    assert "duckdb max_by" in capsys.readouterr().out
    main(["compare", str(file), str(file)])
    assert "after / before" in capsys.readouterr().out


def test_a_run_of_an_earlier_suite_is_shown_with_the_figures_it_has(
    result: dict[str, Any],
) -> None:
    before = json.loads(json.dumps(result))
    gather = {"gather_bytes_per_s": 2e9, "memcpy_bytes_per_s": 4e9, "ratio": 0.5}
    before["figures"]["gather"] = {"1024": gather}
    del before["figures"]["keyed_pointers_per_s"]
    shown = "\n".join(tables.all_of(before))
    assert "gather, L = 1024, one buffer" in shown and "resolve, by place" in shown
    assert "all keys" not in shown and "a ring" not in shown


def test_gathering_is_measured_against_memcpy(bench: Bench) -> None:
    found = gathering(bench, 1024, 1)
    assert found["ratio"] > 0
    assert found["memcpy_bytes_per_s"] > 0


def test_a_process_of_its_own_reads_what_is_not_in_the_cache(bench: Bench) -> None:
    from benchmarks.contestants.lake import contestants

    found = alone(contestants(bench, 100)[0])
    assert found.peak_rss > found.before > 0
    assert found.asked_bytes > 0


def test_content_tells_a_changed_value_a_moved_one_and_another_owner() -> None:
    def batch(ids: list[int], items: list[int]) -> Batch:
        values = {n: np.zeros(len(items), kind) for n, kind in TRAITS.items()}
        values["item_id"][:] = items
        return Batch(np.array(ids), np.array([0, 2, 4]), values)

    base = content(batch([0, 1], [5, 6, 7, 8]))
    assert content(batch([1, 0], [7, 8, 5, 6])) == base
    changed, moved = batch([0, 1], [5, 6, 7, 9]), batch([0, 1], [6, 5, 7, 8])
    for other in (changed, moved, batch([1, 0], [5, 6, 7, 8])):
        assert content(other) != base


def test_what_a_thread_makes_ahead_arrives_in_order_and_so_do_its_errors() -> None:
    assert list(ahead(range(100))) == list(range(100))
    assert list(parallel((lambda n=n: n for n in range(100)), 2)) == list(range(100))
    with pytest.raises(ZeroDivisionError):
        list(ahead(1 // n for n in (1, 0)))


def test_reading_counts_what_was_delivered(bench: Bench) -> None:
    from benchmarks.contestants.flat import contestants

    everything = np.arange(len(bench.requests["user"]))
    reading = read(contestants(bench, 100, everything)[0])
    assert reading.tally.examples == len(everything)
    assert reading.seconds >= reading.first_s > 0

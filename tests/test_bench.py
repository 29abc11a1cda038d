"""The benchmark suite runs from end to end, and its contestants deliver the same."""

from __future__ import annotations

import copy
import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import compare, fatrows, inuse, pointintime, tables, targets
from benchmarks.__main__ import main
from benchmarks.batch import BATCH, TRAITS, Batch, content
from benchmarks.contestants import arrow, extras, flat, limits
from benchmarks.contestants.base import ahead, parallel
from benchmarks.field import Limits, _distinct_events
from benchmarks.figures import gathering
from benchmarks.measure import alone, read
from benchmarks.suite import run
from benchmarks.workload import Bench, Scale, build, tenant
from uih_lake.loader import Loader

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
    few = pytest.MonkeyPatch()
    few.setattr(inuse, "_LOGS", 5)
    gc.freeze()  # each reading begins with a look for garbage, which is not among what tests import
    try:
        return run(cache, SCALE, (100,), 1, Limits(), lambda _: None, **options)
    finally:
        gc.unfreeze()
        few.undo()


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


def test_a_tenant_with_a_condition_has_fat_rows_of_its_own(
    bench: Bench, result: dict[str, Any]
) -> None:
    rows = result["clicks"]["100"]["contestants"]
    assert [name for name, row in rows.items() if row["same_content"]] == [*rows]
    clicks, every = result["clicks"]["100"]["events"], result["lengths"]["100"]["events"]
    assert 0 < clicks < every
    assert "100" in "\n".join(tables.clicks(result))


def test_lakes_in_use_are_measured_and_left_as_they_were(
    bench: Bench, result: dict[str, Any]
) -> None:
    shown = "\n".join(tables.in_use(result))
    assert all(state in shown for state in inuse._STATES)
    assert not (bench.root / "in-use").exists()
    assert bench.lake().info().lake_version == 5


def test_a_mapped_array_is_gone_through_in_any_order_with_the_same_content(bench: Bench) -> None:
    ways = flat.contestants(bench, 100)
    assert [way.name for way in ways] == [*flat.SLICES, flat.COMPILED, flat.KERNEL, flat.SHUFFLED]
    tallies = [read(way, check=True).tally for way in ways]
    assert len({(t.examples, t.events, t.checksum) for t in tallies}) == 1
    users, shuffled = ([b.example_id for b in way.epoch()] for way in ways[-2:])
    loaded = [b.example_id.numpy() for b in Loader(bench.lake(), tenant(1), BATCH, seed=1)]
    assert [ids.tolist() for ids in shuffled] == [ids.tolist() for ids in loaded]
    assert [ids.tolist() for ids in users] != [ids.tolist() for ids in loaded]


def test_what_forbids_more_is_told_of_what_is_missed_and_of_nothing_else(
    result: dict[str, Any],
) -> None:
    changed = copy.deepcopy(result)
    changed["lengths"]["256"] = found = changed["lengths"]["100"]
    rows = found["contestants"]
    rows["uih loader"]["events_per_s"], rows[flat.KERNEL]["events_per_s"] = 1e6, 4e6
    rows[limits.DECODING]["events_per_s"] = 2e6
    copied = [name for name in rows if name.startswith("memcpy")]
    for way in (*flat.SLICES, flat.COMPILED, flat.SHUFFLED, *copied):
        rows.get(way, {})["events_per_s"] = 3e6
    name = "against mapped arrays, L = 256"
    (target,) = (each for each in targets.TARGETS if each.name == name)
    why = "decode, copy"
    for row in rows.values():
        row["rounds"] = [found["events"] / row["events_per_s"]]
    assert target.missed(changed) == (name, "0.25 x", "0.33 x", why)
    assert f"{name}" in "\n".join(targets.view(changed)).partition("at best")[2]
    assert tables.against_mapped(changed)["256"][:4] == [1 / 3, 1 / 3, 1 / 4, 1 / 3]
    rows["uih loader"]["events_per_s"] = 4e6
    assert target.missed(changed) is None
    for each in targets.TARGETS:
        assert each.missed(changed) is None or each.line(changed)[3] == "NOT MET"


@pytest.mark.parametrize("name", list(extras._KINDS))
def test_a_rival_that_is_installed_delivers_the_same(bench: Bench, name: str) -> None:
    chosen = fatrows.sample(bench, 100, Limits().fat)
    found, skipped = extras.contestants(bench, 100, chosen)
    if name in skipped:
        pytest.skip(skipped[name])
    mapped = fatrows.write(bench, 100, "user", extras._SOURCE, chosen, bench.root / "fat")
    (copied, _) = arrow.contestants(mapped, "fat user arrow")
    (rival,) = (each for each in found if each.name == f"fat user {name}")
    assert read(rival, check=True).tally == read(copied, check=True).tally
    extras.close()


def test_feast_finds_the_last_event_before_each_request(bench: Bench) -> None:
    if why := extras.why_not("feast"):
        pytest.skip(why)
    assert pointintime.figures(bench)["feast_requests_per_s"] > 0


def test_events_that_are_needed_are_counted_once(bench: Bench) -> None:
    needed: set[int] = set()
    first, _ = bench.sequences(7)
    for start, stop in zip(first.tolist(), bench.requests["stop"].tolist(), strict=True):
        needed |= set(range(start, stop))
    assert _distinct_events(bench, 7) == len(needed) > 0


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


@pytest.mark.parametrize("option", ["--rounds", "--events", "--lengths"])
@pytest.mark.parametrize("given", ["0", "-1", "many"])
def test_a_number_that_makes_no_sense_is_refused_in_a_line(
    option: str, given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"{option}={given}", "--dir", str(tmp_path / "bench")])
    assert caught.value.code == 2
    assert repr(given) in capsys.readouterr().err
    assert not (tmp_path / "bench").exists()


def test_a_run_of_an_earlier_suite_is_shown_with_the_figures_it_has(
    result: dict[str, Any],
) -> None:
    before = json.loads(json.dumps(result))
    gather = {"gather_bytes_per_s": 2e9, "memcpy_bytes_per_s": 4e9, "ratio": 0.5}
    before["figures"]["gather"] = {"1024": gather}
    del before["figures"]["keyed_pointers_per_s"], before["in_use"], before["clicks"]
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
    reading = read(flat.contestants(bench, 100)[0])
    assert reading.tally.examples == len(bench.requests["user"])
    assert reading.seconds >= reading.first_s > 0

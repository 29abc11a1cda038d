"""The loader's own benchmark: waiting, bytes and shuffling, measured on a tiny lake."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import loader, tables
from benchmarks.__main__ import main
from benchmarks.workload import Scale, build


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bench = build(tmp_path_factory.mktemp("bench"), Scale(events=20_000))
    return loader.run(bench, (100,), (0, 1))


def test_shares_of_time_are_shares(found: dict[str, Any]) -> None:
    rows = found["waiting"]
    assert [(row["step_ms"], row["epoch"]) for row in rows] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for row in rows:
        assert row["batches"] == 1  # 400 requests
        assert 0 < row["starved"] <= 1
        assert 0 <= row["wasted"] <= 1
        assert row["first_s"] <= row["seconds"]


def test_history_in_common_is_carried_once(found: dict[str, Any]) -> None:
    plain, *shared = found["bytes"]
    for row in shared:
        assert row["events"] == plain["events"]
        assert row["gathered"] < 0.5 * plain["gathered"]
        assert row["carried"] < 0.5 * plain["carried"]
        # What is written out is what the plain form carries besides ids, times and context.
        assert 0.9 * plain["carried"] < row["expanded"] < plain["carried"]


@pytest.mark.parametrize(("table", "groups"), [("text", loader.KINDS), ("taken", loader.TAKEN)])
def test_groups_are_set_against_one_another(
    found: dict[str, Any], table: str, groups: dict[str, Any]
) -> None:
    rows = {row["group"]: row for row in found[table]}
    assert set(rows) == set(groups)
    for row in rows.values():
        assert all(row[name] > 0 for name in ("made_s", "first_s", "later_s"))


def test_every_order_is_set_against_a_shuffle_of_everything(found: dict[str, Any]) -> None:
    rows = {row["order"]: row for row in found["shuffle"]}
    assert set(rows) == {"global shuffle", *loader.ORDERS}
    assert rows["global shuffle"]["from_log"] == pytest.approx(1 / 3, abs=0.05)
    assert rows["time"]["from_log"] < 0.1
    assert rows["user"]["neighbours"] < 0.5 * rows["affinity"]["neighbours"]


def test_the_quality_of_a_shuffle_is_what_was_done_to_it() -> None:
    kept = np.arange(100)
    same = loader.quality([kept, kept], kept // 10, 20)
    assert same == {"from_log": 0, "between_epochs": 0, "neighbours": 0.01, "users": 2}
    turned = loader.quality([kept, kept[::-1]], kept % 50, 20)
    assert turned["between_epochs"] == pytest.approx(0.5)
    assert turned["neighbours"] == pytest.approx(0.01)
    assert turned["users"] == 20


def test_it_is_shown_in_eighty_columns(found: dict[str, Any]) -> None:
    lines = list(loader.view(json.loads(json.dumps(found))))
    assert max(map(len, lines)) <= tables.WIDTH
    tables_of_100 = 4 + len(loader.FORMS) + len(loader.KINDS) + len(loader.TAKEN)
    assert sum(line.startswith("100 ") for line in lines) == tables_of_100


def test_it_is_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    file = tmp_path / "loader.json"
    words = ["--events", "20K", "--lengths", "50", "--steps-ms", "0", "--dir", str(tmp_path)]
    main(["loader", *words, "--json", str(file)])
    assert "global shuffle" in capsys.readouterr().out
    assert len(json.loads(file.read_text())["waiting"]) == 2

"""What a loader tells of itself while it runs, and what bounds its memory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loader_lakes import SHORT, build

from uih_lake import Lake
from uih_lake.loader import Loader


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own, to be damaged or to grow."""
    return build(tmp_path / "lake")


def test_meters_tell_who_waited(lake: Lake) -> None:
    loader = Loader(lake, SHORT, 8, threads=1)
    delivered = list(loader)
    meters = loader.meters
    assert meters.batches == len(delivered)
    assert meters.examples == 140
    assert meters.events == sum(batch.events for batch in delivered)
    assert meters.waited_s > 0
    assert meters.bytes_read > 0
    assert set(meters.as_dict()) >= {"waited_s", "idle_s", "bytes_read", "queue_depth", "events"}
    with meters.live():  # no terminal: nothing is shown
        pass


def test_the_live_line_shows_the_meters(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, what it writes to is then a terminal
    loader = Loader(lake, SHORT, 8)
    with loader.meters.live():
        batches = len(list(loader))
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "0 batches" in shown
    assert f"{batches} batches" in shown
    last = shown.rpartition("batches")[2]
    for meter in ("M events/s", "0 ready", "waited", "idle", "read"):
        assert meter in last


def test_a_budget_bounds_the_buckets_in_memory(lake: Lake) -> None:
    def most(budget: int) -> tuple[int, int]:
        loader = Loader(lake, SHORT, 4, open_buckets=1, budget=budget)
        list(loader), list(loader)  # what is read again stays, where there is room
        held = 0
        for _ in loader:
            held = max(held, sum(opened.nbytes for opened in loader._engine.buckets))
        return held, len(loader._engine.buckets)

    everything, buckets = most(1 << 30)
    assert buckets == 3
    held, buckets = most(1)
    assert held < 0.7 * everything
    assert buckets == 1

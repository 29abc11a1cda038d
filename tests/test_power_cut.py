"""What a commit rests on is on the disk before it, and the commit itself before the call returns.

A power cut takes whatever the system was only asked to write. Here every ``fsync`` is written down,
with what the logs said at that moment.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from small_lakes import events, requests

from uih_lake import Lake


@dataclass
class Synced:
    """Inodes that were synced -> the log entries there were before each time."""

    place: Path
    calls: dict[int, list[set[Path]]] = field(default_factory=dict)

    def __call__(self, handle: int) -> None:
        known = self.calls.setdefault(os.fstat(handle).st_ino, [])
        known.append(set(self.place.rglob("_delta_log/*.json")))

    def before(self, path: Path, entry: Path) -> bool:
        """Whether a file or directory was synced while a log had no such entry."""
        return any(entry not in then for then in self.calls.get(path.stat().st_ino, ()))

    def after(self, path: Path, entry: Path) -> bool:
        return any(entry in then for then in self.calls.get(path.stat().st_ino, ()))


def test_nothing_is_said_to_be_there_that_a_power_cut_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = Synced(tmp_path)
    monkeypatch.setattr(os, "fsync", synced)
    lake = Lake.create(tmp_path / "lake", buckets=2)
    assert synced.calls.keys() >= {tmp_path.stat().st_ino, (tmp_path / "lake").stat().st_ino}
    for number in range(6):
        lake.append(events([1, 2, 3], [number + 1] * 3, item=[1, 2, 3]))
        lake.log(requests([1, 2, 3], [number + 9] * 3))
        lake.seal()
    lake.forget([3])
    lake.compact()
    entries, files = sorted(tmp_path.rglob("_delta_log/*.json")), 0
    for entry in entries:
        table = entry.parent.parent
        for line in entry.read_text().splitlines():
            if added := json.loads(line).get("add"):
                path = table / added["path"]
                assert synced.before(path, entry), f"{path.name} is named before it is kept"
                assert synced.before(table, entry), "and so is its name"
                files += 1
        assert synced.after(entry, entry) and synced.after(entry.parent, entry)
    assert len(entries) > 30 and files > 30
    for checkpoint in tmp_path.rglob("*.checkpoint.parquet"):
        assert checkpoint.stat().st_ino in synced.calls
    assert list(tmp_path.rglob("*.checkpoint.parquet"))

"""The training example: it learns, stops in the middle, and goes on with the batches to come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from house import ROOT


def run(folder: Path, *options: str) -> list[str]:
    command = [sys.executable, str(ROOT / "examples/train.py"), "--lake", str(folder / "lake")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def losses(line: str) -> tuple[int, str, str]:
    """Steps, first and last loss of a line the example prints."""
    words = line.split()
    return int(words[2]), words[5], words[7].rstrip(",")


def test_it_trains_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    (whole,) = run(tmp_path)
    checkpoint = ("--checkpoint", str(tmp_path / "run.pt"))
    (first,) = run(tmp_path, *checkpoint, "--stop-after", "6")
    told, second = run(tmp_path, *checkpoint)
    assert told == "going on in epoch 0 after step 6"
    steps, begin, end = losses(whole)
    assert losses(first)[:2] == (6, begin)
    assert losses(second)[0] == steps - 6
    assert losses(second)[2] == end, "the same batches, so the same model"
    assert float(end) < float(begin), "it learns"
    assert run(tmp_path, *checkpoint) == [f"going on in epoch 1 after step {steps}"], "it is done"

"""Which rank a loader takes, and that processes of a real group share an epoch out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch.distributed
from loader_lakes import NUMBERS, build, frozen, ids

from uih_lake import InputError, Lake
from uih_lake.loader import Loader, ranks

OPTIONS: dict[str, Any] = {"batch_size": 8, "seed": 5, "order": "time", "time_window": "5d"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return build(tmp_path_factory.mktemp("lake") / "lake", dirty=False)


def seal(batches: Any) -> str:
    """One hash of everything in some batches."""
    return hashlib.sha256(repr([frozen(batch) for batch in batches]).encode()).hexdigest()


def test_the_environment_tells_the_rank(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        told = seal(Loader(lake, NUMBERS, **OPTIONS))
        assert told == seal(Loader(lake, NUMBERS, rank=rank, num_ranks=3, **OPTIONS))
    alone = Loader(lake, NUMBERS, rank=0, num_ranks=1, **OPTIONS)
    assert sorted(example for batch in alone for example in ids(batch)) == list(range(140))


@pytest.mark.parametrize(
    ("variable", "value"), [("RANK", ""), ("RANK", "a"), ("WORLD_SIZE", "1.5")]
)
def test_an_environment_without_numbers_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=f"{variable}='{value}', which is no integer; set"):
        Loader(lake, NUMBERS, **OPTIONS)
    assert sum(map(len, Loader(lake, NUMBERS, rank=0, num_ranks=1, **OPTIONS))) == 140


def test_a_process_group_comes_before_the_environment(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        assert sum(map(len, Loader(lake, NUMBERS, **OPTIONS))) == 140
    finally:
        torch.distributed.destroy_process_group()


MEMBER = """
import json, sys
sys.path.insert(0, {tests!r})
import torch.distributed
from loader_lakes import NUMBERS, ids
from test_loader_ranks import OPTIONS, seal
from uih_lake import Lake
from uih_lake.loader import Loader, ranks
rank = int(sys.argv[1])
group = {{"rank": rank, "world_size": 2, "init_method": {meeting!r}}}
torch.distributed.init_process_group("gloo", **group)
batches = list(Loader(Lake.open({lake!r}), NUMBERS, pad_last=True, **OPTIONS))
steps = torch.tensor([len(batches)])
torch.distributed.all_reduce(steps)  # ranks that take unequal numbers of steps would hang here
examples = [example for batch in batches for example in ids(batch)]
print(json.dumps([int(steps), len(batches), examples, seal(batches)]))
torch.distributed.destroy_process_group()
"""


def test_processes_of_a_group_share_an_epoch(lake: Lake, tmp_path: Path) -> None:
    code = MEMBER.format(
        tests=str(Path(__file__).parent), lake=lake.path, meeting=f"file://{tmp_path}/meeting"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    members = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    seen = []
    for rank, member in enumerate(members):
        output, errors = member.communicate(timeout=120)
        assert member.returncode == 0, errors
        total, steps, examples, hashed = json.loads(output.splitlines()[-1])
        assert total == 2 * steps
        here = Loader(lake, NUMBERS, rank=rank, num_ranks=2, pad_last=True, **OPTIONS)
        assert hashed == seal(here), "the same batches in another process"
        seen += examples
    assert sorted(seen) == list(range(140))


def test_a_system_without_shared_memory_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or none that is left; only worker processes, which share what epoch it is, take some."""

    def refused(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm)")

    number = torch.zeros(1, dtype=torch.int64)
    assert ranks.shared(number) is number
    assert number.is_shared()
    monkeypatch.setattr(torch.Tensor, "share_memory_", refused)
    assert not ranks.shared(torch.zeros(1)).is_shared()

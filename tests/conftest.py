"""Settings shared by all tests: caches outside the tree, and which tests need more than a CPU."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST = "test_state_machine.py"
"""Begun first: whichever worker came to it last, the others would stand still for two minutes."""
CACHE = Path(__file__).resolve().parent.parent / ".venv" / "cache"
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(CACHE / "hypothesis"))
os.environ.setdefault("NUMBA_CACHE_DIR", str(CACHE / "numba"))

from hypothesis import HealthCheck, settings  # noqa: E402  (reads its variable when imported)

# A shared machine is slow at times: what a test may take is no property of the code.
settings.register_profile("uih", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("uih")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; and skip, with the reason, what this run or this machine is not for."""
    items.sort(key=lambda item: item.path.name != LONGEST)
    if os.environ.get("UIH_SOAK") != "1":
        skip = pytest.mark.skip(reason="takes minutes; run `make soak`")
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(skip)
    needs_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if needs_gpu:
        import torch

        if not torch.cuda.is_available():
            for item in needs_gpu:
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands, and so prefixes, in files of any size."""
    from uih_lake.lake import bands

    monkeypatch.setattr(bands, "LEAST_ROWS", 0)
    monkeypatch.setattr(bands, "NEAR", 1)
    monkeypatch.setattr(bands, "RANKS", (4, 16, 64))


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """A loader's threads are gone when the test is over."""
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("uih-")] == []

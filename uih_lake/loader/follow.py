"""Waiting for examples that are logged while a loader follows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from uih_lake import schema
from uih_lake.pointers.policy import Policy
from uih_lake.selection import Selection
from uih_lake.tenant import Tenant

if TYPE_CHECKING:
    from uih_lake.api import Lake


class Wanted:
    """Which examples of a lake a loader is for: a condition on them, and a policy for pointers."""

    def __init__(
        self, lake: Lake, tenants: Sequence[Tenant], where: str | None, on_mismatch: Policy
    ) -> None:
        self._lake, self._tenants = lake, tenants
        self._where, self._policy = where, on_mismatch

    def select(self, after: int = -1) -> Selection:
        """Those logged by now, with a log version beyond ``after``; checked for every tenant."""
        beyond = (after, schema.UNBOUNDED)
        return self._lake._select(self._tenants, self._where, self._policy, log_versions=beyond)

    def newer(self, after: int) -> Selection | None:
        """As :meth:`select`; None where nothing was logged since, for which few files are read."""
        return self.select(after) if self._lake.log_version > after else None


class Follower:
    """Asks the lake for new examples from time to time, until stopped."""

    def __init__(self, wanted: Wanted, poll_s: float) -> None:
        self._wanted = wanted
        self._poll_s = poll_s
        self._stopped = threading.Event()

    def more(self, after: int) -> Selection | None:
        """Wait for examples with a log version beyond ``after``; None once stopped."""
        while not self._stopped.is_set():
            newer = self._wanted.newer(after)
            if newer is not None and newer.examples.files:  # they may be erased by now
                return newer
            self._stopped.wait(self._poll_s)
        return None

    def everything(self) -> Selection:
        """All that has been logged by now."""
        return self._wanted.select()

    def stop(self) -> None:
        """End the wait, now or when it begins."""
        self._stopped.set()

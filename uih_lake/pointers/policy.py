"""What can go wrong with a pointer, by name, and what is done about it.

``mismatch``: the rebuilt history is not the one logged. ``forgotten``: the user was erased after
the pointer was cut. ``expired``: the retention window has passed over part of the history.
``unknown_user``: nothing of the user was ever visible to the pointer; an empty sequence, no fault.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake import names, schema
from uih_lake.arrays import Int64, ints, whole
from uih_lake.errors import InputError, PointerError
from uih_lake.lake.tombstones import Tombstones

Policy = Literal["raise", "drop", "keep"]
POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
PROOF: Final = (names.START_TS, names.LENGTH, names.DIGEST)
"""Columns of a pointer that a rebuild is checked against."""
_TELLING: Final = (names.USER_ID, names.LAKE_VERSION, names.START_TS)
"""Columns of a pointer that tell why it finds another history."""
_FAULTS: Final = {
    "forgotten": "its user was erased",
    "expired": "the retention window has passed over part of its history",
    "mismatch": "the history is not the one that was logged",
}
"""What a pointer can be at fault for, and what it means; the first that fits is what is told."""


@dataclass
class Counts:
    """How many examples a rebuild saw, and how many of them had what trouble."""

    examples: int = 0
    mismatch: int = 0
    forgotten: int = 0
    expired: int = 0
    unknown_user: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name, for JSON."""
        return asdict(self)


def check_policy(policy: str) -> None:
    """Raise :class:`InputError` for a policy that does not exist."""
    if policy not in POLICIES:
        raise InputError(f"no policy {policy!r} for pointers", hint=f"one of {', '.join(POLICIES)}")


@dataclass(frozen=True)
class Judge:
    """Compares pointers as logged with what they resolve to, and applies the policy."""

    tombstones: Tombstones
    retained_from: int
    policy: Policy
    counts: Counts

    def passed(self, logged: pa.Table, proof: pa.Table) -> npt.NDArray[np.bool_]:
        """Which of the ``logged`` pointers to go on with, one bool each; ``proof`` is theirs now.

        Raises :class:`PointerError` for the first one at fault where the policy is ``raise``.
        """
        wrong = differs(logged, proof)
        self.counts.examples += logged.num_rows
        self.counts.unknown_user += int(np.count_nonzero(ints(logged, names.LENGTH) == 0))
        if wrong.any():
            self._judge(logged, proof, np.flatnonzero(wrong))
        return np.ones(logged.num_rows, bool) if self.policy == "keep" else ~wrong

    def _judge(self, logged: pa.Table, proof: pa.Table, places: Int64) -> None:
        """Count the faults of the pointers at ``places``; if they are raised, the first alone."""
        if self.policy == "raise":
            places = places[:1]
        faults = self._faults(logged.select(_TELLING).take(pa.array(places)))
        for fault, count in zip(_FAULTS, np.bincount(faults, minlength=len(_FAULTS)), strict=True):
            setattr(self.counts, fault, getattr(self.counts, fault) + int(count))
        if self.policy == "raise":
            fault, why = list(_FAULTS.items())[faults[0]]
            before, now = (_row(table, int(places[0])) for table in (logged, proof))
            raise PointerError(
                f"example {before[names.EXAMPLE_ID]!r}: {fault}: {why}; logged with "
                f"{before[names.LENGTH]} events, rebuilt with {now[names.LENGTH]}",
                hint="choose the policy drop or keep to go on without or with such examples",
            )

    def _faults(self, logged: pa.Table) -> Int64:
        """Per pointer that finds another history, which of :data:`_FAULTS` is the first to fit."""
        users, pinned = whole(logged.column(names.USER_ID)), ints(logged, names.LAKE_VERSION)
        forgotten = self.tombstones.cover(users, pinned)
        faults: Int64 = np.select([forgotten, expired(logged, self.retained_from)], [0, 1], 2)
        return faults


def _row(table: pa.Table, place: int) -> dict[str, Any]:
    return table.slice(place, 1).to_pylist()[0]  # type: ignore[no-any-return]


def expired(pointers: pa.Table, retained_from: int) -> npt.NDArray[np.bool_]:
    """Which pointers reach past the retention window, one bool each; ``retained_from`` in us.

    One that sees nothing (its ``start_ts`` is null) does not.
    """
    starts = pointers.column(names.START_TS).cast(pa.int64()).fill_null(schema.MAX_TIME)
    past: npt.NDArray[np.bool_] = starts.to_numpy() < retained_from
    return past


def differs(logged: pa.Table, proof: pa.Table) -> npt.NDArray[np.bool_]:
    """Which pointers find another history than the one that was logged, one bool each."""
    found = [ints(logged, name) != ints(proof, name) for name in (names.LENGTH, names.DIGEST)]
    different: npt.NDArray[np.bool_] = found[0] | found[1]
    return different

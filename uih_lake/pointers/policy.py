"""What can go wrong with a pointer, by name, and what is done about it.

``mismatch``: the rebuilt history is not the one logged. ``forgotten``: the user was erased after
the pointer was cut. ``expired``: the retention window has passed over part of the history.
``unknown_user``: nothing of the user was ever visible to the pointer; an empty sequence, no fault.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, schema
from uih_lake.errors import PointerError, UihError
from uih_lake.lake.erase import Tombstones

Policy = Literal["raise", "drop", "keep"]
POLICIES: Final = ("raise", "drop", "keep")
PROOF: Final = (names.START_TS, names.LENGTH, names.DIGEST)
"""Columns of a pointer that a rebuild is checked against."""


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
    """Raise :class:`UihError` for a policy that does not exist."""
    if policy not in POLICIES:
        raise UihError(f"no policy {policy!r} for pointers", hint=f"one of {', '.join(POLICIES)}")


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
        self.counts.unknown_user += int(np.count_nonzero(_ints(logged, names.LENGTH) == 0))
        places = np.flatnonzero(wrong)
        for place in places.tolist():
            self._judge(logged.slice(place, 1).to_pylist()[0], proof.slice(place, 1).to_pylist()[0])
        return np.ones(logged.num_rows, bool) if self.policy == "keep" else ~wrong

    def _judge(self, logged: dict[str, Any], found: dict[str, Any]) -> None:
        fault, why = self._fault(logged)
        setattr(self.counts, fault, getattr(self.counts, fault) + 1)
        if self.policy == "raise":
            raise PointerError(
                f"example {logged[names.EXAMPLE_ID]!r}: {fault}: {why}; logged with "
                f"{logged[names.LENGTH]} events, rebuilt with {found[names.LENGTH]}",
                hint="choose the policy drop or keep to go on without or with such examples",
            )

    def _fault(self, logged: dict[str, Any]) -> tuple[str, str]:
        if self.tombstones.covers(logged[names.USER_ID], logged[names.LAKE_VERSION]):
            return "forgotten", "its user was erased"
        start = logged[names.START_TS]
        if start is not None and _micros(start) < self.retained_from:
            return "expired", "the retention window has passed over part of its history"
        return "mismatch", "the history is not the one that was logged"


def _ints(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    return table.column(name).to_numpy()  # type: ignore[no-any-return]


def differs(logged: pa.Table, proof: pa.Table) -> npt.NDArray[np.bool_]:
    """Which pointers find another history than the one that was logged, one bool each."""
    found = [_ints(logged, name) != _ints(proof, name) for name in (names.LENGTH, names.DIGEST)]
    different: npt.NDArray[np.bool_] = found[0] | found[1]
    return different


def _micros(time: Any) -> int:
    return int(pc.cast(pa.scalar(time, schema.TIME), pa.int64()).as_py())

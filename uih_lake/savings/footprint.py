"""Bytes of the lake itself: at rest, ever written, and read in one epoch of a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from uih_lake import names
from uih_lake.lake.store import Store
from uih_lake.materialize import Rebuild
from uih_lake.resolve.placed import PLACE
from uih_lake.resolve.plan import Scan
from uih_lake.resolve.run import columns_read, passes
from uih_lake.savings.figures import Asker, Figure

_HISTORY: Final = (names.UIH, names.RECENT)


@dataclass(frozen=True)
class Footprint:
    """What the lake holds, whoever reads it, in bytes.

    ``history`` and ``examples`` are the live files at rest; ``written_history`` and
    ``written_examples`` everything ever committed, with what seal and compact wrote anew;
    ``pointers`` the pointer columns of the examples.
    """

    history: Figure
    examples: Figure
    written_history: Figure
    written_examples: Figure
    pointers: Figure

    @classmethod
    def of(cls, store: Store, lake: Asker, files: Asker) -> Footprint:
        """Measure the live files and the Delta logs."""

        def logs(*tiers: str) -> list[str]:
            found = (Path(store.root, tier, "_delta_log").glob("*.json") for tier in tiers)
            return sorted(str(path.absolute()) for each in found for path in each)

        def written(*tiers: str) -> Figure:
            return files.figure("savings/written", "bytes", logs=logs(*tiers))

        given = (names.USER_ID, names.REQUEST_TS)
        only_pointer = [n for n in (*names.POINTER_COLUMNS, *PLACE) if n not in given]
        return cls(
            history=lake.figure("savings/at_rest", "bytes", tiers=_HISTORY),
            examples=lake.figure("savings/at_rest", "bytes", tiers=[names.EXAMPLES]),
            written_history=written(*_HISTORY),
            written_examples=written(names.EXAMPLES),
            pointers=lake.figure("savings/primary", "bytes", columns=only_pointer),
        )


@dataclass(frozen=True)
class Epoch:
    """What one pass of a tenant over all examples reads, in bytes as stored and decompressed.

    ``primary`` is the examples, ``lookup`` the history, in ``row_groups`` row groups.
    """

    primary: Figure
    lookup: Figure
    row_groups: Figure
    decoded_primary: Figure
    decoded_lookup: Figure

    @classmethod
    def of(cls, lake: Asker, rebuild: Rebuild) -> Epoch:
        """Read the footers of the columns that ``rebuild`` reads."""
        asked = rebuild.selection.columns_read
        looked_up = _passes(rebuild.plan, rebuild.selection.snapshot.stored.names)
        return cls(
            primary=lake.figure("savings/primary", "bytes", columns=asked),
            lookup=lake.figure("savings/lookup", "bytes", passes=looked_up),
            row_groups=lake.figure("savings/lookup", "row_groups", passes=looked_up),
            decoded_primary=lake.figure("savings/primary", "uncompressed_bytes", columns=asked),
            decoded_lookup=lake.figure("savings/lookup", "uncompressed_bytes", passes=looked_up),
        )


def _passes(plan: list[Scan], stored: list[str]) -> list[dict[str, Any]]:
    """Columns and reach of each pass over a bucket: a scan per condition, and the proof."""
    return [
        {
            "columns": [*columns_read(scan, more, stored), names.BUCKET],
            "window_us": scan.window_us,
            "lag_us": scan.lag_us,
        }
        for scan, more in passes(plan)
    ]

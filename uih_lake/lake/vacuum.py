"""Vacuum: data files that no recent version of a table needs leave the disk."""

from __future__ import annotations

from pathlib import Path

from uih_lake.given import integer
from uih_lake.lake import locks
from uih_lake.lake.store import Store

_MOST_HOURS = 1_000_000  # more than a century; Delta panics at what its clock does not hold


def vacuum(store: Store, retain_hours: int, dry_run: bool = False) -> list[str]:
    """Delete unreferenced files older than ``retain_hours``; returns their paths in the lake.

    With ``dry_run`` nothing is deleted.

    Raises :class:`InputError` for hours below 0, or so many that no file can be as old.
    A reader that holds an older version fails once its files are gone; 0 hours is for erasing.
    Nothing a pointer resolves to is ever touched: those files are in the newest version.
    """
    hours = integer("retain_hours", retain_hours, 0, _MOST_HOURS)
    with locks.sweeping(store.root):
        store.refresh()
        return [
            f"{Path(table.root).name}/{path}"
            for table in store.tables
            for path in table.vacuum(hours, dry_run)
        ]

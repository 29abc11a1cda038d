"""How a number of bytes is told to people, wherever it is told."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes in decimal units: ``512 B``, ``1.5 kB``, ``2.0 GB``, ``1,024.0 PB``, ``2e+07 PB``."""
    if count < 999.5:
        return f"{count:.0f} B"
    for unit in _UNITS:
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    count /= 1000
    return f"{count:,.1f} PB" if count < 99_999.95 else f"{count:.3g} PB"  # columns stay apart

"""Where output may go."""

from __future__ import annotations

from pathlib import Path

from uih_lake.errors import OutputError


def check_apart(out: str | Path, lake: str | Path | None) -> None:
    """Raise :class:`OutputError` where ``out`` is the lake, lies in it or holds it."""
    if lake is None:
        return
    place, inside = Path(out).resolve(), Path(lake).resolve()
    if place == inside or inside in place.parents:
        raise OutputError(f"{out} is inside the lake", hint="choose a place outside of it")
    if place in inside.parents:
        raise OutputError(f"{out} holds the lake", hint="choose a place outside of it")

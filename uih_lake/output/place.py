"""Where output may go."""

from __future__ import annotations

import os
from pathlib import Path

from uih_lake.errors import OutputError
from uih_lake.given import path_of


def check_apart(out: str | Path, lake: str | Path | None) -> None:
    """Raise :class:`OutputError` where ``out`` is the lake, lies in it or holds it.

    And :class:`InputError` where it is a URL.
    """
    path_of(out)
    if lake is None:
        return
    place, inside = Path(out).resolve(), Path(lake).resolve()
    if place == inside or inside in place.parents:
        raise OutputError(f"{out} is inside the lake", hint="choose a place outside of it")
    if place in inside.parents:
        raise OutputError(f"{out} holds the lake", hint="choose a place outside of it")


def check_file(path: str | Path, *, overwrite: bool, lake: str | Path | None) -> Path:
    """The absolute path of a file that may be written.

    Raises :class:`OutputError` where it exists and ``overwrite`` is not given, where it is a
    directory, a device, a pipe or below a file, and where it lies in ``lake``.
    """
    place = Path(path).resolve()
    check_apart(path, lake)
    check_below_directories(place)
    if place.is_dir():
        raise OutputError(f"{path} is a directory", hint="name a file in it")
    if place.exists() and not place.is_file():  # a rename would put a file in the place of it
        raise OutputError(f"{path} is no regular file", hint="name another place")
    if not overwrite and os.path.lexists(place):
        raise taken(path)
    return place


def check_below_directories(place: Path) -> None:
    """Raise :class:`OutputError` where a file stands in the way to ``place``."""
    for parent in place.parents:
        if parent.is_file():
            raise OutputError(f"{parent} is a file", hint="name a directory below directories")


def taken(path: str | Path) -> OutputError:
    """What to raise for a file that exists."""
    return OutputError(f"{path} exists", hint="choose another file, or replace it with --overwrite")

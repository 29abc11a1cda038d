"""Paths and globs to readers, by the ending of the name."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from uih_lake.errors import InputError
from uih_lake.ingest.arrow_files import ArrowFile, ParquetFile
from uih_lake.ingest.text import TextFile
from uih_lake.wording import guess

File = ParquetFile | ArrowFile | TextFile

_TEXT_ENDINGS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_ENDINGS: Final[dict[str, Callable[[Path], ParquetFile | ArrowFile]]] = {
    ".parquet": ParquetFile,
    ".pq": ParquetFile,
    ".arrow": ArrowFile,
    ".feather": ArrowFile,
    ".ipc": ArrowFile,
}


def find_files(source: Any) -> list[Path]:
    """Files of a path, a glob or a list of them: lists in their order, globs sorted by name.

    Raises :class:`InputError` for what is missing, no file, or named twice.
    """
    items = source if isinstance(source, list | tuple) else [source]
    if not items:
        raise InputError("no file given", hint="pass at least one path")
    files: list[Path] = []
    for item in items:
        if not isinstance(item, str | os.PathLike):
            raise InputError(
                f"a list of paths holds a {type(item).__name__}", hint="pass tables one at a time"
            )
        files.extend(_matches(os.fsdecode(item)))
    seen: set[str] = set()
    for file in files:
        real = os.path.realpath(file)
        if real in seen:
            raise InputError(f"{file}: is given twice", hint="name each file once")
        seen.add(real)
    return files


def _matches(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if os.path.lexists(path):
        return [_checked(path)]
    if not glob.has_magic(text):
        raise InputError(f"{path}: no such file", hint=f"{_nearby(path)}check the path")
    found = sorted(glob.glob(str(path), recursive=True))
    files = [Path(name) for name in found if not os.path.isdir(name)]
    if not files:
        raise InputError(f"{text}: no file matches", hint="check the pattern")
    return [_checked(file) for file in files]


def _nearby(path: Path) -> str:
    try:
        return guess(path.name, os.listdir(path.parent))
    except OSError:
        return ""


def _checked(path: Path) -> Path:
    if path.is_dir():
        raise InputError(f"{path}: is a directory", hint=f"name its files, e.g. {path}/*.parquet")
    if not path.exists():
        raise InputError(f"{path}: is a link to nothing", hint="check the link")
    if not path.is_file():
        raise InputError(f"{path}: is no regular file", hint="write it to a file first")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes)", hint="write it again or leave it out")
    return path


def open_file(path: Path) -> File:
    """The reader for a file's ending; raises :class:`InputError` where it cannot be read."""
    name = path.name.lower()
    try:
        for ending in _TEXT_ENDINGS:
            for full in (ending, f"{ending}.gz"):
                if name.endswith(full):
                    return TextFile(path, full)
        for ending, reader in _ENDINGS.items():
            if name.endswith(ending):
                return reader(path)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}", hint="check its permissions"
        ) from error
    known: Sequence[str] = [*_ENDINGS, *_TEXT_ENDINGS]
    raise InputError(
        f"{path}: unknown ending {path.suffix!r}",
        hint=f"one of {', '.join(known)} (text also .gz)",
    )

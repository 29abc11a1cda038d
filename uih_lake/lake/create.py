"""Making a lake: its four tables, in a directory that holds nothing else."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from uih_lake import names, schema
from uih_lake.errors import InputError, LakeError
from uih_lake.given import is_integer, path_of
from uih_lake.lake import disk, heads, locks, store
from uih_lake.lake.objects import is_url
from uih_lake.lake.store import Store
from uih_lake.lake.tables import Table

MAX_BUCKETS = 4096

_EVENTS = schema.NO_EVENTS
_TABLES = {
    names.EXAMPLES: (pa.schema([pa.field(names.REQUEST_TS, schema.TIME)]), names.LOG_VERSION),
    names.FORGOTTEN: (schema.TOMBSTONES, names.LAKE_VERSION),
    names.RECENT: (
        pa.schema([f for f in _EVENTS if f.name != names.LAKE_VERSION]),
        names.LAKE_VERSION,
    ),
    # Last: a directory is a lake once it has this table.
    names.UIH: (_EVENTS, names.BUCKET),
}
"""Columns and partition of each table, in the order in which they are made."""


def create(path: str | Path, buckets: int, events: pa.Schema | None = None) -> Store:
    """Create an empty lake, or complete one whose creation was interrupted.

    ``events`` are the normalised event columns that it is to have, where they are known by now.

    Raises :class:`LakeError` where there is a lake already or around it, or anything else, and for
    a number of buckets that no lake has; :class:`InputError` for what is no path, or a URL.
    """
    if is_url(path):
        scheme = str(path).partition("//")[0]
        hint = f"publish it to {scheme}/... from there"
        raise InputError("a lake is made in a directory", hint=hint)
    path = path_of(path)
    if not is_integer(buckets, 1, MAX_BUCKETS):
        raise LakeError(f"{buckets!r} buckets", hint=f"a lake has 1 to {MAX_BUCKETS} of them")
    with _alone(path) as root:
        settings = {
            store.BUCKETS: str(buckets),
            store.FORMAT: store.FORMAT_NUMBER,
            store.SALT: secrets.token_hex(16),
        }
        for name, (columns, partition) in _TABLES.items():
            if name == names.RECENT and events is not None:
                columns = schema.recent_events(schema.stored_events(events))
            _make(store.child(root, name), columns, partition, settings)
        for place in (root, os.path.dirname(root)):
            disk.sync(place)
    return Store.open(path)


def _make(root: str, columns: pa.Schema, partition: str, settings: Mapping[str, str]) -> None:
    """Make a table; one that an interrupted create has left gets the columns that are wanted now.

    Nobody else has it: the directory is no lake yet.
    """
    heads.drop(root)
    Table.create(root, columns, partition, settings)
    table = Table.open(root)
    if table is not None and table.schema != columns:
        table.commit(schema=columns)


@contextmanager
def _alone(path: str) -> Iterator[str]:
    """The absolute path of a directory for a lake, with every other creator kept out of it.

    Who waited for another one finds a lake: each has its own number of buckets and its own salt.
    """
    root = store.absolute(path)
    if unquote(root) != root:
        raise LakeError(
            f"no lake can be created at {path}: Delta takes it for {unquote(root)}",
            hint="choose another path, without a % and two digits",
        )
    _check_vacant(root, path)  # before anything is made
    try:
        os.makedirs(root, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"no lake can be created at {path}: {error.strerror}",
            hint="choose another path, writable and with a plain name",
        ) from error
    with locks.maintenance(root):
        _check_vacant(root, path)
        yield root


def _check_vacant(root: str, path: str) -> None:
    """Raise :class:`LakeError` where a directory holds what no interrupted create has left.

    That leaves locks and tables, and in those nothing but a log.
    """
    if Table.open(store.child(root, names.UIH)) is not None:
        raise LakeError(f"{path} is a lake already", hint="open it, or choose another path")
    for parent in Path(root).parents:  # whose vacuum would take it for left over
        if heads.is_there(store.child(str(parent), names.UIH)):
            raise LakeError(f"{path} is inside the lake {parent}", hint="choose a path outside")
    for found in sorted(Path(root).glob("*")):
        left = found.name in _TABLES and all(each.name == "_delta_log" for each in found.glob("*"))
        if not left and found.name not in locks.LOCKS:
            raise LakeError(f"{path} is not empty: it holds {found.name}", hint="choose a new one")

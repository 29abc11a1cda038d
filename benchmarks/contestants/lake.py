"""The lake: its loader in both forms. Each epoch makes a new loader, inside what is timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.batch import TRAITS, Batch, tally
from benchmarks.contestants.base import Contestant
from benchmarks.workload import Bench, tenant
from uih_lake import names
from uih_lake.lake.bucket import Bucket
from uih_lake.lake.store import Store
from uih_lake.loader import Loader
from uih_lake.resolve.placed import placed, standing
from uih_lake.resolve.ranges import touched
from uih_lake.selection import Selection
from uih_lake.session import cursor

_UNREAD = {names.GENERATION, names.END_TS}
ASKED = {*names.EXAMPLE_COLUMNS, *names.HIDDEN_EXAMPLE_COLUMNS, "label"} - _UNREAD
"""Columns of the examples that the loader reads; the tenant travels with a label."""


def contestants(bench: Bench, length: int) -> list[Contestant]:
    """The loader as it comes, with shared history laid out once, and in its second epoch and on.

    Pointers know their place, so what is needed of the history are the traits, in the row groups
    that sequences lie in.
    """
    history, examples = files(bench, names.UIH), files(bench, names.EXAMPLES)
    groups = needed(bench, length)
    read = column_bytes(history, set(TRAITS), groups) + column_bytes(examples, ASKED)
    decoded = column_bytes(history, set(TRAITS), groups, decoded=True)
    ways = {"uih": copying, "uih share": shared, "uih later epochs": later}
    return [_loading(bench, length, name, way, read, decoded) for name, way in ways.items()]


def written(bench: Bench, length: int) -> list[Contestant]:
    """The loader as it comes, and in its second epoch and on, of a tenant with a condition too."""
    ways = {"uih": copying, "uih later epochs": later}
    return [_loading(bench, length, name, way) for name, way in ways.items()]


def _loading(
    bench: Bench,
    length: int,
    name: str,
    way: Callable[[Bench, int], Iterator[Batch]],
    read: int | None = None,
    decoded: int | None = None,
) -> Contestant:
    paths = (*files(bench, names.UIH), *files(bench, names.EXAMPLES))
    return Contestant(f"{name} loader", name, partial(way, bench, length), paths, read, decoded)


def loader(bench: Bench, length: int, **options: Any) -> Any:
    """A loader of batches of 512 in affinity order."""
    wanted = tenant(length, bench.where)
    return Loader(bench.lake(), wanted, batch_size=512, device="cpu", seed=1, **options)


def copying(bench: Bench, length: int) -> Iterator[Batch]:
    """Contiguous values and offsets, each sequence written out."""
    return written_out(loader(bench, length))


def later(bench: Bench, length: int) -> Iterator[Batch]:
    """The same loader again: its pointers are resolved and its files checked."""
    return written_out(_kept(bench, length))


@cache
def _kept(bench: Bench, length: int) -> Any:
    made = loader(bench, length)
    tally(written_out(made))
    return made


def written_out(made: Any) -> Iterator[Batch]:
    """The batches of an epoch of a loader that writes sequences out."""
    for batch in made:
        history = batch["history"]
        values = {name: values.numpy() for name, values in history.values.items()}
        yield Batch(batch.example_id.numpy(), history.offsets.numpy(), values)


def shared(bench: Bench, length: int) -> Iterator[Batch]:
    """Rows that several examples of a batch need laid out once, with their places.

    The batch counts the events of the sequences, as a model that understands the form sees them.
    """
    for batch in loader(bench, length, share=True, order="user"):
        history = batch["history"]
        values = {name: values.numpy() for name, values in history.values.items()}
        yield SharedBatch(batch.example_id.numpy(), history, values)


class SharedBatch(Batch):
    """A batch whose sequences are written out only when their values are looked at."""

    def __init__(self, example_id: Any, history: Any, values: dict[str, Any]) -> None:
        object.__setattr__(self, "example_id", example_id)
        object.__setattr__(self, "shared", values)
        object.__setattr__(self, "_history", history)

    @property
    def events(self) -> int:
        """Events of all sequences."""
        return int(self._history.events)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name not in ("offsets", "values"):
            raise AttributeError(name)
        written = self._history.expand()
        if name == "offsets":
            return written.offsets.numpy()
        return {trait: values.numpy() for trait, values in written.values.items()}


def files(bench: Bench, table: str) -> tuple[Path, ...]:
    """Data files of a table; none but live ones are there after a vacuum."""
    return tuple(sorted((bench.lake_path / table).rglob("*.parquet")))


@cache
def needed(bench: Bench, length: int) -> dict[Path, list[int]]:
    """The row groups of each file of the history that hold events of the tenant's sequences."""
    selection = Selection.of(Store.open(str(bench.lake_path)))
    snapshot = selection.snapshot
    found: dict[Path, list[int]] = {}
    with cursor() as duck:
        for bucket, asked in selection.by_bucket(duck):
            ranges = placed(asked, standing(snapshot, asked, bucket), length)
            (path,) = snapshot.runs[bucket]
            edges = Bucket(snapshot, bucket).edges
            found[Path(path)] = touched([ranges], edges).tolist()
    return found


def column_bytes(
    paths: tuple[Path, ...],
    columns: set[str] | None = None,
    groups: Mapping[Path, Sequence[int]] | None = None,
    *,
    decoded: bool = False,
) -> int:
    """Bytes of column chunks, as stored or decoded; of all columns and row groups, or of some."""
    total = 0
    for path in paths:
        meta = pq.read_metadata(path)
        for group in range(meta.num_row_groups) if groups is None else groups.get(path, ()):
            for number in range(meta.num_columns):
                chunk = meta.row_group(group).column(number)
                if columns is None or chunk.path_in_schema.split(".")[0] in columns:
                    size = chunk.total_uncompressed_size if decoded else chunk.total_compressed_size
                    total += size
    return total

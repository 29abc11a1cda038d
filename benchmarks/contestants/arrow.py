"""Fat rows in an Arrow file, mapped: nothing to decode, everything to keep in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.batch import Array, Batch
from benchmarks.contestants.base import Contestant, ahead
from benchmarks.contestants.fat import batches_of
from benchmarks.contestants.warm import Warm

_PAGE = 4096


def contestants(path: Path, label: str) -> list[Contestant]:
    """Batches copied into warm memory, or lent as pages of the file, each of them touched."""
    size = path.stat().st_size
    ways: dict[str, Callable[[Path], Iterator[Batch]]] = {"copied": copied, "lent": lent}
    return [
        Contestant(f"{label} {name}", f"arrow {name}", partial(read, path), (path,), size, 0)
        for name, read in ways.items()
    ]


def lent(path: Path) -> Iterator[Batch]:
    """Pages of the file themselves. One that is not touched has not been read, so all are."""
    with pa.memory_map(str(path)) as mapped:
        file = pa.ipc.open_file(mapped)
        for number in range(file.num_record_batches):
            for batch in batches_of(pa.Table.from_batches([file.get_batch(number)])):
                for values in batch.values.values():
                    touch(values)
                yield batch


def copied(path: Path) -> Iterator[Batch]:
    """Memory of the consumer's own, used again; a thread copies ahead."""

    def copies() -> Iterator[Batch]:
        warm = Warm()
        with pa.memory_map(str(path)) as mapped:
            file = pa.ipc.open_file(mapped)
            for number in range(file.num_record_batches):
                for batch in batches_of(pa.Table.from_batches([file.get_batch(number)])):
                    yield warm.copied(batch)

    return ahead(copies(), Warm.AHEAD)


def touch(values: Array) -> int:
    """Read a value of every page."""
    return int(np.sum(values[:: _PAGE // values.itemsize].view(f"u{values.itemsize}")))

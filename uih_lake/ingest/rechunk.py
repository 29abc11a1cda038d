"""Batches of any size to batches of one good size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

MAX_ROWS: Final = 2**20
"""No batch is longer than this."""
MAX_BYTES: Final = 2**27
"""A batch of wide rows is cut at about this size, so that memory stays bounded."""


def rechunk(
    batches: Iterable[pa.RecordBatch], max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES
) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order; big batches are sliced, small ones put together.

    What is within half of the limits already goes through without a copy. Empty batches vanish.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for piece in _slices(batch, max_rows, max_bytes):
            if rows + piece.num_rows > max_rows or size + piece.nbytes > max_bytes:
                yield from _joined(held)
                held, rows, size = [], 0, 0
            held.append(piece)
            rows, size = rows + piece.num_rows, size + piece.nbytes
            if rows >= max_rows // 2 or size >= max_bytes // 2:
                yield from _joined(held)
                held, rows, size = [], 0, 0
    yield from _joined(held)


def _slices(batch: pa.RecordBatch, max_rows: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    rows = batch.num_rows
    if not rows:
        return
    fitting = rows * max_bytes // max(batch.nbytes, 1)
    step = max(1, min(max_rows, fitting))
    for start in range(0, rows, step):
        yield batch.slice(start, step)


def _joined(held: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if len(held) < 2:
        yield from held
        return
    # Dictionaries differ from batch to batch; unified they can be put together.
    table = pa.Table.from_batches(held).unify_dictionaries().combine_chunks()
    yield from table.to_batches()

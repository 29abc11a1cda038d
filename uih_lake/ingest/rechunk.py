"""Batches of any size to batches of one good size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from uih_lake.schema import CHUNK_ROWS

MAX_BYTES: Final = 2**27
"""A batch of wide rows is cut at about this size, so that memory stays bounded."""


def rechunk(
    batches: Iterable[pa.RecordBatch], max_rows: int = CHUNK_ROWS, max_bytes: int = MAX_BYTES
) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order; big batches are sliced, small ones put together.

    Every batch but the last is at least about half as long as a limit allows; what is so already
    goes through without a copy. Empty batches vanish.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for piece in _slices(batch, max_rows, max_bytes):
            held.append(piece)
            rows, size = rows + piece.num_rows, size + piece.nbytes
            if rows >= max_rows // 2 or size >= max_bytes // 2:
                for joined in _joined(held):
                    yield from _slices(joined, max_rows, max_bytes)
                held, rows, size = [], 0, 0
    yield from _joined(held)


def _slices(batch: pa.RecordBatch, max_rows: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batch in equal parts, as few as the limits allow."""
    rows = batch.num_rows
    if not rows:
        return
    parts = max(-(-rows // max_rows), -(-batch.nbytes // max_bytes), 1)
    step = max(1, -(-rows // parts))
    for start in range(0, rows, step):
        yield batch.slice(start, step)


def _joined(held: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if len(held) < 2:
        yield from held
        return
    # Dictionaries differ from batch to batch; unified they can be put together.
    table = pa.Table.from_batches(held).unify_dictionaries().combine_chunks()
    yield from table.to_batches()

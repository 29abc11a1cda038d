"""Groups with a condition: which rows meet it, and where sequences lie among those.

The columns that it speaks of are read like any, their pages checked, and DuckDB says of each row
whether it meets it. A row is then counted by how many such rows lie before it, so that the newest
of a sequence are a slice again; only row groups with rows that are needed have their traits read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names, sqlfile
from uih_lake.arrays import Int64, running, whole
from uih_lake.errors import SqlRefused
from uih_lake.lake.bucket import Bucket
from uih_lake.resolve.marked import Marked
from uih_lake.resolve.placed import Few, RowGroups
from uih_lake.resolve.plan import Scan
from uih_lake.resolve.ranges import Ranges, packed, touched
from uih_lake.resolve.taken import timely
from uih_lake.schema import UNBOUNDED
from uih_lake.session import cursor, fetch
from uih_lake.tenant import evaluating, spoken_of

_DERIVED = (names.ARRIVAL_TS, names.SEQ)
"""Columns that are not stored: a condition on one of them is for a scan in SQL."""


def tells(scan: Scan, stored: Sequence[str]) -> bool:
    """Whether the ``stored`` columns tell what a scan with a condition gives."""
    return set(scan.traits) <= set(stored) and not spoken_of(scan.where, _DERIVED)


def matching(
    duck: duckdb.DuckDBPyConnection,
    files: Bucket,
    scan: Scan,
    visible: Ranges,
    pointers: pa.Table,
) -> tuple[RowGroups, dict[str, Ranges]]:
    """The row groups with rows of the groups of ``scan``, and their ranges in what is kept of them.

    ``visible`` are all rows in ``files`` that each of the ``pointers`` sees. Raises
    :class:`CorruptionError`, and :class:`SqlRefused` where the condition meets a value that it
    cannot be evaluated on.
    """
    found = timely(files, dict(scan.groups), visible, pointers)
    edges = files.edges
    blocks = touched(found.values(), edges)
    sizes = np.diff(edges, prepend=0)[blocks]
    packs = {name: packed(ranges, edges, blocks) for name, ranges in found.items()}
    reached = Marked.covered(packs.values(), int(sizes.sum()))
    meets = _meets(duck, files, scan.where, blocks.tolist(), reached)
    cut = {
        name: meets.among(packs[name]).newest(group.max_len or UNBOUNDED)
        for name, group in scan.groups
    }
    used = Marked.covered(cut.values(), meets.count)
    numbers, few = _in_blocks(meets.only(used), sizes)
    some = blocks[numbers].tolist()
    groups = RowGroups(files, some, files.stored_bytes(scan.traits, some), few)
    return groups, {name: used.among(ranges) for name, ranges in cut.items()}


def _meets(
    duck: duckdb.DuckDBPyConnection,
    files: Bucket,
    where: str | None,
    blocks: Sequence[int],
    reached: Marked,
) -> Marked:
    """Those rows of some row groups that are ``reached`` and meet the condition."""
    rows = files.rows(spoken_of(where, files.snapshot.stored.names), blocks)
    answers = _of_kinds(where, rows)
    if answers is not None:
        return reached.of_kinds(rows.column(0), answers)
    return Marked.of(_asked(duck, where, rows, reached.array))


def _of_kinds(where: str | None, rows: pa.Table) -> npt.NDArray[np.bool_] | None:
    """What a condition says of each kind of string there is, as :meth:`Marked.of_kinds` takes it.

    None where it speaks of more than a column of few strings, or where it makes no sense of one of
    them, which perhaps no pointer reaches.
    """
    if rows.num_columns != 1 or not pa.types.is_dictionary(rows.schema.field(0).type):
        return None
    null = pa.nulls(1, pa.string())
    chunks = rows.column(0).chunks
    kinds = pa.concat_arrays([part for chunk in chunks for part in (chunk.dictionary, null)])
    different = pc.unique(kinds)
    try:
        answers = _answers(where, rows.column_names[0], tuple(different.to_pylist()))
    except SqlRefused:
        return None
    which: npt.NDArray[np.int32] = pc.index_in(kinds, different).to_numpy()
    return answers.take(which)


@lru_cache(64)
def _answers(
    where: str | None, column: str, kinds: tuple[str | None, ...]
) -> npt.NDArray[np.bool_]:
    """What a condition says of each of these strings, which most buckets have in common."""
    rows = pa.table({column: pa.array(kinds, pa.string())})
    with cursor(threads=1) as duck:
        said = _asked(duck, where, rows, pa.repeat(True, len(kinds)))
    answers: npt.NDArray[np.bool_] = pc.fill_null(said, False).to_numpy(zero_copy_only=False)
    return answers


def _asked(
    duck: duckdb.DuckDBPyConnection, where: str | None, rows: pa.Table, reached: pa.BooleanArray
) -> pa.BooleanArray:
    """What the condition says of rows that are ``reached``, null of others."""
    columns = dict(zip(rows.column_names, rows.columns, strict=True))
    duck.register("matched", pa.Table.from_pydict({**columns, "_reached": reached}))
    try:
        with evaluating(where):
            found = fetch(duck, sqlfile.fill("resolve/matching", where=where or "true"))
    finally:
        duck.unregister("matched")
    return whole(found.column("meets"))


def _in_blocks(rows: Int64, sizes: Int64) -> tuple[Int64, Few]:
    """Which blocks of ``sizes`` hold some of the ascending ``rows``, and these in those alone."""
    ends = np.searchsorted(rows, np.cumsum(sizes))
    counts = np.diff(ends, prepend=0)
    gone = running(np.where(counts > 0, 0, sizes))[:-1]
    numbers = np.flatnonzero(counts)
    mine = (rows - np.repeat(gone, counts)).astype(np.int32)
    return numbers, Few(mine, running(sizes[numbers]))

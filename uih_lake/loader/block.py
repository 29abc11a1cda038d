"""A block: the batches that can be cut once a window is open, laid out but not yet copied.

All decisions about a batch are made here, for all batches of a window at once, by numpy and
compiled loops: which examples, which fragments of which buckets, where each comes to lie. What is
left per batch is slicing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake.arrays import Int64, running
from uih_lake.gather.moves import Moves, address
from uih_lake.gather.pieces import Pieces, newest, pick
from uih_lake.gather.shared import merge
from uih_lake.loader.columns import Column, Stored
from uih_lake.loader.deal import Step
from uih_lake.loader.lengths import StochasticLength
from uih_lake.loader.plan import Cutting, Plan
from uih_lake.loader.source import Opened, Resolved


@dataclass(frozen=True)
class Chosen:
    """Examples of opened buckets; ``rows`` counts them through all ``sources``.

    ``behind`` is the position in the epoch behind each: the policy may have left out some between
    one and the next. ``draw`` is a random number in [0, 1) of each, where sequences are shortened
    at random.
    """

    sources: tuple[Opened, ...]
    rows: Int64
    behind: Int64
    draw: npt.NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def edges(self) -> Int64:
        """The row at which the examples of each source begin; one element more."""
        return edges_of(self.sources)

    def take(self, places: Int64 | slice) -> Chosen:
        """The examples at ``places``; buckets nobody needs any more are let go."""
        rows, behind = self.rows[places], self.behind[places]
        draw = None if self.draw is None else self.draw[places]
        source = np.searchsorted(self.edges[1:], rows, "right")
        unused = np.bincount(source, minlength=len(self.sources)) == 0
        if not unused.any():
            return Chosen(self.sources, rows, behind, draw)
        gone = running(np.diff(self.edges) * unused)
        left = zip(self.sources, unused.tolist(), strict=True)
        kept = tuple(opened for opened, drop in left if not drop)
        return Chosen(kept, rows - gone[source], behind, draw)

    def then(self, more: Chosen) -> Chosen:
        """These examples, then ``more``."""
        if not len(self):
            return more
        draw = None
        if self.draw is not None and more.draw is not None:
            draw = np.concatenate([self.draw, more.draw])
        rows = np.concatenate([self.rows, more.rows + self.edges[-1]])
        behind = np.concatenate([self.behind, more.behind])
        return Chosen((*self.sources, *more.sources), rows, behind, draw)

    def up_to(self, position: int) -> Chosen:
        """The same, where all that came up to there was left out."""
        behind = self.behind.copy()
        behind[-1:] = position
        return replace(self, behind=behind)

    def of_each(self, values: Callable[[Resolved], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """What ``values`` has for each example of a source, of those that are chosen."""
        parts = [values(opened.resolved) for opened in self.sources]
        return np.concatenate(parts)[self.rows]


def edges_of(sources: Sequence[Opened]) -> Int64:
    """Where the examples of each bucket begin, counted through all of them; one element more."""
    return running(np.array([len(opened.resolved) for opened in sources], np.int64))


@dataclass(frozen=True)
class Elements:
    """The elements of a list column: fragments of their own, per fragment of events."""

    column: Column
    addresses: Int64
    moves: Moves


@dataclass(frozen=True)
class Layout:
    """One sequence of all batches of a block: what is copied from where, per batch.

    Batch ``b`` copies the fragments ``cuts[b]`` to ``cuts[b+1]`` of ``moves``; of each, the columns
    that begin at ``addresses[column, source]``. The sequences of its examples are ``pieces``; in
    the shared form fragment ``f`` of them lies at row ``views[f]`` of what is copied. With the
    block's ``edges``, sequence ``i`` of batch ``b`` is its events ``offsets[edges[b] + b + i]`` up
    to the next one's, and ``longest[b]`` the length of the longest.
    """

    cutting: Cutting
    columns: tuple[Column, ...]
    offsets: Int64
    longest: Int64
    pieces: Pieces
    moves: Moves
    cuts: Int64
    views: Int64 | None
    planes: tuple[tuple[Column, str, np.dtype[np.generic]], ...]
    addresses: Int64
    widths: Int64
    elements: tuple[Elements, ...]
    stored: tuple[tuple[Stored, ...], ...]


@dataclass(frozen=True)
class Block:
    """Batches ready to be copied; batch ``b`` is the examples ``edges[b]`` to ``edges[b+1]``.

    ``after`` and ``padding`` are per batch: the position in the epoch behind its step, and how many
    of its examples are repeats.
    """

    sources: tuple[Opened, ...]
    edges: Int64
    after: tuple[int, ...]
    padding: tuple[int, ...]
    example_id: Int64 | pa.StringArray
    user_id: Int64 | pa.StringArray
    request_ts: Int64
    context: tuple[Stored, ...]
    layouts: tuple[Layout, ...]

    def __len__(self) -> int:
        return len(self.after)


def lay_out(
    chosen: Chosen,
    cut: Sequence[Step],
    plan: Plan,
    shorten: StochasticLength | None,
    share: bool,
) -> Block:
    """The block of the steps ``cut`` from ``chosen``, each of which has examples."""
    mine = chosen.take(np.concatenate([step.examples for step in cut]))
    edges = running(np.array([len(step.examples) for step in cut], np.int64))
    resolved = [opened.resolved for opened in mine.sources]
    context = [
        Stored.concatenated([r.context[number] for r in resolved]).take(mine.rows)
        for number in range(len(plan.context))
    ]
    return Block(
        mine.sources,
        edges,
        tuple(chosen.behind[[step.after - 1 for step in cut]].tolist()),
        tuple(step.padding for step in cut),
        example_id=_ids([r.example_id for r in resolved], mine.rows),
        user_id=_ids([r.user_id for r in resolved], mine.rows),
        request_ts=mine.of_each(lambda resolved: resolved.request_ts),
        context=tuple(context),
        layouts=tuple(
            _layout(cutting, mine, edges, plan, shorten, share) for cutting in plan.sequences
        ),
    )


def _layout(
    cutting: Cutting,
    mine: Chosen,
    edges: Int64,
    plan: Plan,
    shorten: StochasticLength | None,
    share: bool,
) -> Layout:
    ranges = [opened.resolved.ranges[cutting.key] for opened in mine.sources]
    pieces = pick(ranges, mine.rows)
    if shorten is not None and mine.draw is not None:
        longest = cutting.group.max_len or 0
        pieces = newest(pieces, shorten.keep(pieces.lengths, longest, mine.draw))
    moves, cuts, views = pieces.moves, pieces.offsets[edges], None
    if share:
        merged = merge(pieces, edges)
        moves, cuts, views = merged.moves, merged.offsets, merged.places
    columns = tuple(plan.columns[cutting.scan][number] for number in cutting.columns)
    stored = tuple(
        tuple(opened.columns[cutting.scan][number] for opened in mine.sources)
        for number in cutting.columns
    )
    planes, addresses = _planes(columns, stored)
    return Layout(
        cutting,
        columns,
        *pieces.batches(edges),
        pieces,
        moves,
        cuts,
        views,
        tuple(planes),
        np.array(addresses, np.int64).reshape(len(planes), len(mine.sources)),
        np.array([dtype.itemsize for _, _, dtype in planes], np.int64),
        tuple(
            _elements(column, parts, moves)
            for column, parts in zip(columns, stored, strict=True)
            if column.is_list
        ),
        stored,
    )


def _ids(parts: Sequence[pa.Array], rows: Int64) -> Int64 | pa.StringArray:
    """Ids of all parts by place; numbers in memory that torch may write to."""
    if pa.types.is_string(parts[0].type):
        return pa.concat_arrays(parts).take(pa.array(rows))
    return np.concatenate([part.to_numpy() for part in parts])[rows]


def _planes(
    columns: Sequence[Column], stored: Sequence[Sequence[Stored]]
) -> tuple[list[tuple[Column, str, np.dtype[np.generic]]], list[list[int]]]:
    """What is copied per event, and where each begins per source."""
    planes: list[tuple[Column, str, np.dtype[np.generic]]] = []
    addresses: list[list[int]] = []
    for column, parts in zip(columns, stored, strict=True):
        if column.is_list:
            planes.append((column, "lengths", np.dtype(np.int64)))
            addresses.append([address(part.lengths) for part in parts])
        else:
            planes.append((column, "values", column.dtype))
            addresses.append([address(part.values) for part in parts])
        if column.masked:
            planes.append((column, "mask", np.dtype(np.bool_)))
            addresses.append([address(part.mask) for part in parts])
    return planes, addresses


def _elements(column: Column, parts: Sequence[Stored], moves: Moves) -> Elements:
    base = running(np.array([len(part.edges) for part in parts], np.int64))[:-1]
    edges = np.concatenate([part.edges for part in parts])
    starts = edges[base[moves.runs] + moves.starts]
    stops = edges[base[moves.runs] + moves.stops]
    return Elements(
        column,
        np.array([[address(part.values) for part in parts]], np.int64),
        Moves.of(moves.runs, starts, stops),
    )

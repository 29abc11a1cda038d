"""A block: the batches that can be cut once a window is open, laid out but not yet copied.

All decisions about a batch are made here, for all batches of a window at once and in numpy: which
examples, which fragments of which buckets, where each comes to lie. What is left per batch is
slicing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from uih_lake.gather.moves import Moves, Pieces, address, newest, pick
from uih_lake.gather.shared import merge
from uih_lake.loader.columns import Column, Stored
from uih_lake.loader.deal import Step
from uih_lake.loader.lengths import StochasticLength
from uih_lake.loader.plan import Cutting, Plan
from uih_lake.loader.source import Opened
from uih_lake.resolve.ranges import Int64, running


@dataclass(frozen=True)
class Chosen:
    """Examples by place: example ``example[i]`` of the opened bucket ``sources[run[i]]``.

    ``cost`` is the number of events it may have, ``draw`` a random number in [0, 1).
    """

    sources: tuple[Opened, ...]
    run: Int64
    example: Int64
    cost: Int64
    draw: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.run)

    def take(self, places: Int64) -> Chosen:
        """The examples at ``places``; buckets nobody needs any more are let go."""
        run = self.run[places]
        used = np.flatnonzero(np.bincount(run, minlength=len(self.sources)))
        renumbered = np.zeros(len(self.sources), np.int64)
        renumbered[used] = np.arange(len(used))
        return Chosen(
            tuple(self.sources[number] for number in used.tolist()),
            renumbered[run],
            self.example[places],
            self.cost[places],
            self.draw[places],
        )

    def then(self, more: Chosen) -> Chosen:
        """These examples, then ``more``."""
        if not len(self):
            return more
        return Chosen(
            (*self.sources, *more.sources),
            np.concatenate([self.run, more.run + len(self.sources)]),
            np.concatenate([self.example, more.example]),
            np.concatenate([self.cost, more.cost]),
            np.concatenate([self.draw, more.draw]),
        )

    @property
    def passed(self) -> npt.NDArray[np.bool_]:
        """Whether the policy lets each of them through."""
        first = running(np.array([len(o.resolved) for o in self.sources], np.int64))[:-1]
        passed = np.concatenate([opened.resolved.passed for opened in self.sources])
        chosen: npt.NDArray[np.bool_] = passed[first[self.run] + self.example]
        return chosen


@dataclass(frozen=True)
class Elements:
    """The elements of a list column: fragments of their own, per fragment of events."""

    column: Column
    addresses: Int64
    moves: Moves
    alias: tuple[Stored, ...]


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

    @cached_property
    def jobs(self) -> list[int]:
        """The batches that have examples."""
        batches: list[int] = np.flatnonzero(np.diff(self.edges)).tolist()
        return batches


def lay_out(
    chosen: Chosen,
    cut: Sequence[Step],
    first: int,
    plan: Plan,
    shorten: StochasticLength | None,
    share: bool,
) -> Block | None:
    """The block of the steps ``cut`` from ``chosen``; None without examples.

    ``first`` is the position in the epoch of the first of the chosen.
    """
    places = np.concatenate([step.examples for step in cut])
    batch = np.repeat(np.arange(len(cut)), [len(step.examples) for step in cut])
    mine = chosen.take(places)
    passed = mine.passed
    if not passed.all():
        mine, batch = mine.take(np.flatnonzero(passed)), batch[passed]
    if not len(mine):
        return None
    edges = running(np.bincount(batch, minlength=len(cut)))
    resolved = [opened.resolved for opened in mine.sources]
    base = running(np.array([len(r) for r in resolved], np.int64))[:-1]
    rows = base[mine.run] + mine.example
    context = [
        Stored.concatenated([r.context[number] for r in resolved]).take(rows)
        for number in range(len(plan.context))
    ]
    return Block(
        mine.sources,
        edges,
        tuple(first + step.after for step in cut),
        tuple(step.padding for step in cut),
        example_id=_ids([r.example_id for r in resolved], rows),
        user_id=_ids([r.user_id for r in resolved], rows),
        request_ts=np.concatenate([r.request_ts for r in resolved])[rows],
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
    pieces = pick(ranges, mine.run, mine.example)
    if shorten is not None:
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
        *_offsets(pieces.lengths, edges),
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


def _offsets(lengths: Int64, edges: Int64) -> tuple[Int64, Int64]:
    """Of batches one after the other: the offsets of each, from 0 on; its longest sequence."""
    batch = np.repeat(np.arange(len(edges) - 1), np.diff(edges) + 1)
    ends = running(lengths)
    offsets = ends[np.arange(len(batch)) - batch] - ends[edges[batch]]
    # What a batch without examples has for its longest, nobody asks for.
    return offsets, np.maximum.reduceat(np.append(lengths, 0), edges[:-1])


def _ids(parts: Sequence[pa.Array], rows: Int64) -> Int64 | pa.StringArray:
    """Ids of all parts by place; numbers in memory that torch may write to."""
    ids = pa.concat_arrays(parts).take(pa.array(rows))
    return ids if pa.types.is_string(ids.type) else np.array(ids)


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
        tuple(parts),
    )

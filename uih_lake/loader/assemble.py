"""One batch: memory leased, fragments copied in parts by any thread, tensors laid on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from uih_lake.arrays import Int64, running
from uih_lake.gather.moves import Moves, copy
from uih_lake.gather.ring import ALIGNMENT, Lease, Ring
from uih_lake.loader.batch import Batch
from uih_lake.loader.block import Block, Elements, Layout
from uih_lake.loader.columns import Column, Stored
from uih_lake.loader.dictionary import Dictionary
from uih_lake.loader.jagged import Jagged, Nested, Shared, Values
from uih_lake.loader.plan import Plan

PART_BYTES = 8 << 20
"""A thread copies about this much of a batch at a time."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Part:
    """Fragments ``first`` to ``last`` of some columns, and where the first of them goes."""

    addresses: Int64
    widths: Int64
    moves: Moves
    first: int
    last: int
    out: Int64

    def run(self) -> None:
        """Copy them."""
        copy(self.addresses, self.widths, self.moves, self.first, self.last, self.out)


@dataclass(frozen=True)
class Region:
    """Where one kind of row lies in the memory of each batch of a block.

    Batch ``b`` copies ``rows[b]`` of them, and column ``c`` begins at byte ``offsets[b, c]``.
    """

    rows: list[int]
    offsets: Int64

    @classmethod
    def behind(cls, ends: Int64, rows: Int64, widths: Int64) -> tuple[Region, Int64]:
        """``rows`` per batch of columns so wide, behind what ends at ``ends``; where it ends."""
        sizes = -(-widths * rows[:, None] // ALIGNMENT) * ALIGNMENT
        stops = ends[:, None] + np.cumsum(sizes, axis=1)
        return cls(rows.tolist(), stops - sizes), stops[:, -1]


class Assembler:
    """Makes the batches of a block; where their columns lie is worked out for all of them at once.

    With ``alias`` a sequence of a batch that is one fragment is lent where it lies, and not copied.
    """

    def __init__(self, block: Block, ring: Ring, alias: bool) -> None:
        self.block = block
        self.ring = ring
        self.lent: list[list[bool]] = []
        self.regions: list[tuple[Region, list[Region]]] = []
        ends = np.zeros(len(block.edges) - 1, np.int64)
        for layout in block.layouts:
            lent = np.diff(layout.cuts) == 1 if alias else np.zeros(len(ends), np.bool_)
            rows = np.diff(layout.moves.places[layout.cuts])
            region, ends = Region.behind(ends, np.where(lent, 0, rows), layout.widths)
            inner = []
            for elements in layout.elements:
                rows = np.where(lent, 0, np.diff(elements.moves.places[layout.cuts]))
                nested, ends = Region.behind(ends, rows, _width(elements))
                inner.append(nested)
            self.lent.append(lent.tolist())
            self.regions.append((region, inner))
        self.nbytes: list[int] = ends.tolist()
        """Bytes of memory each batch takes."""

    def begin(self, number: int) -> Assembly:
        """Batch ``number``, its memory leased."""
        size = self.nbytes[number]
        return Assembly(self, number, self.ring.lease(size) if size else None)


@dataclass(frozen=True)
class Assembly:
    """Batch ``number`` of a block on its way to tensors."""

    assembler: Assembler
    number: int
    lease: Lease | None

    def parts(self) -> list[Part]:
        """What there is to copy."""
        found: list[Part] = []
        if self.lease is None:
            return found
        base, number = self.lease.address, self.number
        block = self.assembler.block
        for layout, (region, inner) in zip(block.layouts, self.assembler.regions, strict=True):
            first, last = int(layout.cuts[number]), int(layout.cuts[number + 1])
            if region.rows[number]:
                where = base + region.offsets[number]
                found += _parts(layout.addresses, layout.widths, layout.moves, first, last, where)
            for elements, nested in zip(layout.elements, inner, strict=True):
                if nested.rows[number]:
                    where = base + nested.offsets[number]
                    width = _width(elements)
                    found += _parts(elements.addresses, width, elements.moves, first, last, where)
        return found

    def batches(self, plan: Plan) -> list[Batch]:
        """The batch of each tenant, once all parts have been copied."""
        block, number = self.assembler.block, self.number
        start, stop = int(block.edges[number]), int(block.edges[number + 1])
        groups: list[dict[str, Jagged | Shared]] = [{} for _ in plan.tenants]
        for place, layout in enumerate(block.layouts):
            group = groups[layout.cutting.tenant]
            group[layout.cutting.name] = self._sequences(layout, start, stop, *self._values(place))
        context = {
            column.name: stored.slice(start, stop)
            for column, stored in zip(plan.context, block.context, strict=True)
        }
        example_id = _ids(block.example_id[start:stop])
        user_id = _ids(block.user_id[start:stop])
        request_ts = _tensor(block.request_ts[start:stop])
        batches = []
        for tenant, mine in zip(plan.tenants, groups, strict=True):
            chosen = {name: context[name] for name in tenant.context}
            masks = {n: _tensor(s.mask) for n, s in chosen.items() if s.valid is not None}
            batches.append(
                Batch(
                    example_id,
                    user_id,
                    request_ts,
                    mine,
                    {name: _loose(stored) for name, stored in chosen.items()},
                    masks or None,
                    _dictionaries(c for c in plan.context if c.name in chosen),
                    block.padding[number],
                )
            )
        return batches

    def _sequences(
        self,
        layout: Layout,
        start: int,
        stop: int,
        values: dict[str, Values],
        masks: dict[str, Tensor] | None,
    ) -> Jagged | Shared:
        """The sequences of the examples ``start`` to ``stop`` of the block."""
        number = self.number
        offsets = layout.offsets[start + number : stop + number + 1]
        longest, events = int(layout.longest[number]), int(offsets[-1])
        dictionaries = _dictionaries(layout.columns)
        if layout.views is None:
            return Jagged(values, _tensor(offsets), longest, events, masks, dictionaries)
        pieces = layout.pieces
        views = pieces.offsets[start : stop + 1]
        first, last = int(views[0]), int(views[-1])
        return Shared(
            values,
            view_starts=_tensor(layout.views[first:last]),
            view_lengths=_tensor(np.diff(pieces.moves.places[first : last + 1])),
            view_offsets=_tensor(views - first),
            longest=longest,
            events=events,
            masks=masks,
            dictionaries=dictionaries,
        )

    def _values(self, place: int) -> tuple[dict[str, Values], dict[str, Tensor] | None]:
        layout = self.assembler.block.layouts[place]
        if self.assembler.lent[place][self.number]:
            return self._lent(layout)
        region, inner = self.assembler.regions[place]
        values: dict[str, Values] = {}
        masks: dict[str, Tensor] = {}
        nested = iter(inner)
        held = self._held(region, [dtype for *_, dtype in layout.planes])
        for (column, role, _), tensor in zip(layout.planes, held, strict=True):
            if role == "mask":
                masks[column.name] = tensor
            elif role == "values":
                values[column.name] = tensor
            else:
                (elements,) = self._held(next(nested), [column.dtype])
                values[column.name] = Nested(elements, _tensor(running(tensor.numpy())))
        return values, masks or None

    def _held(self, region: Region, dtypes: Sequence[np.dtype[Any]]) -> list[Tensor]:
        """The columns of a region, of these types."""
        rows = region.rows[self.number]
        if self.lease is None or not rows:
            return [_tensor(np.zeros(0, dtype)) for dtype in dtypes]
        offsets = region.offsets[self.number].tolist()
        each = zip(dtypes, offsets, strict=True)
        return [_tensor(self.lease.array(dtype, offset, rows)) for dtype, offset in each]

    def _lent(self, layout: Layout) -> tuple[dict[str, Values], dict[str, Tensor] | None]:
        """The one fragment of the batch where it lies, in the engine's own buffers."""
        fragment = int(layout.cuts[self.number])
        run = int(layout.moves.runs[fragment])
        start, stop = int(layout.moves.starts[fragment]), int(layout.moves.stops[fragment])
        values: dict[str, Values] = {}
        masks: dict[str, Tensor] = {}
        for column, parts in zip(layout.columns, layout.stored, strict=True):
            piece = parts[run].slice(start, stop)
            values[column.name] = _loose(piece)
            if piece.valid is not None:
                masks[column.name] = _tensor(piece.mask)
        return values, masks or None


def _parts(
    addresses: Int64, widths: Int64, moves: Moves, first: int, last: int, out: Int64
) -> list[Part]:
    """Fragments cut into parts of about :data:`PART_BYTES`."""
    begin = int(moves.places[first])
    rows = int(moves.places[last]) - begin
    count = rows * int(widths.sum()) // PART_BYTES
    if count <= 1:
        return [Part(addresses, widths, moves, first, last, out)]
    marks = begin + rows * np.arange(1, count) // count
    inner = np.searchsorted(moves.places[first : last + 1], marks) + first
    return [
        Part(addresses, widths, moves, edge, end, out + (moves.places[edge] - begin) * widths)
        for edge, end in pairwise([first, *inner.tolist(), last])
        if edge < end
    ]


def _dictionaries(columns: Iterable[Column]) -> dict[str, Dictionary]:
    return {c.name: c.dictionary for c in columns if c.dictionary is not None}


def _loose(stored: Stored) -> Values:
    """A column as tensors that share its memory."""
    if stored.offsets is None:
        return _tensor(stored.values)
    return Nested(_tensor(stored.values), _tensor(stored.offsets))


def _ids(ids: Int64 | pa.StringArray) -> Tensor | list[str]:
    return _tensor(ids) if isinstance(ids, np.ndarray) else ids.to_pylist()


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(values)


def _width(elements: Elements) -> Int64:
    return np.array([elements.column.dtype.itemsize], np.int64)

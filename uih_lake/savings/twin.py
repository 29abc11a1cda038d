"""The fat-row twin of a tenant in one layout: written in full and measured, or sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.arrays import Int64
from uih_lake.progress import Progress
from uih_lake.savings import fat
from uih_lake.savings.fat import Blocks, Layout, Settings
from uih_lake.savings.figures import FILES, Asker, Figure
from uih_lake.savings.population import Histories, Population
from uih_lake.savings.tenants import columns
from uih_lake.tenant import Tenant

_T95 = {4: 2.776, 6: 2.447}
"""Two-sided 95% points of Student's t, by degrees of freedom: row groups sampled, less two."""
_FRAME = 12
"""Bytes of a Parquet file around row groups and footer: two magic words and a length."""
_LONE = 4
"""What a row group is divided by for rows that have no event in common: a page of them will do."""


@dataclass(frozen=True)
class Scale:
    """How a sample of row groups stands for all: weights of those in it, and of everything.

    Weights are the sizes of :class:`Blocks`.

    ``extra`` is the bytes of the whole file beside its column chunks: footer and frame.
    """

    weights: tuple[int, ...]
    total: int
    row_groups: int
    extra: int


@dataclass(frozen=True)
class Twin:
    """A Parquet file of fat rows; ``scale`` is None where it holds every row."""

    path: Path
    layout: Layout
    settings: Settings
    scale: Scale | None
    rates: Rates
    asker: Asker = field(repr=False)

    def at_rest(self, every: Sequence[str]) -> Figure:
        """Bytes of the file; ``every`` is the list of its columns."""
        if self.scale is None:
            return self.asker.figure("savings/fat_file", "bytes", file=str(self.path))
        return self._estimate(every, False, self.scale.extra)

    def read(self, columns: Sequence[str], *, uncompressed: bool = False) -> Figure:
        """Bytes of some columns, as stored or after decompression."""
        if self.scale is None:
            column = "uncompressed_bytes" if uncompressed else "bytes"
            parameters = {"file": str(self.path), "columns": columns}
            return self.asker.figure("savings/fat_columns", column, **parameters)
        return self._estimate(columns, uncompressed)

    def _estimate(self, columns: Sequence[str], uncompressed: bool, extra: int = 0) -> Figure:
        assert self.scale is not None
        (row,), sql = self.asker.rows(
            "savings/fat_estimate",
            file=str(self.path),
            columns=columns,
            weights=self.scale.weights,
            total=self.scale.total,
            groups=self.scale.row_groups,
            uncompressed=uncompressed,
            extra=extra,
            t=_T95[len(self.scale.weights) - 2],
        )
        return Figure(row["bytes"], "savings/fat_estimate", sql, FILES, row["low"], row["high"])


@dataclass(frozen=True)
class Rates:
    """Bytes that fat rows of a layout cost, compressed.

    ``row`` for a row apart from its events, ``first`` for an event where it is written first,
    ``again`` for each further copy of it.
    """

    row: float
    first: float
    again: float

    def bytes(self, rows: float, referenced: float, distinct: float) -> float:
        """Bytes of a table of so many rows, events in them, and different events among those."""
        return rows * self.row + distinct * self.first + (referenced - distinct) * self.again


@dataclass
class _Draft:
    """A twin about to be written: its ``chosen`` row groups, whose ``rows`` can be taken once.

    ``trial`` is the row group that ``settings`` are tried on.
    """

    layout: Layout
    blocks: Blocks
    chosen: Int64
    sampled: bool
    trial: int
    rows: Iterator[pa.Table]
    settings: Settings = field(init=False)


def file_name(tenant: Tenant, layout: Layout) -> str:
    """What the twin of a tenant is called."""
    return f"{tenant.name}-{layout}.parquet"


@dataclass(frozen=True)
class Maker:
    """Writes the twins of one tenant below ``place``."""

    place: Path
    histories: Histories
    population: Population
    seed: int
    exact: bool
    row_group_bytes: int
    asker: Asker

    def make(self, progress: Progress) -> dict[str, Twin]:
        """Write the whole twin, or a seeded sample of its row groups, in each layout."""
        drafts = [self._draft(layout) for layout in Layout]
        self._sample([draft for draft in drafts if draft.sampled])
        for draft in drafts:
            self._try(draft)
        if self.exact:
            made = [self._written(draft, progress) for draft in drafts]
        else:
            with ThreadPoolExecutor(len(drafts)) as pool:
                made = [*pool.map(lambda draft: self._written(draft, progress), drafts)]
        return {twin.layout.value: replace(twin, rates=self._rates(twin)) for twin in made}

    def _draft(self, layout: Layout) -> _Draft:
        """Choose row groups."""
        blocks = Blocks.of(self.population, layout, self.row_group_bytes)
        random = np.random.default_rng(self.seed)
        size = min(fat.SAMPLE[layout], len(blocks))
        sample = np.sort(random.choice(len(blocks), size, replace=False))
        sampled = not self.exact and len(sample) < len(blocks)
        chosen = sample if sampled else np.arange(len(blocks))
        return _Draft(layout, blocks, chosen, sampled, int(sample[0]), self._tables(blocks, chosen))

    def _sample(self, drafts: list[_Draft]) -> None:
        """Rebuild what was sampled, of both layouts in one pass."""
        places = [draft.blocks.places(n) for draft in drafts for n in draft.chosen.tolist()]
        waiting = iter(self.histories.rows(self.population, places))
        for draft in drafts:
            own = [*islice(waiting, len(draft.chosen))]
            draft.rows = (each.table() for each in own)

    def _try(self, draft: _Draft) -> None:
        """Choose settings by what they do to a row group; the same one where all are written."""
        first = int(draft.chosen[0]) == draft.trial
        rows = draft.rows if first else self._tables(draft.blocks, np.array([draft.trial]))
        trial = next(rows)
        draft.settings = Settings.best(trial)
        if first:
            draft.rows = chain([trial], rows)

    def _written(self, draft: _Draft, progress: Progress) -> Twin:
        """The twin, its rates left out."""
        path = self.place / file_name(self.histories.rebuild.tenant, draft.layout)
        rows = _told(draft.rows, len(draft.chosen), progress)
        fat.write(path, self.histories.schema, rows, draft.settings)
        scale = self._scale(path, draft) if draft.sampled else None
        return Twin(path, draft.layout, draft.settings, scale, Rates(0, 0, 0), self.asker)

    def _tables(self, blocks: Blocks, chosen: Int64) -> Iterator[pa.Table]:
        return fat.tables(self.histories, self.population, blocks, chosen)

    def _scale(self, path: Path, draft: _Draft) -> Scale:
        """The footer grows by the same for each row group."""
        blocks, chosen = draft.blocks, draft.chosen
        empty = pa.BufferOutputStream()
        draft.settings.writer(empty, self.histories.schema).close()
        schema_bytes = len(empty.getvalue()) - _FRAME
        footer = pq.read_metadata(path)
        per_group = (footer.serialized_size - schema_bytes) / len(chosen)
        extra = _FRAME + schema_bytes + round(per_group * len(blocks))
        weights = tuple(blocks.size[chosen].tolist())
        return Scale(weights, int(blocks.size.sum()), len(blocks), extra)

    def _rates(self, twin: Twin) -> Rates:
        """Rates from what was measured, and from the newest row of some users by itself."""
        tenant = self.histories.rebuild.tenant
        every = columns(tenant)
        traits = [name for name in every if ", " in name]
        keys = [name for name in every if ", " not in name]
        rows = len(self.population)
        referenced = sum(self.population.referenced.values())
        distinct = sum(self.population.distinct.values())
        if not distinct:
            return Rates(float(twin.read(keys)) / max(rows, 1), 0.0, 0.0)
        first = self._first(twin.settings, twin.layout)
        whole = float(twin.read(traits))
        again = first
        if referenced > distinct:
            again = min(first, max(0.0, (whole - first * distinct) / (referenced - distinct)))
        # What is known for sure is the whole: the first copies take what the others leave.
        first = (whole - again * (referenced - distinct)) / distinct
        return Rates(float(twin.read(keys)) / rows, first, again)

    def _first(self, settings: Settings, layout: Layout) -> float:
        """Compressed bytes per event of rows none of which shares an event with another."""
        table = self._lone
        if layout is Layout.REQUEST_ORDER:
            table = table.sort_by(names.REQUEST_TS)
        groups = list(self.histories.rebuild.tenant.groups)
        sizes = settings.sizes(table)
        size = sum(sizes[path] for path in fat.paths(pa.schema(map(table.schema.field, groups))))
        return size / max(1, _events(table, groups))

    @cached_property
    def _lone(self) -> pa.Table:
        """The newest row of some users, of as few buckets as it takes; those are random."""
        newest = self.population.last
        total = np.cumsum(self.population.weight[newest])
        few = newest[: max(1, int(np.searchsorted(total, self.row_group_bytes // _LONE)))]
        return self.histories.rows(self.population, [few])[0].table()


def _told(rows: Iterator[pa.Table], total: int, progress: Progress) -> Iterator[pa.Table]:
    """The tables, telling how far it got."""
    for done, table in enumerate(rows):
        yield table
        del table  # before the next one is there
        progress(done + 1, total)


def _events(table: pa.Table, groups: list[str]) -> int:
    """Events in all sequences of a table."""
    total = 0
    for name in groups:
        struct = table.column(name).combine_chunks()
        total += len(struct.field(0).flatten())
    return total

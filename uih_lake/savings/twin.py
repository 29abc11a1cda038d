"""The fat-row twin of a tenant in one layout: written in full and measured, or sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uih_lake import names
from uih_lake.savings import fat
from uih_lake.savings.fat import Blocks, Layout, Settings
from uih_lake.savings.figures import FILES, Asker, Figure
from uih_lake.savings.population import Histories, Int64, Population, Progress
from uih_lake.savings.tenants import columns

_T95 = {4: 2.776, 6: 2.447}
"""Two-sided 95% points of Student's t, by degrees of freedom: row groups sampled, less two."""
_FRAME = 12
"""Bytes of a Parquet file around row groups and footer: two magic words and a length."""


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
        return self._estimate(every, False).plus(self.scale.extra)

    def read(self, columns: Sequence[str], *, uncompressed: bool = False) -> Figure:
        """Bytes of some columns, as stored or after decompression."""
        if self.scale is None:
            column = "uncompressed_bytes" if uncompressed else "bytes"
            parameters = {"file": str(self.path), "columns": columns}
            return self.asker.figure("savings/fat_columns", column, **parameters)
        return self._estimate(columns, uncompressed)

    def _estimate(self, columns: Sequence[str], uncompressed: bool) -> Figure:
        assert self.scale is not None
        (row,), sql = self.asker.rows(
            "savings/fat_estimate",
            file=str(self.path),
            columns=columns,
            weights=self.scale.weights,
            total=self.scale.total,
            groups=self.scale.row_groups,
            uncompressed=uncompressed,
        )
        margin = row["standard_error"] * _T95[len(self.scale.weights) - 2]
        value = row["bytes"]
        return Figure(value, "savings/fat_estimate", sql, FILES, value - margin, value + margin)


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

    def make(self, layout: Layout, progress: Progress) -> Twin:
        """Write the whole twin, or a seeded sample of its row groups."""
        blocks = Blocks.of(self.population, layout, self.row_group_bytes)
        random = np.random.default_rng(self.seed)
        size = min(fat.SAMPLE[layout], len(blocks))
        sample = np.sort(random.choice(len(blocks), size, replace=False))
        sampled = not self.exact and len(sample) < len(blocks)
        chosen = sample if sampled else np.arange(len(blocks))
        some = list(self._tables(blocks, sample if sampled else sample[:1]))
        settings = Settings.best(some[0])
        path = self.place / f"{self.histories.rebuild.tenant.name}-{layout}.parquet"
        rows = some if sampled else self._told(blocks, chosen, progress)
        fat.write(path, self.histories.schema, rows, settings)
        scale = self._scale(path, settings, blocks, chosen) if sampled else None
        twin = Twin(path, layout, settings, scale, Rates(0, 0, 0), self.asker)
        return replace(twin, rates=self._rates(twin))

    def _tables(self, blocks: Blocks, chosen: Int64) -> Iterator[pa.Table]:
        return fat.tables(self.histories, self.population, blocks, chosen)

    def _told(self, blocks: Blocks, chosen: Int64, progress: Progress) -> Iterator[pa.Table]:
        """The rows of blocks, telling how far it got."""
        for done, table in enumerate(self._tables(blocks, chosen)):
            progress(done, len(chosen))
            yield table

    def _scale(self, path: Path, settings: Settings, blocks: Blocks, chosen: Int64) -> Scale:
        """The footer grows by the same for each row group."""
        empty = pa.BufferOutputStream()
        settings.writer(empty, self.histories.schema).close()
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
        size = sum(size for path, size in sizes.items() if path.partition(".")[0] in groups)
        return size / max(1, _events(table, groups))

    @cached_property
    def _lone(self) -> pa.Table:
        """The newest row of each user, of as few buckets as fill a row group; those are random."""
        newest = np.flatnonzero(np.diff(self.population.user, append=-1))
        total = np.cumsum(self.population.weight[newest])
        few = newest[: max(1, int(np.searchsorted(total, self.row_group_bytes)))]
        return self.histories.rows(self.population, few)


def _events(table: pa.Table, groups: list[str]) -> int:
    """Events in all sequences of a table."""
    total = 0
    for name in groups:
        struct = table.column(name).combine_chunks()
        total += len(struct.field(0).flatten())
    return total

"""The stages that `stages.py` measures, each run in a process of its own.

``python -m benchmarks.work STAGE FOLDER SIZES`` with SIZES as JSON does one stage in ``FOLDER``,
which holds what the stages before it left, and prints one JSON object: ``seconds``, ``rows`` (what
the stage is counted in), ``unit``, ``bytes`` left on disk where it writes, and ``peak_mb``, the
largest resident memory of the process (``ru_maxrss``).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.batch import bits
from uih_lake import Group, Lake, Tenant
from uih_lake.gather import moves
from uih_lake.materialize import Rebuild
from uih_lake.resolve.run import Resolver
from uih_lake.session import connect
from uih_lake.workload import Workload

DELIVERIES = 4
TRAITS = ("item_id", "event_ts", "dwell", "category")
REPEATS = 3
"""Reads are repeated in one process, the best is taken: page cache and code are then warm."""
_SAMPLE = 16 * 1024

Result = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """One lake: events, buckets, and the longest sequence of a tenant (0 where none is asked)."""

    events: int
    buckets: int
    length: int = 0

    @property
    def workload(self) -> Workload:
        """Histories of 2,514 events in the mean, a request for every 125 events."""
        users = max(1, self.events // 2514)
        mean = self.events // users
        return Workload(users=users, mean_events=mean, requests=self.events // 125)

    @property
    def tenant(self) -> Tenant:
        """Four traits of the newest ``length`` events."""
        return Tenant("bench", {"g": Group(TRAITS, self.length)})


def generate(folder: Path, sizes: Sizes) -> Result:
    """The made-up log as Parquet files, one per delivery, and the requests."""
    rows = 0
    for number, delivery in enumerate(sizes.workload.appends(DELIVERIES)):
        with pq.ParquetWriter(folder / f"events-{number}.parquet", delivery.schema) as file:
            for batch in delivery:
                file.write_batch(batch)
                rows += batch.num_rows
    pq.write_table(sizes.workload.requests_table(), folder / "requests.parquet")
    return {"rows": rows, "unit": "events", "bytes": size(folder, "events-*.parquet")}


def append(folder: Path, sizes: Sizes) -> Result:
    """Every delivery as one lake version."""
    lake = Lake.create(folder / "lake", buckets=sizes.buckets)
    for number in range(DELIVERIES):
        lake.append(folder / f"events-{number}.parquet")
    written = size(folder, "lake/recent/*.parquet")
    return {"rows": sizes.workload.total_events, "unit": "events", "bytes": written}


def seal(folder: Path, sizes: Sizes) -> Result:
    """All of it into the immutable tier."""
    Lake.open(folder / "lake").seal()
    written = size(folder, "lake/uih/*.parquet")
    return {"rows": sizes.workload.total_events, "unit": "events", "bytes": written}


def log(folder: Path, sizes: Sizes) -> Result:
    """Every request becomes an example with its pointer."""
    logged = Lake.open(folder / "lake").log(folder / "requests.parquet")
    written = size(folder, "lake/examples/*.parquet")
    return {"rows": logged.num_rows, "unit": "examples", "bytes": written}


def materialize(folder: Path, sizes: Sizes) -> Result:
    """Proven, resolved, gathered and handed over as Arrow record batches; nothing is written."""
    lake = Lake.open(folder / "lake")

    def once() -> Result:
        return counted(lake.materialize(sizes.tenant))

    return best(once)


def resolve(folder: Path, sizes: Sizes) -> Result:
    """Pointers to row ranges alone: scan, ASOF join, proof, cut."""

    def once() -> Result:
        return {"rows": sum(len(r) for _, r in _cuts(folder, sizes)), "unit": "examples"}

    return best(once)


def gather(folder: Path, sizes: Sizes) -> Result:
    """Copying the resolved ranges of every trait into one reused buffer, on one thread."""
    events = 0
    seconds = 0.0
    buffers: dict[str, np.ndarray[Any, Any]] = {}
    for columns, ranges in _cuts(folder, sizes):
        for start in range(0, len(ranges), 512):
            batch = ranges.slice(start, start + 512)
            total = int(batch.lengths.sum())
            events += total
            for name, values in columns.items():
                if name not in buffers or len(buffers[name]) < total:
                    buffers[name] = np.zeros(2 * total, values.dtype)
                began = time.perf_counter()
                moves.gather(values, batch, buffers[name][:total])
                seconds += time.perf_counter() - began
    return {"rows": events, "unit": "events", "seconds": seconds}


def _cuts(folder: Path, sizes: Sizes) -> Iterator[tuple[dict[str, np.ndarray[Any, Any]], Any]]:
    """Per bucket: the traits of its rows as numpy arrays, and the ranges of its examples."""
    selection = Lake.open(folder / "lake")._select([sizes.tenant])
    rebuild = Rebuild(selection, sizes.tenant)
    (scan,) = rebuild.plan
    with connect() as duck:
        resolver = Resolver(rebuild.selection.snapshot, duck)
        for bucket in range(sizes.buckets):
            asked = rebuild.selection.asked(duck, bucket)
            if asked.num_rows:
                (cut,) = resolver.resolve([scan], asked, bucket).cuts
                yield {name: bits(cut.column(name)) for name in TRAITS}, cut.ranges["g"]


def fat_write(folder: Path, sizes: Sizes) -> Result:
    """The same examples as fat rows: LZ4, the encoding that suits each column, by user."""
    reader = Lake.open(folder / "lake").materialize(sizes.tenant)
    writer: pq.ParquetWriter | None = None
    path = fat_path(folder, sizes)
    rows = 0
    for batch in reader:
        table = flat(batch)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="lz4", **encodings(table))
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
    return {"rows": rows, "unit": "examples", "bytes": path.stat().st_size}


def fat_read(folder: Path, sizes: Sizes) -> Result:
    """Fat rows back to Arrow: memory-mapped, row group by row group, columns on all threads."""

    def once() -> Result:
        with pq.ParquetFile(fat_path(folder, sizes), memory_map=True) as file:
            groups = range(file.num_row_groups)
            return counted(file.read_row_group(group, use_threads=True) for group in groups)

    return best(once)


def fat_path(folder: Path, sizes: Sizes) -> Path:
    return folder / f"fat-{sizes.length}.parquet"


def flat(batch: pa.RecordBatch) -> pa.Table:
    """A rebuilt batch with one list column per trait instead of a struct of lists."""
    table = pa.table(batch)
    lists = table["g"].combine_chunks()
    table = table.drop_columns(["g"])
    for name in TRAITS:
        table = table.append_column(name, lists.field(name))
    return table


def encodings(table: pa.Table) -> dict[str, Any]:
    """Dictionaries where values repeat, byte streams for floats, deltas for the rest."""
    dictionary = ["user_id"]
    others = {"example_id": "DELTA_BINARY_PACKED", "request_ts": "DELTA_BINARY_PACKED"}
    for name in TRAITS:
        values = table[name].combine_chunks().values
        sample = values.slice(len(values) // 2, _SAMPLE)
        leaf = f"{name}.list.element"
        if pa.types.is_floating(values.type):
            others[leaf] = "BYTE_STREAM_SPLIT"
        elif pc.count_distinct(sample).as_py() < len(sample) / 2:
            dictionary.append(leaf)
        else:
            others[leaf] = "DELTA_BINARY_PACKED"
    return {"use_dictionary": dictionary, "column_encoding": others}


def counted(batches: Any) -> Result:
    """Read everything; how many examples and events there were."""
    examples = events = 0
    for batch in batches:
        lists = batch["g"].field(TRAITS[0]) if "g" in batch.schema.names else batch[TRAITS[0]]
        events += pc.sum(pc.list_value_length(lists)).as_py() or 0
        examples += batch.num_rows
    return {"rows": events, "unit": "events", "examples": examples}


def best(once: Callable[[], Result]) -> Result:
    """The fastest of a few runs."""
    results = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        result = once()
        results.append(result | {"seconds": time.perf_counter() - began})
    return min(results, key=lambda result: float(result["seconds"]))


def size(folder: Path, pattern: str) -> int:
    """Bytes of the files that match."""
    return sum(path.stat().st_size for path in folder.glob(pattern))


STAGES: dict[str, Callable[[Path, Sizes], Result]] = {
    stage.__name__: stage
    for stage in (
        *(generate, append, seal, log),
        *(materialize, resolve, gather),
        *(fat_write, fat_read),
    )
}


def main(stage: str, folder: str, sizes: str) -> None:
    """Run one stage and print its figures."""
    began = time.perf_counter()
    result = STAGES[stage](Path(folder), Sizes(**json.loads(sizes)))
    whole = {"seconds": time.perf_counter() - began} | result
    whole["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(whole))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Loaders that are measured where they are installed: Lance, HF datasets, MosaicML Streaming, Ray.

Each holds the fat rows in its own format, clustered by user, and reads them in that order.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import fatrows
from benchmarks.batch import BATCH, TRAITS, Batch
from benchmarks.contestants.arrow import touch
from benchmarks.contestants.base import Contestant, ahead
from benchmarks.contestants.fat import batches_of
from benchmarks.fatrows import Form
from benchmarks.workload import Bench
from uih_lake.arrays import Int64

_SOURCE = Form("none", "plain", "arrow")


def contestants(
    bench: Bench, length: int, chosen: Int64
) -> tuple[list[Contestant], dict[str, str]]:
    """Those that are installed, and for each of the others why it does not run."""
    found: list[Contestant] = []
    missing = why_not("feast")  # measured by itself, in benchmarks.pointintime
    skipped = {"feast": missing} if missing else {}
    source = fatrows.write(bench, length, "user", _SOURCE, chosen, bench.root / "fat")
    for name, (module, write, epoch) in _KINDS.items():
        problem = why_not(module)
        if problem:
            skipped[name] = problem
            continue
        path = source.with_suffix(f".{module}.parquet")  # Ray goes by the ending
        if not path.exists():
            partial_path = path.with_suffix(f".{module}-partial")
            write(source, partial_path)
            partial_path.rename(path)
        found.append(Contestant(f"fat user {name}", "extra", partial(epoch, path), _files(path)))
    return found, skipped


def why_not(module: str) -> str | None:
    """Why a package cannot be used here; None where it can."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # whatever a foreign package raises, the others still run
        return f"{module} does not import ({type(error).__name__})"
    return None


def _files(path: Path) -> tuple[Path, ...]:
    return tuple(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)


def _tables(source: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(source)) as mapped:
        file = pa.ipc.open_file(mapped)
        for number in range(file.num_record_batches):
            yield file.get_batch(number)


def write_lance(source: Path, path: Path) -> None:
    """A Lance data set."""
    import lance

    with pa.memory_map(str(source)) as mapped:
        schema = pa.ipc.open_file(mapped).schema
    lance.write_dataset(pa.RecordBatchReader.from_batches(schema, _tables(source)), path)


def by_lance(path: Path) -> Iterator[Batch]:
    """Its scanner, which reads ahead by itself."""
    import lance

    stream = lance.dataset(path).scanner(
        columns=["example_id", *TRAITS], batch_size=BATCH, scan_in_order=True
    )
    for some in ahead(stream.to_batches(), 4):
        yield from batches_of(pa.Table.from_batches([some]))


def write_datasets(source: Path, path: Path) -> None:
    """A saved data set of Hugging Face."""
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset(pa.Table.from_batches(_tables(source))).save_to_disk(str(path))


def by_datasets(path: Path) -> Iterator[Batch]:
    """Mapped Arrow, cut into batches: pages of the file themselves, all of them touched."""
    import datasets

    found = datasets.load_from_disk(str(path)).with_format("arrow")
    for table in ahead(found.iter(BATCH), 4):
        for batch in batches_of(table):
            for values in batch.values.values():
                touch(values)
            yield batch


def write_mosaic(source: Path, path: Path) -> None:
    """Shards of MosaicML Streaming, each sequence an array."""
    from streaming import MDSWriter

    columns = {"example_id": "int"} | {n: f"ndarray:{kind}" for n, kind in TRAITS.items()}
    with MDSWriter(out=str(path), columns=columns, compression=None, size_limit=1 << 28) as out:
        for some in _tables(source):
            lists = {name: some.column(name) for name in TRAITS}
            for row, example in enumerate(some.column("example_id").to_pylist()):
                values = {n: lists[n][row].values.to_numpy() for n in TRAITS}
                out.write({"example_id": example, **values})


def by_mosaic(path: Path) -> Iterator[Batch]:
    """Sample by sample, as its own loader does; joined here."""
    from streaming import StreamingDataset

    found = StreamingDataset(local=str(path), shuffle=False, batch_size=BATCH)
    yield from ahead(_joined(found), 4)


def _joined(samples: Any) -> Iterator[Batch]:
    for low in range(0, len(samples), BATCH):
        some = [samples[i] for i in range(low, min(low + BATCH, len(samples)))]
        lengths = [len(sample["item_id"]) for sample in some]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values = {n: np.concatenate([sample[n] for sample in some]) for n in TRAITS}
        yield Batch(np.array([sample["example_id"] for sample in some]), offsets, values)


def write_parquet(source: Path, path: Path) -> None:
    """A Parquet file, for readers that have no format of their own."""
    import pyarrow.parquet as pq

    with pa.memory_map(str(source)) as mapped:
        schema = pa.ipc.open_file(mapped).schema
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as writer:
        for some in _tables(source):
            writer.write_batch(some)


def by_ray(path: Path) -> Iterator[Batch]:
    """Ray Data on a cluster of this machine, which the first epoch starts; Arrow batches."""
    import ray.data

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
    found = ray.data.read_parquet(str(path)).select_columns(["example_id", *TRAITS])
    for table in found.iter_batches(batch_size=BATCH, batch_format="pyarrow", prefetch_batches=4):
        yield from batches_of(table)


def close() -> None:
    """Stop what would go on using the cores: Ray's cluster, where there is one."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()


Write = Callable[[Path, Path], None]
Epoch = Callable[[Path], Iterator[Batch]]
_KINDS: dict[str, tuple[str, Write, Epoch]] = {
    "lance": ("lance", write_lance, by_lance),
    "hf datasets": ("datasets", write_datasets, by_datasets),
    "mosaicml streaming": ("streaming", write_mosaic, by_mosaic),
    "ray data": ("ray", write_parquet, by_ray),
}

"""Files are what was written, or the reader is told which one is not.

Every page carries a CRC32 that DuckDB does not check: of 120 single flipped bits in a file, its
reader passed on 114 without a word. So each column of each file is read once through Arrow's
checking reader before anything is made of it; files never change, so once is enough. The footer,
which says what the columns are called and where they lie, has no checksum in Parquet: a flipped bit
in a name made a column read as null. Its hash is therefore part of the file's name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from pyarrow.parquet.core import ParquetReader

from uih_lake import damage
from uih_lake.errors import CorruptionError
from uih_lake.schema import nullable

_TAIL = 8  # bytes: the length of the footer, and the magic number


def footer_hash(path: str | os.PathLike[str]) -> str:
    """xxHash64 (hex) of the footer of a Parquet file, its length and magic number included."""
    with open(path, "rb") as file:
        file.seek(-_TAIL, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-_TAIL - length, os.SEEK_END)
        return xxhash.xxh64_hexdigest(file.read())


class Pages:
    """Remembers which columns of which files have passed their page checksums."""

    def __init__(self) -> None:
        self._passed: dict[tuple[str, int, int], set[str]] = {}
        self._lock = threading.Lock()

    @property
    def files(self) -> int:
        """How many files are remembered."""
        return len(self._passed)

    def keep(self, paths: Iterable[str]) -> None:
        """Forget all other files: they come and go for as long as a process lives."""
        kept = set(paths)
        with self._lock:
            self._passed = {key: done for key, done in self._passed.items() if key[0] in kept}

    def check(self, paths: Iterable[str], columns: Iterable[str] | None = None) -> None:
        """Check the given columns (default: all) of the given Parquet files.

        Raises :class:`CorruptionError` naming the file, and the column where it is a column's.
        """
        wanted = None if columns is None else list(columns)
        for path in paths:
            self._check_file(path, wanted)

    def check_footers(self, paths: Iterable[str]) -> None:
        """Check that files are there and have the footers they were written with, no page.

        Raises :class:`CorruptionError` naming the file.
        """
        self.check(paths, ())

    def footer(self, path: str) -> pq.FileMetaData:
        """The footer of one file, checked; raises :class:`CorruptionError`."""
        self.check_footers([path])
        with _told(path):
            return _footer(*_key(path))

    def read(
        self,
        path: str,
        columns: list[str],
        groups: Sequence[int] | None = None,
        coded: Sequence[str] = (),
    ) -> pa.Table:
        """The given columns of one file, checked in passing; on the calling thread alone.

        Of all its row groups, or of those that are named. Those of strings that are ``coded`` are
        dictionaries. Raises :class:`CorruptionError`.
        """
        footer = self.footer(path)
        if coded:  # pyarrow takes no name that a file does not have
            has = {footer.schema.column(place).path for place in range(footer.num_columns)}
            coded = [name for name in coded if name in has]
        with _told(path), _open(path, footer, coded) as file:
            if groups is not None:
                return _decoded(file, groups, columns, path)
            table = _decoded(file, range(file.num_row_groups), columns, path)
        with _told(path), self._lock:
            self._passed.setdefault(_key(path), set()).update(columns)
        return table

    def _check_file(self, path: str, columns: list[str] | None) -> None:
        with _told(path):
            key = _key(path)
            passed = self._passed.get(key)
            if passed is None:
                _check_footer(path)
                with self._lock:
                    passed = self._passed.setdefault(key, set())
            if columns is not None and passed.issuperset(columns):
                return
            with _open(path, _footer(*key)) as file:
                names = set(file.schema_arrow.names)
                left = sorted(names if columns is None else set(columns) & names)
                unread = [name for name in left if name not in passed]
                if unread:
                    for group in range(file.num_row_groups):  # one at a time bounds memory
                        _decoded(file, [group], unread, path, threads=True)
        with self._lock:
            # A column the file does not have passes too: it reads as null.
            passed.update(left if columns is None else columns)


def _key(path: str) -> tuple[str, int, int]:
    """What tells a file from one that was put in its place."""
    status = os.stat(path)
    return path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _footer(path: str, time: int, size: int) -> pq.FileMetaData:
    """The parsed footer of a file, as :func:`_key` tells it; the files in use are few at a time."""
    return pq.read_metadata(path)


def _open(path: str, footer: pq.FileMetaData, coded: Sequence[str] = ()) -> pq.ParquetFile:
    return _File(
        path,
        metadata=footer,
        memory_map=True,
        page_checksum_verification=True,
        pre_buffer=False,  # which hands every read to a pool of threads and waits for it
        read_dictionary=coded,
    )


def _small_pages() -> pa.MemoryPool:
    """Memory that is not made of huge pages; Arrow's default where there is no such pool.

    Arrow's default has them where the system lets it, and clearing one that the system hands out
    anew can take 2 to 10 ms in a virtual machine: a fresh process took nearly twice as long for its
    first epoch.
    """
    try:
        return pa.jemalloc_memory_pool()
    except NotImplementedError:
        return pa.default_memory_pool()


class _File(pq.ParquetFile):  # type: ignore[misc]  # which pyarrow does not type
    """A Parquet file whose columns are decoded into memory of :func:`_small_pages`."""

    @property
    def reader(self) -> ParquetReader:
        """What decodes; ``ParquetFile`` makes its own, which has the default memory."""
        return self._reader

    @reader.setter
    def reader(self, _: ParquetReader) -> None:
        self._reader = ParquetReader(memory_pool=_small_pages())


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn what goes wrong with a file into an error that names it.

    :class:`CorruptionError`, or :class:`LakeError` where the system does not give the file.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise damage.told(path, error) from error


def _check_footer(path: str) -> None:
    if f"-{footer_hash(path)}-" not in os.path.basename(path):
        raise CorruptionError(
            f"the data file {path} is altered: its footer is not the one it was written with",
            hint=damage.FROM_A_COPY,
        )


def _decoded(
    file: pq.ParquetFile,
    groups: Sequence[int],
    columns: list[str],
    path: str,
    threads: bool = False,
) -> pa.Table:
    """Every page of ``columns`` in some row groups; the first bad one is told by its column.

    A column is nullable, whether or not this file has nulls in it.
    """
    try:
        table = file.read_row_groups(groups, columns=columns, use_threads=threads)
        if not table.num_columns:  # made anew, it would forget how many rows it has
            return table
        return pa.Table.from_arrays(table.columns, schema=nullable(table.schema))
    except (OSError, pa.ArrowException):
        for group in groups:
            for column in columns:
                _decode_chunk(file, group, column, path)
        raise


def _decode_chunk(file: pq.ParquetFile, group: int, column: str, path: str) -> None:
    try:
        file.read_row_group(group, columns=[column])
    except (OSError, pa.ArrowException) as error:
        where = f"column {column!r}, row group {group}"
        raise damage.told_of_pages(path, where, error) from error

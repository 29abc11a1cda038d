"""What is sound and cannot be read is not called damaged, and the advice fits."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from damaged import data_files, sound_lake

from uih_lake import CorruptionError, LakeError, UihError, damage, session, sqlfile
from uih_lake.lake.integrity import Pages
from uih_lake.lake.tables import Table


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_lake(tmp_path_factory.mktemp("sound") / "lake")


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_sound_file_that_cannot_be_opened_is_not_called_damaged(sound: Path) -> None:
    file = str(data_files(sound, "uih")[0])
    for read in (Pages().check, Pages().check_footers):
        with no_more_files(), pytest.raises(LakeError, match="Too many open files") as refused:
            read([file])
        assert file in refused.value.message
        assert "ulimit" in str(refused.value.hint)
        read([file])


def test_memory_that_is_not_given_is_not_damage() -> None:
    """As Arrow says it where it cannot allocate what a page comes to."""
    error = pa.ArrowMemoryError("malloc of size 4294967296 failed")
    for told in (damage.told("a.parquet", error), damage.told_of_pages("a.parquet", "x", error)):
        assert type(told) is LakeError
        assert told.message == "the data file a.parquet cannot be read: Cannot allocate memory"
    bad = pa.ArrowInvalid("a page is too short")
    assert type(damage.told_of_pages("a.parquet", "x", bad)) is CorruptionError


def test_a_scan_in_sql_does_not_call_a_sound_file_damaged(sound: Path) -> None:
    file = str(data_files(sound, "uih")[0])
    scan = sqlfile.fill("lake/readable", file=sqlfile.literal(file))
    with session.cursor() as duck:
        with no_more_files(), pytest.raises(LakeError, match="Too many open files") as refused:
            session.fetch(duck, scan)
        assert file in refused.value.message
        assert session.fetch(duck, scan).num_rows == 1


def test_a_sound_log_that_cannot_be_opened_is_not_called_damaged(sound: Path) -> None:
    table = Table.open(str(sound / "uih"))
    assert table is not None
    for read in (lambda: Table.open(str(sound / "uih")), table.refresh):
        with no_more_files(), pytest.raises(LakeError, match="Too many open files") as refused:
            read()
        assert f"the Delta log of {sound / 'uih'} cannot be read" in refused.value.message
        assert "ulimit" in str(refused.value.hint)
        read()


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (OSError(errno.EACCES, "Permission denied"), LakeError, "permissions"),
        (OSError("Memory mapping file failed: Cannot allocate memory"), LakeError, "free"),
        (OSError(errno.EIO, "Input/output error"), LakeError, "disk"),
        (OSError(errno.EINVAL, "Invalid argument"), CorruptionError, "copy"),
        (OSError("Corrupt snappy compressed data."), CorruptionError, "copy"),
        (pa.ArrowInvalid("Parquet file size is 4 bytes"), CorruptionError, "copy"),
        (FileNotFoundError(errno.ENOENT, "No such file"), CorruptionError, "copy"),
    ],
)
def test_a_copy_is_asked_for_where_it_helps(
    error: Exception, kind: type[UihError], hint: str
) -> None:
    told = damage.told("uih/1.parquet", error)
    assert type(told) is kind
    assert "uih/1.parquet" in told.message
    assert hint in str(told.hint)

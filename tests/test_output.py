"""Outputs are there in full or not at all, whoever kills the writer, and have the reader's schema.

The child processes of these tests stop where they are told to by a handshake over their pipes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uih_lake import output
from uih_lake.errors import OutputError, PointerError

ROWS = 40
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.int64()),
        pa.field("request_ts", TIME),
        pa.field("surface", pa.string()),
        pa.field(
            "clicks",
            pa.struct(
                [
                    pa.field("item id", pa.list_(pa.int64())),
                    pa.field("event_ts", pa.list_(TIME)),
                    pa.field("liked", pa.list_(pa.bool_())),
                ]
            ),
        ),
    ]
)


def batch(first: int, rows: int = 10) -> pa.RecordBatch:
    """Rows with lists of 0 to 3 events, nulls among them."""
    numbers = range(first, first + rows)
    clicks = [
        {
            "item id": [None if i == 1 else n * 1_000_003 + i for i in range(n % 4)],
            "event_ts": [n * 1_000_000 + i for i in range(n % 4)],
            "liked": [i == 0 for i in range(n % 4)],
        }
        for n in numbers
    ]
    columns = [[*numbers], [n * 10 for n in numbers], ["feed", None] * (rows // 2), clicks]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def batches() -> Iterator[pa.RecordBatch]:
    yield from (batch(first) for first in range(0, ROWS, 10))


def reader(source: Iterator[pa.RecordBatch] | None = None) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(SCHEMA, batches() if source is None else source)


def read(file: str | Path) -> pa.Table:
    if str(file).endswith(".arrow"):
        with pa.OSFile(str(file)) as source:
            return pa.ipc.open_file(source).read_all()
    return pq.ParquetFile(file).read()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, with its content; folders end in a slash."""
    return {
        f"{path.relative_to(folder)}{'/' * path.is_dir()}": b""
        if path.is_dir()
        else path.read_bytes()
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_rows_and_schema_are_those_of_the_reader(tmp_path: Path, format: str) -> None:
    written = output.write(reader(), tmp_path / "out", format=format)
    (file,) = written.files
    assert file == str(tmp_path / "out" / f"part-00000.{format}")
    table = read(file)
    assert table.schema.equals(SCHEMA)
    assert table.equals(reader().read_all())
    assert (written.rows, written.bytes) == (ROWS, os.path.getsize(file))
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_files_are_cut_by_size_and_hold_the_rows_in_order(tmp_path: Path, format: str) -> None:
    out = tmp_path / "out"
    written = output.write(reader(), out, format=format, part_bytes=1, group_bytes=200)
    assert len(written.files) > 3
    assert [Path(file).name for file in written.files] == sorted(os.listdir(out))
    whole = pa.concat_tables([read(file) for file in written.files])
    assert whole.equals(reader().read_all())


def test_row_groups_are_cut_by_size(tmp_path: Path) -> None:
    (one,) = output.write(reader(), tmp_path / "one").files
    (many,) = output.write(reader(), tmp_path / "many", group_bytes=200).files
    assert pq.read_metadata(one).num_row_groups == 1
    groups = pq.read_metadata(many)
    assert groups.num_row_groups > 4  # more than batches: a batch is cut, too
    assert read(many).equals(read(one))


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_no_rows_are_a_file_with_the_schema(tmp_path: Path, format: str) -> None:
    written = output.write(reader(iter(())), tmp_path / "out", format=format)
    assert read(written.files[0]).schema.equals(SCHEMA)
    assert (len(written.files), written.rows) == (1, 0)


def test_only_columns_with_few_values_have_a_dictionary(tmp_path: Path) -> None:
    few = pa.array(range(5000)).cast(pa.int64())
    table = pa.table({"few": pa.array([n % 7 for n in range(5000)]), "many": few})
    lists = pa.ListArray.from_arrays(pa.array([0, 5000], pa.int32()), few)
    nested = pa.table({"g": pa.StructArray.from_arrays([lists], ["item"])})
    for source, expected in ((table, {"few": True, "many": False}), (nested, {"g.item": False})):
        (file,) = output.write(source.to_reader(), tmp_path / str(len(expected))).files
        group = pq.read_metadata(file).row_group(0)
        columns = [group.column(place) for place in range(group.num_columns)]
        found = {c.path_in_schema.split(".list")[0]: c.has_dictionary_page for c in columns}
        assert found == expected
        assert {column.compression for column in columns} == {"ZSTD"}


# What is refused


def test_what_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    output.write(reader(), tmp_path / "out")
    before = tree(tmp_path)
    for name, word in (("file", "is a file"), ("empty", "exists"), ("out", "--overwrite")):
        with pytest.raises(OutputError, match=word):
            output.write(reader(), tmp_path / name)
    with pytest.raises(OutputError, match="is a file"):
        output.write(reader(), tmp_path / "file", overwrite=True)
    assert tree(tmp_path) == before


def test_a_directory_of_something_else_is_never_overwritten(tmp_path: Path) -> None:
    output.write(reader(), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"'notes\.txt'"):
        output.write(reader(), tmp_path / "out", overwrite=True)
    assert tree(tmp_path) == before


def test_the_lake_is_out_of_bounds(tmp_path: Path) -> None:
    lake = tmp_path / "home" / "lake"
    lake.mkdir(parents=True)
    (tmp_path / "alias").symlink_to(lake)
    for out in (lake, lake / "deep" / "out", tmp_path / "alias" / "out", lake / ".." / "lake"):
        with pytest.raises(OutputError, match="inside the lake"):
            output.write(reader(), out, lake=lake, overwrite=True)
    with pytest.raises(OutputError, match="holds the lake"):
        output.write(reader(), tmp_path / "home", lake=lake, overwrite=True)
    assert sorted(tree(tmp_path)) == ["alias/", "home/", "home/lake/"]


def test_a_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="parquet, arrow"):
        output.write(reader(), tmp_path / "out", format="csv")
    assert tree(tmp_path) == {}


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file") as told:
        output.write(reader(), tmp_path / "file" / "out")
    assert "\n" not in str(told.value)


# Failing, replacing, being killed


def failing() -> Iterator[pa.RecordBatch]:
    yield batch(0)
    raise PointerError("example 3: mismatch")


@pytest.mark.parametrize("old", [False, True])
def test_an_error_while_reading_leaves_everything_as_it_was(tmp_path: Path, old: bool) -> None:
    if old:
        output.write(reader(), tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(PointerError, match="example 3"):
        output.write(reader(failing()), tmp_path / "out", overwrite=old, group_bytes=1)
    assert tree(tmp_path) == before


def test_overwriting_replaces_all_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    output.write(reader(), out, part_bytes=1, group_bytes=1)
    written = output.write(reader(iter([batch(7, 2)])), out, format="arrow", overwrite=True)
    assert os.listdir(tmp_path) == ["out"]
    assert [str(out / name) for name in os.listdir(out)] == list(written.files)
    assert read(written.files[0]).column("example_id").to_pylist() == [7, 8]


@pytest.mark.parametrize("old", ["output", "nothing", "a file"])
def test_what_comes_into_the_place_meanwhile_is_not_overwritten(tmp_path: Path, old: str) -> None:
    out = tmp_path / "out"
    if old == "output":
        output.write(reader(), out)

    def meanwhile() -> Iterator[pa.RecordBatch]:
        yield batch(0)
        if old == "a file":
            out.write_text("mine")
        else:
            out.mkdir(exist_ok=True)
            (out / "notes.txt").write_text("mine")
        before.update(tree(tmp_path))
        yield batch(10)

    before: dict[str, bytes] = {}
    said = "out is a file; name" if old == "a file" else "out holds 'notes.txt', which is no output"
    with pytest.raises(OutputError, match=said):
        output.write(reader(meanwhile()), out, overwrite=True)
    mine = {name: content for name, content in before.items() if ".partial" not in name}
    assert b"mine" in mine.values()
    assert tree(tmp_path) == mine


def test_what_is_not_ours_in_a_leftover_is_not_deleted(tmp_path: Path) -> None:
    leftover = tmp_path / ".out.0123456789ab.replaced"
    for folder in (tmp_path / "out", leftover):
        output.write(reader(), folder)
    (leftover / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=f"{leftover.name}: Directory not empty"):
        output.write(reader(), tmp_path / "out", overwrite=True)
    assert (leftover / "notes.txt").read_text() == "mine"
    (leftover / "notes.txt").unlink()
    output.write(reader(), tmp_path / "out", overwrite=True)
    assert os.listdir(tmp_path) == ["out"]


STOPPING = """
import sys
sys.path.insert(0, {tests!r})
from test_output import batch, reader
from uih_lake import output
from uih_lake.errors import OutputError

def stopping():
    yield batch(0)
    yield batch(10)
    print("written", flush=True)  # both batches: a group is full after each
    sys.stdin.read()
    yield batch(20)

try:
    output.write(reader(stopping()), {out!r}, overwrite={overwrite}, part_bytes=1, group_bytes=1)
except OutputError as error:
    print(error)
"""


def stopped(out: Path, overwrite: bool) -> subprocess.Popen[str]:
    """A process that has written two thirds of an output and waits for its input to end."""
    code = STOPPING.format(tests=str(Path(__file__).parent), out=str(out), overwrite=overwrite)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "written\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.communicate()


@pytest.mark.parametrize("old", [False, True])
def test_a_killed_run_leaves_nothing_that_looks_whole(tmp_path: Path, old: bool) -> None:
    out = tmp_path / "out"
    if old:
        output.write(reader(), out)
    before = tree(tmp_path)
    kill(stopped(out, overwrite=old))
    partial, *others = set(os.listdir(tmp_path)) - set(before) - {"out"}
    assert partial.startswith(".out.") and partial.endswith(".partial") and not others
    assert len(os.listdir(tmp_path / partial)) > 5, "it was killed in the middle of its work"
    left = tree(tmp_path)
    assert {name: left[name] for name in before} == before
    assert out.exists() == old

    written = output.write(reader(), out, overwrite=old)
    assert os.listdir(tmp_path) == ["out"], "the next run removes what the killed one left"
    assert read(written.files[0]).equals(reader().read_all())


def test_a_run_at_work_is_not_disturbed_by_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = stopped(out, overwrite=True)
    output.write(reader(), out, format="arrow")
    said, _ = child.communicate()
    assert (child.returncode, said) == (0, "")
    assert read(out / "part-00000.parquet").num_rows < ROWS
    assert os.listdir(tmp_path) == ["out"]


def test_of_two_runs_that_do_not_overwrite_the_first_to_finish_wins(tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = stopped(out, overwrite=False)
    output.write(reader(), out, format="arrow")
    before = tree(tmp_path / "out")
    said, _ = child.communicate()
    assert str(out) in said
    assert tree(tmp_path / "out") == before
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_killed_between_its_renames_loses_nothing(tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "out"
    output.write(reader(), out)
    before = tree(out)
    out.rename(tmp_path / ".out.0123456789ab.replaced")
    (tmp_path / ".out.ba9876543210.partial").mkdir()
    if overwrite:
        output.write(reader(), out, format="arrow", overwrite=True)
        assert os.listdir(out) == ["part-00000.arrow"]
    else:
        with pytest.raises(OutputError, match="exists"):
            output.write(reader(), out)
        assert tree(out) == before
    assert os.listdir(tmp_path) == ["out"]


def test_leftovers_of_other_outputs_are_left_alone(tmp_path: Path) -> None:
    others = [".out.partial", ".out2.0123456789ab.partial", ".out.0123456789ab.partial.txt"]
    for name in others:
        (tmp_path / name).mkdir()
    output.write(reader(), tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "out"])


# Single files


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with output.writing(path) as file:
        file.write(b"half")
        assert not path.exists()
    assert tree(tmp_path) == {"rows.csv": b"half"}
    with output.writing(path, overwrite=True) as file:
        file.write(b"new")
        assert path.read_bytes() == b"half"
    assert tree(tmp_path) == {"rows.csv": b"new"}


def test_a_file_is_not_replaced_unasked_not_even_one_that_appears_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with pytest.raises(OutputError, match="exists"), output.writing(path) as file:
        file.write(b"mine")
        path.write_bytes(b"theirs")
    with pytest.raises(OutputError, match="exists"), output.writing(path):
        pass
    with pytest.raises(OutputError, match="directory"), output.writing(tmp_path, overwrite=True):
        pass
    assert tree(tmp_path) == {"rows.csv": b"theirs"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path, overwrite: bool) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        refused = pytest.raises(OutputError, match=f"{path.name} is no regular file; name another")
        with refused, output.writing(path, overwrite=overwrite):
            pytest.fail("it is refused before anything is made")
    assert pipe.is_fifo() and link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_pipe_that_appears_meanwhile_is_not_replaced_either(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    refused = pytest.raises(OutputError, match="is no regular file")
    with refused, output.writing(path, overwrite=True):
        os.mkfifo(path)
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["rows.csv"]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    path.chmod(mode)
    with output.writing(path, overwrite=True) as file:
        (partial,) = tmp_path.glob("*.partial")
        assert partial.stat().st_mode & 0o777 == mode, "nobody else reads it meanwhile"
        file.write(b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


def test_a_file_that_fails_halfway_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PointerError), output.writing(tmp_path / "rows.csv") as file:
        file.write(b"half")
        raise PointerError("no")
    lake = tmp_path / "lake"
    with pytest.raises(OutputError, match="inside"), output.writing(lake / "rows.csv", lake=lake):
        pass
    assert tree(tmp_path) == {}

"""A lake published to an object store reads as the lake itself, as it was when it was published."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import object_store
import pytest
from commands import done, process, run, told
from object_store import SECRET, Bucket
from small_lakes import events, refusal, requests, sequences, state

import uih_lake as uih
from uih_lake import (
    CorruptionError,
    Group,
    InputError,
    Lake,
    LakeError,
    Loader,
    OutputError,
    Published,
    Tenant,
)

TENANT = Tenant("t", {"g": Group(("item", "event_ts"), max_len=3)})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store.serving() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket, and a directory for replicas of this test."""
    made = object_store.bucket(endpoint)
    monkeypatch.setenv("UIH_LAKE_CACHE", str(tmp_path / "replicas"))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    return made


@pytest.fixture
def in_environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The same, with its options in the environment."""
    for key, value in bucket.options.items():
        monkeypatch.setenv(key.upper(), value)
    return bucket


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two sealed appends, one that is not, and examples."""
    made = Lake.create(tmp_path / "lake", buckets=4)
    for first in (0, 1):
        made.append(events([*range(40)] * 2, [*range(first, 80 + first)], item=[*range(80)]))
        made.seal()
    made.append(events([*range(40)], [90] * 40, item=[first + 7] * 40))
    made.log(requests([*range(40)], [50 + n for n in range(40)], label=[n % 2 for n in range(40)]))
    return made


def publish(lake: Lake, bucket: Bucket) -> Published:
    return uih.publish(lake.path, bucket.url, storage_options=bucket.options)


def opened(bucket: Bucket, **options: Any) -> Lake:
    return Lake.open(bucket.url, storage_options=bucket.options, **options)


def replicas(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "replicas").iterdir()
    return found


def batches(lake: Lake, **options: Any) -> list[Any]:
    loader = Loader(lake, TENANT, batch_size=7, seed=3, **options)
    return [(b.example_id.tolist(), b["g"].values["item"].tolist()) for b in loader]


def same(one: Lake, other: Lake) -> None:
    """Every way to read gives the same of both."""
    for query in (
        "FROM events ORDER BY ALL",
        "FROM uih ORDER BY ALL",
        "FROM examples ORDER BY ALL",
    ):
        assert one.sql(query).fetchall() == other.sql(query).fetchall()
    assert one.sql("FROM generations").fetchall() == other.sql("FROM generations").fetchall()
    assert sequences(one, "item", "event_ts") == sequences(other, "item", "event_ts")
    assert batches(one) == batches(other)
    facts = [lake.info().as_dict() for lake in (one, other)]
    for each in facts:
        del each["lake"], each["unused_bytes"]
    assert facts[0] == facts[1]
    assert all(lake.verify().passed for lake in (one, other))


def test_it_reads_as_the_lake_does(lake: Lake, bucket: Bucket) -> None:
    published = publish(lake, bucket)
    assert (published.lake_version, published.deleted) == (2, 0)
    there = opened(bucket)
    assert (there.path, there.version) == (bucket.url, 2)
    same(there, lake)
    old = opened(bucket, version=0)
    assert old.sql("FROM events ORDER BY ALL").fetchall() == (
        Lake.open(lake.path, version=0).sql("FROM events ORDER BY ALL").fetchall()
    )


def test_only_what_is_new_is_sent(lake: Lake, bucket: Bucket) -> None:
    first = publish(lake, bucket)
    data = {name: len(content) for name, content in bucket.objects().items() if "_log/" not in name}
    del data["_uih_lake_published"]
    assert (first.files, first.bytes) == (len(data), sum(data.values()))
    assert publish(lake, bucket).files == 0
    lake.append(events([1], [95], item=[1]))
    assert publish(lake, bucket).files == 1


def test_a_reader_sees_what_was_published_last(lake: Lake, bucket: Bucket) -> None:
    publish(lake, bucket)
    there = opened(bucket)
    lake.append(events([1, 2], [95, 96], item=[1, 2]))
    assert there.version == 2
    publish(lake, bucket)
    assert there.version == 3
    same(there, lake)
    for change in (lake.seal, lake.compact, lambda: lake.forget([5])):
        change()
        publish(lake, bucket)
        same(there, lake)


def test_who_is_forgotten_is_nowhere(lake: Lake, bucket: Bucket, tmp_path: Path) -> None:
    lake.append(events([77], [97], item=[123_456_789]))
    lake.seal()
    publish(lake, bucket)
    there = opened(bucket)
    stale = {path.name for path in replicas(tmp_path).glob("uih/*.parquet")}
    lake.forget([77])
    publish(lake, bucket)
    same(there, lake)
    lake.vacuum(retain_hours=0)
    assert publish(lake, bucket).deleted > 0
    same(there, lake)
    kept = {path.name for path in Path(lake.path).rglob("*.parquet")}
    assert stale - kept
    here = {path.name for path in replicas(tmp_path).rglob("*.parquet")}
    in_store = {name.rpartition("/")[2] for name in bucket.objects() if name.endswith(".parquet")}
    assert (stale - kept) & (here | in_store) == set()


def test_a_data_file_that_is_lost_here_is_not_deleted_there(lake: Lake, bucket: Bucket) -> None:
    publish(lake, bucket)
    before = bucket.objects()
    next(Path(lake.path, "uih").glob("*.parquet")).unlink()
    assert publish(lake, bucket).deleted == 0
    assert bucket.objects() == before


@pytest.mark.parametrize("objects", [1, 5, 12, 20, 30])
def test_killed_while_it_is_published(lake: Lake, in_environment: Bucket, objects: int) -> None:
    bucket = in_environment
    child = process("publish", lake.path, bucket.url)
    while child.poll() is None and len(bucket.objects()) < objects:
        pass
    child.kill()
    child.wait()
    if "_uih_lake_published" in bucket.objects():  # it was faster
        same(opened(bucket), lake)
    else:
        assert "no lake is published" in refusal(LakeError, lambda: opened(bucket))
    publish(lake, bucket)
    same(opened(bucket), lake)


def test_killed_while_an_update_is_published(lake: Lake, in_environment: Bucket) -> None:
    bucket = in_environment
    publish(lake, bucket)
    there, before = opened(bucket), len(bucket.objects())
    lake.append(events([1, 2], [95, 96], item=[1, 2]))
    lake.seal()
    child = process("publish", lake.path, bucket.url)
    while child.poll() is None and len(bucket.objects()) == before:
        pass
    child.kill()
    child.wait()
    assert there.version in (2, 3)
    assert there.verify().passed
    publish(lake, bucket)
    same(there, lake)


@pytest.mark.parametrize("files", [1, 4, 9, 16])
def test_killed_while_it_is_fetched(
    lake: Lake, in_environment: Bucket, tmp_path: Path, files: int
) -> None:
    bucket = in_environment
    publish(lake, bucket)
    child = process("info", bucket.url)
    place = tmp_path / "replicas"
    while child.poll() is None and sum(1 for _ in place.rglob("*")) < files:
        pass
    child.kill()
    child.wait()
    same(opened(bucket), lake)


def test_processes_that_open_it_at_once(lake: Lake, in_environment: Bucket) -> None:
    publish(lake, in_environment)
    opening = [process("sql", in_environment.url, "SELECT count(*) FROM events") for _ in range(4)]
    told = [child.communicate() for child in opening]
    assert told == [("count_star()\n200\n", "")] * 4


FORKING = """
import os, sys
from uih_lake import Lake, LakeError
from uih_lake.lake.objects import Objects

def counted():
    return lake.version, lake.sql("SELECT count(*) FROM events").fetchall()

def asked():
    try:
        Objects(sys.argv[1]).sizes()
    except LakeError as error:
        return str(error)

lake = Lake.open(sys.argv[1])
print(counted(), flush=True)
sys.stdin.readline()
if (child := os.fork()) == 0:
    print(counted())
    print(asked(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(counted())
"""


def test_a_forked_process_goes_on_with_what_its_parent_has(
    lake: Lake, in_environment: Bucket
) -> None:
    bucket = in_environment
    publish(lake, bucket)
    child = subprocess.Popen(
        [sys.executable, "-c", FORKING, bucket.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "(2, [(200,)])\n"
    lake.append(events([1], [95], item=[1]))
    publish(lake, bucket)
    forked, refused, after = child.communicate("\n", timeout=60)[0].splitlines()
    assert forked == "(2, [(200,)])"
    assert "cannot be asked for in a forked process; start workers with" in refused
    assert after == "(3, [(201,)])"


def test_a_spawned_process_opens_it_anew(lake: Lake, bucket: Bucket) -> None:
    publish(lake, bucket)
    there = opened(bucket)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(batches, there).result() == batches(lake)
    assert batches(pickle.loads(pickle.dumps(there))) == batches(lake)


def test_it_is_read_only(lake: Lake, bucket: Bucket) -> None:
    publish(lake, bucket)
    there, before = opened(bucket), bucket.objects()
    for write in (
        lambda: there.append(events([1], [99], item=[1])),
        lambda: there.log(requests([1], [99], label=[1])),
        there.seal,
        there.compact,
        there.vacuum,
        lambda: there.forget([1]),
        lambda: there.retain(days=1),
    ):
        assert "a published lake is read only" in refusal(LakeError, write)
    assert bucket.objects() == before
    same(there, lake)


def test_another_lake_is_not_overwritten(lake: Lake, bucket: Bucket, tmp_path: Path) -> None:
    publish(lake, bucket)
    before = bucket.objects()
    other = Lake.create(tmp_path / "other", buckets=4)
    other.append(events([1], [1], item=[1]))
    assert "another lake is published at" in refusal(LakeError, lambda: publish(other, bucket))
    shutil.copytree(lake.path, tmp_path / "copy")
    lake.append(events([1], [95], item=[1]))
    publish(lake, bucket)
    behind = Lake.open(tmp_path / "copy")
    assert "another lake is published at" in refusal(LakeError, lambda: publish(behind, bucket))
    behind.append(events([1], [95], item=[2]))
    assert "another lake is published at" in refusal(LakeError, lambda: publish(behind, bucket))
    assert before.items() <= bucket.objects().items() | {
        ("_uih_lake_published", before["_uih_lake_published"])
    }
    same(opened(bucket), lake)


def test_a_place_that_holds_something_else_is_left_alone(lake: Lake, bucket: Bucket) -> None:
    bucket.put("thesis.pdf", b"%PDF")
    assert "is not empty: it holds thesis.pdf" in refusal(LakeError, lambda: publish(lake, bucket))
    assert bucket.objects() == {"thesis.pdf": b"%PDF"}


def test_another_lake_at_the_same_url_is_seen(lake: Lake, bucket: Bucket, tmp_path: Path) -> None:
    publish(lake, bucket)
    opened(bucket)
    for name in bucket.objects():
        bucket.delete(name)
    other = Lake.create(tmp_path / "other", buckets=4)
    other.append(events([1], [1], item=[1]))
    other.log(requests([1], [2], label=[1]))
    publish(other, bucket)
    said = refusal(LakeError, lambda: opened(bucket))
    assert "does not go on from what was there before" in said
    assert said.endswith(f"delete {replicas(tmp_path)}")
    shutil.rmtree(replicas(tmp_path))
    same(opened(bucket), other)


def damage_log(bucket: Bucket) -> None:
    name = "uih/_delta_log/00000000000000000001.json"
    bucket.put(name, bucket.objects()[name].replace(b"1", b"2", 1))


def lose_log(bucket: Bucket) -> None:
    bucket.delete("uih/_delta_log/00000000000000000001.json")


def lose_data(bucket: Bucket) -> None:
    bucket.delete(next(name for name in bucket.objects() if name.startswith("uih/bucket")))


def damage_mark(bucket: Bucket) -> None:
    bucket.put("_uih_lake_published", b"{}")


def another_format(bucket: Bucket) -> None:
    bucket.put("_uih_lake_published", b'{"format": 99, "tables": {}}')


def test_a_bucket_that_is_not_there_is_told(lake: Lake, bucket: Bucket) -> None:
    url, options = "s3://nobody-has-this/lake", bucket.options
    said = refusal(LakeError, lambda: uih.publish(lake.path, url, storage_options=options))
    assert said.startswith(f"{url} cannot be read: ") and "(NoSuchBucket)" in said


def test_a_data_file_that_is_lost_cannot_be_sent(lake: Lake, bucket: Bucket) -> None:
    lost = next(Path(lake.path, "uih").glob("*.parquet"))
    lost.unlink()
    said = refusal(OutputError, lambda: publish(lake, bucket))
    assert f"uih/{lost.name} cannot be written" in said
    assert "_uih_lake_published" not in bucket.objects()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (damage_log, "does not go on from what was there before"),
        (lose_log, "00001.json is missing; publish the lake once more"),
        (lose_data, ".parquet is missing; publish the lake once more"),
        (damage_mark, "is not what was published"),
        (another_format, "has format 99, this version reads 1"),
    ],
)
def test_what_is_damaged_in_the_store_is_told(
    lake: Lake, bucket: Bucket, harm: Any, says: str
) -> None:
    publish(lake, bucket)
    harm(bucket)
    with pytest.raises((CorruptionError, LakeError), match=says):
        opened(bucket)


def test_a_data_file_that_is_altered_there_is_seen(lake: Lake, bucket: Bucket) -> None:
    publish(lake, bucket)
    name, content = next((n, c) for n, c in bucket.objects().items() if n.startswith("uih/bucket"))
    middle = len(content) // 3
    flipped = bytes([content[middle] ^ 1])
    bucket.put(name, content[:middle] + flipped + content[middle + 1 :])
    assert not opened(bucket).verify().passed


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("s3://", {}, "s3:// is no URL of an object store; name bucket and folder"),
        ("/tmp/lake", {}, "is no URL of an object store"),
        (7, {}, "is no URL of an object store"),
        ("s3://key:password@bucket/lake", {}, "has more in it than a place; give keys in"),
        ("s3://bucket/lake?sig=password", {}, "has more in it than a place; give keys in"),
        ("s3://bucket/lake", "aws_region=x", "storage_options are no mapping"),
        ("s3://bucket/lake", {"aws_region": 7}, "'aws_region' is no text"),
        ("s3://bucket/lake", {"aws_nonsense": SECRET}, "given are: aws_nonsense; they are called"),
    ],
)
def test_what_makes_no_sense_is_refused(lake: Lake, url: Any, options: Any, says: str) -> None:
    before = state(lake)
    said = refusal(InputError, lambda: uih.publish(lake.path, url, storage_options=options))
    assert says in said
    assert "password" not in said and SECRET not in said
    assert state(lake) == before


def test_options_of_a_path_are_refused(lake: Lake) -> None:
    said = refusal(InputError, lambda: Lake.open(lake.path, storage_options={"a": SECRET}))
    assert "they are for URLs of object stores" in said
    assert SECRET not in said
    assert Lake.open(lake.path, storage_options={}).version == lake.version


def test_no_secret_is_told(
    lake: Lake, bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    publish(lake, bucket)
    there = opened(bucket)
    shown = [repr(there), str(there.info()), repr(there._stores.__dict__)]
    nobody = {**bucket.options, "aws_endpoint_url": f"http://127.0.0.1:1/{SECRET}"}
    for call, kind in (
        (lambda: Lake.open(bucket.url, storage_options=nobody), LakeError),
        (lambda: uih.publish(lake.path, bucket.url, storage_options=nobody), LakeError),
        (lambda: Lake.open(bucket.url + "/x", storage_options=bucket.options), LakeError),
    ):
        with pytest.raises(kind) as refused:
            call()
        error: BaseException | None = refused.value
        while error is not None:  # and what it came from, which a traceback shows
            shown.append(str(error))
            error = None if error.__suppress_context__ else error.__context__
    assert all(SECRET not in text for text in [*shown, caplog.text])
    for path in (tmp_path / "replicas").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_the_command_line_takes_urls(in_environment: Bucket, lake: Lake, tmp_path: Path) -> None:
    url = in_environment.url
    assert told("publish", lake.path, url)["lake_version"] == 2
    assert done("publish", lake.path, url).startswith(f"published lake version 2 at {url}: 0 files")
    assert told("info", url)["lake"] == url
    tenant = tmp_path / "t.toml"
    tenant.write_text('name = "t"\n[groups.g]\ntraits = ["item"]\nmax_len = 3\n')
    assert told("materialize", url, "--tenant", tenant, "--out", tmp_path / "out")["rows"] == 40
    assert told("savings", url, "--tenant", tenant)["lake"] == url
    refused = run("seal", url)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == (
        "error: a published lake is read only; write to it where it is, and publish it anew\n"
    )


def test_a_replica_that_cannot_be_kept_is_told(
    lake: Lake, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, bucket)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UIH_LAKE_CACHE", str(tmp_path / "file"))
    assert "cannot be written: Not a directory" in refusal(OutputError, lambda: opened(bucket))

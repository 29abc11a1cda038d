"""Traits of long texts: what is cut by their bytes, and what Arrow's 32 bits cannot hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from small_lakes import events, requests, state

from uih_lake import Group, Lake, Tenant, arrays, errors, materialize
from uih_lake.gather.lists import take, weights
from uih_lake.loader import Loader, source
from uih_lake.resolve.ranges import Ranges
from uih_lake.session import cursor, fetch

TEXTS = ["", "x" * 7, "x" * 8, None, "x" * 1000, "é" * 40]
KINDS = {
    "numbers": pa.array([1, None, 3, 4, 5, 6]),
    "texts": pa.array(TEXTS),
    "codes": pa.array(TEXTS).dictionary_encode(),
    "lists": pa.array([[1, 2, 3], [], None, [None], [5], [6] * 99]),
    "lists of texts": pa.array([TEXTS, [], None, ["x" * 80], [None, "x"], TEXTS[:2]]),
}


def weight(value: object) -> int:
    if isinstance(value, str):
        return 1 + len(value.encode()) // 8
    return 1 + sum(map(weight, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [0, 1])
def test_a_sequence_weighs_what_its_values_do(kind: str, offset: int) -> None:
    column = KINDS[kind].slice(offset)
    cuts = [[], [(0, 2)], [(0, 1), (3, 5)], [(1, 5)], []]
    edges = pa.array([0, *[len(cut) for cut in cuts]]).to_numpy().cumsum()
    starts, stops = (pa.array([f[i] for cut in cuts for f in cut]).to_numpy() for i in (0, 1))
    lengths = pa.array([sum(stop - start for start, stop in cut) for cut in cuts]).to_numpy()
    ranges = Ranges(edges, starts, stops, lengths)
    rows = column.to_pylist()
    expected = [sum(weight(v) for a, b in cut for v in rows[a:b]) for cut in cuts]
    assert weights(column, ranges).tolist() == expected
    assert take(column, ranges).to_pylist() == [
        v for cut in cuts for a, b in cut for v in rows[a:b]
    ]


def lake_of(path: Path, texts: int, size: int, users: int, buckets: int) -> Lake:
    """Texts that differ, in four appends."""
    lake = Lake.create(path, buckets=buckets)
    for first in range(0, texts, texts // 4):
        each = range(first, first + texts // 4)
        mine = [f"{number:08}" + "x" * (size - 8) for number in each]
        lake.append(events([n % users for n in each], [n + 1 for n in each], text=mine))
    return lake


def test_batches_are_cut_by_the_bytes_of_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of(tmp_path / "lake", 200, 800, users=5, buckets=1)
    lake.log(requests([0, 1, 2, 3, 4] * 20, [1000] * 100))
    tenant = Tenant("t", {"g": Group(("text",))})
    alone = lake.materialize(tenant).read_all()
    monkeypatch.setattr(materialize, "BATCH_VALUES", 10_000)  # 80 KB; an example has 40 texts
    batches = list(lake.materialize(tenant))
    assert pa.Table.from_batches(batches).equals(alone)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == 100 and len(sizes) > 20 and max(sizes) <= 4
    monkeypatch.setattr(materialize, "_MOST_VALUES", 4_039)
    with pytest.raises(errors.TooMuchText, match="max_len"):
        lake.materialize(tenant).read_all()
    assert lake.materialize(Tenant("t", {"g": Group(("text",), 39)})).read_all().num_rows == 100


def test_a_seal_of_more_text_than_a_column_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buckets are taken apart; where that is not enough, nothing is changed."""
    monkeypatch.setattr(arrays, "TEXT_BYTES", 100_000)  # in place of 2 GiB
    lake = lake_of(tmp_path / "lake", 400, 800, users=50, buckets=8)
    before = lake.sql("SELECT * FROM events ORDER BY ALL").fetchall()
    lake.seal()
    assert lake.sql("SELECT * FROM events ORDER BY ALL").fetchall() == before
    assert lake.verify().passed
    lake = lake_of(tmp_path / "one", 400, 800, users=1, buckets=8)
    found = state(lake)
    with pytest.raises(errors.TooMuchText, match=r"'text' has more .* more buckets"):
        lake.seal()
    assert state(lake) == found


def test_what_arrow_cannot_count_is_told(tmp_path: Path) -> None:
    """Where the engine hands texts over, and where several pieces are to become one."""
    statement = "SELECT text FROM (SELECT repeat('x', 1 << 26) AS text), range(33)"
    with cursor(threads=1) as duck:
        with pytest.raises(errors.TooMuchText, match=r"2 GiB in the rows of one bucket; make"):
            fetch(duck, statement)
        pieces = fetch(duck, f"{statement} LIMIT 2")
    with pytest.raises(errors.TooMuchText, match="a column of texts or lists has more than 2 GiB"):
        arrays.whole(pa.chunked_array(pieces["text"].chunks * 17))


@pytest.mark.parametrize("masks", [False, True])
def test_a_loader_takes_texts_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: bool
) -> None:
    """Of few users in several files, which are scanned in SQL."""
    lake = Lake.create(tmp_path / "lake", buckets=1)
    texts = [None if n % 7 == 0 else f"{n % 5}" * 100 for n in range(60)]
    for first in (0, 20, 40):
        part = range(first, first + 20)
        lake.append(events([n % 3 for n in part], [*part], text=texts[first : first + 20]))
        if first < 40:
            lake.seal()
    lake.log(requests([0, 1, 2], [100] * 3), live=True)
    monkeypatch.setattr(source, "TEXT_ROWS", 7)
    loader = Loader(lake, Tenant("t", {"g": Group(("text", "event_ts"))}), 3, masks=masks)
    (batch,), _ = loader, list(loader)
    assert isinstance(next(iter(loader._engine.buckets)).resolved.reads[0], tuple)
    codes, words = batch["g"].values["text"].tolist(), batch["g"].dictionaries["text"]
    wanted = {user: texts[user::3] for user in range(3)}
    assert [words[code] for code in codes] == [
        t for user in batch.user_id.tolist() for t in wanted[user]
    ]
    if masks:
        there = batch["g"].masks["text"].tolist()
        assert there == [code > 0 for code in codes]

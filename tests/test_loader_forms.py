"""What can be made of a batch, the memory it lies in, and the pure decisions behind it."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loader_lakes import NUMBERS, TIME, build, events, frozen, ids, requests
from torch.utils.data import default_convert

from uih_lake import Group, InputError, Lake, Tenant, UihError
from uih_lake.arrays import running
from uih_lake.gather.moves import Moves
from uih_lake.gather.pieces import Pieces, newest, pick
from uih_lake.gather.returns import Returns
from uih_lake.gather.ring import Ring
from uih_lake.gather.shared import merge
from uih_lake.lake.integrity import Pages
from uih_lake.loader import Batch, Jagged, Loader, Nested, Shared
from uih_lake.loader.deal import Deal, steps
from uih_lake.loader.dictionary import Dictionary
from uih_lake.loader.order import Window, shuffled, windows
from uih_lake.loader.planner import Planner, Worker
from uih_lake.loader.source import Source
from uih_lake.pointers.examples import Examples
from uih_lake.resolve.ranges import Ranges
from uih_lake.session import cursor


def jagged(lists: list[list[int]]) -> Jagged:
    """One int64 trait."""
    offsets = torch.tensor([0, *np.cumsum([len(one) for one in lists])])
    values = torch.tensor([v for one in lists for v in one], dtype=torch.int64)
    longest = max(map(len, lists), default=0)
    return Jagged({"x": values, "y": values * 2}, offsets, longest, len(values))


class TestShapes:
    LISTS: list[list[int]] = [[1, 2, 3], [], [4], [5, 6]]  # noqa: RUF012

    def test_padded_on_the_right(self) -> None:
        padded = jagged(self.LISTS).to_padded(fill=-1)["x"]
        assert padded.tolist() == [[1, 2, 3], [-1, -1, -1], [4, -1, -1], [5, 6, -1]]

    def test_padded_on_the_left(self) -> None:
        padded = jagged(self.LISTS).to_padded(4, side="left")["y"]
        assert padded.tolist() == [[0, 2, 4, 6], [0, 0, 0, 0], [0, 0, 0, 8], [0, 0, 10, 12]]

    @pytest.mark.parametrize("side", ["left", "right"])
    def test_padded_shorter_keeps_the_newest(self, side: str) -> None:
        padded = jagged(self.LISTS).to_padded(2, side=side)["x"]
        one = [4, 0] if side == "right" else [0, 4]
        assert padded.tolist() == [[2, 3], [0, 0], one, [5, 6]]

    @pytest.mark.parametrize("side", ["left", "right"])
    @pytest.mark.parametrize("length", [None, 0, 2, 4])
    def test_the_mask_is_true_where_padded_has_events(self, side: str, length: int | None) -> None:
        sequences = jagged(self.LISTS)
        mask = sequences.padding_mask(length, side=side)
        assert mask.dtype == torch.bool
        padded = sequences.to_padded(length, side=side, fill=-1)["x"]
        assert torch.equal(mask, padded != -1)

    def test_masks_of_values_are_padded_too(self) -> None:
        lists = jagged(self.LISTS)
        valued = torch.tensor([True, False, True, True, False, True])
        sequences = replace(lists, masks={"x": valued})
        padded = sequences.padded_masks(4, side="left")["x"]
        assert padded.tolist() == [
            [False, True, False, True],
            [False, False, False, False],
            [False, False, False, True],
            [False, False, False, True],
        ]
        kept = sequences.padded_masks(2)["x"]
        assert kept.tolist() == [[False, True], [False, False], [True, False], [False, True]]
        with pytest.raises(UihError, match="no masks; make the loader with masks=True"):
            lists.padded_masks()

    @pytest.mark.parametrize("length", [-3, 1.5, "4"])
    def test_a_length_that_is_none_is_refused(self, length: Any) -> None:
        with pytest.raises(InputError, match=f"length {length!r} to pad to"):
            jagged(self.LISTS).to_padded(length)
        with pytest.raises(InputError, match=f"length {length!r} to pad to"):
            jagged(self.LISTS).padding_mask(length)

    def test_a_side_that_is_none_is_refused(self) -> None:
        with pytest.raises(InputError, match="no side 'top'"):
            jagged(self.LISTS).padding_mask(side="top")

    def test_one_text_is_no_list_of_traits(self) -> None:
        for shape in (jagged(self.LISTS).to_nested, jagged(self.LISTS).to_kjt):
            with pytest.raises(InputError, match=r"traits 'xy' is one text; give a list: \['xy'\]"):
                shape("xy")

    def test_nested_shares_the_memory(self) -> None:
        sequences = jagged(self.LISTS)
        nested = sequences.to_nested()["x"]
        assert [one.tolist() for one in nested.unbind()] == self.LISTS
        assert nested.values().data_ptr() == sequences.values["x"].data_ptr()  # type: ignore[operator, union-attr]

    def test_keyed_jagged(self) -> None:
        pytest.importorskip("torchrec", reason="torchrec is not installed")
        keyed = jagged(self.LISTS).to_kjt()
        assert keyed.keys() == ["x", "y"]
        assert keyed.lengths().tolist() == [3, 0, 1, 2] * 2
        assert keyed["y"].values().tolist() == [2, 4, 6, 8, 10, 12]

    def test_embeddings_are_looked_up_by_keys(self) -> None:
        torchrec = pytest.importorskip("torchrec", reason="torchrec is not installed")
        table = torchrec.EmbeddingConfig(
            name="of_items", embedding_dim=4, num_embeddings=13, feature_names=["clicks.x"]
        )
        embeddings = torchrec.EmbeddingCollection(tables=[table])
        found = embeddings(jagged(self.LISTS).to_kjt(prefix="clicks."))["clicks.x"]
        assert found.lengths().tolist() == [3, 0, 1, 2]
        weights = embeddings.embeddings["of_items"].weight
        assert torch.equal(found.values(), weights[[1, 2, 3, 4, 5, 6]])

    def test_keys_of_several_types_are_cast_where_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def keyed(keys: list[str], values: torch.Tensor, lengths: torch.Tensor) -> Any:
            return keys, values, lengths.tolist()

        monkeypatch.setattr("uih_lake.loader.jagged._keyed_jagged", lambda: keyed)
        sequences = jagged(self.LISTS)
        sequences.values["y"] = sequences.values["y"].to(torch.int32)  # type: ignore[operator]
        with pytest.raises(InputError, match=r"of 2 types.*cast all with dtype=torch\.int64"):
            sequences.to_kjt()
        keys, values, lengths = sequences.to_kjt(dtype=torch.int64, prefix="clicks.")
        assert keys == ["clicks.x", "clicks.y"]
        assert values.dtype == torch.int64
        assert values.tolist() == [1, 2, 3, 4, 5, 6, 2, 4, 6, 8, 10, 12]
        assert lengths == [3, 0, 1, 2] * 2

    @pytest.mark.parametrize("kind", ["ImportError", "OSError"])
    def test_a_torchrec_that_cannot_be_imported_is_told(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "torchrec.py").write_text(f"raise {kind}('undefined symbol: fbgemm')")
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchrec"]:
            monkeypatch.delitem(sys.modules, name)
        with pytest.raises(UihError, match=r"undefined symbol: fbgemm; .*uih_lake\[torchrec\]"):
            jagged(self.LISTS).to_kjt()

    def test_lists_have_no_flat_shape(self) -> None:
        sequences = jagged(self.LISTS)
        sequences.values["z"] = Nested(torch.zeros(0), torch.zeros(7, dtype=torch.int64))
        assert list(sequences.to_padded()) == ["x", "y"]
        with pytest.raises(InputError, match="'z' is list-valued"):
            sequences.to_padded(traits=["z"])
        with pytest.raises(InputError, match="'w' is not in the group"):
            sequences.to_nested(["w"])

    def test_lists_are_taken_with_their_rows(self) -> None:
        nested = Nested(torch.arange(6), torch.tensor([0, 2, 2, 5, 6]))
        taken = nested.take(torch.tensor([2, 0, 1, 2]))
        assert taken.values.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
        assert taken.offsets.tolist() == [0, 3, 5, 5, 8]


class TestBatch:
    @staticmethod
    def batch() -> Batch:
        sequences = jagged([[1, 2, 3], [], [4]])
        tags = Nested(torch.zeros(6), torch.tensor([0, 2, 2, 5, 6]))
        words = Dictionary(["click", "like"])
        history = Jagged(
            {
                **sequences.values,
                "tags": tags,
                "an_extremely_" + "long_" * 20 + "name": tags.values,
            },
            *(sequences.offsets, sequences.longest, sequences.events),
            {"y": torch.ones(4, dtype=torch.bool)},
            {"x": words},
        )
        times = torch.arange(3)
        context = {"label": torch.zeros(3), "place": torch.zeros(3, dtype=torch.int32)}
        return Batch(
            *(["a", "b", "c"], times, times, {"history": history, "few": sequences}, context),
            dictionaries={"place": words},
            padding=1,
        )

    def test_it_is_shown_as_types_and_shapes(self) -> None:
        shown = repr(self.batch()).splitlines()
        assert shown == [
            "Batch(3 examples, the last 1 padding, 8 events) on cpu",
            "  example_id  list of 3 str",
            "  user_id     int64 [3]",
            "  request_ts  int64 [3]",
            "  context",
            "    label  float32 [3]",
            "    place  int32 [3], 2 strings",
            "  history: Jagged(3 sequences, 4 events, longest 3)",
            "    x                               int64 [4], 2 strings",
            "    y                               int64 [4], masked",
            "    tags                            Nested(float32 [6] in 4 lists)",
            "    an_extremely_long_long_long...  float32 [6]",
            "  few: Jagged(3 sequences, 4 events, longest 3)",
            "    x  int64 [4]",
            "    y  int64 [4]",
        ]

    def test_no_line_is_wider_than_a_terminal(self, lake: Lake) -> None:
        wide = Tenant("wide", {"g" * 200: Group(["item"])}, ["label"])
        for share in (False, True):
            batch = next(iter(Loader(lake, wide, 140, share=share)))
            assert all(len(line) < 80 for line in repr(batch).splitlines())
            assert f"g...: {type(batch.groups['g' * 200]).__name__}(140 sequences, " in repr(batch)
            assert f"int64 [{len(batch['g' * 200].values['item'])}]" in repr(batch)  # type: ignore[arg-type]

    def test_its_keys_are_the_groups(self) -> None:
        batch = self.batch()
        assert list(batch.keys()) == ["history", "few"]
        assert "few" in batch and "label" not in batch and 0 not in batch
        assert dict(**batch) == batch.groups

    @pytest.mark.parametrize("kind", [UihError, KeyError])
    def test_a_group_that_is_not_there_is_refused(self, kind: type[Exception]) -> None:
        says = r"^no group 'histroy' in the batch; did you mean 'history'\? groups: history, few$"
        with pytest.raises(kind, match=says):
            self.batch()["histroy"]

    def test_it_is_no_collection_to_be_taken_apart(self) -> None:
        batch = self.batch()
        assert not isinstance(batch, Iterable | Mapping | Sequence)
        with pytest.raises(TypeError, match="not iterable"):
            list(batch)  # type: ignore[call-overload]
        assert default_convert(batch) is batch


Intervals = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)))),
    max_size=12,
)


def pieces_of(examples: list[tuple[int, list[tuple[int, int]]]]) -> Pieces:
    """Examples of one run each, with ascending fragments apart from each other."""
    runs, starts, stops, counts = [], [], [], []
    for run, intervals in examples:
        end = -1
        count = 0
        for start, length in sorted(intervals):
            if start > end:
                runs.append(run)
                starts.append(start)
                stops.append(start + length)
                end = start + length
                count += 1
        counts.append(count)
    parts = (np.array(p, np.int64) for p in (runs, starts, stops))
    return Pieces(running(np.array(counts, np.int64)), Moves.of(*parts))


@given(Intervals, st.integers(1, 4))
def test_merged_fragments_hold_every_row_once_and_say_where(examples: Any, size: int) -> None:
    pieces = pieces_of(examples)
    edges = np.unique([*range(0, len(examples), size), len(examples)]).astype(np.int64)
    if len(edges) < 2:
        return
    merged = merge(pieces, edges)
    moves = pieces.moves
    for batch in range(len(edges) - 1):
        rows = [
            (int(merged.moves.runs[f]), row)
            for f in range(merged.offsets[batch], merged.offsets[batch + 1])
            for row in range(merged.moves.starts[f], merged.moves.stops[f])
        ]
        assert len(rows) == len(set(rows))
        needed = set()
        for f in range(pieces.offsets[edges[batch]], pieces.offsets[edges[batch + 1]]):
            wanted = [(int(moves.runs[f]), r) for r in range(moves.starts[f], moves.stops[f])]
            place = int(merged.places[f])
            assert rows[place : place + len(wanted)] == wanted
            needed.update(wanted)
        assert set(rows) == needed


@given(Intervals, st.lists(st.integers(0, 40), min_size=12, max_size=12))
def test_the_newest_are_the_last(examples: Any, keep: list[int]) -> None:
    pieces = pieces_of(examples)
    kept = newest(pieces, np.array(keep[: len(examples)], np.int64))

    def listed(of: Pieces, example: int) -> list[int]:
        found: list[int] = []
        for f in range(of.offsets[example], of.offsets[example + 1]):
            found += range(of.moves.starts[f], of.moves.stops[f])
        return found

    for example in range(len(examples)):
        whole = listed(pieces, example)
        assert listed(kept, example) == whole[max(0, len(whole) - keep[example]) :]


def test_examples_are_picked_from_several_runs() -> None:
    def ranges(*fragments: list[tuple[int, int]]) -> Ranges:
        counts = [len(f) for f in fragments]
        starts = np.array([a for f in fragments for a, _ in f], np.int64)
        stops = np.array([b for f in fragments for _, b in f], np.int64)
        lengths = np.array([sum(b - a for a, b in f) for f in fragments], np.int64)
        return Ranges(running(np.array(counts, np.int64)), starts, stops, lengths)

    runs = [ranges([(0, 2)], [], [(3, 4), (5, 7)]), ranges([(9, 10)])]
    picked = pick(runs, np.array([3, 2, 1, 0]))
    assert picked.offsets.tolist() == [0, 1, 3, 3, 4]
    assert picked.moves.starts.tolist() == [9, 3, 5, 0]
    assert picked.moves.runs.tolist() == [1, 0, 0, 0]
    assert picked.moves.places.tolist() == [0, 1, 2, 4, 6]
    assert picked.lengths.tolist() == [1, 3, 0, 2]


class TestRing:
    def test_a_buffer_comes_back_when_nothing_of_it_is_left(self) -> None:
        ring = Ring(2)
        lease = ring.lease(1000)
        address = lease.address
        tensor = torch.from_numpy(lease.array(np.int64, 64, 10))[2:5]
        del lease
        gc.collect()
        other = ring.lease(1000)
        assert other.address != address
        del tensor
        assert ring.lease(1000).address == address
        assert ring.allocations == 2

    def test_a_buffer_too_small_makes_room_for_a_larger_one(self) -> None:
        ring = Ring(2)
        for size in (1000, 10**6, 2 * 10**6, 1000, 2 * 10**6):
            ring.lease(size)
        assert ring.allocations == 3
        assert ring.held_bytes < 3 * 10**6


def test_what_comes_back_runs_no_python() -> None:
    """An interrupt of the user's that came in there would be lost, and with it the buffer."""

    class Holder:
        pass

    returns: Returns[str] = Returns()
    holders = [Holder(), Holder(), Holder()]
    for value, holder in zip("abc", holders, strict=True):
        returns.lend(value, holder)
    assert list(returns.collect()) == []
    entered: list[str] = []
    sys.setprofile(lambda frame, event, _: entered.append(f"{event} {frame.f_code.co_name}"))
    del holders[1]
    sys.setprofile(None)
    assert [each for each in entered if each.startswith("call")] == []
    assert list(returns.collect()) == ["b"]
    holders.clear()
    del holder
    assert sorted(returns.collect()) == ["a", "c"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Sealed and compacted, so that a bucket is one run."""
    return build(tmp_path_factory.mktemp("lake") / "lake", dirty=False)


def test_a_sequence_that_lies_in_one_piece_is_not_copied(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 1)
    inside = outside = 0
    list(loader)  # what is read a second time stays where it can be looked at
    for batch in loader:
        spans = [
            (stored.values.ctypes.data, stored.values.nbytes)
            for opened in loader._engine.buckets
            for scan in opened.columns
            for stored in scan
        ]
        for values in batch["all"].values.values():
            assert isinstance(values, torch.Tensor)
            if len(values):
                here = any(a <= values.data_ptr() < a + size for a, size in spans)
                inside, outside = inside + here, outside + (not here)
    assert inside > outside
    assert inside > 100


def test_numbers_and_times_lie_in_the_buffers_of_the_engine() -> None:
    from uih_lake.loader.columns import columns

    schema = pa.schema([("item", pa.int64()), ("seen", pa.timestamp("us", "UTC"))])
    for column in columns(["item", "seen"], schema, {}, False, {}):
        values = pa.array([1, 2, 3], pa.int64()).view(schema.field(column.name).type)
        stored = column.scanned(values, None)
        assert stored.values.ctypes.data == values.buffers()[1].address
        assert torch.from_numpy(stored.values).data_ptr() == values.buffers()[1].address


def test_batches_are_copied_into_memory_that_is_used_again(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 8, prefetch=2, threads=1)
    for _ in range(4):
        for _batch in loader:
            pass
    assert loader.meters.batches == 4 * len(loader)
    assert loader._engine.ring.allocations <= 6


def test_buckets_of_a_window_are_held_only_by_batches_that_need_them(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 8, open_buckets=1)
    source = Source(loader._selection, loader._plan, loader.meters)
    planner = Planner(loader._options.recipe(loader._plan), 0, 0, Worker())
    batches = mixed = 0
    with cursor() as duck:
        for window in loader._windows():
            opened = {bucket: source.open(duck, bucket) for bucket in window.buckets}
            blocks = planner.lay(window, opened)
            old = [block for block in blocks if len(block.sources) > 1]
            assert old in ([], blocks[:1])
            assert all(block.jobs == [0] for block in old), "only the first batch mixes windows"
            mixed += len(old)
            batches += sum(len(block.jobs) for block in blocks)
    batches += sum(len(block.jobs) for block in planner.rest())
    assert batches == len(loader)
    assert mixed > 0


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """640 examples in 64 buckets, one log."""
    rng, users = random.Random(0), list(range(2000))
    lake = Lake.create(tmp_path_factory.mktemp("lake") / "crowd", buckets=64)
    lake.append(events(rng, users, 900))
    lake.log(requests(rng, users, 640, 0))
    lake.seal()
    return lake


def reads_of(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[range], int]:
    """Batches, the buckets of each read of examples, and how many waited at most for their turn."""
    found: list[range] = []
    read = Examples.read

    def told(self: Examples, pages: Pages, columns: Any, first: int, last: int) -> pa.Table:
        found.append(range(first, last + 1))
        return read(self, pages, columns, first, last)

    monkeypatch.setattr(Examples, "read", told)
    loader = Loader(lake, NUMBERS, 8, threads=1, open_buckets=1)
    most, batches = 0, []
    for batch in loader:
        batches.append(frozen(batch))
        most = max(most, loader._engine._source.neighbours.waiting)
    assert loader._engine._source.neighbours.waiting == 0
    monkeypatch.setattr(Examples, "read", read)
    return batches, found, most


@pytest.mark.parametrize("at_once", [10, 20, 30, 100, 50_000])
def test_examples_are_read_once_in_lakes_of_up_to_64_buckets(
    crowd: Lake, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("uih_lake.materialize.EXAMPLES_AT_ONCE", at_once)
    _, reads, _ = reads_of(crowd, monkeypatch)
    assert len({*reads}) == len(reads) == -(-64 // len(reads[0]))


def test_examples_that_wait_for_their_bucket_are_bounded(
    crowd: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, _ = reads_of(crowd, monkeypatch)
    monkeypatch.setattr("uih_lake.materialize.EXAMPLES_AT_ONCE", 40)
    free, reads, most = reads_of(crowd, monkeypatch)
    assert free == whole
    assert len(reads) == 16
    assert most > 200, "the control: most of a lake may wait"
    monkeypatch.setattr("uih_lake.loader.neighbours.MOST", 2)
    bound, reads, most = reads_of(crowd, monkeypatch)
    assert bound == whole
    assert most < 100
    assert {len(read) for read in reads} == {1, 4}, "without room a bucket is read alone"


def test_no_example_waits_for_a_bucket_whose_turn_does_not_come(
    crowd: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uih_lake.materialize.EXAMPLES_AT_ONCE", 40)
    monkeypatch.setattr("uih_lake.loader.source.RESOLVED_BYTES", 20_000)
    loader = Loader(crowd, NUMBERS, 8, threads=1)
    for _ in range(3):
        list(loader)
        source = loader._engine._source
        assert 0 < len(source._kept) < 64, "some are opened without their examples"
        assert source.neighbours.waiting == 0


def test_what_is_kept_of_a_bucket_keeps_no_memory_of_its_neighbours(crowd: Lake) -> None:
    loader = Loader(crowd, NUMBERS, 8)
    list(loader)
    kept = loader._engine._source._kept.values()
    assert len(kept) == 64
    for resolved in kept:
        for array in (resolved.example_id, resolved.user_id):
            assert array.get_total_buffer_size() <= array.nbytes + 8  # and whole bytes of a bitmap


def test_a_kept_batch_stays_as_it_was(lake: Lake) -> None:
    loader = Loader(lake, NUMBERS, 8, prefetch=1)
    kept = list(loader)
    copies = [batch.map(torch.clone) for batch in kept]
    list(loader)
    for batch, copy in zip(kept, copies, strict=True):
        for one, other in zip(batch.tensors(), copy.tensors(), strict=True):
            assert torch.equal(one.nan_to_num(), other.nan_to_num())


def test_history_in_common_is_moved_once(lake: Lake) -> None:
    moved = {}
    for share in (False, True):
        loader = Loader(lake, NUMBERS, 32, order="user", share=share)
        assert all(isinstance(b["all"], Shared if share else Jagged) for b in loader)
        moved[share] = loader.meters.bytes_moved
    assert moved[True] < 0.5 * moved[False]


def test_shared_history_has_the_shapes_of_what_it_expands_to(lake: Lake) -> None:
    batch = next(iter(Loader(lake, NUMBERS, 32, order="user", share=True, masks=True)))
    shared = batch.groups["all"]
    assert isinstance(shared, Shared)
    plain = shared.expand()
    for options in ({}, {"length": 3, "side": "left"}):
        assert torch.equal(shared.padding_mask(**options), plain.padding_mask(**options))
        pairs = [
            (shared.to_padded(**options, traits=["item"]), plain.to_padded(**options)),
            (shared.padded_masks(**options), plain.padded_masks(**options)),
        ]
        for found, wanted in pairs:
            assert torch.equal(found["item"], wanted["item"])
    found, wanted = shared.to_nested()["item"].unbind(), plain.to_nested()["item"].unbind()
    assert all(map(torch.equal, found, wanted))


def test_equal_windows_are_one_key(lake: Lake) -> None:
    pytest.importorskip("torchrec", reason="torchrec is not installed")
    batch = next(iter(Loader(lake, NUMBERS, 32, order="user", share=True)))
    shared = batch.groups["all"]
    assert isinstance(shared, Shared)
    keyed = shared.to_kjt(["item", "event_ts"])
    _, inverse = keyed.inverse_indices()
    plain = shared.expand()
    wanted = [t.tolist() for t in plain.to_nested(["item"])["item"].unbind()]
    lengths = keyed["item"].lengths().tolist()
    pieces = torch.split(keyed["item"].values(), lengths)
    assert [pieces[place].tolist() for place in inverse[0].tolist()] == wanted


class TestDecisions:
    COUNTS = {0: {bucket: 50 + bucket for bucket in range(10)}}  # noqa: RUF012

    def test_windows_hold_every_bucket_once(self) -> None:
        found = list(windows(self.COUNTS, 3, 0, 4))
        assert sorted(b for w in found for b in w.buckets) == list(range(10))
        assert [w.first for w in found] == [0, *np.cumsum([w.count for w in found])[:-1]]
        assert [w.buckets for w in windows(self.COUNTS, 3, 1, 4)] != [w.buckets for w in found]

    def test_an_order_is_what_it_was(self) -> None:
        window = Window(0, 0, (0,), 0, 6)
        assert shuffled(window, 0, 0, None).tolist() == ORDER_OF_SIX

    def test_examples_move_far(self) -> None:
        # In a random order an example is a third of the window away from where it was.
        window = Window(0, 0, (0,), 0, 10_000)
        order = shuffled(window, 1, 2, None)
        moved = np.abs(order - np.arange(10_000)).mean()
        assert abs(moved / 10_000 - 1 / 3) < 0.02

    def test_users_stay_together_but_not_too_many(self) -> None:
        users = np.repeat(np.arange(50), 40)
        order = users[shuffled(Window(0, 0, (0,), 0, 2000), 1, 0, users)]
        changes = np.flatnonzero(np.diff(order)) + 1
        runs = np.diff(np.concatenate([[0], changes, [2000]]))
        assert set(runs[runs <= 16].tolist()) <= {8, 16}
        assert len(runs) > 100

    @given(
        st.lists(st.integers(0, 50), max_size=60),
        st.integers(1, 4),
        st.integers(1, 6),
        st.sampled_from([None, 1, 40, 200]),
        st.sampled_from(["", "drop_last", "pad_last"]),
        st.booleans(),
    )
    def test_steps_share_examples_out(
        self, costs: list[int], ranks: int, size: int, tokens: Any, last: str, balanced: bool
    ) -> None:
        options: dict[str, Any] = {last: True} if last else {}
        dealt = [
            steps(
                np.array(costs, np.int64),
                Deal(rank, ranks, size, tokens, balanced, **options),
                True,
            )
            for rank in range(ranks)
        ]
        assert len({tuple(step.after for step in mine) for mine in dealt}) == 1
        seen = [
            place
            for mine in dealt
            for step in mine
            for place in step.examples[: len(step.examples) - step.padding].tolist()
        ]
        assert len(seen) == len(set(seen))
        if last != "drop_last":
            assert sorted(seen) == list(range(len(costs)))
        for mine in dealt:
            begin = 0
            for step in mine:
                assert all(begin <= place < step.after for place in step.examples.tolist())
                begin = step.after
                if tokens is not None and len(step.examples) > 1:
                    assert sum(costs[place] for place in step.examples.tolist()) <= tokens
        if last:
            sizes = {tuple(len(s.examples) > 0 for s in mine) for mine in dealt}
            assert len(sizes) <= 1

    def test_ranks_get_as_many_events(self) -> None:
        rng = np.random.default_rng(0)
        costs = np.minimum(rng.lognormal(6, 1.2, 8 * 64 * 10), 4096).astype(np.int64)
        sums = []
        for rank in range(8):
            dealt = steps(costs, Deal(rank, 8, 64), True)
            sums.append([int(costs[step.examples].sum()) for step in dealt])
        spread = np.array(sums)
        assert (spread.max(0) / spread.mean(0)).max() < 1.05

    def test_what_is_left_over_waits(self) -> None:
        share = Deal(0, 1, 4)
        assert [s.after for s in steps(np.ones(10, np.int64), share, False)] == [4, 8]
        packed = Deal(0, 1, 100, max_tokens=4)
        assert [s.after for s in steps(np.ones(10, np.int64), packed, False)] == [4, 8]


ORDER_OF_SIX = [2, 4, 5, 0, 1, 3]


class TestDictionary:
    def test_code_0_is_null(self) -> None:
        words = Dictionary(["b", "a"])
        assert list(words) == [None, "b", "a"]
        assert words.encode(pa.array(["a", None, "b", "c"])).tolist() == [2, 0, 1, 0]
        assert words[1:] == ["b", "a"]
        assert (words.code("a"), words.code("z"), words.code(None)) == (2, 0, 0)
        assert words.with_words(["a", "c", "c"]).words == ["b", "a", "c"]

    def test_many_strings_are_coded_as_few_are(self, tmp_path: Path) -> None:
        names = [f"name {n:04d}" for n in range(900)]
        table = pa.table(
            {
                "user_id": [n % 7 for n in range(900)],
                "event_ts": pa.array(range(900), pa.timestamp("us", "UTC")),
                "name": names,
            }
        )
        lake = Lake.create(tmp_path / "lake", buckets=2)
        lake.append(table)
        asked = pa.table({"user_id": [3], "request_ts": pa.array([901], pa.timestamp("us", "UTC"))})
        lake.log(asked)
        (batch,) = Loader(lake, Tenant("names", {"all": Group(["name"])}))
        codes, words = batch["all"].values["name"], batch["all"].dictionaries["name"]
        assert [words[code] for code in codes.tolist()] == names[3::7]  # type: ignore[union-attr]
        assert ids(batch) == [0]


class TestWords:
    """Strings whose codes are given."""

    TENANT = Tenant("t", {"all": Group(["item", "tags", "n"])}, ["item", "other"])

    @pytest.fixture
    def lake(self, tmp_path: Path) -> Lake:
        lake = Lake.create(tmp_path / "lake", buckets=1)
        for version, (user, item) in enumerate([(1, "a"), (2, "b"), (3, "c")]):
            row = {"user_id": [user], "event_ts": pa.array([version], TIME), "n": [version]}
            lake.append(pa.table(row | {"item": [item], "tags": [[item, "x"]]}))
        asked = {"user_id": [1, 2, 3], "request_ts": pa.array([50, 51, 52], TIME)}
        lake.log(pa.table(asked | {"item": ["c", "new", None], "other": ["c", "new", "c"]}))
        return lake

    @staticmethod
    def read(loader: Loader) -> dict[int, tuple[Any, ...]]:
        """Per user the codes of context and history."""
        (batch,) = loader
        history = batch["all"].values["item"].tolist()
        found = zip(batch.context["item"].tolist(), history, strict=True)
        return dict(zip(batch.user_id.tolist(), found, strict=True))

    def test_words_keep_their_codes_whatever_is_forgotten(self, lake: Lake) -> None:
        trained = Loader(lake, self.TENANT)
        assert self.read(trained) == {1: (1, 1), 2: (2, 2), 3: (0, 3)}
        words = {name: trained.dictionaries["events"][name] for name in ("item", "tags")}
        lake.forget([1])
        assert self.read(Loader(lake, self.TENANT))[3] == (0, 2), "the control: b and c moved up"
        kept = Loader(lake, self.TENANT, words=words)
        assert self.read(kept) == {2: (4, 2), 3: (0, 3)}
        assert kept.dictionaries["events"]["tags"] == words["tags"] == ["a", "x", "b", "c"]

    def test_a_trait_and_a_context_column_that_are_named_have_the_same_codes(
        self, lake: Lake
    ) -> None:
        loader = Loader(lake, self.TENANT, words={"item": []})
        assert self.read(loader) == {1: (3, 1), 2: (4, 2), 3: (0, 3)}
        shared = ["a", "b", "c", "new"]
        assert loader.dictionaries["events"]["item"] == shared
        assert loader.dictionaries["context"] == {"item": shared, "other": ["c", "new"]}

    def test_words_come_first_and_in_their_order(self, lake: Lake) -> None:
        loader = Loader(lake, self.TENANT, words={"item": ["gone", "c"], "other": ["new"]})
        assert self.read(loader) == {1: (2, 3), 2: (5, 4), 3: (0, 2)}
        assert loader.dictionaries["context"]["other"] == ["new", "c"]

    def test_a_state_goes_on_with_the_words_it_was_saved_with(self, lake: Lake) -> None:
        loader = Loader(lake, self.TENANT, 1, words={"item": ["c"]})
        next(iter(loader))
        state = loader.state_dict()
        resumed = Loader(lake, self.TENANT, 1, words={"item": ["c"]})
        resumed.load_state_dict(state)
        assert resumed.dictionaries == loader.dictionaries
        with pytest.raises(InputError, match="saved with other codes: words of 'item'"):
            Loader(lake, self.TENANT, 1, words={"item": ["b"]}).load_state_dict(state)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ({"itme": []}, "words: column 'itme' is neither a trait nor a context column"),
            ({"n": ["a"]}, "words: column 'n' holds no strings"),
            ({"item": ["a", "a"]}, "words: one of 'item' is there twice"),
            ({"item": ["a", None]}, "words: those of 'item' are no list of strings"),
            ({"item": "abc"}, "words: those of 'item' are no list of strings"),
        ],
    )
    def test_words_that_make_no_sense_are_refused(self, lake: Lake, words: Any, says: str) -> None:
        with pytest.raises(InputError, match=says):
            Loader(lake, self.TENANT, words=words)

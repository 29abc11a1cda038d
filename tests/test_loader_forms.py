"""What can be made of a batch: padded, nested and keyed sequences, and how it is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loader_lakes import NUMBERS, build
from torch.utils.data import default_convert

from uih_lake import Group, InputError, Lake, Tenant, UihError
from uih_lake.loader import Batch, Jagged, Loader, Nested, Shared
from uih_lake.loader.dictionary import Dictionary


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

    def test_a_fill_that_a_trait_has_not_names_the_trait(self) -> None:
        numbers = jagged(self.LISTS)
        mixed = replace(numbers, values={"f": numbers.values["x"].double(), **numbers.values})
        assert mixed.to_padded(fill=float("nan"), traits=["f"])["f"].isnan().any()
        for fill in (float("nan"), "a"):
            with pytest.raises(InputError, match=rf"fill {fill!r} does not fit trait '[fx]'"):
                mixed.to_padded(fill=fill)  # type: ignore[arg-type]

    def test_a_keyed_tensor_of_no_trait_is_refused(self) -> None:
        with pytest.raises(InputError, match="no trait to make a keyed tensor of"):
            jagged(self.LISTS).to_kjt([])
        with pytest.raises(InputError, match="no trait to make a keyed tensor of"):
            replace(jagged(self.LISTS), values={}).to_kjt()

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


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Sealed and compacted, so that a bucket is one run."""
    return build(tmp_path_factory.mktemp("lake") / "lake", dirty=False)


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
    assert torch.equal(shared.offsets, plain.offsets)
    assert torch.equal(shared.lengths, plain.lengths)
    assert shared.view_lengths.sum() == plain.lengths.sum() == shared.events
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

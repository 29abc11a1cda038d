"""Strings as codes, found by the loader or given to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from loader_lakes import TIME, ids

from uih_lake import Group, InputError, Lake, Tenant
from uih_lake.loader import Loader
from uih_lake.loader.dictionary import Dictionary


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

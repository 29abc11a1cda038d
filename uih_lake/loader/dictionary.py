"""Strings as codes: one dictionary per column, the same in every thread, process and rank.

The distinct strings of a column are numbered in the order (version that brought them, string), so a
dictionary only ever grows at its end. Code 0 is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class Dictionary(Sequence[str | None]):
    """Code -> string; code 0 is None, a string that was null or is not known."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = words if isinstance(words, pa.Array) else pa.array(list(words), pa.string())

    @property
    def words(self) -> list[str]:
        """The strings, from code 1 on."""
        return self._words.to_pylist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._words) + 1

    def __getitem__(self, code: Any) -> Any:
        if isinstance(code, slice):
            return [self[place] for place in range(*code.indices(len(self)))]
        code = range(len(self))[code]
        return self._words[code - 1].as_py() if code else None

    def __iter__(self) -> Iterator[str | None]:
        yield None
        yield from self.words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dictionary) and bool(self._words.equals(other._words))

    def __hash__(self) -> int:
        return hash(len(self))

    def __repr__(self) -> str:
        return f"Dictionary({len(self) - 1} strings)"

    def code(self, word: str | None) -> int:
        """The code of a string; 0 where it is not known."""
        place = -1 if word is None else pc.index(self._words, pa.scalar(word, pa.string())).as_py()
        return int(place) + 1

    def encode(self, strings: pa.Array) -> npt.NDArray[np.int32]:
        """The codes of an array of strings; int32."""
        places = pc.index_in(strings, value_set=self._words)
        codes: npt.NDArray[np.int32] = pc.fill_null(pc.add(places, 1), 0).to_numpy()
        return codes

    def with_words(self, more: Iterable[str]) -> Dictionary:
        """This dictionary, and those of ``more`` it did not have, at its end."""
        known = set(self.words)
        added = [word for word in dict.fromkeys(more) if word not in known]
        return Dictionary([*self.words, *added]) if added else self

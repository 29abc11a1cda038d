"""Named groups that cannot be changed and can be hashed and pickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Named(Mapping[str, V], Generic[V]):
    """A frozen, ordered mapping; equal to another if it holds the same in the same order."""

    __slots__ = ("_by_name",)

    def __init__(self, items: Mapping[str, V]) -> None:
        self._by_name = dict(items)

    def __getitem__(self, name: str) -> V:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return tuple(self.items()) == tuple(other.items())

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __repr__(self) -> str:
        return repr(self._by_name)

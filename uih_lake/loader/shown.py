"""Containers of tensors in a few lines, for a prompt: types and shapes, never values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

_WIDTH = 79
_NAME = 30


def tensor(of: Tensor) -> str:
    """``float32 [64]``: dtype and shape."""
    return f"{str(of.dtype).removeprefix('torch.')} {list(of.shape)}"


def column(values: Any, dictionary: Any = None, mask: Tensor | None = None) -> str:
    """A column: its tensor, list or container, how many strings it has, and whether a mask."""
    said = [tensor(values) if isinstance(values, Tensor) else _other(values)]
    if dictionary is not None:
        said.append(f"{len(dictionary) - 1} strings")
    if mask is not None:
        said.append("masked")
    return ", ".join(said)


def columns(
    values: Mapping[str, Any], dictionaries: Mapping[str, Any], masks: Mapping[str, Tensor] | None
) -> list[str]:
    """A line per column, names on the left."""
    masks = masks or {}
    said = {n: column(v, dictionaries.get(n), masks.get(n)) for n, v in values.items()}
    return aligned(said)


def aligned(said: Mapping[str, str]) -> list[str]:
    """A line per entry: its name, cut where it is long, and behind all names what is said of it."""
    names = [short(name) for name in said]
    width = max(map(len, names), default=0)
    return [f"{name:{width}}  {text}" for name, text in zip(names, said.values(), strict=True)]


def block(head: str, lines: Iterable[str]) -> str:
    """A first line and what belongs under it, none of them wider than a terminal."""
    return "\n".join([_cut(head, _WIDTH), *(_cut(f"  {line}", _WIDTH) for line in lines)])


def short(name: str) -> str:
    """A name, cut where it is long."""
    return _cut(name, _NAME)


def _other(values: Any) -> str:
    return f"list of {len(values)} str" if isinstance(values, list) else repr(values)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."

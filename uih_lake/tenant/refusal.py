"""Turns what pydantic found wrong into a :class:`TenantError` of one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from pydantic import ValidationError

from uih_lake.errors import TenantError
from uih_lake.wording import guess, listed, on_one_line

T = TypeVar("T")

_UNKNOWN_KEY = "unexpected_keyword_argument"


def refuses_in_one_line(*keys: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: constructing raises :class:`TenantError`, never pydantic's error.

    ``keys`` are the keys of a group, for errors that lie below a tenant's ``groups``; the keys of
    the class itself are its annotations.
    """

    def decorate(cls: type[T]) -> type[T]:
        accept: Callable[..., None] = cls.__init__
        own = tuple(cls.__annotations__)

        @wraps(accept)
        def __init__(self: T, /, *args: Any, **kwargs: Any) -> None:
            try:
                accept(self, *args, **kwargs)
            except ValidationError as error:
                raise TenantError(_worded(error, kwargs, own, keys)) from None

        setattr(cls, "__init__", __init__)  # noqa: B010  mypy refuses the plain assignment
        return cls

    return decorate


def _worded(
    error: ValidationError, given: Mapping[str, Any], own: tuple[str, ...], keys: tuple[str, ...]
) -> str:
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == _UNKNOWN_KEY), found[0])
    path = [str(step) for step in first["loc"]]
    if path and path[0].isdigit() and int(path[0]) < len(own):
        path[0] = own[int(path[0])]  # a positional argument
    where = [f"tenant '{given['name']}'"] if isinstance(given.get("name"), str) else []
    if len(path) > 1 and path[0] == "groups":
        where.append(f"group '{path[1]}'")
        path, own = path[2:], keys
    message = _reason(first, path, own)
    return on_one_line(": ".join([*where, message]) + _others(len(found) - 1), limit=600)


def _others(problems: int) -> str:
    """That this is not all: a first problem is told, the others are counted."""
    if not problems:
        return ""
    return " (and 1 more problem)" if problems == 1 else f" (and {problems} more problems)"


def _reason(first: Any, path: list[str], keys: tuple[str, ...]) -> str:
    """What is wrong with one value, led by its key."""
    if first["type"] == _UNKNOWN_KEY:
        return f"unknown key '{path[-1]}'; {guess(path[-1], keys)}keys are {listed(keys)}"
    if first["type"] == "missing":
        return f"key '{path[-1]}' is missing; keys are {listed(keys)}"
    if first["type"] == "sequence_str" and isinstance(first["input"], str):
        one = json.dumps([first["input"]], ensure_ascii=False)
        message = f"write a list: {on_one_line(one, limit=60)}"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    else:
        got = on_one_line(repr(first["input"]), limit=60)
        message = f"{first['msg'].replace('Input should', 'it must')}, not {got}"
    return f"{'.'.join(path)}: {message}" if path else message

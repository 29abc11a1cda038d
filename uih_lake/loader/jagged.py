"""Sequences of a batch: values and offsets first, other shapes made of them on demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from uih_lake.errors import InputError, UihError
from uih_lake.loader import shown
from uih_lake.loader.dictionary import Dictionary
from uih_lake.loader.tensors import Tensors, expanded, offsets_of
from uih_lake.wording import on_one_line


@dataclass(frozen=True, eq=False)
class Nested(Tensors):
    """A list-valued trait: ``values`` of all lists, list ``e`` is ``offsets[e]`` to ``[e+1]``."""

    values: Tensor
    offsets: Tensor

    def __repr__(self) -> str:
        return f"Nested({shown.tensor(self.values)} in {len(self.offsets) - 1} lists)"

    @property
    def lengths(self) -> Tensor:
        """Elements of each list; int64."""
        return self.offsets.diff()

    def take(self, rows: Tensor) -> Nested:
        """The lists at ``rows``, in that order."""
        lengths = self.lengths[rows]
        elements = expanded(self.offsets[rows], lengths)
        return Nested(self.values[elements], offsets_of(lengths))


Values = Tensor | Nested


@dataclass(frozen=True, eq=False)
class Jagged(Tensors):
    """Sequences of different lengths, one after the other, oldest event first.

    ``values[trait]`` has one value per event of the batch: numbers in the trait's own type, times
    as int64 microseconds since the epoch, booleans as bool, strings as int32 codes into
    ``dictionaries[trait]``, lists as :class:`Nested`. Sequence ``i`` is ``offsets[i]`` to
    ``offsets[i+1]`` (int64). Nulls hold the declared fill value; with masks, ``masks[trait]`` is
    True where there is a value. ``longest`` is the length of the longest sequence, ``events`` that
    of all together.
    """

    values: dict[str, Values]
    offsets: Tensor
    longest: int
    events: int
    masks: dict[str, Tensor] | None = None
    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)

    @property
    def lengths(self) -> Tensor:
        """Events of each sequence; int64."""
        return self.offsets.diff()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        head = f"Jagged({len(self)} sequences, {self.events} events, longest {self.longest})"
        return shown.block(head, shown.columns(self.values, self.dictionaries, self.masks))

    def to_padded(
        self,
        length: int | None = None,
        *,
        side: str = "right",
        fill: float = 0,
        traits: Iterable[str] | None = None,
    ) -> dict[str, Tensor]:
        """Per trait a tensor ``[batch, length]``, padded with ``fill`` on the given ``side``.

        A sequence longer than ``length`` (default: the longest) keeps its newest events.
        List-valued traits have no such shape and are refused where they are asked for by name.
        Where there are events says :meth:`padding_mask`. Raises :class:`InputError` for a length, a
        side, a fill or traits that make no sense.
        """
        return self._padded(self._flat(traits, "padded"), length, side, fill)

    def padding_mask(self, length: int | None = None, *, side: str = "right") -> Tensor:
        """True where :meth:`to_padded` has an event, False where it has padding.

        A bool tensor ``[batch, length]``, on the device of the sequences. Raises
        :class:`InputError` for a length or a side that makes no sense.
        """
        return _inside(self.lengths, self._width(length), side)

    def padded_masks(self, length: int | None = None, *, side: str = "right") -> dict[str, Tensor]:
        """``masks`` in the shape of :meth:`to_padded`: True where there is an event and a value.

        Per trait a bool tensor ``[batch, length]``. Raises :class:`UihError` without masks, and
        :class:`InputError` for a length or a side that makes no sense.
        """
        if self.masks is None:
            raise UihError("the sequences have no masks", hint="make the loader with masks=True")
        return self._padded(self.masks, length, side, False)

    def to_nested(self, traits: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Per trait a nested tensor ``[batch, *]`` (jagged layout) over the same memory.

        Its type is that of the trait. List-valued traits have no such form and are left out. Raises
        :class:`InputError` for ``traits`` that are no list, that are list-valued or not there.
        """
        return {
            name: torch.nested.nested_tensor_from_jagged(
                values, self.offsets, min_seqlen=0, max_seqlen=max(self.longest, 1)
            )
            for name, values in self._flat(traits, "nested").items()
        }

    def to_kjt(
        self,
        traits: Iterable[str] | None = None,
        *,
        dtype: torch.dtype | None = None,
        prefix: str = "",
    ) -> Any:
        """A torchrec ``KeyedJaggedTensor`` with one key per trait; needs the extra ``torchrec``.

        Values of all keys share one tensor, so the traits must be of one type, or are cast to
        ``dtype``. A key is the trait's name behind ``prefix``, which tells groups of the same
        traits apart. Raises :class:`InputError` for traits of several types without ``dtype``, and
        :class:`UihError` where torchrec cannot be imported.
        """
        flat = self._flat(traits, "keyed jagged")
        if not flat:
            raise InputError(
                "no trait to make a keyed tensor of", hint="name some that are not list-valued"
            )
        kinds = {values.dtype for values in flat.values()}
        if len(kinds) > 1 and dtype is None:
            raise InputError(
                f"traits {', '.join(flat)} are of {len(kinds)} types, a keyed tensor has one",
                hint="name traits of one type, such as the ids that embeddings are looked up by, "
                "or cast all with dtype=torch.int64",
            )
        values = torch.cat([values.to(dtype or values.dtype) for values in flat.values()])
        keys = [prefix + name for name in flat]
        return _keyed_jagged()(keys, values, lengths=self.lengths.repeat(len(flat)))

    def _padded(
        self, columns: Mapping[str, Tensor], length: int | None, side: str, fill: float
    ) -> dict[str, Tensor]:
        """Each column, one value per event, as ``[batch, length]``."""
        length = self._width(length)
        inside = _inside(self.lengths, length, side)
        kept = self.lengths.clamp(max=length)
        # what is inside comes row by row, and so do the newest events of each sequence
        rows = expanded(self.offsets[1:] - kept, kept)
        padded = {}
        for name, values in columns.items():
            _check_fill(name, values.dtype, fill)
            out = values.new_full((len(self), length), fill)
            out[inside] = values[rows]
            padded[name] = out
        return padded

    def _width(self, length: int | None) -> int:
        """Places of a padded sequence: as asked, else as many as the longest has events."""
        if length is None:
            return self.longest
        if not isinstance(length, Integral) or length < 0:
            raise InputError(
                f"length {length!r} to pad to", hint="give a number of events, or None: the longest"
            )
        return int(length)

    def _flat(self, traits: Iterable[str] | None, shape: str) -> dict[str, Tensor]:
        """The traits asked for, or all that are not lists."""
        flat = {n: v for n, v in self.values.items() if isinstance(v, Tensor)}
        if traits is None:
            return flat
        if isinstance(traits, str):
            raise InputError(f"traits {traits!r} is one text", hint=f"give a list: [{traits!r}]")
        asked = list(traits)
        for name in asked:
            if name not in flat:
                why = "is list-valued" if name in self.values else "is not in the group"
                raise InputError(
                    f"trait {name!r} {why} and has no {shape} form",
                    hint=f"traits that do: {', '.join(flat)}",
                )
        return {name: flat[name] for name in asked}


@dataclass(frozen=True, eq=False)
class Shared(Tensors):
    """The rows that the sequences of a batch need, each once, and where the sequences lie in them.

    ``values``, ``masks`` and ``dictionaries`` are as in :class:`Jagged`, over shared rows. Example
    ``i`` is the views ``view_offsets[i]`` to ``view_offsets[i+1]``, and view ``v`` the
    ``view_lengths[v]`` rows from ``view_starts[v]`` on (all int64). An example has a view for each
    band of its file that it reaches into, and more where an event inside its history was not
    visible to it. All else is as in :class:`Jagged`, ``offsets`` and ``lengths`` too.
    """

    values: dict[str, Values]
    view_starts: Tensor
    view_lengths: Tensor
    view_offsets: Tensor
    longest: int
    events: int
    masks: dict[str, Tensor] | None = None
    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.view_offsets) - 1

    def __repr__(self) -> str:
        head = (
            f"Shared({len(self)} sequences, {self.events} events, longest {self.longest}, "
            f"{len(self.view_starts)} views)"
        )
        return shown.block(head, shown.columns(self.values, self.dictionaries, self.masks))

    @property
    def offsets(self) -> Tensor:
        """Where each sequence begins once all are written out, and the end; int64."""
        return offsets_of(self.view_lengths)[self.view_offsets]

    @property
    def lengths(self) -> Tensor:
        """Events of each sequence, int64."""
        return self.offsets.diff()

    def expand(self) -> Jagged:
        """Every sequence written out, on the device the rows are on."""
        rows = expanded(self.view_starts, self.view_lengths, self.events)
        values: dict[str, Values] = {}
        for name, shared in self.values.items():
            values[name] = shared.take(rows) if isinstance(shared, Nested) else shared[rows]
        masks = None if self.masks is None else {n: m[rows] for n, m in self.masks.items()}
        return Jagged(values, self.offsets, self.longest, self.events, masks, self.dictionaries)

    def to_padded(
        self,
        length: int | None = None,
        *,
        side: str = "right",
        fill: float = 0,
        traits: Iterable[str] | None = None,
    ) -> dict[str, Tensor]:
        """As :meth:`Jagged.to_padded`; expands all traits: for more shapes :meth:`expand` once."""
        return self.expand().to_padded(length, side=side, fill=fill, traits=traits)

    def padding_mask(self, length: int | None = None, *, side: str = "right") -> Tensor:
        """As :meth:`Jagged.padding_mask`; expands nothing."""
        places = Jagged({}, self.offsets, self.longest, self.events)
        return places.padding_mask(length, side=side)

    def padded_masks(self, length: int | None = None, *, side: str = "right") -> dict[str, Tensor]:
        """As :meth:`Jagged.padded_masks`; expands the masks."""
        return replace(self, values={}).expand().padded_masks(length, side=side)

    def to_nested(self, traits: Iterable[str] | None = None) -> dict[str, Tensor]:
        """As :meth:`Jagged.to_nested`; expands all traits, and lies over the memory of these."""
        return self.expand().to_nested(traits)

    def to_kjt(
        self,
        traits: Iterable[str] | None = None,
        *,
        dtype: torch.dtype | None = None,
        prefix: str = "",
    ) -> Any:
        """A ``KeyedJaggedTensor`` of the distinct sequences, with ``inverse_indices`` for the rest.

        Needs the extra ``torchrec``; arguments as in :meth:`Jagged.to_kjt`.
        """
        first, inverse = self._distinct()
        distinct = self._only(first).expand()
        keyed = distinct.to_kjt(traits, dtype=dtype, prefix=prefix)
        keys = list(keyed.keys())
        return _keyed_jagged()(
            keys,
            keyed.values(),
            lengths=keyed.lengths(),
            stride_per_key_per_rank=[[len(distinct)] for _ in keys],
            inverse_indices=(keys, inverse.expand(len(keys), -1).contiguous()),
        )

    def _distinct(self) -> tuple[Tensor, Tensor]:
        """The first example of each distinct sequence, and the sequence of each example."""
        keys = torch.stack((self.view_starts, self.view_lengths), 1).tolist()
        edges = self.view_offsets.tolist()
        seen: dict[Any, int] = {}
        first: list[int] = []
        inverse: list[int] = []
        for example in range(len(self)):
            key = tuple(map(tuple, keys[edges[example] : edges[example + 1]]))
            if key not in seen:
                seen[key] = len(first)
                first.append(example)
            inverse.append(seen[key])
        device = self.view_offsets.device
        return torch.tensor(first, device=device), torch.tensor(inverse, device=device)

    def _only(self, examples: Tensor) -> Shared:
        counts = self.view_offsets.diff()[examples]
        views = expanded(self.view_offsets[examples], counts)
        lengths = self.view_lengths[views]
        return replace(
            self,
            view_starts=self.view_starts[views],
            view_lengths=lengths,
            view_offsets=offsets_of(counts),
            events=int(lengths.sum()),
        )


def _check_fill(name: str, kind: torch.dtype, fill: float) -> None:
    """Raise :class:`InputError` for a value that a trait's type has not, such as an integer NaN."""
    try:
        torch.full((), fill, dtype=kind)
    except (RuntimeError, TypeError):
        raise InputError(
            f"fill {fill!r} does not fit trait {name!r}, which is {str(kind).split('.')[1]}",
            hint="name traits that it fits, or give another",
        ) from None


def _inside(lengths: Tensor, length: int, side: str) -> Tensor:
    """Which places of ``[batch, length]`` hold an event, with padding on a ``side``; bool."""
    if side not in ("left", "right"):
        raise InputError(f"no side {side!r} to pad on", hint="one of left, right")
    places = torch.arange(length, device=lengths.device)
    if side == "left":
        places = places.flip(0)
    return places < lengths[:, None]


def _keyed_jagged() -> Any:
    try:
        from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
    except (ImportError, OSError) as error:  # a library of fbgemm made for another torch: OSError
        raise UihError(
            f"a keyed jagged tensor needs torchrec: {on_one_line(str(error))}",
            hint="install uih_lake[torchrec]; for a torch without CUDA, as `make torchrec` does",
        ) from error
    return KeyedJaggedTensor

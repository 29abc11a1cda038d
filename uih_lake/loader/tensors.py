"""What every container of tensors can do: go to a device, be pinned, be recorded on a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from uih_lake.errors import InputError

OnTensor = Callable[[Tensor], Tensor]


class Tensors:
    """Base of frozen dataclasses whose fields hold tensors, or mappings and containers of them."""

    def map(self, change: OnTensor) -> Self:
        """The same with ``change`` applied to every tensor."""
        values = {f.name: _mapped(getattr(self, f.name), change) for f in fields(self)}  # type: ignore[arg-type]
        return replace(self, **values)  # type: ignore[type-var]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """All tensors on ``device``; a tensor that is there already is not copied.

        Raises :class:`InputError` for a dtype: ids, times and offsets are to stay what they are.
        """
        place = device_of(device)
        return self.map(lambda t: t.to(place, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """All tensors in page-locked memory."""
        return self.map(lambda t: t.pin_memory() if t.device.type == "cpu" else t)

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of all CUDA tensors until ``stream`` has done what it is asked by now."""
        for tensor in self.tensors():
            if tensor.is_cuda:
                tensor.record_stream(stream)

    def tensors(self) -> list[Tensor]:
        """Every tensor inside."""
        found: list[Tensor] = []

        def note(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self.map(note)
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(t.numel() * t.element_size() for t in self.tensors())


def _mapped(value: Any, change: OnTensor) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Tensors):
        return value.map(change)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return value


def device_of(named: Any) -> torch.device:
    """The device that is named; raises :class:`InputError` for anything else, such as a dtype."""
    try:
        return torch.device(named)
    except (RuntimeError, TypeError) as error:
        hint = "give 'cpu', 'cuda' or 'cuda:1'"
        if isinstance(getattr(torch, str(named), named), torch.dtype):
            hint += "; cast values one by one, or leave it to autocast"
        raise InputError(f"{named!r} is no device", hint=hint) from error


def expanded(starts: Tensor, lengths: Tensor, total: int | None = None) -> Tensor:
    """Rows ``starts[i]`` to ``starts[i] + lengths[i]`` one after the other; int64, same device.

    A GPU need not be waited for where the ``total`` of the lengths is known.
    """
    ends = torch.cumsum(lengths, 0)
    if total is None:
        total = int(ends[-1]) if len(ends) else 0
    shift = torch.repeat_interleave(starts - (ends - lengths), lengths, output_size=total)
    return shift + torch.arange(total, device=starts.device)


def offsets_of(lengths: Tensor) -> Tensor:
    """Running total of ``lengths`` from 0 on; int64, one element more."""
    total = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=lengths.device)
    torch.cumsum(lengths, 0, out=total[1:])
    return total

"""Which rank this process is: as told, else as torch.distributed knows, else as the environment."""

from __future__ import annotations

import os
from contextlib import suppress

import torch.distributed
from torch.utils.data import get_worker_info

from uih_lake.errors import InputError
from uih_lake.given import integer


def ranks(rank: int | None, num_ranks: int | None) -> tuple[int, int]:
    """This process's rank and the number of ranks.

    Raises :class:`InputError` for one without the other, and for a rank that cannot be.
    """
    if (rank is None) != (num_ranks is None):
        raise InputError("rank and num_ranks go together", hint="give both, or neither")
    if rank is None or num_ranks is None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, num_ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        else:
            rank, num_ranks = _told("RANK", 0), _told("WORLD_SIZE", 1)
    rank, num_ranks = integer("rank", rank, 0), integer("num_ranks", num_ranks, 1)
    if not 0 <= rank < num_ranks:
        raise InputError(f"rank {rank} of {num_ranks}", hint="a rank is from 0 to num_ranks - 1")
    return rank, num_ranks


def _told(variable: str, unless: int) -> int:
    """The integer that a variable of the environment holds, or what it is unless it is set."""
    value = os.environ.get(variable, str(unless))
    try:
        return int(value)
    except ValueError:
        raise InputError(
            f"the environment has {variable}={value!r}, which is no integer",
            hint=f"set {variable} as torchrun does, unset it, or give rank and num_ranks",
        ) from None


def worker() -> tuple[int, int]:
    """This process's number among the workers of a DataLoader, and how many there are."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def is_worker() -> bool:
    """Whether this process is a worker of a DataLoader."""
    return get_worker_info() is not None


def shared(number: torch.Tensor) -> torch.Tensor:
    """The tensor itself, now in memory that worker processes share, where the system has such.

    Where it has not they cannot work at all: their batches come through it.
    """
    with suppress(RuntimeError):
        number.share_memory_()  # type: ignore[no-untyped-call]
    return number


def threads(asked: int | None) -> int:
    """Threads of this process's loader: as asked, else the usable cores, shared by the workers."""
    if asked is not None:
        return asked
    return max(1, min(16, len(os.sched_getaffinity(0)) // worker()[1]))

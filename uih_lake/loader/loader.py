"""The loader a training script imports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset

from uih_lake.errors import UihError
from uih_lake.given import check_flags, integer, seconds
from uih_lake.lake.integrity import Pages
from uih_lake.loader import catalog, ranks
from uih_lake.loader.batch import Batch
from uih_lake.loader.columns import Fill
from uih_lake.loader.deal import Deal
from uih_lake.loader.device import check_device
from uih_lake.loader.engine import Engine
from uih_lake.loader.follow import Follower, Wanted
from uih_lake.loader.meters import Meters
from uih_lake.loader.options import (
    BUDGET,
    MOST,
    Options,
    check_lake,
    check_last,
    fills_of,
    shortening,
    span_of,
    tenants_of,
    words_given,
)
from uih_lake.loader.order import Order, counted, order_of
from uih_lake.loader.plan import check_loaded
from uih_lake.loader.planner import Planner, Worker
from uih_lake.loader.scope import Known, Scope
from uih_lake.loader.state import LAST_EPOCH, State
from uih_lake.pointers.policy import Counts, Policy
from uih_lake.selection import Selection
from uih_lake.tenant import Tenant

if TYPE_CHECKING:
    from uih_lake.api import Lake


@dataclass(frozen=True)
class Turn:
    """An iteration: its number, its epoch and where it begins there, and whose steps it takes."""

    number: int
    epoch: int
    start: int
    worker: Worker


class Loader(IterableDataset[Any]):
    """Batches of a lake's examples with the histories a tenant wants, for a training loop.

    An iteration is one epoch and yields :class:`Batch`, or a dict of them by tenant name where a
    list of tenants is given. Examples and events are those there were when the loader was made.

    ``batch_size`` examples of a batch; those of several tenants have the same examples, and
                   ``max_tokens`` is of all of them together
    ``device``     where batches go: "cuda", "cuda:1", a torch.device; None is the CPU
    ``seed``       with the epoch it decides the order, and what ``stochastic_length`` leaves out
    ``order``      "affinity": buckets shuffled, ``open_buckets`` at once, examples shuffled inside;
                   "user": the same, but up to 16 examples of a user stay together (for ``share``);
                   "time": by stretches of ``time_window``, affinity inside; "log": by log version
    ``where``      SQL condition over the columns of the requests: "label IS NOT NULL", or the part
                   of time that is for training; other examples are left out
    ``rank``       with ``num_ranks``; default is torch.distributed's, else RANK and WORLD_SIZE
    ``max_tokens`` batches of at most so many events, and at most ``batch_size`` examples; one that
                   has more is alone. What counts is ``min(visible events, max_len)`` per sequence
    ``prefetch``   batches made ahead; ``budget`` is the bytes that buckets and buffers may take,
                   beside 256 MiB of resolved pointers
    ``threads``    that make batches; default: one per usable core, at most 16, divided among the
                   workers of a DataLoader
    ``share``      sequences come as :class:`Shared`: history that examples have in common, once
    ``fill``       what a null becomes, per column (default 0); ``masks`` tell where there was one
    ``words``      strings per column that have the codes 1, 2, ... whatever the lake holds, others
                   come behind; a trait and a context column of such a name have the same codes
    ``drop_last``  drop the last examples where they do not give every rank a full batch;
                   ``pad_last`` repeats some until they do
    ``stochastic_length`` alpha in (1, 2] after HSTU; every group then needs a ``max_len``
    ``follow``     never end: go on with examples as they are logged, until :meth:`stop`; looks
                   every ``poll_s`` seconds; the order is "log"
    ``on_mismatch`` what to do with a pointer whose history differs: "raise", "drop" or "keep"

    Raises :class:`InputError` for arguments that make no sense, and other subclasses of
    :class:`UihError` for what is wrong with the lake, the tenant or a pointer, here or while
    iterating.
    """

    def __init__(
        self,
        lake: Lake,
        tenant: Tenant | Sequence[Tenant],
        batch_size: int = 512,
        device: torch.device | str | None = None,
        *,
        seed: int = 0,
        order: Order = "affinity",
        rank: int | None = None,
        num_ranks: int | None = None,
        max_tokens: int | None = None,
        prefetch: int = 4,
        threads: int | None = None,
        share: bool = False,
        masks: bool = False,
        fill: Mapping[str, Fill] | None = None,
        words: Mapping[str, Sequence[str]] | None = None,
        drop_last: bool = False,
        pad_last: bool = False,
        stochastic_length: float | None = None,
        follow: bool = False,
        where: str | None = None,
        on_mismatch: Policy = "raise",
        open_buckets: int = 4,
        time_window: str = "1d",
        budget: int = BUDGET,
        poll_s: float = 0.5,
    ) -> None:
        check_lake(lake)
        check_flags(share=share, masks=masks, drop_last=drop_last, pad_last=pad_last, follow=follow)
        check_last(drop_last, pad_last)
        check_device(device)
        wait = seconds(poll_s)
        tenants = tenants_of(tenant)
        self._several = not isinstance(tenant, Tenant)
        rank, num_ranks = ranks.ranks(rank, num_ranks)
        order = order_of(order, follow)
        deal = Deal(
            rank,
            num_ranks,
            integer("batch_size", batch_size, 1, MOST),
            None if max_tokens is None else integer("max_tokens", max_tokens, 1, MOST),
            balanced=order != "user",
            drop_last=drop_last,
            pad_last=pad_last,
        )
        self._options = Options(
            tenants=tenants,
            deal=deal,
            order=order,
            seed=integer("seed", seed, 0),
            open_buckets=integer("open_buckets", open_buckets, 1),
            span_us=span_of(time_window),
            shorten=shortening(stochastic_length, tenants),
            share=share,
            masks=masks,
            fill=fills_of(fill),
            words=words_given(words),
            device=device,
            prefetch=integer("prefetch", prefetch, 1),
            threads=None if threads is None else integer("threads", threads, 1),
            budget=integer("budget", budget, 1),
        )
        check_loaded("fill", self._options.fill, tenants)
        check_loaded("words", self._options.words, tenants)
        wanted = Wanted(lake, tenants, where, on_mismatch)
        self._follower = Follower(wanted, wait) if follow else None
        self.meters = Meters()
        words = self._options.words
        self._begin(wanted.select(), {"events": words, "context": words})
        if not follow:
            catalog.warn_of_none(self._scope.slots, where)
        self._told = ranks.shared(torch.zeros(1, dtype=torch.int64))
        self._turn = 0
        self._go_to(0)
        self._worker: tuple[int, int, int] | None = None
        self._resuming = False

    def __iter__(self) -> Iterator[Any]:
        """The batches of the epoch, from its beginning or from where a loaded state says.

        An epoch is over with its last batch, whether or not anybody asked for one more. Where the
        loader is, is told by the iteration that began last. Of a loader that follows only that one
        goes on: an earlier one raises :class:`UihError` when it would wait for examples.
        """
        if not self._resuming:
            if ranks.is_worker():  # a copy that stays would count its own parts of epochs
                self._go_to(int(self._told))
            elif self._is_over():
                self._go_to(self._epoch + 1)
        start = self._position if self._resuming else 0
        self._turn += 1
        turn = Turn(self._turn, self._epoch, start, self._working())
        self._resuming = False
        return self._epoch_of(turn) if self._follower is None else self._following(turn)

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch; fewer where pointers are dropped.

        Not known with ``max_tokens`` or ``follow``.
        """
        share = self._options.deal
        if self._follower is not None or share.max_tokens is not None:
            raise TypeError("the number of batches is not known with max_tokens or follow")
        return -(-share.end(self.examples) // (share.ranks * share.batch_size))

    @property
    def examples(self) -> int:
        """Examples in an epoch, of all ranks."""
        return self._scope.examples

    @property
    def dictionaries(self) -> dict[str, dict[str, list[str]]]:
        """Strings by code (from 1 on) per trait (``events``) and context column (``context``)."""
        return self._scope.dictionaries

    @property
    def pointers(self) -> Counts:
        """Pointers that were checked, by trouble, since the loader began anew or got a state."""
        return self._checked

    @property
    def epoch(self) -> int:
        """The epoch under way, or the next one."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; nothing changes where it is the one under way.

        Raises :class:`InputError` for what is no integer from 0 to 2^63 - 1.
        """
        epoch = integer("epoch", epoch, 0, LAST_EPOCH)
        if epoch != self._epoch or (self._is_over() and not self._resuming):
            self._go_to(epoch)
            self._resuming = False

    def stop(self) -> None:
        """End an iteration that follows: what is left over comes as the last batches."""
        if self._follower is not None:
            self._follower.stop()

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, JSON-able: behind the last batch that was taken.

        The position is one of all ranks, so save it when each has taken as many batches.
        """
        return self._state().as_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where ``state`` was saved.

        The number of ranks and threads and the batch size may differ; but what a worker of a
        DataLoader saved is for the same worker of as many, with batches and ranks as they were,
        because it counts steps. The loader keeps to the examples there were. Raises
        :class:`InputError` where lake, tenants, condition, seed or what decides the order differ.
        """
        saved = State.of(state)
        selection = self._scope.selection
        if self._follower is not None:
            selection = self._follower.everything()
        kept = replace(selection, examples=selection.examples.within(through=saved.log_version))
        replace(self._state(), lake=catalog.identity(kept.parts, selection)).check(saved)
        saved.check_worker(ranks.worker(), self._options.deal.cut)
        saved.check_words(self._options.words)
        slots = catalog.slots(kept, self._options.order, self._options.span_us)
        saved.check_position(counted(slots))
        self._begin(kept if self._follower is None else selection, saved.words)
        self._go_to(saved.epoch, saved.position)
        self._worker = None if saved.worker is None else tuple(saved.worker)  # type: ignore[assignment]
        self._resuming = True

    # Inside

    def _begin(self, selection: Selection, known: Known) -> None:
        """Go through this selection with none behind it; ``known`` strings keep their codes."""
        self._checked = Counts()
        self._scope = Scope.of(selection.counted_by(self._checked), self._options, known)
        self.__dict__.pop("_engine", None)

    @cached_property
    def _engine(self) -> Engine:
        options = self._options
        engine = Engine(
            options.device,
            threads=ranks.threads(options.threads),
            prefetch=options.prefetch,
            budget=options.budget,
            meters=self.meters,
        )
        engine.over(self._scope.selection, self._scope.plan)
        return engine

    def _epoch_of(self, turn: Turn) -> Iterator[Any]:
        yield from self._run(self._planner(turn), turn, turn.start, True)
        if turn.number == self._turn:
            self._go_to(turn.epoch + 1)

    def _planner(self, turn: Turn) -> Planner:
        recipe = self._options.recipe(self._scope.plan)
        return Planner(recipe, turn.epoch, turn.start, turn.worker)

    def _go_to(self, epoch: int, position: int = 0) -> None:
        """Be at a place; copies in worker processes know the epoch when they begin again.

        An iteration under way does not move the loader from there.
        """
        self._turn += 1
        self._epoch, self._position = epoch, position
        if not ranks.is_worker():
            self._told[0] = epoch

    def _is_over(self) -> bool:
        """Whether the last batch of the epoch has been taken, as far as positions tell."""
        end = self._options.deal.end(self.examples)
        return self._follower is None and 0 < end <= self._position

    def _following(self, turn: Turn) -> Iterator[Any]:
        assert self._follower is not None
        self._check_turn(turn)
        if self._scope.behind:  # once more from the beginning
            self._begin(self._follower.everything(), self.dictionaries)
        planner, start = self._planner(turn), turn.start
        while True:
            yield from self._run(planner, turn, start, False)
            self._check_turn(turn)
            more = self._follower.more(self._scope.log_version)
            self._check_turn(turn)
            if more is None:
                yield from self._run(planner, turn, self.examples, True)
                return
            self._scope = self._scope.then(more.counted_by(self._checked), self._options)
            self._engine.over(self._scope.selection, self._scope.plan)
            planner.use(self._options.recipe(self._scope.plan))

    def _check_turn(self, turn: Turn) -> None:
        """Raise :class:`UihError` where the scope is another iteration's, or a loaded state's."""
        if turn.number != self._turn:
            raise UihError(
                "this iteration cannot follow any more: another has begun, or the loader was sent "
                "elsewhere by set_epoch or load_state_dict",
                hint="iterate anew; to follow twice, make two loaders",
            )

    def _run(self, planner: Planner, turn: Turn, start: int, finish: bool) -> Iterator[Any]:
        """Batches of the windows beyond ``start``, and with ``finish`` of what is left over."""
        names = [tenant.name for tenant in self._options.tenants]
        left = self._scope.windows(self._options, turn.epoch, start)
        for made in self._engine.run(planner, left, finish):
            if turn.number == self._turn:
                self._position = made.after
                if self._worker is not None:
                    number, workers = turn.worker.number, turn.worker.workers
                    self._worker = (number, workers, workers - 1)
            batches: list[Batch] = [arrival.received() for arrival in made.arrivals]
            yield dict(zip(names, batches, strict=True)) if self._several else batches[0]

    def _working(self) -> Worker:
        """Which steps of the rank are this process's."""
        number, workers = ranks.worker()
        if workers == 1 and self._worker is None:
            return Worker()
        resumed = self._resuming and self._worker is not None
        skip = self._worker[2] if resumed and self._worker else number
        self._worker = (number, workers, skip)
        return Worker(number, workers, skip)

    def _state(self) -> State:
        options = self._options
        return State(
            lake=self._scope.identity,
            log_version=self._scope.log_version,
            tenants=[tenant.fingerprint() for tenant in options.tenants],
            where=self._scope.selection.where,
            seed=options.seed,
            order=options.order,
            open_buckets=options.open_buckets,
            span_us=options.span_us,
            stochastic_length=None if options.shorten is None else options.shorten.alpha,
            epoch=self._epoch,
            position=self._position,
            words=self.dictionaries,
            worker=None if self._worker is None else list(self._worker),
            cut=None if self._worker is None else options.deal.cut,
        )

    def __getstate__(self) -> dict[str, Any]:
        if self._follower is not None:
            raise UihError(
                "a loader that follows cannot go to a worker process",
                hint="iterate it in the training process; it has threads of its own",
            )
        kept = {k: v for k, v in self.__dict__.items() if k != "_engine"}
        return kept | {"_scope": self._scope.reading(None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        ranks.shared(self._told)  # which that of a worker is already
        self._scope = self._scope.reading(Pages())

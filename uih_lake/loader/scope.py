"""What a loader goes through: some examples, and everything that follows from which they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from uih_lake import schema
from uih_lake.lake.integrity import Pages
from uih_lake.lake.logs import Part
from uih_lake.loader import catalog
from uih_lake.loader.options import Options
from uih_lake.loader.order import Slots, Window, counted, windows
from uih_lake.loader.plan import Plan
from uih_lake.loader.words import Words, words_of
from uih_lake.selection import Selection

Known = Mapping[str, Mapping[str, Sequence[str]]]
"""Strings that have codes already, per trait (``events``) and context column (``context``)."""


@dataclass(frozen=True)
class Scope:
    """A ``selection``, how many of its examples lie where, and the plan to read them by.

    ``words`` are the dictionaries of the plan. A loader that follows has ``behind`` examples of
    earlier scopes; ``parts`` are what the logs wrote of those, too.
    """

    selection: Selection
    slots: Slots
    words: Words
    plan: Plan
    parts: tuple[Part, ...]
    behind: int = 0

    @classmethod
    def of(cls, selection: Selection, options: Options, known: Known) -> Scope:
        """All that is selected; raises :class:`InputError` for a fill or word that does not fit."""
        return cls._of(selection, options, known, -1)

    def then(self, selection: Selection, options: Options) -> Scope:
        """What was logged since; strings keep the codes they have."""
        numbered = self.selection.snapshot.lake_version
        more = self._of(selection, options, self.dictionaries, numbered)
        return replace(more, parts=(*self.parts, *more.parts), behind=self.examples)

    @classmethod
    def _of(cls, selection: Selection, options: Options, known: Known, numbered: int) -> Scope:
        """As :meth:`of`; words of events up to lake version ``numbered`` are known."""
        examples, tenants, fill = selection.examples, options.tenants, options.fill
        words = words_of(selection, tenants, fill, known, options.words, numbered)
        events = schema.public_events(selection.snapshot.stored)
        return cls(
            selection,
            catalog.slots(selection, options.order, options.span_us),
            words,
            Plan.of(tenants, events, examples.public, fill, options.masks, words),
            selection.parts,  # now: a state can be asked for when the files have been vacuumed
        )

    @property
    def examples(self) -> int:
        """How many there are, with those behind."""
        return self.behind + counted(self.slots)

    @property
    def log_version(self) -> int:
        """The newest of the examples; -1 where there are none."""
        return self.selection.examples.newest_log

    @property
    def identity(self) -> str:
        """:func:`catalog.identity` of the examples, with those behind."""
        return catalog.identity(self.parts, self.selection)

    @property
    def dictionaries(self) -> dict[str, dict[str, list[str]]]:
        """The strings of ``words`` by code, from 1 on."""
        return {place: {n: d.words for n, d in w.items()} for place, w in self.words.items()}

    def windows(self, options: Options, epoch: int, start: int) -> list[Window]:
        """Those of an epoch that reach beyond position ``start``, in order."""
        order = windows(self.slots, options.seed, epoch, options.open_buckets, self.behind)
        return [window for window in order if window.first + window.count > start]

    def reading(self, pages: Pages | None) -> Scope:
        """The same with other checked pages; None to send it to another process, where some are."""
        snapshot = replace(self.selection.snapshot, pages=pages)  # type: ignore[arg-type]
        return replace(self, selection=replace(self.selection, snapshot=snapshot))

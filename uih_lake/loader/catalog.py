"""What there is to go through: examples counted by slot and bucket, and which ones they are."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import xxhash

from uih_lake import names, schema, sqlfile
from uih_lake.lake.logs import Part
from uih_lake.loader.order import Order, Slots
from uih_lake.selection import Selection
from uih_lake.session import cursor, fetch
from uih_lake.tenant import evaluating, spoken_of

_LOG = logging.getLogger(__name__)


def slots(selection: Selection, order: Order, span_us: int) -> Slots:
    """Examples of the selection by slot and bucket."""
    statement = sqlfile.fill(
        "loader/counts",
        slot=_slot(order),
        examples=selection.examples.sql,
        where=selection.where,
    )
    parameters = {"newest": selection.snapshot.lake_version}
    if order == "time":
        parameters["span"] = span_us
    found: dict[int, dict[int, int]] = {}
    if not selection.examples.files:
        return found
    with cursor() as duck, evaluating(selection.where):
        for row in fetch(duck, statement, parameters).to_pylist():
            found.setdefault(row["slot"], {})[row["bucket"]] = row["examples"]
    return found


def warn_of_none(slots: Slots, where: str | None) -> None:
    """Log a warning where there is nothing to go through: an endless loop may be waiting for it."""
    if not slots:
        _LOG.warning("there is no example%s", "" if where is None else f" that meets [{where}]")


def _slot(order: Order) -> str:
    if order == "time":
        return sqlfile.statement("loader/slot_time")
    return sqlfile.identifier(names.LOG_VERSION) if order == "log" else sqlfile.literal(0)


def identity(parts: Iterable[Part], selection: Selection) -> str:
    """Digest of which examples these are, wherever they and their events lie.

    Labels that are set change none of that, unless the condition may speak of them.
    """
    context = (field.name for field in schema.context_of(selection.examples.stored))
    labels = spoken_of(selection.where, context)
    told = {f"{part.log_version}/{part.contents if labels else part.origin}" for part in parts}
    return xxhash.xxh64("\n".join(sorted(told)).encode()).hexdigest()

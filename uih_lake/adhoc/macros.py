"""The macros of ad hoc SQL: common questions that take arguments, as tables.

Each is ``sql/adhoc/macros/<name>.sql``. An argument inside an ASOF condition does not bind, so none
of them has such a join. A parameter begins with ``_``, as no column of a user's does: one of the
same name would keep the macro from being made.
"""

from __future__ import annotations

from typing import Final

from uih_lake import sqlfile

MACROS: Final = {
    "history_as_of": "history_as_of(user, time): what was known of a user at a time",
    "sequence_of": "sequence_of(example_id, max_len): the events that a pointer stands for",
    "changed_between": "changed_between(after, to): events that the lake versions between brought",
    "longest_histories": "longest_histories(n): the users with the most events",
    "redundancy": "redundancy(max_len): per day, how often fat rows would copy each event",
    "freshness": "freshness(): what each tier holds and how new it is",
}
"""Name -> how it is called and what it answers."""


def definitions() -> list[str]:
    """Statements that make the macros; the views they read must be there."""
    return [sqlfile.statement(f"adhoc/macros/{name}") for name in MACROS]

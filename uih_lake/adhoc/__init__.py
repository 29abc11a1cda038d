"""Read-only SQL on what a lake holds."""

from uih_lake.adhoc.guard import check_query, explain_error, lock
from uih_lake.adhoc.macros import MACROS
from uih_lake.adhoc.views import VIEWS, Kept, Session, Surface, ask, query

__all__ = [
    "MACROS",
    "VIEWS",
    "Kept",
    "Session",
    "Surface",
    "ask",
    "check_query",
    "explain_error",
    "lock",
    "query",
]

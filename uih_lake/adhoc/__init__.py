"""Read-only SQL on what a lake holds."""

from uih_lake.adhoc.guard import check_query, explain_error, lock
from uih_lake.adhoc.views import query

__all__ = ["check_query", "explain_error", "lock", "query"]

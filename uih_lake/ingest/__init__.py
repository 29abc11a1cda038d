"""Events and requests from files and tables: read as a stream, checked, normalised.

Whatever is refused is refused here, before anything is written, with an error that names the
file, the column, how many rows, the first of them (from 1, in its file) and the remedy.
"""

from uih_lake.ingest.batches import Batches
from uih_lake.ingest.columns import EventColumns, LabelColumns, RequestColumns
from uih_lake.ingest.opening import declared, open_events, open_labels, open_requests
from uih_lake.ingest.schemas import check_events, check_requests, check_types

__all__ = [
    "Batches",
    "EventColumns",
    "LabelColumns",
    "RequestColumns",
    "check_events",
    "check_requests",
    "check_types",
    "declared",
    "open_events",
    "open_labels",
    "open_requests",
]

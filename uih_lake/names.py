"""Names of columns and tables that several modules use, so that each is defined once.

A name that only one module uses is defined in that module, such as those of settings.

Public columns are what a user sees in SQL and Arrow. Columns with a leading underscore are how a
public one is stored: ``_delay`` is ``arrival_ts - event_ts`` in microseconds (zero nearly
everywhere), ``_tie`` orders the events of one append that share a user and an instant (zero nearly
everywhere), ``_fingerprint`` is a 16-bit hash of the traits; ``_run``, ``_end`` and ``_gaps`` are
the place of a pointer in the file it was cut from.
"""

from __future__ import annotations

from typing import Final

USER_ID: Final = "user_id"
EVENT_TS: Final = "event_ts"
ARRIVAL_TS: Final = "arrival_ts"
LAKE_VERSION: Final = "lake_version"
SEQ: Final = "seq"

DELAY: Final = "_delay"
TIE: Final = "_tie"
FINGERPRINT: Final = "_fingerprint"
BUCKET: Final = "_bucket"
RUN: Final = "_run"
END: Final = "_end"
GAPS: Final = "_gaps"

EXAMPLE_ID: Final = "example_id"
REQUEST_TS: Final = "request_ts"
AS_OF_TS: Final = "as_of_ts"
GENERATION: Final = "generation"
START_TS: Final = "start_ts"
END_TS: Final = "end_ts"
LENGTH: Final = "length"
DIGEST: Final = "digest"
LOG_VERSION: Final = "log_version"
OWN_LOG: Final = "_log_version"
"""What ``log_version`` is called in a file of several logs; it is the partition value elsewhere."""

EVENT_COLUMNS: Final = (USER_ID, EVENT_TS, ARRIVAL_TS, LAKE_VERSION, SEQ)
"""Columns every event has; a trait may not take one of these names."""

POINTER_COLUMNS: Final = (
    USER_ID,
    REQUEST_TS,
    AS_OF_TS,
    LAKE_VERSION,
    GENERATION,
    START_TS,
    END_TS,
    LENGTH,
    DIGEST,
)
"""Columns of a stored versioned pointer, in order."""

EXAMPLE_COLUMNS: Final = (EXAMPLE_ID, *POINTER_COLUMNS, LOG_VERSION)
"""Columns every example has; a context column may not take one of these names."""

VIRTUAL_COLUMNS: Final = ("filename", "file_index", "file_row_number")
"""Columns that DuckDB gives to every Parquet file: where a row comes from. A stored column of one
of these names would be read in its place, so no trait and no context column may take it."""

ROW_KEYS: Final = (EXAMPLE_ID, USER_ID, REQUEST_TS)
"""Columns of every row that a tenant is given, before the context and the groups."""

HIDDEN_EXAMPLE_COLUMNS: Final = (BUCKET, RUN, END, GAPS, OWN_LOG)
"""Columns of a stored example that no view shows."""

RECENT: Final = "recent"
UIH: Final = "uih"
EXAMPLES: Final = "examples"
FORGOTTEN: Final = "forgotten"

USER_HASH: Final = "user_hash"

ROW: Final = "_row"
"""Column of tables in memory, never stored: where a row was before they were sorted."""

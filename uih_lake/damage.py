"""What it means that a data file cannot be read: it is damaged, or the system does not give it.

A copy mends the first alone, so the second is never told as the first.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from uih_lake.errors import CorruptionError, LakeError, UihError
from uih_lake.wording import on_one_line

FROM_A_COPY: Final = "restore it from a copy"

_OF_THE_FILE: Final = (None, errno.EINVAL, errno.EISDIR, errno.ENOTDIR)
"""Error numbers of what is no whole file: Arrow has none, EINVAL is one too short to seek in."""
_FILES_HINT: Final = "close some, or raise the limit (ulimit -n)"
_RIGHTS_HINT: Final = "run as a user who may read it, or change its permissions"
_HINTS: Final = {
    errno.EMFILE: _FILES_HINT,
    errno.ENFILE: _FILES_HINT,
    errno.EACCES: _RIGHTS_HINT,
    errno.EPERM: _RIGHTS_HINT,
    errno.ENOMEM: "free some, or run on a machine that has more",
}
_ANY_HINT: Final = "look at the disk or mount it is on, then try again"


def told(path: str, error: Exception) -> UihError:
    """The error to raise for what went wrong with the data file at ``path``."""
    if isinstance(error, FileNotFoundError):
        return CorruptionError(f"the data file {path} is missing", hint=FROM_A_COPY)
    number = _system_says(error) if isinstance(error, OSError) else None
    if number is not None:
        return LakeError(
            f"the data file {path} cannot be read: {os.strerror(number)}",
            hint=_HINTS.get(number, _ANY_HINT),
        )
    return CorruptionError(
        f"the data file {path} is no whole Parquet file: {on_one_line(error)}",
        hint=FROM_A_COPY,
    )


def _system_says(error: OSError) -> int | None:
    """The error number where the file is not to blame."""
    if os.strerror(errno.ENOMEM) in str(error):  # Arrow passes on no number where it cannot map
        return errno.ENOMEM
    return None if error.errno in _OF_THE_FILE else error.errno

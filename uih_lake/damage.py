"""Why a file of a lake cannot be read: it is damaged, gone for good, or the system refuses it.

Restoring a copy helps only against damage, so nothing else is reported as damage. A refusal of the
operating system is none, and neither is a file that was replaced and vacuumed under a reader of an
older state: a copy of it could bring back what was erased.
"""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Final

from uih_lake.errors import CorruptionError, LakeError, UihError
from uih_lake.wording import on_one_line

FROM_A_COPY: Final = "restore it from a copy"

_OF_THE_FILE: Final = (None, errno.EINVAL, errno.EISDIR, errno.ENOENT, errno.ENOTDIR)
"""Error numbers of what is no whole file: Arrow has none, EINVAL is one too short to seek in."""
_IN_DELTA: Final = re.compile(r"\(os error (\d+)\)")
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
        if _was_replaced(Path(path)):
            return LakeError(
                f"the data file {path} was replaced since this reader began, and vacuumed",
                hint="begin anew: open the lake, make the loader or run the read once more",
            )
        return CorruptionError(f"the data file {path} is missing", hint=FROM_A_COPY)
    refused = _refusal(f"the data file {path}", error)
    return refused or CorruptionError(
        f"the data file {path} is no whole Parquet file: {on_one_line(error)}",
        hint=FROM_A_COPY,
    )


def told_of_pages(path: str, where: str, error: Exception) -> UihError:
    """The error to raise for what went wrong with the pages ``where`` of a data file."""
    refused = _refusal(f"the data file {path}", error)
    return refused or CorruptionError(
        f"the data file {path} is altered: {where}: {on_one_line(error)}", hint=FROM_A_COPY
    )


def told_of_log(table: str, error: Exception, says: str) -> UihError:
    """The error to raise for what went wrong with the Delta log of a table, which ``says`` so."""
    refused = _refusal(f"the Delta log of {table}", error)
    return refused or CorruptionError(
        f"the Delta log of {table} cannot be read: {says}",
        hint="restore the missing or altered file of its _delta_log from a copy",
    )


def _was_replaced(file: Path) -> bool:
    """Whether the newest entry of its table's Delta log that names a data file took it out.

    False where the log cannot tell. It is read as text, for Delta is known to the lake alone.
    """
    try:
        for entry in sorted((file.parent / "_delta_log").glob("*.json"), reverse=True):
            text = entry.read_text("utf-8")
            if file.name in text:
                actions = [json.loads(line) for line in text.splitlines()]
                return any(act.get("remove", {}).get("path") == file.name for act in actions)
    except (OSError, ValueError):
        pass
    return False


def _refusal(what: str, error: Exception) -> LakeError | None:
    """The error where the system is to blame; None where the file is."""
    number = _system_says(error)
    if number is None:
        return None
    return LakeError(
        f"{what} cannot be read: {os.strerror(number)}", hint=_HINTS.get(number, _ANY_HINT)
    )


def _system_says(error: Exception) -> int | None:
    """The error number where the file is not to blame."""
    # Arrow passes on no number where it cannot allocate or map.
    if isinstance(error, MemoryError) or os.strerror(errno.ENOMEM) in str(error):
        return errno.ENOMEM
    if not isinstance(error, OSError):
        return None
    told = _IN_DELTA.search(str(error))  # nor does Delta
    number = error.errno if told is None else int(told[1])
    return None if number in _OF_THE_FILE else number

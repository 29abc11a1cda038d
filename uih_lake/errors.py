"""Every error the toolkit raises on purpose.

One base class, :class:`UihError`. Its text is one line: what was wrong, where, what exists, and
what to do about it (``hint``). The command line prints it without a traceback and exits with 1.
"""

from __future__ import annotations


class UihError(Exception):
    """Base of all errors of the toolkit: a refused input, a failed check, a lost race."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message if hint is None else f"{message}; {hint}")


class InputError(UihError):
    """Events, requests or arguments that are refused; nothing was written."""


class SchemaError(InputError):
    """Columns or types that do not fit the lake."""


class TenantError(UihError):
    """A tenant that is malformed or asks for what is not there."""


class GroupError(UihError, KeyError):
    """A group that is not in a batch."""

    # KeyError quotes its text as if it were a key
    __str__ = UihError.__str__


class LakeError(UihError):
    """No lake at this path, a lake already there, or a lake version that does not exist.

    Also a data file that the system does not give, such as one more than may be open at once, or
    that was replaced and vacuumed while a reader was at work.
    """


class TooMuchText(LakeError):
    """More than 2 GiB of text in a column of the rows that have to be worked on at once."""


class ConflictError(UihError):
    """Another writer won the race, more often than we were willing to retry, or for good."""


class CorruptionError(UihError):
    """A file of the lake is missing, truncated or altered."""


class PointerError(UihError):
    """Pointers could not be rebuilt as logged, and the policy is ``raise``."""


class SqlRefused(UihError):
    """A statement or condition that is not a plain read of the lake.

    ``column`` is the name that a condition speaks of and that is no column, if that is why.
    """

    column: str | None = None


class OutputError(UihError):
    """The place to write to is taken or not writable."""

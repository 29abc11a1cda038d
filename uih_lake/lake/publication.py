"""What is published of a lake: how far the log of each of its tables goes, in one small object.

It is written last and replaced in one step, so that whoever reads it finds everything that it
speaks of. Data files and log entries never change: a reader of the one before it goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from uih_lake.errors import CorruptionError, LakeError
from uih_lake.lake.heads import Head

NAME = "_uih_lake_published"
"""The object, and the file in a cache, that holds it."""
_FORMAT = 1


@dataclass(frozen=True)
class Publication:
    """The :class:`Head` of the log of each table, by its name."""

    heads: Mapping[str, Head]

    def encoded(self) -> bytes:
        """As JSON."""
        tables = {name: head._asdict() for name, head in self.heads.items()}
        return json.dumps({"format": _FORMAT, "tables": tables}, indent=1).encode() + b"\n"

    @classmethod
    def decoded(cls, content: bytes, url: str) -> Publication:
        """What is published at ``url``.

        Raises :class:`CorruptionError`, or :class:`LakeError` where another version wrote it.
        """
        try:
            found = json.loads(content)
            if found["format"] != _FORMAT:
                raise LakeError(
                    f"what is published at {url} has format {found['format']}, "
                    f"this version reads {_FORMAT}",
                    hint="use the version of uih_lake that wrote it",
                )
            return cls({name: Head(**head) for name, head in found["tables"].items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptionError(
                f"{url}/{NAME} is not what was published", hint="publish the lake once more"
            ) from error

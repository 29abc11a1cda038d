"""The command line: ``uihlake``, with the verbs of :class:`uih_lake.Lake`."""

from uih_lake.cli.app import app, main

__all__ = ["app", "main"]

"""The command line: ``uihlake``, with the verbs of :class:`uih_lake.Lake`."""

try:
    from uih_lake.cli.app import app, main
except KeyboardInterrupt:  # so early that nobody is there yet to deal with it
    raise SystemExit(130) from None

__all__ = ["app", "main"]

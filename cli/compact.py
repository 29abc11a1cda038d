"""``uihlake compact``."""

from __future__ import annotations

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal


def compact(terminal: Terminal, lake: options.Lake, as_json: options.Json = False) -> None:
    """Merge what several seals left in a bucket into one run.

    Reading is fastest from one run per bucket, by pointers that know where in it their events
    lie: they are told. Nothing that a pointer means changes; the files merged stay on disk until
    they are vacuumed.

      uihlake compact shop

    Exit codes: 0 compacted, or there was nothing to merge; 1 failed; 2 wrong usage.
    """
    from uih_lake.compact import compact as run
    from uih_lake.lake.store import Store

    store = Store.open(lake)
    before = store.uih.version
    with terminal.progress("compacting") as progress:
        generation = run(store, progress)
    facts = {"generation": generation}
    told = "nothing to merge, " if generation == before else ""
    terminal.report(f"generation {generation}: {told}one sorted run per bucket", facts, as_json)

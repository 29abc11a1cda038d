"""``uihlake compact``."""

from __future__ import annotations

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal, amount


def compact(terminal: Terminal, lake: options.Lake, as_json: options.Json = False) -> None:
    """Merge each bucket's runs into one, and the files of small logs.

    Merges the sealed files of each bucket into one run, tells every pointer where in it its
    events lie, so that a loader reads them without a join, and merges the files of small logs.
    Nothing that a pointer means changes; the old files stay on disk until they are vacuumed.

      uihlake compact shop

    Exit codes: 0 compacted, or there was nothing to merge; 1 failed; 2 wrong usage.
    """
    from uih_lake.compact import compact as run
    from uih_lake.lake.store import Store

    store = Store.open(lake)
    before = store.uih.version, store.examples.version
    with terminal.progress("compacting") as progress:
        generation = run(store, progress)
    files = len(store.examples.files())
    facts = {"generation": generation, "example_files": files}
    told = "nothing to merge, " if before == (generation, store.examples.version) else ""
    logged = f", examples in {amount(files, 'file')}" if files else ""
    line = f"generation {generation}: {told}one sorted run per bucket{logged}"
    terminal.report(line, facts, as_json)

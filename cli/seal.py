"""``uihlake seal``."""

from __future__ import annotations

from uih_lake.cli import options
from uih_lake.cli.terminal import Terminal


def seal(terminal: Terminal, lake: options.Lake, as_json: options.Json = False) -> None:
    """Sort appended events by user, into the immutable tier.

    Sealing moves events out of the mutable tier, and reading a sequence then touches little.
    Pointers, lake versions and what is visible stay as they are. Seal after a batch of appends.

      uihlake seal shop

    Exit codes: 0 sealed, or there was nothing to seal; 1 failed; 2 wrong usage.
    """
    from uih_lake.lake.seal import seal as run
    from uih_lake.lake.store import Store

    store = Store.open(lake)
    before = store.sealed
    with terminal.progress("sealing") as progress:
        sealed = run(store, progress)
    generation, version = sealed.generation, sealed.lake_version
    facts = {"generation": generation, "sealed_version": version}
    told = "nothing to seal" if version < 0 else f"sealed up to lake version {version}"
    if version == before >= 0:
        told = f"nothing new to seal, {told}"
    terminal.report(f"generation {generation}: {told}", facts, as_json)

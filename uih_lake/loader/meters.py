"""Where the time goes: what the consumer waited for and what the producers did."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Meters:
    """Sums over the life of a loader; times in seconds, sizes in bytes.

    ``waited_s`` is how long the consumer waited for a batch (starvation), ``idle_s`` how long the
    ``threads`` producers waited for something to do, summed over them (waste). ``bytes_read`` is
    what the process asked the system for while buckets were opened (the engine reads on threads of
    its own), nothing where the system does not tell, and the column chunks it read through a memory
    map; ``bytes_moved`` is what was copied into batches. ``queue_depth`` is the number of batches
    ready at this moment.
    """

    batches: int = 0
    examples: int = 0
    events: int = 0
    waited_s: float = 0.0
    idle_s: float = 0.0
    bytes_read: int = 0
    bytes_moved: int = 0
    queue_depth: int = 0
    threads: int = 0
    _seen: int = field(default=0, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self) -> None:
        """Reads count from now on."""
        with self._lock:
            self._seen = _bytes_read()

    def note_reads(self) -> None:
        """Note what has been read by now."""
        with self._lock:
            now = _bytes_read()
            self.bytes_read += now - self._seen
            self._seen = now

    def mapped(self, size: int) -> None:
        """Note what was read through a memory map, of which the system does not tell."""
        with self._lock:
            self.bytes_read += size

    def idle(self, seconds: float) -> None:
        """Note the time one producer waited."""
        with self._lock:
            self.idle_s += seconds

    def delivered(self, examples: int, events: int, moved: int, waited: float) -> None:
        """Note a batch that went to the consumer."""
        self.batches += 1
        self.examples += examples
        self.events += events
        self.bytes_moved += moved
        self.waited_s += waited

    def as_dict(self) -> dict[str, float]:
        """All meters by name, for JSON."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    @contextmanager
    def live(self, every_s: float = 0.5) -> Iterator[None]:
        """Show the meters as one line on stderr while the block runs; nothing in a pipe."""
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        if not console.is_terminal:
            yield
            return
        line = _Line(self)
        with Live(line, console=console, refresh_per_second=1 / every_s, transient=True):
            yield

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())


def _bytes_read() -> int:
    try:
        text = Path("/proc/self/io").read_text("ascii")
    except OSError:
        return 0
    return int(text.split(maxsplit=2)[1])


class _Line:
    """The meters as text, with rates since the line was made."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._since = time.perf_counter()
        self._events = meters.events

    def __rich__(self) -> str:
        now = self._meters
        seconds = max(time.perf_counter() - self._since, 1e-9)
        rate = (now.events - self._events) / seconds / 1e6
        return (
            f"{now.batches:,} batches  {rate:,.1f} M events/s  {now.queue_depth} ready  "
            f"waited {now.waited_s:.1f} s  idle {now.idle_s:.1f} s  "
            f"read {now.bytes_read / 1e6:,.0f} MB"
        )

"""What is told of a lake, as plain values."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any


def plain(facts: Any) -> dict[str, Any]:
    """A dataclass as plain values that JSON has; times in ISO 8601."""
    found = asdict(facts)
    times = {name: value for name, value in found.items() if isinstance(value, datetime)}
    return found | {name: time.isoformat() for name, time in times.items()}

"""The documented hashes once more, on Python integers, one value at a time.

Written from the text of `uih_lake/hashing.py`'s docstring, not from its code: nothing is imported
from the toolkit. Values are Python values; times are integer microseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import xxhash

WORD = 2**64
NULL_ELEMENT = 0x6A09E667F3BCC909


def mix(x: int) -> int:
    """SplitMix64 finaliser."""
    x = (x + 0x9E3779B97F4A7C15) % WORD
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % WORD
    return x ^ (x >> 31)


def bucket(user: int | str, buckets: int) -> int:
    """Bucket of a user."""
    raw = user.encode() if isinstance(user, str) else struct.pack("<q", user)
    return xxhash.xxh64_intdigest(raw) % buckets


def bits(value: Any) -> int:
    """64 bits of a value that is not null."""
    match value:
        case bool() | int():
            return int(value) % WORD
        case float():
            if value != value:
                value = float("nan")
            return struct.unpack("<Q", struct.pack("<d", value))[0]
        case str():
            return xxhash.xxh64_intdigest(value.encode())
        case list():
            hashed = [NULL_ELEMENT if each is None else mix(bits(each)) for each in value]
            by_place = (mix((each + place) % WORD) for place, each in enumerate(hashed))
            return (sum(by_place) + len(value)) % WORD
    raise TypeError(f"no bits for {value!r}")


def fingerprint(traits: Mapping[str, Any]) -> int:
    """16 bits over the traits of an event."""
    total = sum(
        mix((bits(value) + xxhash.xxh64_intdigest(name.encode())) % WORD)
        for name, value in traits.items()
        if value is not None
    )
    return mix(total % WORD) >> 48


def event_digest(event_ts: int, delay: int, lake_version: int, tie: int, prints: int) -> int:
    """Digest of one event."""
    digest = mix(event_ts % WORD)
    for part in (delay, lake_version, tie, prints):
        digest = mix((digest + part) % WORD)
    return digest


def signed(total: int) -> int:
    """A sum of digests as the signed integer a pointer stores."""
    total %= WORD
    return total - WORD if total >= WORD // 2 else total


def digest(events: Iterable[int]) -> int:
    """Digest of a history from those of its events."""
    return signed(sum(events))

"""Stable hashes: buckets, fingerprints and digests mean the same on every machine and version.

Nothing here rests on Python's or DuckDB's own ``hash``. Three hashes are defined:

* **bucket** of a user: xxHash64 (seed 0) of the eight little-endian bytes of an int64 id, or of
  the UTF-8 bytes of a string id, modulo the number of buckets.
* **fingerprint** of an event: 16 bits over its traits. Each non-null trait contributes
  ``mix(bits(value) + xxh64(trait name))``; the sum, mixed again, is cut to its top 16 bits. The
  order of columns does not matter and a null adds nothing, so a trait added later leaves the
  fingerprint of older events as it was.
* **digest** of a history: the sum modulo 2^64 of a hash of each event, computed by
  :func:`uih_lake.lake.digest.running_digest`. Event time, delay, lake version, tie and
  fingerprint go in, so another event, another order among equal times or another content gives
  another digest; and being a sum it can be kept as a running total.

``mix`` is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Sources: xxHash64 as
specified in the xxHash repository (``doc/xxhash_spec.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from uih_lake.arrays import UInt64

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_NULL = np.uint64(0x6A09E667F3BCC909)


# One pass over the memory, where numpy takes one for every operator.
_each: Callable[[Callable[..., Any]], Callable[..., Any]]
_each = numba.vectorize(cache=True)  # type: ignore[no-untyped-call]


@_each
def mix(x: Any) -> Any:
    """SplitMix64 finaliser, element by element; a bijection of uint64."""
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_each
def _rotate(x: Any, bits: Any) -> Any:
    return (x << bits) | (x >> (np.uint64(64) - bits))


@_each
def _xxh64_of_words(words: Any) -> Any:
    """xxHash64 with seed 0 of each eight-byte little-endian word."""
    k = _rotate(words * _P2, np.uint64(31)) * _P1
    h = _rotate((_P5 + np.uint64(8)) ^ k, np.uint64(27)) * _P1 + _P4
    h = (h ^ (h >> np.uint64(33))) * _P2
    h = (h ^ (h >> np.uint64(29))) * _P3
    return h ^ (h >> np.uint64(32))


def _xxh64_of_strings(values: pa.Array) -> UInt64:
    """xxHash64 with seed 0 of each string's UTF-8 bytes; each distinct string is hashed once."""
    encoded = values.dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    each = (xxhash.xxh64_intdigest(text.encode()) for text in distinct)
    hashes = np.fromiter(each, np.uint64, len(distinct))
    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    return hashes[codes] if len(hashes) else np.zeros(len(values), np.uint64)


def bucket_of(user_ids: pa.Array, buckets: int) -> npt.NDArray[np.int32]:
    """Bucket of each user, int32 in ``[0, buckets)``; ``user_ids`` is int64 or string, no nulls."""
    if pa.types.is_string(user_ids.type):
        hashes = _xxh64_of_strings(user_ids)
    else:
        hashes = _xxh64_of_words(user_ids.to_numpy(zero_copy_only=False).view(np.uint64))
    return (hashes % np.uint64(buckets)).astype(np.int32)


def _bits(values: pa.Array) -> UInt64:
    """64 bits per value that depend on the value and not on the width of its type.

    Those of a null are any bits.
    """
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_dictionary(kind):  # a dictionary of strings
        return _xxh64_of_strings(values)
    if pa.types.is_list(kind):
        return _bits_of_lists(values)
    if pa.types.is_floating(kind):
        with np.errstate(invalid="ignore"):  # what lies under a null may be a signaling NaN
            floats = _bare(values).astype(np.float64)
        floats[np.isnan(floats)] = np.nan  # one bit pattern for every NaN
        return floats.view(np.uint64)
    if pa.types.is_boolean(kind):
        return _flags(pc.fill_null(values, False)).astype(np.uint64)
    if pa.types.is_timestamp(kind):
        values = values.view(pa.int64())
    return _bare(values).astype(np.int64).view(np.uint64)


def _bare(values: pa.Array) -> npt.NDArray[Any]:
    """Numbers with whatever lies under the nulls, not copied."""
    buffers = [None, values.buffers()[1]]
    return _numpy(pa.Array.from_buffers(values.type, len(values), buffers, offset=values.offset))


def _numpy(values: pa.Array) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def _flags(values: pa.Array) -> npt.NDArray[np.uint8]:
    flags: npt.NDArray[np.uint8] = values.cast(pa.uint8()).to_numpy()
    return flags


def _bits_of_lists(lists: pa.Array) -> UInt64:
    """Order-sensitive hash of each list: the sum of its elements' hashes by position."""
    elements = lists.flatten()  # skips the elements of null lists
    lengths = _numpy(pc.fill_null(pc.list_value_length(lists), 0))
    stops = np.cumsum(lengths, dtype=np.int64)
    starts = stops - lengths
    place = np.arange(len(elements), dtype=np.int64) - np.repeat(starts, lengths)
    hashed = mix(_bits(elements))
    if elements.null_count:
        hashed[elements.is_null().to_numpy(zero_copy_only=False)] = _NULL
    total: UInt64 = np.zeros(len(elements) + 1, np.uint64)
    np.cumsum(mix(hashed + place.astype(np.uint64)), out=total[1:])
    sums: UInt64 = total[stops] - total[starts] + lengths.astype(np.uint64)
    return sums


def fingerprint(names: Iterable[str], columns: Iterable[pa.Array], rows: int) -> pa.Array:
    """16-bit fingerprint of the traits of each event, as int32 in ``[0, 65536)``."""
    total = np.zeros(rows, np.uint64)
    for name, values in zip(names, columns, strict=True):
        salt = np.uint64(xxhash.xxh64_intdigest(name.encode()))
        _contribute(_bits(values), salt, _flags(values.is_valid()), total)
    return pa.array((mix(total) >> np.uint64(48)).astype(np.int32))


@numba.njit(cache=True, nogil=True)
def _contribute(bits: Any, salt: Any, counts: Any, total: Any) -> None:
    for row in range(len(total)):
        total[row] += mix(bits[row] + salt) * np.uint64(counts[row])

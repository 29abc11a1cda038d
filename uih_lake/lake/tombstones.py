"""Tombstones: the lake remembers that somebody was forgotten, and not who it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uih_lake import names
from uih_lake.arrays import Int64
from uih_lake.lake import parquet
from uih_lake.lake.store import SALT, Store
from uih_lake.lake.tables import File, optimistic

_NEVER = -2
"""A lake version before that of any pointer, which is -1 where nothing had been appended."""


def user_hash(salt: str, user: int | str) -> str:
    """Keyed BLAKE2b (128 bits, hex) of a user id: int64 little-endian bytes, or UTF-8 bytes."""
    raw = user.to_bytes(8, "little", signed=True) if isinstance(user, int) else user.encode()
    return hashlib.blake2b(raw, key=bytes.fromhex(salt), digest_size=16).hexdigest()


def remember(store: Store, users: pa.Array, earlier: Sequence[File] = ()) -> File:
    """Leave a tombstone per user: that somebody was erased at this lake version, not who.

    Returns their file, which takes the place of ``earlier`` ones of the same users.
    """
    salt = store.uih.setting(SALT) or ""
    hashes = [user_hash(salt, user) for user in pc.unique(users).to_pylist()]
    table = pa.table([pa.array(hashes, pa.string())], names=[names.USER_HASH])
    file = parquet.write(store.forgotten.root, table, {names.LAKE_VERSION: store.lake_version})
    with store.forgotten.discarding([file]):
        optimistic(lambda: store.forgotten.commit([file], earlier), "forget")
    return file


@dataclass(frozen=True)
class Tombstones:
    """Who was forgotten, and at which lake version: a question can be asked, a list cannot."""

    salt: str
    versions: Mapping[str, int]

    @classmethod
    def of(cls, store: Store, files: Iterable[File] | None = None) -> Tombstones:
        """The tombstones of the opened table, or of those ``files`` of it.

        Raises :class:`CorruptionError`.
        """
        versions: dict[str, int] = {}
        for file in store.forgotten.files() if files is None else files:
            version = file.partition[names.LAKE_VERSION]
            found = store.pages.read(store.forgotten.path(file), [names.USER_HASH])
            for gone in found.column(names.USER_HASH).to_pylist():
                versions[gone] = max(version, versions.get(gone, -1))
        return cls(store.uih.setting(SALT) or "", versions)

    def cover(self, users: pa.Array, lake_versions: Int64) -> npt.NDArray[np.bool_]:
        """Which of ``users`` were forgotten at or after their lake version, one bool each."""
        if not self.versions:
            return np.zeros(len(users), np.bool_)
        each = users.dictionary_encode()  # a hash takes its time: once per user
        hashes = [user_hash(self.salt, user) for user in each.dictionary.to_pylist()]
        known = [self.versions.get(hashed, _NEVER) for hashed in hashes]
        newest = np.array(known, np.int64)[each.indices.to_numpy()]
        covered: npt.NDArray[np.bool_] = newest >= lake_versions
        return covered

"""The child that is killed: does deeds one after the other and keeps a journal of them.

It is forked from a server that has imported this module, so that starting it takes no time; but it
is a process of its own, and SIGKILL is all that ends it.
"""

from __future__ import annotations

import json
import os
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from durability.deeds import Deed, do
from uih_lake import Lake
from uih_lake.resolve import cut

JOURNAL = "journal.jsonl"


def live(folder: Path, first: int, ready: Connection) -> None:
    """Do the deeds from number ``first`` on to the lake in ``folder``, until killed."""
    lake = Lake.open(folder / "lake")
    with open(folder / JOURNAL, "ab", buffering=0) as journal:
        ready.send("ready")
        for number in count(first):
            _note(journal.fileno(), number, "begun")
            do(Deed.of(number), lake, folder)
            _note(journal.fileno(), number, "done")


def read(folder: Path, after: int) -> tuple[list[int], int | None]:
    """Numbers above ``after`` of the deeds that were done, and of the one that was not, if any."""
    path = folder / JOURNAL
    lines = path.read_text().splitlines() if path.exists() else []
    notes = [json.loads(line) for line in lines]
    done = [number for number, what in notes if what == "done" and number > after]
    begun = [number for number, what in notes if what == "begun" and number > after]
    return done, begun[-1] if len(begun) > len(done) else None


def _note(journal: int, number: int, what: str) -> None:
    """One line in one write, on disk before anything else happens."""
    os.write(journal, f'[{number}, "{what}"]\n'.encode())
    os.fsync(journal)


def _load_kernels() -> None:
    """Have the compiled code in memory before the fork; this starts no thread."""
    none = np.zeros(0, np.int64)
    keys, ends = cut.Keys.of(none, none, none, none), cut.Ends(none, none, none)
    cut.cut(keys, ends, none, none, none, none, 1)


_load_kernels()

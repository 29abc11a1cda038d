"""Processes that start at once: forked from a server that has imported what they need."""

from __future__ import annotations

import multiprocessing

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["durability.victim", "durability.crowd"])
